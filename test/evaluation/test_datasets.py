"""Readers on tiny data sets of the right layout, and on folders that are not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.datasets import (
    READERS,
    SHARED_LAYOUT,
    named_apart,
    open_dataset,
    open_datasets,
)
from dtp_stereo_ros.image_io import write_pfm


@pytest.mark.parametrize(
    ('name', 'scenes'),
    [
        ('middlebury_v3', ['Alpha', 'Beta']),
        ('middlebury_classic', ['Plane']),
        ('eth3d', ['Alpha', 'Beta']),
        ('kitti2012', ['000000_10', '000001_10', '000002_10']),
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
        ('middlebury_v3:{root}', r'no \*/disp0GT\.pfm or \*/disp0\.pfm in it'),
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
    _, scenes = open_dataset(f'middlebury_classic:{root}')
    with pytest.raises(InputError, match=r'Plane: has no file disp\.\*; add it'):
        scenes[0].load()
    for ending in ('png', 'ppm'):
        (root / 'Plane' / f'disp.{ending}').touch()
    _, scenes = open_dataset(f'middlebury_classic:{root}')
    with pytest.raises(InputError, match=r'Plane: has 2 files disp\.\*; leave one'):
        scenes[0].load()


def test_a_missing_right_image_is_named_when_it_is_read(tmp_path: Path) -> None:
    root = layouts.kitti2015(tmp_path / 'k')
    (root / 'image_3' / '000000_10.png').unlink()
    _, scenes = open_dataset(f'kitti2015:{root}')
    with pytest.raises(InputError, match=r'image_3/000000_10\.png: cannot be read'):
        scenes[0].load_frame()


def test_middlebury_2014_and_2021_have_other_names_and_no_mask(tmp_path: Path) -> None:
    root = layouts.middlebury_v3(tmp_path / 'm')
    for name in ('Alpha', 'Beta'):
        (root / name / 'disp0GT.pfm').rename(root / name / 'disp0.pfm')
        (root / name / 'mask0nocc.png').unlink()
        (root / name / 'ambient').mkdir()
    write_pfm(root / 'Alpha' / 'disp1.pfm', -layouts.truth())
    _, scenes = open_dataset(f'middlebury_v3:{root}')
    frame, truth = scenes[0].load()
    assert truth is not None
    assert truth.region('noc') is None
    np.testing.assert_array_equal(truth.region('all'), layouts.truth())
    np.testing.assert_array_equal(scenes[0].load_right(frame), layouts.truth())
    assert scenes[1].load_right(frame) is None


def test_scenes_without_truth_are_read_where_none_has_one(tmp_path: Path) -> None:
    root = layouts.middlebury_v3(tmp_path / 'm')
    (root / 'Alpha' / 'disp0GT.pfm').unlink()
    alone, beta = open_dataset(f'middlebury_v3:{root}')[1]
    assert alone.broken.endswith('Alpha: no disp0GT.pfm or disp0.pfm, which other scenes have')
    assert beta.load()[1] is not None
    (root / 'Beta' / 'disp0GT.pfm').unlink()
    scenes = open_dataset(f'middlebury_v3:{root}')[1]
    assert [(s.name, s.load()[1]) for s in scenes] == [('Alpha', None), ('Beta', None)]


@pytest.mark.parametrize('name', ['kitti2015', 'kitti2012'])
def test_the_folder_that_holds_the_training_split_will_do(tmp_path: Path, name: str) -> None:
    getattr(layouts, name)(tmp_path / 'training')
    assert len(open_dataset(f'{name}:{tmp_path}')[1]) == 3


def test_grey_images_of_kitti_2012_where_there_is_no_colour(tmp_path: Path) -> None:
    root = layouts.kitti2012(tmp_path / 'k')
    for index in (0, 1):
        (root / f'colored_{index}').rename(root / f'image_{index}')
    scenes = open_dataset(f'kitti2012:{root}')[1]
    assert scenes[0].load()[0].left.shape == (layouts.HEIGHT, layouts.WIDTH, 3)


@pytest.mark.parametrize(
    ('folders', 'baseline_m'), [(('colored_0', 'colored_1'), 0.5), (('image_0', 'image_1'), 0.6)]
)
def test_calibration_of_kitti_2012_is_that_of_the_cameras(
    tmp_path: Path, folders: tuple[str, str], baseline_m: float
) -> None:
    root = layouts.kitti2012(tmp_path / 'k')
    for index, folder in enumerate(folders):
        (root / f'colored_{index}').rename(root / folder)
    (root / 'calib').mkdir()
    # The baselines: 0.6 m between the grey cameras 0 and 1, 0.5 m between the coloured 2 and 3.
    shifts = {0: 0.0, 1: -60.0, 2: 5.0, 3: -45.0}
    rows = [f'P{i}: 100 0 20 {tx} 0 100 10 0 0 0 1 0' for i, tx in shifts.items()]
    (root / 'calib' / '000000.txt').write_text('\n'.join(rows))
    scene = open_dataset(f'kitti2012:{root}')[1][0]
    calibration = scene.load_calibration(scene.load_frame())
    assert calibration is not None
    assert calibration.baseline_m == pytest.approx(baseline_m)


def test_folders_of_which_one_name_begins_the_other_are_scenes(tmp_path: Path) -> None:
    root = layouts.middlebury_v3(tmp_path / 'm')
    names = ['a', 'a2', 'a10', 'a2b']
    for name in names:
        shutil.copytree(root / 'Alpha', root / name)
    for name in ('Alpha', 'Beta'):
        shutil.rmtree(root / name)
    found = [scene.name for scene in open_dataset(f'middlebury_v3:{root}')[1]]
    assert found == ['a', 'a2', 'a2b', 'a10']


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('frames_cleanpass', 'frames_finalpass'),
        ('frames_cleanpass', 'frames_cleanpass_webp'),
        ('frames_cleanpass', 'monkaa__frames_cleanpass'),
        ('disparity', 'flyingthings3d__disparity'),
    ],
)
def test_forms_of_sceneflow(tmp_path: Path, old: str, new: str) -> None:
    root = layouts.flyingthings(tmp_path / 'f')
    (root / old).rename(root / new)
    if new.endswith('webp'):
        for path in (root / new).glob('**/*.png'):
            image = cv2.imread(str(path))
            cv2.imwrite(str(path.with_suffix('.webp')), image, [cv2.IMWRITE_WEBP_QUALITY, 101])
            path.unlink()
    (scene,) = open_dataset(f'flyingthings:{root}')[1]
    frame, truth = scene.load()
    assert truth is not None
    np.testing.assert_array_equal(frame.right, layouts.plane_pair()[1][..., ::-1])
    np.testing.assert_array_equal(truth.disparity_px, layouts.truth())


def test_truth_of_sceneflow_without_its_image_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = layouts.flyingthings(tmp_path / 'f')
    path = root / 'disparity' / 'TRAIN' / 'A' / '0000' / 'left'
    (path / '0007.pfm').write_bytes((path / '0006.pfm').read_bytes())
    assert len(open_dataset(f'flyingthings:{root}')[1]) == 1
    assert '1 truth files are without their image' in caplog.text


@pytest.mark.parametrize(
    ('names', 'scale'),
    [
        (('im0.pgm', 'im1.pgm', 'disp0.pgm'), 8),
        (('scene1.row3.col3.ppm', 'scene1.row3.col4.ppm', 'truedisp.row3.col3.pgm'), 15),
    ],
    ids=['map', 'tsukuba'],
)
def test_the_two_of_2001_with_names_of_their_own(
    tmp_path: Path, names: tuple[str, str, str], scale: int
) -> None:
    """16 times 16 px is beyond 8 bits, hence 15 px for tsukuba."""
    root = layouts.middlebury_2001(tmp_path / 'm', scale=scale)
    for old, new in zip(('im2.ppm', 'im6.ppm', 'disp2.pgm'), names, strict=True):
        (root / 'venus' / old).rename(root / 'venus' / new)
    (scene,) = open_dataset(f'middlebury_2001:{root}')[1]
    truth = scene.load()[1]
    assert truth is not None
    assert np.nanmax(truth.disparity_px) == (16 if scale == 8 else 15)


def test_seven_views_of_2005(tmp_path: Path) -> None:
    root = layouts.middlebury_2005(tmp_path / 'm')
    views = root / 'Art' / 'Illum1' / 'Exp0'
    views.mkdir(parents=True)
    for name in ('view1.png', 'view5.png'):
        (root / 'Art' / name).rename(views / name)
    (scene,) = open_dataset(f'middlebury_2005:{root}')[1]
    assert scene.left == views / 'view1.png'
    assert scene.load()[1] is not None


@pytest.mark.parametrize('name', READERS)
def test_litter_is_passed_over(tmp_path: Path, name: str) -> None:
    """Files of macOS and Windows beside each file of the set, and folders of archives."""
    root = getattr(layouts, name)(tmp_path / name)
    names = [scene.name for scene in open_dataset(f'{name}:{root}')[1]]
    for path in [p for p in root.rglob('*') if p.is_file()]:
        path.with_name(f'._{path.name}').write_bytes(b'\0\5\x16\7')
        path.with_name(f'{path.stem}.json').write_text('{"a": 1}') if path.suffix != '.json' else 0
        path.with_name('Thumbs.db').write_bytes(b'x')
    (root / '__MACOSX').mkdir()
    for path in [p for p in root.iterdir() if p.is_dir()]:
        (path / '.DS_Store').write_bytes(b'x')
    scenes = open_dataset(f'{name}:{root}')[1]
    assert [scene.name for scene in scenes] == names
    for scene in scenes:
        scene.load()


def test_sizes_that_differ_are_named_with_their_files(tmp_path: Path) -> None:
    root = layouts.pairs(tmp_path / 'p')
    write_pfm(root / 'wall_disp.pfm', layouts.truth()[:, :80])
    cv2.imwrite(str(root / 'blank_right.png'), layouts.plane_pair()[1][:40])
    blank, wall = open_dataset(f'pairs:{root}')[1]
    with pytest.raises(
        InputError, match=r'wall_disp\.pfm: the truth is 80x48 but .*wall_left\.png'
    ):
        wall.load()
    with pytest.raises(InputError, match=r'blank_left\.png, .*blank_right\.png: left is 160x48'):
        blank.load()


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    root = layouts.middlebury_v3(tmp_path / 'm')
    cv2.imwrite(str(root / 'Alpha' / 'mask0nocc.png'), np.full((9, 9), 255, np.uint8))
    with pytest.raises(InputError, match=r'Alpha/disp0GT\.pfm: is 160x48 but .* occluded is 9x9'):
        open_dataset(f'middlebury_v3:{root}')[1][0].load()


def test_calibrations_are_read_where_they_are_published(tmp_path: Path) -> None:
    root = layouts.kitti2015(tmp_path / 'k')
    (root / 'calib_cam_to_cam').mkdir()
    rows = [
        f'{key}: {values}\n'
        for index, tx in ((2, 44.85728), (3, -339.5242))
        for key, values in (
            (f'S_rect_0{index}', f'{layouts.WIDTH} {layouts.HEIGHT}'),
            (f'P_rect_0{index}', f'721.5377 0 80 {tx} 0 721.5377 24 0 0 0 1 0.0027'),
        )
    ]
    (root / 'calib_cam_to_cam' / '000000.txt').write_text(''.join(rows))
    scenes = open_dataset(f'kitti2015:{root}')[1]
    frame = scenes[0].load_frame()
    found = scenes[0].load_calibration(frame)
    assert found is not None
    assert found.baseline_m == pytest.approx(0.53272, abs=1e-5)
    assert scenes[1].load_calibration(frame) is None


def test_every_real_scene_agrees_with_its_calibration(data_root: Path) -> None:
    scenes = open_dataset(f'middlebury_v3:{data_root / "middlebury/MiddEval3/trainingQ"}')[1]
    assert all(s.load_calibration(s.load_frame()) is not None for s in scenes)


@pytest.mark.parametrize(
    'content', ['[]', '{"Plane": 0}', '{"Plane": "x"}', '{"Plane": [1]}', '{}']
)
def test_scales_that_are_none_are_one_line(tmp_path: Path, content: str) -> None:
    root = layouts.middlebury_classic(tmp_path / 'c')
    (root / 'scale.json').write_text(content)
    with pytest.raises(InputError, match=r'scale\.json'):
        open_dataset(f'middlebury_classic:{root}')


def test_names_with_brackets(tmp_path: Path) -> None:
    root = layouts.pairs(tmp_path / 'p')
    for path in list(root.iterdir()):
        path.rename(root / path.name.replace('wall', 'wall[1]*'))
    scenes = open_dataset(f'pairs:{root}')[1]
    assert [(s.name, s.load()[1] is None) for s in scenes] == [
        ('blank', True),
        ('wall[1]*', False),
    ]


def test_data_sets_and_scenes_are_named_apart(tmp_path: Path) -> None:
    specs = [f'pairs:{layouts.pairs(tmp_path / n)}' for n in ('a/x', 'b/x', 'y')]
    specs.append(f'kitti2015:{layouts.kitti2015(tmp_path / "k")}')
    titles = [title for title, _ in open_datasets(specs)]
    assert titles == ['pairs-x', 'pairs-x-2', 'pairs-y', 'kitti2015']
    scene = open_dataset(specs[0])[1][0]
    names = [replace(scene, name=name) for name in ('A/0_1', 'A_0/1', 'B/1')]
    assert [s.name for s in named_apart(names)] == ['A/0_1', 'A_0_1-2', 'B/1']
