"""Every layout is found, and truth comes in pixels."""

import shutil

import cv2
import layouts
import numpy as np
import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.image_io import write_pfm
from dtp_stereo_ros.training.data.readers import READERS, open_pairs


def two_folders(root):
    left, right = layouts.plane_pair()
    for name in ('left', 'right', 'disp'):
        (root / name).mkdir(parents=True)
    cv2.imwrite(str(root / 'left' / '7.png'), left)
    cv2.imwrite(str(root / 'right' / '7.png'), right)
    write_pfm(root / 'disp' / '7.pfm', layouts.truth())
    return root


@pytest.mark.parametrize(
    ('name', 'make', 'count'),
    [
        ('sceneflow', layouts.flyingthings, 1),
        ('kitti2012', layouts.kitti2012, 3),
        ('kitti2015', layouts.kitti2015, 3),
        ('middlebury_v3', layouts.middlebury_v3, 2),
        ('middlebury_2001', layouts.middlebury_2001, 1),
        ('middlebury_2005', layouts.middlebury_2005, 1),
        ('middlebury_classic', layouts.middlebury_classic, 1),
        ('eth3d', layouts.eth3d, 2),
        ('folder', two_folders, 1),
    ],
)
def test_layouts(tmp_path, name, make, count):
    scenes = open_pairs(f'{name}:{make(tmp_path / "data")}', tmp_path)
    assert len(scenes) == count
    frame, truth = scenes[-1].load_frame(), scenes[-1].load_truth()
    assert frame.left.shape == (*truth.disparity_px.shape, 3)
    known = truth.disparity_px[1 : layouts.HEIGHT]
    np.testing.assert_allclose(known[np.isfinite(known)], layouts.SHIFT_PX)
    assert np.isfinite(known).mean() > 0.85
    assert np.isnan(truth.disparity_px[0]).all()


@pytest.mark.parametrize(
    'place',
    ['a_rain_of_stones_x2', '15mm_focallength/scene_forwards/fast'],
    ids=['monkaa', 'driving'],
)
def test_the_other_sets_of_sceneflow(tmp_path, place):
    """Their folders below ``frames_cleanpass`` are others."""
    root = layouts.flyingthings(tmp_path / 'data')
    for folder in ('frames_cleanpass', 'disparity'):
        (root / folder / place).parent.mkdir(parents=True, exist_ok=True)
        (root / folder / 'TRAIN' / 'A' / '0000').rename(root / folder / place)
    (scene,) = open_pairs(f'sceneflow:{root}', tmp_path)
    assert scene.name == f'{place}/0006'
    assert np.nanmax(scene.load_truth().disparity_px) == layouts.SHIFT_PX
    assert scene.load_frame().right.shape == (layouts.HEIGHT, layouts.WIDTH, 3)


@pytest.mark.parametrize(
    ('name', 'make', 'path'),
    [
        ('sceneflow', layouts.flyingthings, 'disparity/TRAIN/A/0000/right/0006.pfm'),
        ('middlebury_v3', layouts.middlebury_v3, 'Beta/disp1GT.pfm'),
        ('middlebury_2001', layouts.middlebury_2001, 'venus/disp6.pgm'),
        ('middlebury_2005', layouts.middlebury_2005, 'Art/disp5.png'),
    ],
)
def test_the_right_views_truth_is_found_where_it_is_published(tmp_path, name, make, path):
    root = make(tmp_path / 'data')
    assert open_pairs(f'{name}:{root}', tmp_path)[-1].load_right_px is None
    (root / path).parent.mkdir(exist_ok=True)
    if path.endswith('.pfm'):
        # Some count it negatively.
        write_pfm(root / path, -layouts.truth())
    else:
        left = {'disp5.png': 'disp1.png', 'disp6.pgm': 'disp2.pgm'}[(root / path).name]
        (root / path).write_bytes((root / path).with_name(left).read_bytes())
    right = open_pairs(f'{name}:{root}', tmp_path)[-1].load_right_px()
    assert np.nanmax(right) == np.nanmin(right[1 : layouts.HEIGHT]) == layouts.SHIFT_PX


@pytest.mark.parametrize(('rows', 'scale'), [(375, 4), (750, 2), (1500, 1), (383, 8)])
def test_disparities_of_2003_are_stored_by_size(tmp_path, rows, scale):
    root = layouts.middlebury_2001(tmp_path / 'data', rows, scale)
    truth = open_pairs(f'middlebury_2001:{root}', tmp_path)[0].load_truth().disparity_px
    assert np.nanmax(truth) == np.nanmin(truth[1:30]) == layouts.SHIFT_PX


