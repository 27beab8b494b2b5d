"""How far a run of a model is from its reference."""

from __future__ import annotations

import numpy as np
import pytest

from dtp_stereo_ros.parity import Parity, allowed_text


def test_median_and_99th_percentile() -> None:
    expected = np.zeros((10, 10), np.float32)
    found = np.arange(100, dtype=np.float32).reshape(10, 10)
    parity = Parity.of(found, expected)
    assert (parity.median_px, parity.p99_px) == (50.0, 99.0)
    assert parity.text() == 'median 50.00000 px, 99 % below 99.00000 px'


def test_unknown_pixels() -> None:
    both = np.full((4, 4), np.nan, np.float32)
    assert Parity.of(both, both) == Parity(0.0, 0.0)
    assert not Parity.of(both, np.zeros((4, 4), np.float32)).fits('bf16')
    one = np.zeros((100, 100), np.float32)
    one[:2] = np.inf
    assert Parity.of(one, np.zeros_like(one)) == Parity(0.0, np.inf)


@pytest.mark.parametrize(
    ('precision', 'parity', 'fits'),
    [
        ('fp32', Parity(0.005, 0.05), True),
        ('fp32', Parity(0.015, 0.05), False),
        ('fp32', Parity(0.0, 0.2), False),
        ('fp16', Parity(0.015, 0.4), True),
        ('bf16', Parity(0.04, 0.9), True),
        ('bf16', Parity(0.06, 0.9), False),
    ],
)
def test_what_a_precision_explains(precision: str, parity: Parity, fits: bool) -> None:
    assert parity.fits(precision) is fits
    assert precision in allowed_text(precision)
