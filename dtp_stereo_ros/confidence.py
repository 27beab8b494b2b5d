"""Confidence and the expected error that it stands for.

A network that predicts its expected absolute error ``sigma_px``, in px of the image that it is
given, publishes the confidence ``1 / (1 + sigma_px)``: 1 for no error, 0.5 for one pixel, and
towards 0 for ever larger ones. The functions are arithmetic alone, so that they take numbers,
arrays and tensors of any shape.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

T = TypeVar('T')


def confidence_of(sigma_px: T) -> T:
    """Confidence, in 0..1, of an expected absolute error of at least 0 px; same shape."""
    value: Any = sigma_px
    return 1.0 / (1.0 + value)


def sigma_px_of(confidence: T) -> T:
    """Expected absolute error, px, of a confidence in 0..1; same shape.

    Arrays and tensors get infinity where the confidence is 0.
    """
    value: Any = confidence
    with np.errstate(divide='ignore'):
        return 1.0 / value - 1.0


def enlarged(confidence: T, ratio: float) -> T:
    """Confidence, in 0..1, of an expected error that is `ratio` times as large; same shape."""
    value: Any = confidence
    return value / (value + ratio * (1.0 - value))
