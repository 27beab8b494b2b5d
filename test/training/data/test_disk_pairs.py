"""However a pair on disk is augmented, left(x) still equals right(x - d)."""

import dataclasses
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.datasets import Truth
from dtp_stereo_ros.image_io import write_pfm
from dtp_stereo_ros.training.data import disk_pairs, right_view
from dtp_stereo_ros.training.data.prefetch import Feed
from dtp_stereo_ros.training.data.readers import open_pairs
from dtp_stereo_ros.training.data.teacher_cache import TaughtCache
from dtp_stereo_ros.training.settings import GeneratorConfig


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
    visible = right_view.visible_from_disparity(disparity)
    return disk_pairs.Pair(left.astype(np.uint8), right.astype(np.uint8), disparity, visible, {})


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
    pair = disk_pairs.resized(smooth_pair(), x, y)
    pair = disk_pairs.cropped(pair, 2, offset, (24, 72))
    pair = disk_pairs.flipped(pair, upside_down, False)
    assert pair.visible.any()
    assert not pair.visible[np.isnan(pair.disparity)].any()
    assert mismatch(pair.left, pair.right, pair.disparity, pair.visible) < 6
    # A wrong disparity would be seen.
    assert mismatch(pair.left, pair.right, pair.disparity + 4, pair.visible) > 10


def test_width_scales_disparity_and_height_does_not():
    pair = smooth_pair()
    wide = disk_pairs.resized(pair, 1.5, 1.0)
    tall = disk_pairs.resized(pair, 1.0, 2.0)
    assert np.nanmax(wide.disparity) == pytest.approx(1.5 * np.nanmax(pair.disparity))
    assert np.nanmax(tall.disparity) == pytest.approx(np.nanmax(pair.disparity))


def test_mirror_exchanges_the_views_of_a_pair_without_truth():
    labelled = smooth_pair()
    nothing = np.full_like(labelled.disparity, np.nan)
    pair = disk_pairs.Pair(
        labelled.left, labelled.right, nothing, np.zeros_like(labelled.visible), {}
    )
    assert pair.mirrors
    mirrored = disk_pairs.flipped(pair, False, True)
    assert np.array_equal(mirrored.left, pair.right[:, ::-1])
    disparity = np.broadcast_to(labelled.disparity[3:, :1], (57, 200))
    inside = np.zeros((57, 200), bool)
    inside[:, 60:140] = True
    assert mismatch(mirrored.left[3:], mirrored.right[3:], disparity, inside) < 6


@settings(max_examples=15, deadline=None)
@given(
    x=st.floats(0.5, 1.6),
    upside_down=st.booleans(),
    offset=st.integers(0, 20),
)
def test_geometry_stays_true_when_the_views_are_exchanged(x, upside_down, offset):
    whole = smooth_pair()
    right = right_view.right_disparity(whole.disparity, whole.visible)
    pair = disk_pairs.resized(dataclasses.replace(whole, right_px=right), x, 1.0)
    pair = disk_pairs.cropped(pair, 2, offset, (24, 72))
    mirrored = disk_pairs.flipped(pair, upside_down, True)
    assert mirrored.visible.any()
    assert not mirrored.visible[np.isnan(mirrored.disparity)].any()
    args = mirrored.left, mirrored.right
    assert mismatch(*args, mirrored.disparity, mirrored.visible) < 6
    assert mismatch(*args, mirrored.disparity + 4, mirrored.visible) > 10
    # Twice is what it was, as far as both cameras see.
    again = disk_pairs.flipped(mirrored, upside_down, True)
    seen = again.visible & np.isfinite(pair.disparity)
    assert np.array_equal(again.disparity[seen], pair.disparity[seen])
    assert np.array_equal(again.left, pair.left)


