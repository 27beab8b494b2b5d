"""Predicted errors against errors, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dtp_stereo_ros.confidence import confidence_of
from dtp_stereo_ros.evaluation.calibration import sigma_bins, total

NAN = np.nan


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_bins_by_hand() -> None:
    # Predicted 0.1, 0.2, 3 and without bound; a hole and an unknown truth are left out.
    confidence = confidence_of(row(0.1, 0.2, 3.0, np.inf, 1.0, 1.0))
    truth = row(10, 10, 10, 10, 10, NAN)
    found = sigma_bins(row(10.5, 10.1, 12, 50, NAN, 10), truth, confidence)
    assert found.pixels.tolist() == [2, 0, 0, 0, 1, 0, 0, 1]
    np.testing.assert_allclose(found.shares[[0, 4, 7]], [0.5, 0.25, 0.25])
    np.testing.assert_allclose(found.mean_sigma_px[[0, 4, 7]], [0.15, 3, 192], rtol=1e-5)
    np.testing.assert_allclose(found.mean_error_px[[0, 4, 7]], [0.3, 2, 40], rtol=1e-5)
    assert math.isnan(found.mean_error_px[1])
    # |0.3 - 0.6| + |3 - 2| + |192 - 40| over four pixels.
    assert found.calibration_error_px == pytest.approx((0.3 + 1 + 152) / 4, rel=1e-5)


def test_images_count_the_same_whatever_their_pixels() -> None:
    small = sigma_bins(row(11), row(10), row(1))
    large = sigma_bins(row(*[13] * 9), row(*[10] * 9), row(*[1] * 9))
    empty = sigma_bins(row(NAN), row(10), row(1))
    found = total([small, large, empty])
    assert found.mean_error_px[0] == pytest.approx(2.0)
    assert found.shares[0] == 1.0
    assert math.isnan(total([empty]).calibration_error_px)
    assert np.isnan(total([]).shares).all()
