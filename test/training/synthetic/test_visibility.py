"""Visibility from both disparities, and from the left one alone."""

import numpy as np
import pytest
import torch

from dtp_stereo_ros.training.data.right_view import right_disparity, visible_from_disparity
from dtp_stereo_ros.training.synthetic.visibility import visible


@pytest.fixture
def views():
    """A bar at 12 px before a wall at 4 px, in both views."""
    left = np.full((3, 60), 4, np.float32)
    right = left.copy()
    left[:, 30:40] = 12
    right[:, 18:28] = 12
    return left, right


def test_points_behind_the_bar_and_outside_are_hidden(views):
    left, right = views
    seen = visible(left, right, -1)[1]
    # The bar hides eight columns to its left; four of the wall lie outside of the right image.
    assert np.flatnonzero(~seen).tolist() == [0, 1, 2, 3, *range(22, 30)]
    seen = visible(right, left, +1)[1]
    assert np.flatnonzero(~seen).tolist() == [*range(28, 36), 56, 57, 58, 59]


@pytest.mark.parametrize('sign', [-1, 1])
def test_arrays_and_tensors_agree(views, sign):
    rng = np.random.default_rng(0)
    own, other = (v + rng.uniform(0, 3, v.shape).astype(np.float32) for v in views[::-sign])
    found = visible(own, other, sign)
    tensors = visible(torch.from_numpy(own)[None], torch.from_numpy(other)[None], sign)
    assert found.dtype == np.bool_
    assert np.array_equal(tensors[0].numpy(), found)


def test_the_left_disparity_alone_tells_the_same(views):
    left, right = views
    alone = visible_from_disparity(left)
    assert np.array_equal(alone, visible(left, right, -1))
    told = right_disparity(left, alone)
    assert np.array_equal(told[np.isfinite(told)], right[np.isfinite(told)])


def test_unknown_points_are_not_seen(views):
    left, _ = views
    left[1, 10] = np.nan
    assert not visible_from_disparity(left)[1, 10]
