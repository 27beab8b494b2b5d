"""Sparsification, AUSE and the error at a density, by hand and by properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.sparsification import rank

NAN = np.nan


def px(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def ranking(errors: list[float], confidence: list[float]):
    """Errors about a truth of 10 px; NaN is a hole."""
    truth = np.full((1, len(errors)), 10, np.float32)
    return rank(truth + px(*errors), truth, px(*confidence))


def test_curve_oracle_and_ause_by_hand() -> None:
    # In the order of confidence the errors are 0, 4, 1, 7; in the order of errors 0, 1, 4, 7.
    found = ranking([4, 0, 7, 1], [0.8, 0.9, 0.1, 0.5])
    quarters = np.array([0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.curve(quarters), [0, 2, 5 / 3, 3])
    np.testing.assert_allclose(found.oracle(quarters), [0, 0.5, 5 / 3, 3])
    assert found.ause() == pytest.approx(1.5 / 4)


def test_shares_of_wrong_pixels_by_hand() -> None:
    found = ranking([4, 0, 7, 1], [0.8, 0.9, 0.1, 0.5])
    quarters = np.array([0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.curve(quarters, 3.0), [0, 1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(found.oracle(quarters, 3.0), [0, 0, 1 / 3, 1 / 2])
    assert found.ause(3.0) == pytest.approx(0.5 / 4)


def test_error_at_a_density_keeps_the_most_confident_pixels() -> None:
    found = ranking([4, 0, 7, 1], [0.8, 0.9, 0.1, 0.5])
    assert found.error_at(0.5) == pytest.approx(2)
    assert found.error_at(0.75, 3.0) == pytest.approx(1 / 3)
    assert found.error_at(1.0, 3.0) == pytest.approx(1 / 2)


def test_density_counts_holes_but_not_unknown_truth() -> None:
    estimate, truth = px(10, 14, NAN, 10, 90), px(10, 10, 10, 10, NAN)
    found = rank(estimate, truth, px(0.9, 0.8, 0.7, 0.1, 1.0))
    assert found.judged == 4
    assert found.error_at(0.5) == pytest.approx(2)
    assert found.error_at(0.75) == pytest.approx(4 / 3)
    assert math.isnan(found.error_at(1.0))  # one of the four has no estimate
    assert math.isnan(found.error_at(0.0))


def test_equal_confidence_has_no_order() -> None:
    # 6 and 2 share a confidence: each counts 4.
    found = ranking([6, 2, 0], [0.5, 0.5, 0.9])
    np.testing.assert_allclose(found.curve(np.array([1 / 3, 2 / 3, 1])), [0, 2, 8 / 3])
    assert found.error_at(2 / 3) == pytest.approx(2)
    # The oracle has 0, 1, 8/3.
    assert found.ause() == pytest.approx(1 / 3)


def test_unknown_confidence_is_the_least() -> None:
    assert ranking([5, 1], [NAN, 0.0]).error_at(0.5) == pytest.approx(1)


def test_without_pixels_all_is_nan() -> None:
    found = ranking([NAN, NAN], [0.5, 0.5])
    assert math.isnan(found.ause())
    assert np.isnan(found.curve()).all()
    assert math.isnan(found.error_at(0.5))


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match='confidence is 1x1 but the estimate is 2x1'):
        rank(px(1, 2), px(1, 2), px(1))


_PIXELS = st.lists(
    st.tuples(st.floats(0, 100, width=32), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
    min_size=1,
    max_size=30,
)


@given(_PIXELS, st.randoms(use_true_random=False))
def test_neither_the_order_of_pixels_nor_the_unit_of_confidence_matters(pixels, random) -> None:
    errors, confidence = (list(values) for values in zip(*pixels, strict=True))
    found = ranking(errors, confidence)
    shuffled = random.sample(pixels, len(pixels))
    errors, confidence = (list(values) for values in zip(*shuffled, strict=True))
    other = ranking(errors, [100 * value - 7 for value in confidence])
    np.testing.assert_allclose(found.curve(), other.curve(), atol=1e-4)
    assert found.ause() == pytest.approx(other.ause(), abs=1e-4)


@given(_PIXELS)
def test_the_oracle_is_a_lower_bound_and_reached_by_the_true_order(pixels) -> None:
    errors, confidence = (list(values) for values in zip(*pixels, strict=True))
    found = ranking(errors, confidence)
    for wrong_px in (None, 3.0):
        assert (found.curve(wrong_px=wrong_px) >= found.oracle(wrong_px=wrong_px) - 1e-5).all()
        assert found.ause(wrong_px) >= -1e-6
        assert found.curve()[-1] == pytest.approx(found.oracle()[-1], abs=1e-5)
    assert ranking(errors, [-value for value in errors]).ause() == pytest.approx(0, abs=1e-4)
