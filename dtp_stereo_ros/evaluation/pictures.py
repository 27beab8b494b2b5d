"""Pictures of a scene: left image and truth, disparity and error of each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from ..image_io import colorize, colour_range, write_png, write_text
from ..paths import make_folder
from ..stereo import Float32Array, StereoFrame, UInt8Array
from .datasets import Scene, Truth
from .scene_score import Estimate

# Errors from here on have the last colour.
ERROR_SCALE_PX = 5.0


def write_panel(
    folder: Path, scene: Scene, frame: StereoFrame, truth: Truth | None, estimates: list[Estimate]
) -> None:
    """Write ``SCENE.png``: left image and truth, then disparity and error of each method.

    Raises:
        InputError: the folder cannot be written.
    """
    path = make_folder(folder) / f'{scene.name.replace("/", "_")}.png'
    write_png(path, panel(frame.left, truth.disparity_px if truth else None, estimates))


def replace_report(path: Path, report: str, names: Sequence[str]) -> None:
    """Write a report, and remove those pictures of the one before that it does not show.

    Args:
        path: of the report; its pictures lie beside it.
        report: Markdown.
        names: that reports of this kind give their pictures, with wildcards.

    Raises:
        InputError: it cannot be written.
    """
    try:
        before = path.read_text(encoding='utf-8')
    except (OSError, ValueError):
        before = ''
    write_text(path, report)
    for name in names:
        for picture in path.parent.glob(name):
            link = f']({link_to(picture.name)})'
            if link in before and link not in report:
                picture.unlink()


def link_to(name: str) -> str:
    """Target of a Markdown link to a file beside the report, whatever its name has in it."""
    return quote(name, errors='surrogateescape')


def panel(
    left: UInt8Array, truth_px: Float32Array | None, estimates: Sequence[Estimate]
) -> UInt8Array:
    """One picture: a row for the truth and one for each method.

    Args:
        left: RGB (H, W, 3).
        truth_px: (H, W), NaN unknown, or None.
        estimates: disparities of the same size.

    Returns:
        RGB ((1 + methods) * H, 2 * W, 3); disparities share one colour scale.
    """
    scale_of = truth_px if truth_px is not None else estimates[0].disparity_px
    low, high = colour_range(scale_of)
    blank = np.zeros_like(left)
    rows = [
        (
            labelled(left, 'left'),
            blank if truth_px is None else labelled(colorize(truth_px, low, high), 'truth'),
        )
    ]
    for estimate in estimates:
        disparity = colorize(estimate.disparity_px, low, high)
        errors = blank
        if truth_px is not None:
            label = f'|error|, 0 to {ERROR_SCALE_PX:g} px'
            errors = labelled(error_image(estimate.disparity_px, truth_px), label)
        rows.append((labelled(disparity, estimate.method), errors))
    return np.vstack([np.hstack(row) for row in rows])


def error_image(estimate_px: Float32Array, truth_px: Float32Array) -> UInt8Array:
    """|d - d*| in colour, blue 0 to red `ERROR_SCALE_PX`; black without truth, white for holes."""
    image = colorize(np.abs(estimate_px - truth_px), 0.0, ERROR_SCALE_PX)
    image[np.isfinite(truth_px) & ~np.isfinite(estimate_px)] = 255
    return image


def labelled(image: UInt8Array, text: str) -> UInt8Array:
    """Write a caption on black into the upper left corner of a copy."""
    image = image.copy()
    # OpenCV draws no other letters, and aborts at bytes of file names that are no UTF-8.
    text = text.encode('ascii', 'replace').decode()
    size = max(0.4, image.shape[1] / 1000)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    image[: 2 * height + below, : width + height] = 0
    place = (height // 2, height + height // 2)
    cv2.putText(
        image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA
    )
    return image
