"""Errors by range of disparity and depth and by image region, pooled over pixels of all frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..stereo import Float32Array, StereoCalibration
from .anatomy import WRONG_PX
from .depth_score import MOST_DEPTH_M, depth_errors_m

# Ends of the ranges, m.
RANGES_M = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MOST_DEPTH_M)
# Ends of the ranges of disparity, px; the last one is open.
DISPARITIES_PX = (0.0, 8.0, 16.0, 32.0, 64.0, 128.0, 192.0, float('inf'))
# Regions of the image: rows and columns of equal size.
GRID_ROWS, GRID_COLUMNS = 3, 4

_Sums = npt.NDArray[np.float64]
_RANGES = len(RANGES_M) - 1
_DISPARITIES = len(DISPARITIES_PX) - 1
_REGIONS = GRID_ROWS * GRID_COLUMNS


def _zeros(count: int) -> _Sums:
    return np.zeros((6, count))


@dataclass
class PlaceErrors:
    """Sums over pixels; one column for each range, and for each region row by row.

    The rows are: pixels with a truth, those of them with an estimate, |d - d*| in px, pixels that
    are wrong by more than 3 px or have no estimate, (Z - Z*)^2 in m^2, and |Z - Z*| / Z*. Depth is
    summed up by range of depth alone. The first row is the same for all methods.
    """

    ranges: _Sums = field(default_factory=lambda: _zeros(_RANGES))
    regions: _Sums = field(default_factory=lambda: _zeros(_REGIONS))
    disparities: _Sums = field(default_factory=lambda: _zeros(_DISPARITIES))

    def add(
        self,
        estimate_px: Float32Array,
        truth_px: Float32Array,
        calibration: StereoCalibration | None,
    ) -> None:
        """Add a frame.

        Args:
            estimate_px: raw disparity (H, W); a hole is wrong, and in no other error.
            truth_px: of the same size, NaN where unknown.
            calibration: of the pair; without, there are no ranges.
        """
        rows, columns = np.nonzero(np.isfinite(truth_px))
        true_px = truth_px[rows, columns]
        errors_px = np.abs(estimate_px[rows, columns] - true_px).astype(np.float64)
        known = np.isfinite(errors_px)
        height, width = truth_px.shape
        region = rows * GRID_ROWS // height * GRID_COLUMNS + columns * GRID_COLUMNS // width
        parts = [
            np.ones_like(errors_px),
            known.astype(np.float64),
            np.where(known, errors_px, 0.0),
            (~(errors_px <= WRONG_PX)).astype(np.float64),
        ]
        self._sum(self.regions, region, parts)
        place = np.searchsorted(DISPARITIES_PX, true_px, side='right') - 1
        self._sum(self.disparities, place.clip(0, _DISPARITIES - 1), parts)
        if calibration is None:
            return
        errors_m, truth_m = (
            values[rows, columns].astype(np.float64)
            for values in depth_errors_m(estimate_px, truth_px, calibration)
        )
        judged = np.isfinite(truth_m)
        truth_m, errors_m = truth_m[judged], np.where(known, errors_m, 0.0)[judged]
        place = (np.searchsorted(RANGES_M, truth_m, side='left') - 1).clip(0, _RANGES - 1)
        parts = [part[judged] for part in parts]
        self._sum(self.ranges, place, [*parts, errors_m**2, np.abs(errors_m) / truth_m])

    def merge(self, other: PlaceErrors) -> None:
        """Add the sums of other frames."""
        self.ranges = self.ranges + other.ranges
        self.regions = self.regions + other.regions
        self.disparities = self.disparities + other.disparities

    def by_disparity(self) -> list[dict[str, Any]]:
        """Figures of each range of the true disparity that has pixels, as plain values."""
        return [
            {
                'from_px': DISPARITIES_PX[i],
                'to_px': DISPARITIES_PX[i + 1],
                **_figures(self.disparities[:4, i]),
            }
            for i in np.flatnonzero(self.disparities[0])
        ]

    def by_range(self) -> list[dict[str, Any]]:
        """Figures of each range that has pixels, as plain values."""
        pixels, known, _, _, square, relative = self.ranges
        with np.errstate(invalid='ignore'):
            rmse_m, abs_rel = np.sqrt(square / known), relative / known
        return [
            {
                'from_m': RANGES_M[i],
                'to_m': RANGES_M[i + 1],
                **_figures(self.ranges[:4, i]),
                'depth_rmse_m': float(rmse_m[i]),
                'depth_abs_rel': float(abs_rel[i]),
            }
            for i in np.flatnonzero(pixels)
        ]

    def by_region(self) -> list[dict[str, Any]]:
        """Figures of each region, row by row from the upper left, as plain values."""
        return [
            {'row': i // GRID_COLUMNS, 'column': i % GRID_COLUMNS, **_figures(self.regions[:4, i])}
            for i in range(_REGIONS)
            if self.regions[0].any()
        ]

    @staticmethod
    def _sum(sums: _Sums, place: npt.NDArray[Any], parts: list[_Sums]) -> None:
        for row, part in enumerate(parts):
            sums[row] += np.bincount(place, part, sums.shape[1])


def _figures(sums: _Sums) -> dict[str, Any]:
    """Pixels, EPE and bad-3 of one place, from its first four sums; NaN without pixels."""
    pixels, known, error_px, wrong = sums
    with np.errstate(invalid='ignore', divide='ignore'):
        epe_px, bad_3 = error_px / known, wrong / pixels
    return {'pixels': int(pixels), 'epe_px': float(epe_px), 'bad_3': float(bad_3)}
