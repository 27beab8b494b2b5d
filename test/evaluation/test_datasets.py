"""Readers on tiny data sets of the right layout, and on folders that are not."""

from __future__ import annotations

from pathlib import Path

import layouts
import numpy as np
import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.datasets import READERS, SHARED_LAYOUT, open_dataset


@pytest.mark.parametrize(
    ('name', 'scenes'),
    [
        ('middlebury_v3', ['Alpha', 'Beta']),
        ('middlebury_classic', ['Plane']),
        ('kitti2015', ['000000_10', '000001_10', '000002_10']),
        ('flyingthings', ['TRAIN/A/0000/0006']),
        ('pairs', ['blank', 'wall']),
    ],
)
def test_scenes_are_found_and_load_images_and_truth(
    tmp_path: Path, name: str, scenes: list[str]
) -> None:
    root = getattr(layouts, name)(tmp_path / name)
    found_name, found = open_dataset(f'{name}:{root}')
    assert found_name == name
    assert [scene.name for scene in found] == scenes
    frame = found[-1].load_frame()
    left, right = layouts.plane_pair()
    np.testing.assert_array_equal(frame.left, left[:, :, ::-1])
    np.testing.assert_array_equal(frame.right, right[:, :, ::-1])
    assert found[-1].load_truth is not None
    np.testing.assert_array_equal(found[-1].load_truth().disparity_px, layouts.truth())


def test_the_layouts_cover_every_reader() -> None:
    assert all(hasattr(layouts, name) for name in READERS)
    assert set(SHARED_LAYOUT) <= set(READERS)


def test_middlebury_v3_noc_leaves_the_occluded_half_out(tmp_path: Path) -> None:
    _, scenes = open_dataset(f'middlebury_v3:{layouts.middlebury_v3(tmp_path / "m")}')
    assert scenes[0].load_truth is not None
    truth = scenes[0].load_truth()
    noc, everything = truth.region('noc'), truth.region('all')
    assert noc is not None
    assert everything is not None
    half = layouts.WIDTH // 2
    assert np.isfinite(noc).sum() == (layouts.HEIGHT - 1) * half
    assert np.isfinite(everything).sum() == (layouts.HEIGHT - 1) * layouts.WIDTH


def test_kitti_regions_are_known_as_far_as_the_files_tell(tmp_path: Path) -> None:
    _, scenes = open_dataset(f'kitti2015:{layouts.kitti2015(tmp_path / "k")}')
    regions = []
    for scene in scenes:
        assert scene.load_truth is not None
        truth = scene.load_truth()
        regions.append([name for name in ('noc', 'all') if truth.region(name) is not None])
    assert regions == [['all'], ['noc'], ['noc', 'all']]
    both = scenes[2].load_truth
    assert both is not None
    noc, everything = both().region('noc'), both().region('all')
    assert noc is not None
    assert everything is not None
    missing = np.isfinite(everything).sum() - np.isfinite(noc).sum()
    assert missing == (layouts.HEIGHT - 1) * layouts.SHIFT_PX


def test_a_pair_without_truth_has_no_truth(tmp_path: Path) -> None:
    _, scenes = open_dataset(f'pairs:{layouts.pairs(tmp_path / "p")}')
    assert scenes[0].load_truth is None


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('nothing:/tmp', r"data 'nothing:/tmp': write it as NAME:PATH with NAME one of middle"),
        ('kitti2015', r"data 'kitti2015': write it as NAME:PATH"),
        ('kitti2015:{root}/none', r'none: no such folder; give the folder of kitti2015'),
        ('kitti2015:{root}', r'no image_2/\*_10\.png in it'),
        ('middlebury_v3:{root}', r'no \*/disp0GT\.pfm in it'),
        ('middlebury_classic:{root}', r'scale\.json: cannot be read'),
        ('flyingthings:{root}', r'no disparity/\*\*/left/\*\.pfm in it'),
        ('pairs:{root}', r'no \*_left\.\* in it'),
    ],
)
def test_a_wrong_place_is_named_with_the_mend(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(spec.format(root=tmp_path))


def test_a_scene_without_its_disparity_is_named(tmp_path: Path) -> None:
    root = layouts.middlebury_classic(tmp_path / 'c')
    (root / 'Plane' / 'disp.pgm').unlink()
    with pytest.raises(InputError, match=r'Plane: 0 files disp\.\*, expected one'):
        open_dataset(f'middlebury_classic:{root}')


def test_a_missing_right_image_is_named_when_it_is_read(tmp_path: Path) -> None:
    root = layouts.kitti2015(tmp_path / 'k')
    (root / 'image_3' / '000000_10.png').unlink()
    _, scenes = open_dataset(f'kitti2015:{root}')
    with pytest.raises(InputError, match=r'image_3/000000_10\.png: cannot be read'):
        scenes[0].load_frame()