def test_a_scene_of_2001_without_its_picture_is_named(tmp_path):
    root = layouts.middlebury_2001(tmp_path / 'data')
    (root / 'venus' / 'im6.ppm').unlink()
    with pytest.raises(InputError, match=r'venus: has no file im6\.\*; add it'):
        open_pairs(f'middlebury_2001:{root}', tmp_path)


@pytest.mark.parametrize('kind', ['folder', 'kitti2015', 'sceneflow'])
def test_a_pair_without_its_right_image_is_told_before_a_training(tmp_path, kind):
    make = {'folder': layouts.pairs, 'sceneflow': layouts.flyingthings}
    root = make.get(kind, getattr(layouts, kind, None))(tmp_path / 'data')
    right = open_pairs(f'{kind}:{root}', tmp_path)[-1].right
    right.unlink()
    with pytest.raises(InputError, match=r'no such file; its pair needs it|has no file'):
        open_pairs(f'{kind}:{root}', tmp_path)


def test_every_reader_of_a_published_layout_is_tested_here():
    tested = {mark[0] for mark in test_layouts.pytestmark[0].args[1]}
    assert tested | {'bag', 'rendered'} == set(READERS)


def test_a_folder_of_named_pairs_has_truth_where_there_is_a_file(tmp_path):
    scenes = open_pairs(f'folder:{layouts.pairs(tmp_path / "data")}', tmp_path)
    assert {s.name: s.load_truth is not None for s in scenes} == {'wall': True, 'blank': False}


def test_the_test_split_of_flyingthings_is_left_out(tmp_path):
    root = layouts.flyingthings(tmp_path / 'data')
    for folder in ('frames_cleanpass', 'disparity'):
        (root / folder / 'TRAIN').rename(root / folder / 'TEST')
    with pytest.raises(InputError, match='only a TEST split'):
        open_pairs(f'sceneflow:{root}', tmp_path)


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('bag:none.mcap', 'none.mcap: no such bag'),
        ('folder:none', 'none: no such folder'),
        ('moon:x', "'moon:x': write synthetic, raycast, assets:FILE, or NAME:PATH"),
        ('folder', "'folder': write synthetic"),
    ],
)
def test_what_is_missing_is_named(tmp_path, spec, message):
    with pytest.raises(InputError, match=message):
        open_pairs(spec, tmp_path)


def test_a_lonely_left_image_is_named(tmp_path):
    root = two_folders(tmp_path / 'data')
    (root / 'right' / '7.png').unlink()
    with pytest.raises(InputError, match=r'right: has no file 7\.\*; add it'):
        open_pairs(f'folder:{root}', tmp_path)


def test_litter_beside_the_images_of_two_folders_is_passed_over(tmp_path):
    root = two_folders(tmp_path / 'data')
    for name in (
        'left/._7.png',
        'right/._7.png',
        'left/.DS_Store',
        'right/7.json',
        'disp/._7.pfm',
    ):
        (root / name).write_bytes(b'\0\5\x16\7')
    (scene,) = open_pairs(f'folder:{root}', tmp_path)
    frame, truth = scene.load()
    assert frame.left.shape == (layouts.HEIGHT, layouts.WIDTH, 3)
    np.testing.assert_array_equal(truth.disparity_px, layouts.truth())


def test_the_validation_half_of_the_subset_is_left_out(tmp_path):
    for split in ('train', 'val'):
        layouts.flyingthings(tmp_path / 'full')
        for old, new in (('frames_cleanpass', 'image_clean'), ('disparity', 'disparity')):
            (tmp_path / split).mkdir(exist_ok=True)
            (tmp_path / 'full' / old / 'TRAIN' / 'A' / '0000').rename(tmp_path / split / new)
        shutil.rmtree(tmp_path / 'full')
    assert [s.name for s in open_pairs(f'sceneflow:{tmp_path}', tmp_path)] == ['train/0006']


@pytest.mark.parametrize(('dtype', 'most', 'told'), [(np.uint16, 4095, 1), (np.uint8, 15, 0)])
def test_pictures_of_12_bits_in_16_are_told(tmp_path, caplog, dtype, most, told):
    root = layouts.pairs(tmp_path / 'data')
    for path in root.glob('*.png'):
        image = np.full((layouts.HEIGHT, layouts.WIDTH), most, dtype)
        cv2.imwrite(str(path), image)
    assert len(open_pairs(f'folder:{root}', tmp_path)) == 2
    lines = [r.getMessage() for r in caplog.records if '12-bit data' in r.getMessage()]
    assert len(lines) == told
    if told:
        assert lines[0].startswith(f'{root}/blank_left.png: no pixel of the PNG is above 4095')
