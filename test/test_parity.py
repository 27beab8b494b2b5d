"""How far a run of a model is from its reference."""

from __future__ import annotations

import numpy as np
import pytest

from dtp_stereo_ros.parity import Parity, allowed_text


def test_median_and_99th_percentile() -> None:
    expected = np.zeros((10, 10), np.float32)
    found = np.arange(100, dtype=np.float32).reshape(10, 10)
    parity = Parity.of((found, None), (expected, None))
    assert (parity.median_px, parity.p99_px) == (50.0, 99.0)
    assert parity.text() == 'median 50.00000 px, 99 % below 99.00000 px'


def test_unknown_pixels() -> None:
    both = np.full((4, 4), np.nan, np.float32)
    assert Parity.of((both, None), (both, None)) == Parity(0.0, 0.0)
    known = np.zeros((4, 4), np.float32)
    assert not Parity.of((both, None), (known, None)).fits('bf16')
    one = np.zeros((100, 100), np.float32)
    one[:2] = np.inf
    assert Parity.of((one, None), (np.zeros_like(one), None)) == Parity(0.0, np.inf)


def test_the_confidence_is_compared_too() -> None:
    disparity = np.zeros((8, 8), np.float32)
    sure, other = np.full((4, 4), 0.5, np.float32), np.full((4, 4), 0.75, np.float32)
    parity = Parity.of((disparity, sure), (disparity, other))
    assert (parity.median_px, parity.p99_px, parity.p99_confidence) == (0.0, 0.0, 0.25)
    assert parity.text().endswith('of the confidence below 0.25000')
    assert Parity.of((disparity, sure), (disparity, sure)).fits('fp32')
    for missing in (None, np.full((2, 2), 0.5, np.float32)):
        assert Parity.of((disparity, sure), (disparity, missing)).p99_confidence == np.inf
    # What is beyond 0..1 is cut before it is published.
    assert Parity.of((disparity, sure + 2), (disparity, other + 9)).p99_confidence == 0.0


@pytest.mark.parametrize(
    ('precision', 'parity', 'fits'),
    [
        ('fp32', Parity(0.005, 0.05), True),
        ('fp32', Parity(0.015, 0.05), False),
        ('fp32', Parity(0.0, 0.2), False),
        ('fp16', Parity(0.015, 0.4), True),
        ('bf16', Parity(0.04, 0.9), True),
        ('bf16', Parity(0.06, 0.9), False),
        ('fp32', Parity(0.0, 0.0, 0.02), False),
        ('bf16', Parity(0.0, 0.0, 0.1), True),
        ('bf16', Parity(0.0, 0.0, 0.2), False),
    ],
)
def test_what_a_precision_explains(precision: str, parity: Parity, fits: bool) -> None:
    assert parity.fits(precision) is fits
    assert precision in allowed_text(precision)
