"""Figures and pictures of the demo from the node's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..evaluation.fill import fill_holes
from ..evaluation.metrics import density, score
from ..evaluation.pictures import ERROR_SCALE_PX, error_image, panel
from ..evaluation.scene_score import Estimate
from ..image_io import colorize, write_jpeg, write_ply, write_png
from ..stereo import Float32Array, StereoFrame, UInt8Array


@dataclass(frozen=True)
class Published:
    """One frame as the node published it.

    Attributes:
        disparity_px: (H, W) raw, NaN where the node says invalid.
        confidence: (H, W) 0..1, or None from a backend without one.
        points_m, colors: the organised cloud, (H, W, 3) each.
        backend: the node's own words on what runs.
    """

    disparity_px: Float32Array
    confidence: Float32Array | None
    points_m: Float32Array
    colors: UInt8Array
    backend: str


def print_errors(estimates: dict[str, Float32Array], truth_px: Float32Array) -> None:
    """Scores of all pixels with a truth, holes filled from the background for both."""
    print('\nagainst ground truth (all pixels, holes filled):')
    print(f'{"":12} EPE px  bad-1 %  bad-2 %  bad-3 %  density %')
    for name, disparity_px in estimates.items():
        errors = score(fill_holes(disparity_px), truth_px)
        print(
            f'{name:12} {errors.epe_px:6.2f}  {100 * errors.bad_1:7.2f}  {100 * errors.bad_2:7.2f}'
            f'  {100 * errors.bad_3:7.2f}  {100 * density(disparity_px, truth_px):9.2f}'
        )


def write(
    out: Path,
    frame: StereoFrame,
    truth_px: Float32Array,
    published: Published,
    rival_px: Float32Array,
) -> None:
    """Write pictures and cloud, and print what each shows.

    Raises:
        InputError: the folder cannot be written.
    """
    pictures = {
        'left.png': (frame.left, 'left image'),
        'disparity.png': (colorize(published.disparity_px), 'near is red, far is blue'),
        'error.png': (
            error_image(published.disparity_px, truth_px),
            f'blue is no error, red {ERROR_SCALE_PX:g} px or more, white no estimate',
        ),
    }
    if published.confidence is not None:
        confidence = colorize(published.confidence, 0.0, 1.0)
        pictures['confidence.png'] = (confidence, 'red is high, blue is low')
    else:
        (out / 'confidence.png').unlink(missing_ok=True)  # of an earlier demo
    estimates = [Estimate('depth_node', published.disparity_px), Estimate('SGBM', rival_px)]
    for name, (picture, _) in pictures.items():
        write_png(out / name, picture)
    write_jpeg(out / 'overview.jpg', _for_readme(panel(frame.left, truth_px, estimates)))
    write_ply(out / 'cloud.ply', published.points_m, published.colors)
    print(f'\nwritten to {out.resolve()}:')
    for name, (_, meaning) in pictures.items():
        print(f'  {name:15} {meaning}')
    print(f'  {"overview.jpg":15} these pictures beside those of SGBM')
    print(f'  {"cloud.ply":15} point cloud in metres, as published on points2')
    print(f'  {"node.log":15} log of the node')


def _for_readme(image: UInt8Array) -> UInt8Array:
    small = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
