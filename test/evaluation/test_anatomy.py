"""Classes of pixels in small images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from dtp_stereo_ros.evaluation import anatomy
from dtp_stereo_ros.evaluation.anatomy import CLASSES, NO_CLASS, classify, dissect
from dtp_stereo_ros.evaluation.datasets import Truth

INDEX = {name: index for index, name in enumerate(CLASSES)}
NAN = np.nan


def noise(height: int, width: int) -> np.ndarray:
    grey = np.random.default_rng(0).integers(0, 255, (height, width, 1), np.uint8)
    return np.repeat(grey, 3, axis=2)


def wall(height: int = 60, width: int = 120, disparity_px: float = 5) -> np.ndarray:
    return np.full((height, width), disparity_px, np.float32)


def test_a_wall_is_flat_but_for_the_left_border_and_the_unknown() -> None:
    truth, left = wall(), noise(60, 120)
    truth[:10] = NAN
    left[:, 60:] = 128
    classes = classify(left, Truth(truth))
    assert (classes[:10] == NO_CLASS).all()
    assert (classes[10:, :5] == INDEX['left_border']).all()
    assert (classes[10:, 5:55] == INDEX['textured']).all()
    assert (classes[10:, 66:] == INDEX['plain']).all()


def test_a_step_has_an_edge_band_and_hides_what_is_left_of_it() -> None:
    truth = wall()
    truth[:, 60:] = 25
    classes = classify(noise(60, 120), Truth(truth))[30]
    # The nearer surface begins at column 60, which is 35 in the right image; background columns
    # 40 to 59 match 35 to 54 and are hidden.
    assert (classes[40:60] == INDEX['hidden']).all()
    assert (classes[60:64] == INDEX['edge']).all()
    assert (classes[64:] == INDEX['textured']).all()
    assert (classes[5:40] == INDEX['textured']).all()


def test_occlusion_is_taken_from_the_data_set_where_it_tells() -> None:
    truth = wall()
    truth[:, 60:] = 25
    seen = np.ones(truth.shape, bool)
    seen[:, :20] = False
    classes = classify(noise(60, 120), Truth(truth, seen))[30]
    assert (classes[:5] == INDEX['left_border']).all()
    assert (classes[5:20] == INDEX['hidden']).all()
    assert (classes[56:64] == INDEX['edge']).all()
    no_occluded = classify(noise(60, 120), Truth(truth, has_occluded=False))
    assert not (no_occluded == INDEX['hidden']).any()


@pytest.mark.parametrize(('width', 'thin'), [(1, True), (12, True), (13, False), (30, False)])
def test_poles_are_thin_below_13_px(width: int, thin: bool) -> None:
    truth = wall()
    truth[:, 50 : 50 + width] = 20
    mask = anatomy.thin(truth)
    assert mask[30, 50 : 50 + width].all() == thin
    assert mask.any() == thin
    assert anatomy.thin(truth.T.copy()).any() == thin


def test_neither_gaps_nor_slopes_nor_low_reliefs_are_thin() -> None:
    gap = wall(disparity_px=20)
    gap[:, 50:55] = 5
    assert not anatomy.thin(gap).any()
    road = np.repeat(np.arange(60, dtype=np.float32)[:, None], 120, axis=1)
    assert not anatomy.thin(road).any()
    relief = wall()
    relief[:, 50:55] += 2
    assert not anatomy.thin(relief).any()


def test_slopes_have_no_edges_and_steps_are_found_in_both_directions() -> None:
    assert not anatomy.near_edge(np.tile(np.arange(50, dtype=np.float32), (20, 1))).any()
    step = wall()
    step[30:] = 9
    rows = np.flatnonzero(anatomy.near_edge(step).any(axis=1))
    assert rows.tolist() == list(range(26, 34))


def test_a_slanted_surface_does_not_cover_itself_and_a_flat_one_hides_nothing() -> None:
    slanted = np.tile(np.linspace(40, 10, 120, dtype=np.float32), (3, 1))
    assert not anatomy.covered(slanted).any()
    assert not anatomy.covered(wall()).any()
    assert not anatomy.covered(np.full((2, 3), NAN, np.float32)).any()


def test_wrong_pixels_are_counted_in_their_class() -> None:
    classes = np.array([[0, 0, 3, 3, NO_CLASS, 5]], np.uint8)
    truth = np.array([[10, 10, 10, 10, NAN, 10]], np.float32)
    estimate = np.array([[13, 13.5, 2, 10, 90, NAN]], np.float32)
    found = dissect(classes, estimate, truth)
    assert found.pixels.tolist() == [2, 0, 0, 2, 0, 1]
    assert found.wrong.tolist() == [1, 0, 0, 1, 0, 1]


def test_without_truth_there_is_no_class() -> None:
    truth = np.full((20, 70), NAN, np.float32)
    classes = classify(noise(20, 70), Truth(truth))
    assert (classes == NO_CLASS).all()
    assert dissect(classes, truth, truth).pixels.sum() == 0
