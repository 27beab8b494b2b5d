"""Differences between runs of a model, and those allowed: in export, engines and selftest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .stereo import Float32Array

# Median and 99th percentile, px, that a precision may differ from fp32. Measured with both shipped
# models on Motorcycle: fp32 in OpenVINO and PyTorch 0.00000 and 0.00001, fp16 (weights and
# tensors rounded) 0.0005 and 0.015, bf16 0.009 and 0.19. int8 is that of `training.quantize`.
_ALLOWED_PX = {
    'fp32': (0.01, 0.1),
    'fp16': (0.02, 0.5),
    'bf16': (0.05, 1.0),
    'int8': (0.1, 2.0),
}
# 99th percentile of the confidence. Measured with all three: fp32 0.0000, fp16 0.008, bf16 0.040.
_ALLOWED_CONFIDENCE = {'fp32': 0.01, 'fp16': 0.05, 'bf16': 0.15, 'int8': 0.25}

# Disparity, px, and confidence, which may be of another size, or None, of one pair.
Planes = tuple[Float32Array, Float32Array | None]


@dataclass(frozen=True)
class Parity:
    """Difference between a run of a model and its reference on one pair.

    Attributes:
        median_px, p99_px: of the absolute disparity difference. A pixel whose two best
            disparities are equally likely may go either way, so the maximum says nothing.
        p99_confidence: of the absolute difference of the confidence; None where neither has one.
    """

    median_px: float
    p99_px: float
    p99_confidence: float | None = None

    @classmethod
    def of(cls, found: Planes, expected: Planes) -> Parity:
        """Difference of two runs; infinite where one of them only is finite or there."""
        median_px, p99_px = _quantiles(found[0], expected[0])
        sure, expected_sure = found[1], expected[1]
        if sure is None and expected_sure is None:
            return cls(median_px, p99_px)
        if sure is None or expected_sure is None or sure.shape != expected_sure.shape:
            return cls(median_px, p99_px, math.inf)
        return cls(median_px, p99_px, _quantiles(sure.clip(0, 1), expected_sure.clip(0, 1))[1])

    def fits(self, precision: str) -> bool:
        """Whether this is no more than the precision explains."""
        median_px, p99_px = _ALLOWED_PX[precision]
        return (
            self.median_px <= median_px
            and self.p99_px <= p99_px
            and (self.p99_confidence or 0.0) <= _ALLOWED_CONFIDENCE[precision]
        )

    def text(self) -> str:
        """Figures for logs and tables."""
        text = f'median {self.median_px:.5f} px, 99 % below {self.p99_px:.5f} px'
        if self.p99_confidence is None:
            return text
        return f'{text}, of the confidence below {self.p99_confidence:.5f}'


def _quantiles(found: Float32Array, expected: Float32Array) -> tuple[float, float]:
    """Median and 99th percentile of the absolute difference."""
    with np.errstate(invalid='ignore'):
        difference = np.abs(found.astype(np.float64) - expected)
    both_unknown = ~np.isfinite(found) & ~np.isfinite(expected)
    difference = np.where(both_unknown, 0.0, np.where(np.isnan(difference), np.inf, difference))
    ordered = np.sort(difference, axis=None)
    # The next higher value: between a finite and an infinite one there is none.
    median, p99 = (ordered[math.ceil(q * (ordered.size - 1))] for q in (0.5, 0.99))
    return float(median), float(p99)


def allowed_text(precision: str) -> str:
    """Bounds of a precision, for errors."""
    return f'{precision} may differ by {bounds_text(precision)}'


def bounds_text(precision: str) -> str:
    """Bounds of a precision, without its name."""
    median_px, p99_px = _ALLOWED_PX[precision]
    confidence = _ALLOWED_CONFIDENCE[precision]
    return f'{median_px:g} px (median), {p99_px:g} px (99 %) and {confidence:g} of the confidence'
