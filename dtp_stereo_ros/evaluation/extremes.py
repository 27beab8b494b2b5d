"""The scenes on which a method does best and worst, as one picture for a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..image_io import colorize, colour_range
from ..stereo import Float32Array, UInt8Array
from .datasets import Truth
from .fill import fill_holes
from .metrics import score
from .pictures import ERROR_SCALE_PX, error_image, labelled
from .scene_score import Estimate

_TILE_WIDTH_PX = 460


@dataclass(frozen=True)
class Extreme:
    """The row of a scene, with bad-3 (share) of the first method, which scenes are ordered by."""

    bad_3: float
    row: UInt8Array


class Extremes:
    """Keeps the best and the worst scene of those that it sees.

    The picture shows disparities and errors only, none of the camera's images, so that it may be
    published where the images may not.
    """

    def __init__(self) -> None:
        self._best: Extreme | None = None
        self._worst: Extreme | None = None

    def see(self, name: str, truth: Truth | None, estimates: Sequence[Estimate]) -> None:
        """Look at what all methods made of a scene; one without truth is passed over."""
        if truth is None:
            return
        judged = truth.region('noc')
        if judged is None:
            judged = truth.disparity_px
        filled = fill_holes(estimates[0].disparity_px)
        # As in the tables: where nothing was found, all is wrong.
        bad_3 = score(filled, judged, holes='error').bad_3
        if not np.isfinite(bad_3):
            return
        if self._best is None or bad_3 < self._best.bad_3:
            row = _row(f'best: {name}', truth.disparity_px, estimates)
            self._take(Extreme(bad_3, row), None)
        if self._worst is None or bad_3 > self._worst.bad_3:
            row = _row(f'worst: {name}', truth.disparity_px, estimates)
            self._take(None, Extreme(bad_3, row))

    def merge(self, other: Extremes) -> None:
        """Take what another one has seen, after all that was seen here."""
        self._take(other._best, other._worst)

    def _take(self, best: Extreme | None, worst: Extreme | None) -> None:
        """Keep them where they are better and worse."""
        if best is not None and (self._best is None or best.bad_3 < self._best.bad_3):
            self._best = best
        if worst is not None and (self._worst is None or worst.bad_3 > self._worst.bad_3):
            self._worst = worst

    def picture(self) -> UInt8Array | None:
        """RGB: a row for the best scene, a row for the worst; None where none had truth."""
        if self._best is None or self._worst is None:
            return None
        return np.vstack([self._best.row, self._worst.row])


def _row(title: str, truth_px: Float32Array, estimates: Sequence[Estimate]) -> UInt8Array:
    """Disparity and error of each method, in one colour scale, side by side."""
    low, high = colour_range(truth_px)
    tiles = []
    for estimate in estimates:
        disparity = colorize(estimate.disparity_px, low, high)
        errors = error_image(estimate.disparity_px, truth_px)
        method = estimate.method.split()[0]
        tiles += [
            labelled(_tile(disparity), f'{title}, {method}'),
            labelled(_tile(errors), f'{method}, error 0 to {ERROR_SCALE_PX:g} px'),
        ]
    return np.hstack(tiles)


def _tile(image: UInt8Array) -> UInt8Array:
    height = round(image.shape[0] * _TILE_WIDTH_PX / image.shape[1])
    # Without interpolation: colours between two errors would be a third.
    tile = cv2.resize(image, (_TILE_WIDTH_PX, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(tile, np.uint8)
