"""Confidence judged by the errors of the pixels that it keeps.

Pixels are removed in the order of confidence, the least confident first. The *sparsification
curve* is the mean error of the pixels that are left, against their share; the *oracle* removes
the largest errors first; AUSE is the area between the two (Ilg et al., ECCV 2018, section 5.2;
here in px or as a share, not divided by the error of all pixels).

Pixels of equal confidence have no order: each counts with the mean error of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..stereo import Float32Array
from .metrics import absolute_errors_px

Float64Array = npt.NDArray[np.float64]

# Shares of the pixels at which a curve is sampled: 1 %, 2 % ... 100 %.
KEPT_SHARES: Float64Array = np.arange(1, 101) / 100.0


@dataclass(frozen=True)
class Ranking:
    """The errors of one image in the order of confidence; made by `rank`.

    The cost of a pixel is its |d - d*| in px, or with `wrong_px` 1 where that is larger than
    `wrong_px` and 0 elsewhere, so that means are EPE or bad-N.

    Attributes:
        errors_px: (N,) |d - d*| of the pixels with truth and estimate, most confident first.
        starts: (G,) index of the first pixel of each group of equal confidence.
        judged: number of pixels with a truth, N or more.
    """

    errors_px: Float32Array
    starts: npt.NDArray[np.intp]
    judged: int

    def curve(
        self, shares: Float64Array = KEPT_SHARES, wrong_px: float | None = None
    ) -> Float64Array:
        """Mean cost of the most confident pixels, for each share of the estimates in 0..1.

        The number of pixels is rounded up to at least one; NaN where there is none.
        """
        return _at(self._means(wrong_px), shares)

    def oracle(
        self, shares: Float64Array = KEPT_SHARES, wrong_px: float | None = None
    ) -> Float64Array:
        """The same for pixels that are kept in the order of their true errors."""
        return _at(_running_means(self._sorted_costs(wrong_px)), shares)

    def ause(self, wrong_px: float | None = None) -> float:
        """Area under the sparsification error curve: mean over all counts of kept pixels.

        Returns:
            px, or a share with `wrong_px`; 0 for a perfect order, NaN without pixels.
        """
        if not self.errors_px.size:
            return float('nan')
        oracle = _running_means(self._sorted_costs(wrong_px))
        return float(np.mean(self._means(wrong_px) - oracle))

    def error_at(self, density: float, wrong_px: float | None = None) -> float:
        """Mean cost of the most confident pixels at a density.

        Args:
            density: share of the pixels with a truth that are kept, 0..1.
            wrong_px: see the class.

        Returns:
            NaN where there are fewer estimates than that, or no pixel is kept.
        """
        count = round(density * self.judged)
        if not 0 < count <= self.errors_px.size:
            return float('nan')
        return float(self._means(wrong_px)[count - 1])

    @cached_property
    def _sorted_px(self) -> Float32Array:
        return np.sort(self.errors_px)

    def _sorted_costs(self, wrong_px: float | None) -> Float64Array:
        return _costs(self._sorted_px, wrong_px)

    def _means(self, wrong_px: float | None) -> Float64Array:
        """(N,) mean cost of the first 1, 2 ... N pixels."""
        costs = _costs(self.errors_px, wrong_px)
        if self.starts.size < costs.size:
            sizes = np.diff(np.append(self.starts, costs.size))
            costs = np.repeat(np.add.reduceat(costs, self.starts) / sizes, sizes)
        return _running_means(costs)


def rank(estimate_px: Float32Array, truth_px: Float32Array, confidence: Float32Array) -> Ranking:
    """Order the errors of one image by confidence.

    Args:
        estimate_px: (H, W) px, NaN for a hole.
        truth_px: (H, W) px, NaN where unknown; only known pixels are judged.
        confidence: (H, W), larger is surer, in any unit; NaN is the least sure.

    Raises:
        InputError: the sizes differ.
    """
    if confidence.shape != estimate_px.shape:
        raise InputError(
            f'confidence is {confidence.shape[1]}x{confidence.shape[0]} but the estimate is '
            f'{estimate_px.shape[1]}x{estimate_px.shape[0]}; compare them at one size'
        )
    errors = absolute_errors_px(estimate_px, truth_px)
    estimated = np.isfinite(errors)
    unsure = -confidence[np.isfinite(truth_px)][estimated]
    unsure[np.isnan(unsure)] = np.inf
    order = np.argsort(unsure)
    unsure = unsure[order]
    first = np.ones(unsure.size, bool)
    first[1:] = unsure[1:] != unsure[:-1]
    return Ranking(errors[estimated][order], np.flatnonzero(first), errors.size)


def _costs(errors_px: Float32Array, wrong_px: float | None) -> Float64Array:
    return (errors_px if wrong_px is None else errors_px > wrong_px).astype(np.float64)


def _running_means(costs: Float64Array) -> Float64Array:
    return np.cumsum(costs) / np.arange(1, costs.size + 1)


def _at(means: Float64Array, shares: Float64Array) -> Float64Array:
    if not means.size:
        return np.full(len(shares), np.nan)
    counts = np.ceil(np.asarray(shares) * means.size - 1e-9).astype(np.intp)
    return means[counts.clip(1, means.size) - 1]
