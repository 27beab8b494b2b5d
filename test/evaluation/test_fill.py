"""Hole filling against maps worked out by hand, and its properties."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dtp_stereo_ros.evaluation.fill import fill_holes, fill_sparse

NAN = np.nan


def test_a_hole_takes_the_lower_neighbour_of_its_row() -> None:
    disparity = np.array([[NAN, 7, NAN, NAN, 3, NAN, 9, NAN]], np.float32)
    np.testing.assert_array_equal(fill_holes(disparity), [[7, 7, 3, 3, 3, 3, 9, 9]])


def test_an_empty_row_takes_the_nearest_filled_row() -> None:
    disparity = np.array(
        [[NAN, NAN], [4, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN], [NAN, 8]], np.float32
    )
    expected = [[4, 4], [4, 4], [4, 4], [4, 4], [8, 8], [8, 8]]
    np.testing.assert_array_equal(fill_holes(disparity), expected)


def test_nothing_known_stays_unknown() -> None:
    assert np.isnan(fill_holes(np.full((2, 3), NAN, np.float32))).all()


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.one_of(st.just(NAN), st.floats(0, 192, width=32)),
    )
)
def test_estimates_stay_and_holes_take_only_values_that_exist(disparity: np.ndarray) -> None:
    filled = fill_holes(disparity)
    known = np.isfinite(disparity)
    np.testing.assert_array_equal(filled[known], disparity[known])
    if known.any():
        assert np.isin(filled, disparity[known]).all()
    assert filled.dtype == np.float32


def test_sparse_truth_takes_the_lower_side_of_a_short_gap_and_else_the_nearest() -> None:
    disparity = np.full((3, 12), NAN, np.float32)
    disparity[1, [0, 4, 10]] = [5, 20, 9]
    filled = fill_sparse(disparity, gap_px=3)
    # Three holes lie between the first two values, five between the others.
    np.testing.assert_array_equal(filled[1], [5, 5, 5, 5, 20, 20, 20, 20, 9, 9, 9, 9])
    np.testing.assert_array_equal(filled[[0, 2], 2], [5, 5])
    assert np.isnan(fill_sparse(np.full((2, 2), NAN, np.float32), 3)).all()


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.one_of(st.just(NAN), st.floats(0, 192, width=32)),
    )
)
def test_sparse_filling_keeps_what_is_known_and_fills_all(disparity: np.ndarray) -> None:
    filled = fill_sparse(disparity, 3)
    known = np.isfinite(disparity)
    np.testing.assert_array_equal(filled[known], disparity[known])
    assert np.isfinite(filled).all() == bool(known.any())
    if known.any():
        assert np.isin(filled, disparity[known]).all()
