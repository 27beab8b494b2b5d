"""Differences between runs of a model, and those allowed: in export, engines and selftest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .stereo import Float32Array

# Median and 99th percentile, px, that a precision may differ from fp32. Measured with both shipped
# models on Motorcycle: fp32 in OpenVINO and PyTorch 0.00000 and 0.00001, fp16 (weights and
# tensors rounded) 0.0005 and 0.015, bf16 0.009 and 0.19.
_ALLOWED_PX = {'fp32': (0.01, 0.1), 'fp16': (0.02, 0.5), 'bf16': (0.05, 1.0)}


@dataclass(frozen=True)
class Parity:
    """Difference between a run of a model and its reference on one pair.

    Attributes:
        median_px, p99_px: of the absolute disparity difference. A pixel whose two best
            disparities are equally likely may go either way, so the maximum says nothing.
    """

    median_px: float
    p99_px: float

    @classmethod
    def of(cls, found: Float32Array, expected: Float32Array) -> Parity:
        """Difference of two disparity maps, px; infinite where one of them only is finite."""
        with np.errstate(invalid='ignore'):
            difference = np.abs(found.astype(np.float64) - expected)
        both_unknown = ~np.isfinite(found) & ~np.isfinite(expected)
        difference = np.where(
            both_unknown, 0.0, np.where(np.isnan(difference), np.inf, difference)
        )
        ordered = np.sort(difference, axis=None)
        # The next higher value: between a finite and an infinite one there is none.
        median, p99 = (ordered[math.ceil(q * (ordered.size - 1))] for q in (0.5, 0.99))
        return cls(float(median), float(p99))

    def fits(self, precision: str) -> bool:
        """Whether this is no more than the precision explains."""
        median_px, p99_px = _ALLOWED_PX[precision]
        return self.median_px <= median_px and self.p99_px <= p99_px

    def text(self) -> str:
        """Both figures, for logs and tables."""
        return f'median {self.median_px:.5f} px, 99 % below {self.p99_px:.5f} px'


def allowed_text(precision: str) -> str:
    """Bounds of a precision, for errors."""
    return f'{precision} may differ by {bounds_text(precision)}'


def bounds_text(precision: str) -> str:
    """Both bounds alone."""
    median_px, p99_px = _ALLOWED_PX[precision]
    return f'{median_px:g} px (median) and {p99_px:g} px (99 %)'
