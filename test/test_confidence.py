"""Confidence and sigma, both ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.confidence import confidence_of, enlarged, sigma_px_of


@pytest.mark.parametrize(('sigma_px', 'confidence'), [(0.0, 1.0), (1.0, 0.5), (3.0, 0.25)])
def test_known_pairs(sigma_px: float, confidence: float) -> None:
    assert confidence_of(sigma_px) == confidence
    assert sigma_px_of(confidence) == sigma_px


@given(st.floats(0, 1e4))
def test_one_undoes_the_other(sigma_px: float) -> None:
    assert sigma_px_of(confidence_of(sigma_px)) == pytest.approx(sigma_px, abs=1e-9, rel=1e-9)


@given(st.floats(1e-4, 1.0), st.floats(0.1, 8))
def test_the_confidence_of_a_larger_error(confidence: float, ratio: float) -> None:
    expected = confidence_of(ratio * sigma_px_of(confidence))
    assert enlarged(confidence, ratio) == pytest.approx(expected, rel=1e-9)


def test_arrays_keep_type_and_shape_and_no_confidence_is_no_bound() -> None:
    sigma_px = sigma_px_of(np.array([[1.0, 0.5], [0.2, 0.0]], np.float32))
    np.testing.assert_allclose(sigma_px, [[0, 1], [4, np.inf]], rtol=1e-6)
    assert sigma_px.dtype == np.float32


def test_tensors_are_taken_too() -> None:
    torch = pytest.importorskip('torch')
    assert confidence_of(torch.tensor([0.0, 1.0])).tolist() == [1.0, 0.5]
    assert sigma_px_of(torch.tensor([1.0, 0.5, 0.0])).tolist() == [0.0, 1.0, float('inf')]
