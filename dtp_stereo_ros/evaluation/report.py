"""Reports of an evaluation: a Markdown table, JSON, and a picture of every scene."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import InputError
from ..image_io import atomic, colorize, write_jpeg, write_png
from ..stereo import Float32Array, StereoFrame, UInt8Array
from .datasets import Scene, Truth
from .metrics import Score
from .runner import TREATMENTS, DatasetResult, Estimate, Row

# Errors from here on have the last colour.
ERROR_SCALE_PX = 5.0

_HEADINGS = (
    'data', 'images', 'pixels', 'method', 'holes', 'EPE px', 'bad-1 %', 'bad-2 %', 'bad-3 %',
    'D1 %', 'density %', 'ms',
)  # fmt: skip


def markdown_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that also reads well as plain text."""
    cells = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_HEADINGS))]
    lines = [
        '| '
        + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + ' |'
        for line in cells
    ]
    lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return '\n'.join(lines)


def legend() -> str:
    """What the columns mean."""
    treatments = ', '.join(f'*{name}*: {text}' for name, text in TREATMENTS.items())
    return (
        'Averages are over pixels within an image and over images within a set. Pixels: *noc* '
        'seen by both cameras, *all* with ground truth, *mixed* noc where it is known, else all. '
        f'Holes: {treatments}. D1: error > 3 px and > 5 %. ms: median of one frame.'
    )


def as_json(results: Sequence[DatasetResult]) -> str:
    """Rows and scenes as JSON; NaN as null."""
    document = {
        'rows': [_plain(dataclasses.asdict(row)) for r in results for row in r.rows()],
        'scenes': [
            {
                'dataset': result.dataset,
                'scene': scene.scene,
                'method': scene.method,
                'latency_ms': scene.latency_ms,
                'density': scene.density,
                'scores': {
                    f'{region}/{treatment}': _plain(vars(score))
                    for (region, treatment), score in scene.scores.items()
                },
            }
            for result in results
            for scene in result.scores
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def write_report(
    folder: Path,
    results: Sequence[DatasetResult],
    command: str,
    extremes: UInt8Array | None = None,
) -> None:
    """Write ``report.md``, ``report.json`` and, if there is one, ``extremes.jpg``.

    Raises:
        InputError: the folder cannot be written.
    """
    rows = [row for result in results for row in result.rows()]
    text = f'# Evaluation\n\n`{command}`\n\n{markdown_table(rows)}\n\n{legend()}\n'
    try:
        with atomic(folder / 'report.json') as file:
            file.write(as_json(results).encode())
        if extremes is not None:
            write_jpeg(folder / 'extremes.jpg', extremes)
            text += '\n![Best and worst scene](extremes.jpg)\n'
        with atomic(folder / 'report.md') as file:
            file.write(text.encode())
    except OSError as error:
        raise InputError(f'{folder}: cannot be written ({error.strerror})') from error


def write_panel(
    folder: Path, scene: Scene, frame: StereoFrame, truth: Truth | None, estimates: list[Estimate]
) -> None:
    """Write ``SCENE.png``: left image and truth, then disparity and error of each method.

    Raises:
        InputError: the folder cannot be written.
    """
    path = folder / f'{scene.name.replace("/", "_")}.png'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_png(path, panel(frame.left, truth.disparity_px if truth else None, estimates))
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror})') from error


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
    known = scale_of[np.isfinite(scale_of)]
    low, high = (float(v) for v in np.percentile(known, (1, 99))) if known.size else (0.0, 1.0)
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
    size = max(0.4, image.shape[1] / 1000)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    image[: 2 * height + below, : width + height] = 0
    place = (height // 2, height + height // 2)
    cv2.putText(
        image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA
    )
    return image


def _cells(row: Row) -> tuple[str, ...]:
    score = row.score or Score(*(math.nan,) * 5, density=row.density)
    shares = (score.bad_1, score.bad_2, score.bad_3, score.d1, score.density)
    return (
        row.dataset,
        str(row.images),
        row.region,
        row.method,
        row.treatment,
        _number(score.epe_px),
        *(_number(100 * share) for share in shares),
        f'{row.latency_ms:.0f}',
    )


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.2f}'


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN."""
    return {
        key: _plain(value)
        if isinstance(value, dict)
        else None
        if isinstance(value, float) and math.isnan(value)
        else value
        for key, value in values.items()
    }