def test_right_disparity_by_hand():
    """A surface at 2.5 px in front of one at 1 px, which it hides in part; slants in a third."""
    left = np.full((3, 12), 1.0, np.float32)
    left[0, 6:9] = 2.5
    left[1] = 1 + 0.5 * np.arange(12)
    left[2, 2:] = np.nan
    seen = np.array(
        [right_view.visible_from_disparity(left)[0], np.ones(12, bool), np.ones(12, bool)]
    )
    right = right_view.right_disparity(left, seen)
    # The near surface covers 3.5 .. 5.5; what was behind columns 5 and 6 only the right eye sees.
    assert right[0, :6].tolist() == [1, 1, 1, 1, 2.5, 2.5]
    assert np.isnan(right[0, 6:8]).all()
    assert right[0, 8:11].tolist() == [1, 1, 1]
    assert np.isnan(right[0, 11])
    # x - d = x / 2 - 1, so that d = 1 + (x_right + 1); half the columns lie between two points.
    assert right[1, :4] == pytest.approx([2, 3, 4, 5])
    assert np.isnan(right[1, 5:]).all()
    assert right[2, 0] == 1
    assert np.isnan(right[2, 1:]).all()


def test_points_that_stand_alone_fall_on_the_next_column():
    left = np.full((1, 8), np.nan, np.float32)
    left[0, 2], left[0, 6] = 1.3, 2.4
    right = right_view.right_disparity(left, np.isfinite(left))
    assert right[0, [1, 4]] == pytest.approx([1.3, 2.4])
    assert np.isfinite(right).sum() == 2


def test_the_views_are_exchanged_only_where_both_disparities_can_be_told(tmp_path):
    """Known, or dense, or with a mask of what both see; sparse truth alone tells too little."""
    root = layouts.pairs(tmp_path / 'data')
    wall = open_pairs(f'folder:{root}', tmp_path)[1]
    assert wall.name == 'wall'
    dense = disk_pairs.load_pair(wall)
    assert dense.mirrors
    known = np.isfinite(dense.right_px)
    assert (dense.right_px[known] == layouts.SHIFT_PX).all()
    assert known[1:, : layouts.WIDTH - layouts.SHIFT_PX].all()
    assert not known[:, layouts.WIDTH - layouts.SHIFT_PX :].any()
    sparse = layouts.truth()
    sparse[:, ::2] = np.nan

    def loaded(**truth):
        return disk_pairs.load_pair(dataclasses.replace(wall, load_truth=lambda: Truth(**truth)))

    assert not loaded(disparity_px=sparse).mirrors
    assert loaded(disparity_px=sparse, non_occluded=np.isfinite(sparse)).mirrors
    right = np.full(sparse.shape, 9.0, np.float32)
    scene = dataclasses.replace(wall, load_right_px=lambda: right)
    mirrored = disk_pairs.flipped(disk_pairs.load_pair(scene), False, True)
    assert (mirrored.disparity == 9).all()
    taught = dataclasses.replace(dense, taught={'taught_disparity': sparse})
    assert not taught.mirrors


def test_real_pairs_match_when_the_views_are_exchanged(data_root):
    """Teddy: as well as the other way round, and only there."""
    scenes = open_pairs(f'middlebury_v3:{data_root / "middlebury/MiddEval3/trainingQ"}', data_root)
    pair = disk_pairs.load_pair(scenes[-1])
    mirrored = disk_pairs.flipped(pair, False, True)
    assert mirrored.visible.mean() > 0.95 * pair.visible.mean()
    before = mismatch(pair.left, pair.right, pair.disparity, pair.visible)
    args = mirrored.left, mirrored.right
    assert mismatch(*args, mirrored.disparity, mirrored.visible) < 1.1 * before
    assert mismatch(*args, mirrored.disparity + 3, mirrored.visible) > 1.5 * before


def test_occlusion_is_told_from_disparity():
    disparity = np.full((1, 12), 2.0, np.float32)
    disparity[0, 8:10] = 5.0  # lands on right columns 3 and 4, where left columns 5 and 6 were
    disparity[0, 11] = np.nan
    visible = right_view.visible_from_disparity(disparity)[0]
    assert visible.tolist() == [
        False, False, True, True, True, False, False, True, True, True, True, False,
    ]  # fmt: skip


