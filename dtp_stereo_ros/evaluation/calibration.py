"""Calibration of a confidence: what error pixels have for which an error was predicted.

The confidence is read as ``1 / (1 + sigma_px)`` with sigma_px the expected absolute error (see
`dtp_stereo_ros.confidence`). It is calibrated where the mean |d - d*| of the pixels of each bin
of sigma_px is the mean sigma_px of that bin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..confidence import sigma_px_of
from ..stereo import Float32Array

# Bins of sigma_px; the last has no upper end.
EDGES_PX = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# A confidence of 0 predicts no finite error; larger predictions count as this.
LARGEST_SIGMA_PX = 192.0

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SigmaBins:
    """Pixels by predicted error, in the bins of `EDGES_PX`; (8,) each.

    Attributes:
        pixels: their number.
        sigma_px: sum of the predicted errors.
        error_px: sum of |d - d*|.
    """

    pixels: Float64Array
    sigma_px: Float64Array
    error_px: Float64Array

    @property
    def shares(self) -> Float64Array:
        """Share of the pixels in each bin, 0..1; NaN without pixels."""
        return _ratio(self.pixels, np.broadcast_to(self.pixels.sum(), self.pixels.shape))

    @property
    def mean_sigma_px(self) -> Float64Array:
        """Mean predicted error of each bin; NaN in an empty one."""
        return _ratio(self.sigma_px, self.pixels)

    @property
    def mean_error_px(self) -> Float64Array:
        """Mean |d - d*| of each bin; NaN in an empty one."""
        return _ratio(self.error_px, self.pixels)

    @property
    def calibration_error_px(self) -> float:
        """Mean over pixels of |mean sigma_px - mean |d - d*|| of their bin; NaN without pixels."""
        total = self.pixels.sum()
        if not total:
            return float('nan')
        return float(np.abs(self.sigma_px - self.error_px).sum() / total)


def sigma_bins(
    estimate_px: Float32Array,
    truth_px: Float32Array,
    confidence: Float32Array,
) -> SigmaBins:
    """Gather the pixels of one image that have truth and estimate.

    Args:
        estimate_px: (H, W) px, NaN for a hole.
        truth_px: (H, W) px, NaN where unknown.
        confidence: (H, W), 0..1.
    """
    errors = np.abs(estimate_px - truth_px)
    judged = np.isfinite(errors) & np.isfinite(confidence)
    errors = errors[judged].astype(np.float64)
    sigma = sigma_px_of(confidence[judged]).astype(np.float64)
    sigma = np.clip(sigma, 0.0, LARGEST_SIGMA_PX)
    bins = np.searchsorted(EDGES_PX, sigma, side='right') - 1
    count = len(EDGES_PX)
    return SigmaBins(
        np.bincount(bins, minlength=count).astype(np.float64),
        np.bincount(bins, sigma, count).astype(np.float64),
        np.bincount(bins, errors, count).astype(np.float64),
    )


def total(found: Iterable[SigmaBins]) -> SigmaBins:
    """The bins of a set: each image counts the same, whatever its pixels."""
    sums = np.zeros((3, len(EDGES_PX)))
    for image in found:
        if pixels := image.pixels.sum():
            sums += np.stack((image.pixels, image.sigma_px, image.error_px)) / pixels
    return SigmaBins(*sums)


def _ratio(sums: Float64Array, counts: Float64Array) -> Float64Array:
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
