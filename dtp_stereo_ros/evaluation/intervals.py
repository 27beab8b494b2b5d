"""Means over the images of a set, with bootstrap intervals over the images.

The images are drawn with replacement, as often as there are images, and the interval holds the
middle of the means (percentile bootstrap: Efron and Tibshirani, 1993, chapter 13). Of few images
the middle 95 % would be too narrow, so that more is held, as Student's t has it (expanded
percentiles: Hesterberg, The American Statistician 69, 2015). A comparison is paired: both methods
are drawn on the same images. The draws depend on the seed and the number of images alone, so that
a figure is the same each time.

Of more than 20,000 images the interval is that of the central limit theorem (mean and 1.96
standard errors), which the bootstrap approaches, so that memory and time stay bounded.

An interval tells how much the choice of images matters. Of fewer than six images no difference is
called one: all of five have the same sign by chance in one of sixteen cases. What differs between
training runs is not in it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

CONFIDENCE_LEVEL = 0.95
RESAMPLES = 2000
SEED = 0
# Of more images no draws are made.
MOST_DRAWN = 20_000
# Draws that are in memory at a time, 16 MB.
_CHUNK = 2_000_000
_STANDARD_ERRORS = 1.959964
# Fewest images whose signs alone can be the same by chance in less than 5 % of the cases.
FEWEST_TOLD = 6


@dataclass(frozen=True)
class Interval:
    """A mean over images and its 95 % bootstrap interval.

    Attributes:
        mean: of the images that have a value; NaN where none has.
        low, high: ends of the interval; NaN with fewer than two images.
        images: number of images that have a value.
    """

    mean: float
    low: float
    high: float
    images: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero, of `FEWEST_TOLD` images or more."""
        return self.images >= FEWEST_TOLD and (self.low > 0.0 or self.high < 0.0)


class Sample:
    """Values of images that come one by one; of more than `MOST_DRAWN` their moments alone.

    Attributes:
        count: of the finite values.
    """

    def __init__(self) -> None:
        self.count = 0
        self._values = array('d')
        self._mean = self._squares = 0.0

    def add(self, value: float) -> None:
        """Take the value of an image; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self.count += 1
        # Welford's recurrence: sums of squares would lose small deviations.
        before = value - self._mean
        self._mean += before / self.count
        self._squares += before * (value - self._mean)
        if self.count <= MOST_DRAWN:
            self._values.append(value)
        elif self._values:
            self._values = array('d')

    def interval(self) -> Interval:
        """As `bootstrap` of all values."""
        if self.count <= MOST_DRAWN:
            return bootstrap(self._values)
        return _of_moments(self._mean, self._squares / (self.count - 1), self.count)


def bootstrap(values: Sequence[float], seed: int = SEED, resamples: int = RESAMPLES) -> Interval:
    """The mean over images and its interval.

    Args:
        values: one for each image; NaN where it has none, which is left out.
        seed: of the draws.
        resamples: number of draws.
    """
    known = np.array(values, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return Interval(float('nan'), float('nan'), float('nan'), 0)
    mean = float(known.mean())
    if known.size == 1:
        return Interval(mean, float('nan'), float('nan'), 1)
    if known.size > MOST_DRAWN:
        return _of_moments(mean, float(known.var(ddof=1)), int(known.size))
    chunks = _chunks(known.size, seed, resamples)
    means = np.concatenate([known[draws].mean(axis=1) for draws in chunks])
    tail = 100.0 * _tail(known.size)
    low, high = np.percentile(means, (tail, 100.0 - tail))
    return Interval(mean, float(low), float(high), int(known.size))


def paired_difference(
    values: Sequence[float],
    baseline: Sequence[float],
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of value minus baseline over the images that have both, and its interval.

    Args:
        values: of one method, one for each image, NaN where it has none.
        baseline: of the other method, for the same images in the same order.
        seed: of the draws.
        resamples: number of draws.

    Raises:
        ValueError: the two have different lengths.
    """
    if len(values) != len(baseline):
        raise ValueError(f'{len(values)} values are paired with {len(baseline)}')
    difference = np.array(values, np.float64) - np.array(baseline, np.float64)
    return bootstrap(difference.tolist(), seed, resamples)


def _tail(images: int) -> float:
    """Share of the means that an interval leaves out at each end.

    The one of the normal distribution, 0.025, moved to the quantile of Student's t (expansion of
    Cornish and Fisher) and by the bias of the standard deviation of the draws.
    """
    z, freedom = _STANDARD_ERRORS, images - 1
    student = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return NormalDist().cdf(-student * math.sqrt(images / freedom))


def _of_moments(mean: float, variance: float, images: int) -> Interval:
    half = _STANDARD_ERRORS * math.sqrt(variance / images)
    return Interval(mean, mean - half, mean + half, images)


def _chunks(images: int, seed: int, resamples: int) -> Iterable[npt.NDArray[np.intp]]:
    """Indices of drawn images, (some, images) each, `resamples` rows in all."""
    if images * resamples <= _CHUNK:
        return (_draws(images, seed, resamples),)
    generator, rows = np.random.default_rng(seed), max(1, _CHUNK // images)
    # One after another they are the same numbers as in one piece.
    return (
        generator.integers(0, images, (min(rows, resamples - start), images), dtype=np.intp)
        for start in range(0, resamples, rows)
    )


@lru_cache(maxsize=2)
def _draws(images: int, seed: int, resamples: int) -> npt.NDArray[np.intp]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, images, (resamples, images), dtype=np.intp)
