"""Disparity errors of one image, and their averages over a set.

Every function takes the estimate and the truth as (H, W) float32 disparities in pixels, NaN where
unknown, and looks only at pixels whose truth is known. To judge *noc* (non-occluded) pixels, make
the truth of the occluded ones NaN.

Holes of the estimate count in one of two ways: ``holes='skip'`` leaves them out, so that a method
is judged on its own pixels; ``holes='error'`` counts each as a wrong pixel. EPE has no such second
way, because a hole is no number of pixels away from the truth.

Measures: Middlebury (bad-N, Scharstein and Szeliski, IJCV 2002), KITTI 2015 (D1, Menze and
Geiger, CVPR 2015).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from ..errors import InputError
from ..stereo import BoolArray, Float32Array

Holes = Literal['skip', 'error']

D1_ABSOLUTE_PX = 3.0
D1_RELATIVE = 0.05


@dataclass(frozen=True)
class Score:
    """Errors of one image, or their mean over the images of a set; shares are in 0..1.

    Attributes:
        epe_px: mean |d - d*|, px, over the pixels with an estimate.
        bad_0_5, bad_1, bad_2, bad_3: share of pixels with |d - d*| > 0.5, 1, 2, 3 px.
        d1: share with |d - d*| > 3 px and > 5 % of d*.
        density: share of the pixels with a truth that have an estimate.

    All but density are NaN where no pixel can be judged.
    """

    epe_px: float
    bad_0_5: float
    bad_1: float
    bad_2: float
    bad_3: float
    d1: float
    density: float


def absolute_errors_px(estimate_px: Float32Array, truth_px: Float32Array) -> Float32Array:
    """|d - d*| of the pixels with a truth, as a flat array; NaN for a hole.

    Raises:
        InputError: the two have different sizes.
    """
    if estimate_px.shape != truth_px.shape:
        raise InputError(
            f'estimate is {estimate_px.shape[1]}x{estimate_px.shape[0]} but the truth is '
            f'{truth_px.shape[1]}x{truth_px.shape[0]}; compare them at one size'
        )
    known = np.isfinite(truth_px)
    errors: Float32Array = np.abs(estimate_px[known] - truth_px[known])
    errors[~np.isfinite(errors)] = np.nan
    return errors


def epe_px(estimate_px: Float32Array, truth_px: Float32Array) -> float:
    """End-point error: mean |d - d*| in px over the pixels with truth and estimate, else NaN."""
    return _mean(absolute_errors_px(estimate_px, truth_px))


def bad(
    estimate_px: Float32Array,
    truth_px: Float32Array,
    threshold_px: float,
    holes: Holes = 'skip',
) -> float:
    """bad-N: share of pixels with |d - d*| > `threshold_px`, 0..1, NaN without pixels."""
    errors = absolute_errors_px(estimate_px, truth_px)
    return _share(errors > threshold_px, errors, holes)


def d1(estimate_px: Float32Array, truth_px: Float32Array, holes: Holes = 'skip') -> float:
    """D1: share of pixels with |d - d*| > 3 px *and* > 5 % of d*, 0..1, NaN without pixels."""
    errors = absolute_errors_px(estimate_px, truth_px)
    return _share(_wrong_d1(errors, truth_px), errors, holes)


def density(estimate_px: Float32Array, truth_px: Float32Array) -> float:
    """Share of the pixels with a truth that have an estimate, 0..1, NaN without truth."""
    return _density(absolute_errors_px(estimate_px, truth_px))


def score(estimate_px: Float32Array, truth_px: Float32Array, holes: Holes = 'skip') -> Score:
    """All measures of one image."""
    errors = absolute_errors_px(estimate_px, truth_px)
    return Score(
        epe_px=_mean(errors),
        bad_0_5=_share(errors > 0.5, errors, holes),
        bad_1=_share(errors > 1.0, errors, holes),
        bad_2=_share(errors > 2.0, errors, holes),
        bad_3=_share(errors > 3.0, errors, holes),
        d1=_share(_wrong_d1(errors, truth_px), errors, holes),
        density=_density(errors),
    )


class MeanScore:
    """Mean over the images of a set: every image counts the same, whatever its pixels.

    An image without a value for a measure (NaN) is left out of that measure's mean.

    Attributes:
        images: their number.
    """

    def __init__(self) -> None:
        self.images = 0
        self._sums = np.zeros(len(fields(Score)))
        self._counts = np.zeros(len(fields(Score)))

    def add(self, score: Score) -> None:
        """Take an image."""
        values = np.array([getattr(score, field.name) for field in fields(Score)], np.float64)
        known = np.isfinite(values)
        self.images += 1
        self._sums[known] += values[known]
        self._counts[known] += 1

    def counts(self) -> dict[str, int]:
        """Number of the images that have a value, by measure."""
        names = (field.name for field in fields(Score))
        return dict(zip(names, self._counts.astype(int).tolist(), strict=True))

    def mean(self) -> Score:
        """The mean, NaN where no image has a value."""
        with np.errstate(invalid='ignore'):
            return Score(*(self._sums / self._counts).tolist())


def _mean(errors: Float32Array) -> float:
    errors = errors[np.isfinite(errors)]
    return float(errors.mean(dtype=np.float64)) if errors.size else float('nan')


def _density(errors: Float32Array) -> float:
    return float(np.isfinite(errors).mean()) if errors.size else float('nan')


def _wrong_d1(errors: Float32Array, truth_px: Float32Array) -> BoolArray:
    truth = truth_px[np.isfinite(truth_px)]
    return (errors > D1_ABSOLUTE_PX) & (errors > D1_RELATIVE * truth)


def _share(wrong: BoolArray, errors: Float32Array, holes: Holes) -> float:
    """Share of `wrong` (False for holes) among the judged pixels."""
    estimated = np.isfinite(errors)
    judged = estimated if holes == 'skip' else np.ones_like(estimated)
    if not judged.any():
        return float('nan')
    if holes == 'error':
        wrong = wrong | ~estimated
    return float(wrong[judged].mean())