def test_a_crop_loses_what_matches_outside_of_it():
    pair = disk_pairs.cropped(smooth_pair(), 10, 30, (20, 60))
    first_row = 12 + 0.1 * 10
    assert pair.visible[0].tolist() == [x >= first_row for x in range(60)]


@pytest.mark.parametrize('name', ['wall', 'blank'])
def test_batches_are_typed_and_say_what_is_known(tmp_path, name):
    scenes = open_pairs(f'folder:{layouts.pairs(tmp_path / "data")}', tmp_path)
    scenes = [s for s in scenes if s.name == name]
    config = GeneratorConfig(sizes=((32, 64), (64, 96)), batch_size=3, max_disparity_px=60)
    stream, same = (iter(disk_pairs.PairBatches(scenes, config)) for _ in range(2))
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
    assert not next(iter(disk_pairs.PairBatches(scenes, config)))['known'].any()


@pytest.mark.parametrize('size', [(75, 131), (73, 128), (64, 130), (96, 127)])
def test_a_cached_teacher_is_sure_of_no_cell_without_a_distribution(size):
    """Cells of 4 x 4 px; what is left over at the border has none."""
    height, width = size
    blank = np.zeros((height, width, 3), np.uint8)
    taught = {
        'taught_disparity': np.ones(size, np.float32),
        'taught_valid': np.ones(size, np.bool_),
        'taught_logits': np.ones((16, height // 4, width // 4), np.float16),
    }
    truth = np.ones(size, np.float32), np.ones(size, np.bool_)
    pair = disk_pairs.Pair(blank, blank, *truth, taught)
    config = GeneratorConfig(sizes=((96, 160),))
    batches = disk_pairs.PairBatches([], config, cache=TaughtCache(Path(), 'x'))
    sample = batches.draw(np.random.default_rng(1), pair, (96, 160))
    sure, logits = sample.taught['taught_valid'], sample.taught['taught_logits']
    assert sure.sum() == (height // 4 * 4) * (width // 4 * 4)
    whole = np.repeat(np.repeat(logits[0] > 0, 4, axis=0), 4, axis=1)
    assert not (sure & ~whole).any()


def test_held_out_crops_are_not_augmented(tmp_path):
    scenes = open_pairs(f'folder:{layouts.pairs(tmp_path / "data")}', tmp_path)
    config = GeneratorConfig(sizes=((32, 64),), batch_size=8, max_disparity_px=60)
    (batch,) = disk_pairs.held_out_batches(scenes, config, 1)
    assert torch.equal(batch['left'], batch['clean_left'])
    known = batch['disparity'][batch['known']]
    assert (known == layouts.SHIFT_PX).all()
    assert batch['left'].shape == (2, 3, 32, 64)


@pytest.mark.parametrize('workers', [0, 1])
def test_truth_of_another_size_is_one_line_that_names_the_file(tmp_path, workers):
    """Also where a worker of the loader finds it."""
    root = layouts.pairs(tmp_path / 'data')
    write_pfm(root / 'wall_disp.pfm', layouts.truth()[::2, ::2] / 2)
    scenes = open_pairs(f'folder:{root}', tmp_path)[1:]
    config = GeneratorConfig(sizes=((32, 64),), batch_size=2, max_disparity_px=60)
    stream = disk_pairs.PairBatches(scenes, config)
    with pytest.raises(InputError) as caught:
        next(Feed(stream, workers, torch.device('cpu'), None))
    assert str(caught.value).startswith(f'{root}/wall_disp.pfm: the truth is 80x24 but ')
    assert '\n' not in str(caught.value)


def test_a_right_truth_of_another_size_is_named(tmp_path):
    root = layouts.middlebury_v3(tmp_path / 'data')
    write_pfm(root / 'Alpha' / 'disp1GT.pfm', layouts.truth()[::2])
    with pytest.raises(InputError, match=r"Alpha: the right view's truth is 160x24 but .*im0"):
        disk_pairs.load_pair(open_pairs(f'middlebury_v3:{root}', tmp_path)[0])
