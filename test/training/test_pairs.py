"""However a pair on disk is augmented, left(x) still equals right(x - d)."""

import cv2
import layouts
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.training import pairs
from dtp_stereo_ros.training.data import GeneratorConfig
from dtp_stereo_ros.training.readers import open_pairs


def smooth_pair(height=60, width=200, shift=12.0):
    """A plane whose disparity grows downwards, textured smoothly."""
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (height, width + 64, 3)), (0, 0), 2.5)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.float32)
    d = (shift + 0.1 * np.arange(height))[:, None] + np.zeros((1, width))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    left = texture[:, 40 : 40 + width]
    right = cv2.remap(
        texture, (x + d + 40).astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR
    )
    disparity = d.astype(np.float32)
    disparity[:3] = np.nan
    visible = pairs.visible_from_disparity(disparity)
    return pairs.Pair(left.astype(np.uint8), right.astype(np.uint8), disparity, visible, {})


def mismatch(left, right, disparity, visible):
    """Median difference of left(x) and right(x - d) where both see."""
    height, width = disparity.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there = cv2.remap(right, x - np.nan_to_num(disparity).astype(np.float32), y, cv2.INTER_LINEAR)
    return np.median(np.abs(there.astype(float) - left).mean(axis=2)[visible])


@settings(max_examples=15, deadline=None)
@given(
    x=st.floats(0.5, 1.6),
    y=st.floats(0.5, 1.6),
    upside_down=st.booleans(),
    offset=st.integers(0, 20),
)
def test_geometry_stays_true(x, y, upside_down, offset):
    pair = pairs.resized(smooth_pair(), x, y)
    pair = pairs.cropped(pair, 2, offset, (24, 72))
    pair = pairs.flipped(pair, upside_down, False)
    assert pair.visible.any()
    assert not pair.visible[np.isnan(pair.disparity)].any()
    assert mismatch(pair.left, pair.right, pair.disparity, pair.visible) < 6
    # A wrong disparity would be seen.
    assert mismatch(pair.left, pair.right, pair.disparity + 4, pair.visible) > 10


def test_width_scales_disparity_and_height_does_not():
    pair = smooth_pair()
    wide = pairs.resized(pair, 1.5, 1.0)
    tall = pairs.resized(pair, 1.0, 2.0)
    assert np.nanmax(wide.disparity) == pytest.approx(1.5 * np.nanmax(pair.disparity))
    assert np.nanmax(tall.disparity) == pytest.approx(np.nanmax(pair.disparity))


def test_mirror_exchanges_the_views():
    pair = smooth_pair()
    mirrored = pairs.flipped(pair, False, True)
    assert np.array_equal(mirrored.left, pair.right[:, ::-1])
    disparity = np.broadcast_to(pair.disparity[3:, :1], (57, 200))
    inside = np.zeros((57, 200), bool)
    inside[:, 60:140] = True
    assert mismatch(mirrored.left[3:], mirrored.right[3:], disparity, inside) < 6


def test_occlusion_is_told_from_disparity():
    disparity = np.full((1, 12), 2.0, np.float32)
    disparity[0, 8:10] = 5.0  # lands on right columns 3 and 4, where left columns 5 and 6 were
    disparity[0, 11] = np.nan
    visible = pairs.visible_from_disparity(disparity)[0]
    assert visible.tolist() == [
        False, False, True, True, True, False, False, True, True, True, True, False,
    ]  # fmt: skip


def test_a_crop_loses_what_matches_outside_of_it():
    pair = pairs.cropped(smooth_pair(), 10, 30, (20, 60))
    first_row = 12 + 0.1 * 10
    assert pair.visible[0].tolist() == [x >= first_row for x in range(60)]


@pytest.mark.parametrize('name', ['wall', 'blank'])
def test_batches_are_typed_and_say_what_is_known(tmp_path, name):
    scenes = open_pairs(f'folder:{layouts.pairs(tmp_path / "data")}', tmp_path)
    scenes = [s for s in scenes if s.name == name]
    config = GeneratorConfig(sizes=((32, 64), (64, 96)), batch_size=3, max_disparity_px=60)
    stream, same = (iter(pairs.PairBatches(scenes, config)) for _ in range(2))
    first, second = next(stream), next(stream)
    assert {first['left'].shape, second['left'].shape} == {(3, 3, 32, 64), (3, 3, 64, 96)}
    assert first['left'].dtype == torch.uint8
    assert torch.equal(first['left'], next(same)['left'])
    known = first['known']
    assert known.any() == (name == 'wall')
    assert not (first['visible'] & ~known).any()
    assert (first['disparity'][~known] == 0).all()
    if name == 'wall':
        values = first['disparity'][known]
        assert 0.5 * layouts.SHIFT_PX < values.min() <= values.max() < 1.7 * layouts.SHIFT_PX


def test_disparities_beyond_the_network_are_unknown(tmp_path):
    scenes = open_pairs(f'folder:{layouts.pairs(tmp_path / "data")}', tmp_path)
    config = GeneratorConfig(sizes=((32, 64),), batch_size=2, max_disparity_px=4)
    assert not next(iter(pairs.PairBatches(scenes, config)))['known'].any()


def test_held_out_crops_are_not_augmented(tmp_path):
    scenes = open_pairs(f'folder:{layouts.pairs(tmp_path / "data")}', tmp_path)
    config = GeneratorConfig(sizes=((32, 64),), batch_size=8, max_disparity_px=60)
    (batch,) = pairs.held_out_batches(scenes, config, 1)
    assert torch.equal(batch['left'], batch['clean_left'])
    known = batch['disparity'][batch['known']]
    assert (known == layouts.SHIFT_PX).all()
    assert batch['left'].shape == (2, 3, 32, 64)
