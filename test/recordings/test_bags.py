"""Bags of our own making, ROS 2, with disparity, with depth and with neither."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from robot_bag import (
    FOCAL_BASELINE,
    HEIGHT,
    SHIFT,
    WIDTH,
    write_bag,
    write_compressed_ros1_bag,
    write_stamped_bag,
)
from scene_bag import write_two_cameras

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.training.data.readers import open_pairs


@pytest.mark.parametrize('truth', ['', ',truth=/cam/disparity', ',truth=/cam/depth'])
def test_pairs_of_a_bag(tmp_path, truth):
    spec = write_bag(tmp_path / 'robot', truth)
    scenes = open_pairs(spec, tmp_path / 'cache')
    assert len(scenes) == 4
    for scene in scenes:
        frame = scene.load_frame()
        assert np.array_equal(frame.left[:, SHIFT:], frame.right[:, :-SHIFT])
        if truth:
            found = scene.load_truth().disparity_px
            np.testing.assert_allclose(found[1:], SHIFT, rtol=1e-6)
            assert np.isnan(found[0]).all()
        else:
            assert scene.load_truth is None


@pytest.mark.parametrize('limits', [(0.0, 0.0), (5.0, 5.0), (1.0, -1.0), (float('nan'),) * 2])
def test_limits_that_are_empty_are_no_limits(tmp_path, limits):
    spec = write_bag(tmp_path / 'robot', ',truth=/cam/disparity', limits=limits)
    for scene in open_pairs(spec, tmp_path / 'cache'):
        np.testing.assert_allclose(scene.load()[1].disparity_px[1:], SHIFT, rtol=1e-6)


def test_a_truth_of_which_nothing_is_known_is_refused(tmp_path):
    spec = write_bag(tmp_path / 'robot', ',truth=/cam/disparity', limits=(20.0, 30.0))
    with pytest.raises(InputError, match=r'robot: /cam/disparity has no known pixel in 4 pairs'):
        open_pairs(spec, tmp_path / 'cache')


@pytest.mark.parametrize('left_tx', [0.0, 22.0, -FOCAL_BASELINE, FOCAL_BASELINE / 2])
def test_depth_by_the_tx_of_both_cameras(tmp_path, left_tx):
    spec = write_bag(tmp_path / 'my,robot', ',truth=/cam/depth', left_tx)
    for scene in open_pairs(spec, tmp_path / 'cache'):
        np.testing.assert_allclose(scene.load()[1].disparity_px[1:], SHIFT, rtol=1e-6)


def test_depth_by_cameras_that_are_no_pair_is_refused(tmp_path):
    spec = write_bag(tmp_path / 'robot', ',truth=/cam/depth', 1000 * FOCAL_BASELINE)
    open_pairs(spec, tmp_path / 'cache')  # its difference is what counts
    spec = write_bag(tmp_path / 'far', ',truth=/cam/depth,info=/cam/left/camera_info', 9.0)
    with pytest.raises(InputError, match=r'far: .*left camera_info: Tx .* no baseline'):
        open_pairs(spec, tmp_path / 'cache')


def test_compressed_pairs_of_a_ros1_bag(tmp_path):
    spec = write_compressed_ros1_bag(tmp_path / 'old.bag')
    scenes = open_pairs(
        f'{spec},left=/cam/left/image_rect_color/compressed,'
        'right=/cam/right/image_rect_color/compressed',
        tmp_path / 'cache',
    )
    assert len(scenes) == 3
    for scene in scenes:
        frame = scene.load_frame()
        assert frame.left.shape == (HEIGHT, WIDTH, 3)
        assert np.array_equal(frame.left[:, SHIFT:], frame.right[:, :-SHIFT])


def test_a_bag_is_unpacked_once(tmp_path):
    spec = write_bag(tmp_path / 'robot')
    first = open_pairs(spec, tmp_path / 'cache')
    before = first[0].left.stat().st_mtime_ns
    assert open_pairs(spec, tmp_path / 'cache')[0].left.stat().st_mtime_ns == before
    assert len(list((tmp_path / 'cache').iterdir())) == 1


def test_another_run_may_unpack_the_same_bag_meanwhile(tmp_path, monkeypatch):
    spec = write_bag(tmp_path / 'robot')
    replace = Path.replace

    def second(self, target):
        if Path(target).parent == tmp_path / 'cache':
            shutil.copytree(self, target)
        return replace(self, target)

    monkeypatch.setattr(Path, 'replace', second)
    assert len(open_pairs(spec, tmp_path / 'cache')) > 0
    assert len(list((tmp_path / 'cache').iterdir())) == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (',left=/nothing', r'no topic /nothing; it has /cam/depth, '),
        (',right=/cam/depth,truth=/cam/depth,info=/x', 'no topic /x'),
        (',top=/x', "bag option 'top=/x'"),
        (',right=/cam/disparity', '/cam/disparity is stereo_msgs/msg/DisparityImage, right takes'),
        (',truth=/cam/depth,info=/cam/disparity,left=/cam/depth,right=', 'bag option'),
    ],
)
def test_wrong_topics_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        open_pairs(write_bag(tmp_path / 'robot', options), tmp_path / 'cache')
    assert not list((tmp_path / 'cache').glob('*'))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ('', r"2 cameras \('front', 'rear'\); choose one by camera=NAME$"),
        (',camera=top', r"no camera 'top'; choose camera=NAME from 'front', 'rear'$"),
        (',truth=/front/left/image_rect', '2 cameras; choose one by camera=NAME$'),
        (',left=/front/left/image_rect', 'name both: left=TOPIC and right=TOPIC$'),
    ],
)
def test_errors_of_several_cameras_name_what_a_source_takes(tmp_path, options, message):
    bag = write_two_cameras(tmp_path / 'b', 0)
    with pytest.raises(InputError, match=message):
        open_pairs(f'bag:{bag}{options}', tmp_path / 'cache')


def test_a_real_bag(data_root, tmp_path):
    bag = data_root / 'euroc' / 'euroc_rect'
    if not bag.exists():
        pytest.skip(f'no bag at {bag}')
    scenes = open_pairs(f'bag:{bag}', tmp_path)
    assert len(scenes) == 95
    frame = scenes[40].load_frame()
    assert frame.left.shape == (480, 752, 3)
    assert not np.array_equal(frame.left, frame.right)


@pytest.mark.parametrize(
    ('left_ns', 'right_ns', 'message'),
    [
        (lambda t: 0, lambda t: 0, 'left/image_rect: its images have no stamp'),
        (lambda t: 10**12, lambda t: t, 'left/image_rect: its images all have one stamp'),
        (lambda t: t // 10**9 * 10**9, lambda t: t, 'its stamps are whole seconds'),
        (lambda t: t, lambda t: t + 10**18, 'the clocks of the cameras differ'),
    ],
)
def test_stamps_that_pair_nothing_are_named(tmp_path, left_ns, right_ns, message):
    spec = write_stamped_bag(tmp_path / 'robot', left_ns, right_ns)
    with pytest.raises(InputError, match=message):
        open_pairs(spec, tmp_path / 'cache')
    assert not list((tmp_path / 'cache').glob('*'))


def test_two_loops_of_a_camera_are_good(tmp_path):
    again = 10**12 + 15 * 50_000_000
    spec = write_stamped_bag(tmp_path / 'robot', *[lambda t: t - (t >= again) * 10 * 10**9] * 2)
    assert len(open_pairs(spec, tmp_path / 'cache')) == 60


def test_a_file_of_a_folder_that_is_recorded_anew_is_unpacked_anew(tmp_path):
    folder = tmp_path / 'robot'
    spec = write_bag(folder)
    assert len(open_pairs(spec, tmp_path / 'cache')) == 4
    other = tmp_path / 'other'
    write_stamped_bag(other, lambda ns: ns, lambda ns: ns, count=9)
    (kept,) = folder.glob('*.db3')
    (new,) = other.glob('*.db3')
    before = folder.stat().st_mtime_ns
    for target, source in ((kept, new), (folder / 'metadata.yaml', other / 'metadata.yaml')):
        text = source.read_bytes().replace(new.name.encode(), kept.name.encode())
        target.write_bytes(source.read_bytes() if target == kept else text)
    assert folder.stat().st_mtime_ns == before
    assert len(open_pairs(spec, tmp_path / 'cache')) == 9
