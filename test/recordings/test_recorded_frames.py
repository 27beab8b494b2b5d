"""Cameras of bags, their pairs and the findings on them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from scene_bag import Pair, planes, write_scene_bag

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.recordings.recorded_frames import RecordedCamera, RecordedFrame, Selection
from dtp_stereo_ros.recordings.recorded_pairs import ArrivalLog
from dtp_stereo_ros.recordings.recording import Recording
from dtp_stereo_ros.recordings.stereo_topics import StereoTopics, chosen_topics, stereo_topics

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
INFO, DISPARITY = 'sensor_msgs/msg/CameraInfo', 'stereo_msgs/msg/DisparityImage'


def read(
    bag: Path, config: NodeConfig | None = None, selection: Selection | None = None
) -> tuple[list[RecordedFrame], RecordedCamera]:
    config = config or NodeConfig()
    with Recording(bag) as recording:
        topics = chosen_topics(recording, '', {}, config.rectify)
        camera = RecordedCamera(recording, topics[0], config, selection or Selection())
        return list(camera.frames()), camera


def test_cameras_are_found_by_what_belongs_together() -> None:
    types = {
        '/front/left/image_rect': IMAGE,
        '/front/left/image_raw': IMAGE,
        '/front/left/image_rect/compressed': COMPRESSED,
        '/front/left/camera_info': INFO,
        '/front/right/image_rect': IMAGE,
        '/front/right/image_raw': IMAGE,
        '/front/right/image_rect/compressed': COMPRESSED,
        '/front/right/camera_info': INFO,
        '/front/disparity': DISPARITY,
        '/front/gt/disparity': DISPARITY,
        '/d435/infra1/image_rect_raw': IMAGE,
        '/d435/infra2/image_rect_raw': IMAGE,
        '/cam0/image_raw': IMAGE,
        '/cam1/image_raw': IMAGE,
        '/leftover/image': IMAGE,
        '/alone/left/image_rect': IMAGE,
    }
    found = {camera.name: camera for camera in stereo_topics(types)}
    assert list(found) == ['', 'd435', 'front']
    assert found['front'].by_part == {
        'left': '/front/left/image_rect',
        'right': '/front/right/image_rect',
        'left_info': '/front/left/camera_info',
        'right_info': '/front/right/camera_info',
    }
    # What the robot estimated is no truth.
    assert found['front'].truth == '/front/gt/disparity'
    assert found[''].left == '/cam0/image_raw'
    assert found['d435'].left_info == ''
    raw = {camera.name: camera.left for camera in stereo_topics(types, raw_first=True)}
    assert raw['front'] == '/front/left/image_raw'


@pytest.mark.parametrize(
    ('topics', 'found'),
    [
        # A side that names a rig as well, or stands twice.
        (
            '/left_arm/left/image /left_arm/right/image /right_arm/left/image '
            '/right_arm/right/image',
            {'left_arm': '/left_arm/left/image', 'right_arm': '/right_arm/left/image'},
        ),
        (
            '/camera_left/left/image /camera_right/right/image',
            {'camera': '/camera_left/left/image'},
        ),
        # Two cameras of one kind, as two RealSense.
        (
            '/camera_left/infra1/image_rect_raw /camera_left/infra2/image_rect_raw '
            '/camera_right/infra1/image_rect_raw /camera_right/infra2/image_rect_raw',
            {
                'camera_left': '/camera_left/infra1/image_rect_raw',
                'camera_right': '/camera_right/infra1/image_rect_raw',
            },
        ),
        ('/left/cam1/image /right/cam1/image', {'': '/left/cam1/image'}),
        # What is no view, though its name is shorter.
        (
            '/s/left/mask /s/right/mask /s/left/image_raw /s/right/image_raw',
            {'s': '/s/left/image_raw'},
        ),
        (
            '/s/left/depth_rect /s/right/depth_rect /s/left/image /s/right/image',
            {'s': '/s/left/image'},
        ),
        (
            '/s/left/foo /s/right/foo /s/left/image_raw /s/right/image_raw',
            {'s': '/s/left/image_raw'},
        ),
        # Names in which 'rect' is a part of another word.
        (
            '/direct/left/image_raw /direct/right/image_raw /direct/left/rectified/image '
            '/direct/right/rectified/image',
            {'direct': '/direct/left/rectified/image'},
        ),
        (
            '/s/left/image_unrect /s/right/image_unrect /s/left/image_rect_color '
            '/s/right/image_rect_color',
            {'s': '/s/left/image_rect_color'},
        ),
        # Rigs that are named behind the side.
        (
            '/left_front/image /right_front/image /left_rear/image /right_rear/image',
            {'front': '/left_front/image', 'rear': '/left_rear/image'},
        ),
        (
            '/robot/left_front/image /robot/right_front/image /robot/left/image '
            '/robot/right/image',
            {'robot': '/robot/left/image'},
        ),
        (
            '/robot/left_front/image /robot/right_front/image /robot/left_rear/image '
            '/robot/right_rear/image /robot/front/left/image /robot/front/right/image',
            {
                'robot/left_front': '/robot/left_front/image',
                'robot/rear': '/robot/left_rear/image',
                'robot/front': '/robot/front/left/image',
            },
        ),
        # Other sizes and kinds of the images of one camera.
        (
            '/s/left_small/image_rect /s/right_small/image_rect /s/left/image_rect '
            '/s/right/image_rect',
            {'s': '/s/left/image_rect'},
        ),
        (
            '/s/left_view/rect /s/right_view/rect /s/left_depth/image /s/right_depth/image',
            {'s': '/s/left_view/rect'},
        ),
        ('/left_front/image /right_front/image', {'': '/left_front/image'}),
        # Kinds of image of one camera, as of ZED.
        (
            '/zed/left_raw/image_raw_color /zed/right_raw/image_raw_color '
            '/zed/left/image_rect_color /zed/right/image_rect_color '
            '/zed/left_gray/image_rect_gray /zed/right_gray/image_rect_gray',
            {'zed': '/zed/left/image_rect_color'},
        ),
        ('/s/left_image /s/right_image', {'s': '/s/left_image'}),
    ],
)
@pytest.mark.parametrize('turned', [False, True])
def test_views_of_one_rig_belong_together(
    topics: str, found: dict[str, str], turned: bool
) -> None:
    types = dict.fromkeys(topics.split()[:: -1 if turned else 1], IMAGE)
    cameras = stereo_topics(types)
    assert {camera.name: camera.left for camera in cameras} == found
    for camera in cameras:
        word, other = ('infra1', 'infra2') if 'infra1' in camera.left else ('left', 'right')
        before, _, after = camera.left.rpartition(word)
        alone, all_of_them = f'{before}{other}{after}', camera.left.replace(word, other)
        assert camera.right == (alone if alone in types else all_of_them)


def test_the_truth_of_a_rig_lies_beside_its_images() -> None:
    rigs = [f'/s/{side}_{rig}/image' for rig in ('front', 'rear') for side in ('left', 'right')]
    types = {**dict.fromkeys(rigs, IMAGE), '/s/left_rear/gt/disparity': DISPARITY}
    found = {camera.name: camera.truth for camera in stereo_topics(types)}
    assert found == {'s/front': '', 's/rear': '/s/left_rear/gt/disparity'}
    # Names without a folder are beside everything.
    types = dict.fromkeys(['/left', '/right', '/a/left/image', '/a/right/image'], IMAGE)
    found = {c.name: c.truth for c in stereo_topics({**types, '/a/gt/disparity': DISPARITY})}
    assert found == {'': '', 'a': '/a/gt/disparity'}


def test_views_that_do_not_belong_together_have_no_truth_by_itself() -> None:
    types = dict.fromkeys(['/f/left/image', '/f/right/image', '/r/a/image', '/r/b/image'], IMAGE)
    types['/gt/disparity'] = DISPARITY
    counts = dict.fromkeys(types, 1)
    recording = cast(Recording, SimpleNamespace(path='bag', types=types, counts=counts))
    given = {'left': '/r/a/image', 'right': '/r/b/image'}
    for more, truth in (({}, ''), ({'truth': '/gt/disparity'}, '/gt/disparity')):
        (found,) = chosen_topics(recording, '', {**given, **more}, False)
        assert found.truth == truth


def test_named_views_have_the_truth_of_their_camera() -> None:
    types = {
        '/a/left/image': IMAGE,
        '/a/right/image': IMAGE,
        '/b/left/image': IMAGE,
        '/b/right/image': IMAGE,
        '/b/gt/disparity': DISPARITY,
    }
    counts = dict.fromkeys(types, 1)
    recording = cast(Recording, SimpleNamespace(path='bag', types=types, counts=counts))

    def named(rig: str, camera: str = '') -> StereoTopics:
        given = {side: f'/{rig}/{side}/image' for side in ('left', 'right')}
        (found,) = chosen_topics(recording, camera, given, False)
        return found

    assert [(named(rig).name, named(rig).truth) for rig in 'ab'] == [
        ('a', ''),
        ('b', '/b/gt/disparity'),
    ]
    with pytest.raises(InputError, match='bag: a camera and a view are named; leave --camera a'):
        named('a', 'a')


def test_topics_without_a_message_are_not_taken() -> None:
    types = {
        '/cam/left/image_rect': IMAGE,
        '/cam/right/image_rect': IMAGE,
        '/cam/left/image_rect/compressed': COMPRESSED,
        '/cam/right/image_rect/compressed': COMPRESSED,
        '/cam/left/camera_info': INFO,
        '/cam/right/camera_info': INFO,
        '/cam/gt/disparity': DISPARITY,
        '/cam/gt/depth': IMAGE,
    }

    def chosen(empty: list[str], given: dict[str, str] | None = None) -> StereoTopics:
        counts = {topic: int(topic not in empty) for topic in types}
        recording = SimpleNamespace(path='b', types=types, counts=counts)
        (found,) = chosen_topics(cast(Recording, recording), '', given or {}, False)
        return found

    assert chosen([]).left == '/cam/left/image_rect'
    for side in ('left', 'right'):
        assert chosen([f'/cam/{side}/image_rect']).right == '/cam/right/image_rect/compressed'
    assert chosen(['/cam/gt/disparity']).truth == '/cam/gt/depth'
    assert chosen(['/cam/left/camera_info']).left_info == ''
    named = {'truth': '/cam/gt/depth'}
    with pytest.raises(InputError, match='b: /cam/gt/depth has no message; record it'):
        chosen(['/cam/gt/depth'], named)
    assert chosen([], named).truth == '/cam/gt/depth'
    with pytest.raises(InputError, match='none; without a message: /cam/gt/depth, /cam/gt/disp'):
        chosen(list(types))


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
@pytest.mark.parametrize('png', [False, True])
def test_frames_and_truth_are_those_that_were_recorded(
    tmp_path: Path, storage: str, png: bool
) -> None:
    pairs = planes()
    frames, camera = read(
        write_scene_bag(tmp_path / 'b', pairs, offset_px=3.0, storage=storage, png=png)
    )
    assert [f.index for f in frames] == list(range(6))
    for frame, pair in zip(frames, pairs, strict=True):
        assert np.array_equal(frame.frame.left, pair.left)
        assert np.array_equal(frame.frame.right, pair.right)
        assert frame.truth_px is not None
        np.testing.assert_allclose(frame.truth_px, 8.0, atol=1e-5)
    calibration = camera.calibration
    assert calibration is not None
    assert (calibration.fx_px, calibration.disparity_offset_px) == (200.0, 3.0)
    assert {f.level for f in camera.findings()} == {'ok'}


@pytest.mark.parametrize('late_ms', [0, 450, 990])
def test_a_truth_may_be_recorded_later(tmp_path: Path, late_ms: int) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(25), truth_late_ns=late_ms * 1_000_000)
    frames, camera = read(bag)
    assert [f.index for f in frames] == list(range(25))
    assert all(f.truth_px is not None for f in frames)
    assert {f.level for f in camera.findings()} == {'ok'}


@pytest.mark.parametrize(
    ('offset_ns', 'late_ns', 'every', 'text', 'level'),
    [
        (100 * 10**9, 0, 1, '25 truths, 25 of 25 pairs without one, the nearest 97.6 s', 'warn'),
        (-(10**11), 0, 1, '25 truths, 25 of 25 pairs without one, the nearest 9', 'warn'),
        (60_000_000, 0, 1, '25 truths, 1 of 25 pairs without one, the nearest 0.06 s', 'ok'),
        (0, 2 * 10**9, 1, 'pairs without one', 'warn'),
        (0, 0, 5, '5 truths, 20 of 25 pairs without one, the nearest 0.1 s', 'ok'),
    ],
)
def test_pairs_without_a_truth_are_told(
    tmp_path: Path, offset_ns: int, late_ns: int, every: int, text: str, level: str
) -> None:
    bag = write_scene_bag(
        tmp_path / 'b', planes(25), truth_offset_ns=offset_ns, truth_late_ns=late_ns,
        truth_every=every,
    )  # fmt: skip
    frames, camera = read(bag)
    assert [f.index for f in frames] == list(range(25))
    (finding,) = [f for f in camera.findings() if f.subject == 'truth']
    assert finding.level == level
    assert text in finding.text


def test_one_file_of_a_bag_is_enough(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(), storage='mcap')
    frames, _ = read(next(bag.glob('*.mcap')))
    assert len(frames) == 6


def test_a_part_of_a_bag_keeps_its_latched_calibration(tmp_path: Path) -> None:
    frames, camera = read(
        write_scene_bag(tmp_path / 'b', planes(20)),
        selection=Selection(every=3, start_s=0.95, duration_s=0.6),
    )
    assert [f.index for f in frames] == [0, 3]
    assert frames[0].frame.stamp_ns == 10**12 + 10 * 100_000_000
    assert camera.pairs == 6
    assert camera.expected() == 2


def test_unequal_stamps_pair_as_in_the_node(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(30), late_ns=4_000_000)
    frames, camera = read(bag)
    assert not frames
    finding = camera.findings()[0]
    assert finding.level == 'error'
    assert 'about 4 ms away' in finding.text
    assert finding.mend.startswith('--approximate-sync')
    frames, camera = read(bag, NodeConfig(approximate_sync=True, queue_size=10))
    assert len(frames) == 30
    assert all(f.truth_px is not None for f in frames)
    assert camera.findings()[0].level == 'ok'


def move_right(bag: Path, ns: str) -> None:
    """Record the right images at another time; `ns` is an expression of `timestamp`."""
    with sqlite3.connect(next(bag.glob('*.db3'))) as base:
        base.execute(
            f'UPDATE messages SET timestamp = {ns} WHERE topic_id = '
            "(SELECT id FROM topics WHERE name = '/cam/right/image_rect')"
        )


def test_a_side_that_was_recorded_late_is_named(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(30))
    move_right(bag, 'timestamp + 850000000')
    frames, camera = read(bag)
    assert len(frames) < 10
    (finding,) = [f for f in camera.findings() if f.subject == 'stamps']
    assert finding.level in ('warn', 'error')
    assert f'{len(frames)} pairs of 30 left images, all of which have a right one' in finding.text
    assert '/cam/right/image_rect was recorded 8 frames after' in finding.text
    assert finding.mend == 'queue_size: 16 in --params'
    frames, camera = read(bag, NodeConfig(queue_size=16))
    assert len(frames) == 30
    assert {f.level for f in camera.findings() if f.subject == 'stamps'} == {'ok'}


def test_images_that_were_recorded_in_another_order_are_named(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(30))
    move_right(bag, f'{2 * 10**12 + 29 * 10**8} - timestamp')
    frames, camera = read(bag)
    (finding,) = [f for f in camera.findings() if f.subject == 'stamps']
    assert finding.level in ('warn', 'error')
    assert finding.text.startswith(f'{len(frames)} pairs of 30 left images')
    assert finding.text.endswith(
        ': /cam/right/image_rect was recorded in another order than its stamps'
    )
    assert finding.mend == 'record the images in the order of their stamps'


def test_one_topic_for_both_sides_is_refused(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes())
    given = {'left': '/cam/left/image_rect', 'right': '/cam/left/image_rect'}
    with Recording(bag) as recording, pytest.raises(InputError, match='are one topic, /cam/left/'):
        chosen_topics(recording, '', given, False)


def test_faults_that_differ_in_numbers_alone_are_told_once(tmp_path: Path) -> None:
    pairs = [pair for shift_px in range(2, 8) for pair in planes(1, shift_px)]
    bag = write_scene_bag(tmp_path / 'b', pairs, png=True)
    with sqlite3.connect(next(bag.glob('*.db3'))) as base:
        images = base.execute(
            'SELECT id, data FROM messages WHERE topic_id = '
            "(SELECT id FROM topics WHERE name = '/cam/left/image_rect/compressed')"
        ).fetchall()
        assert len({len(data) for _, data in images}) > 1
        for row, data in images:
            damaged = data.replace(b'IDAT', b'xxxx')
            base.execute('UPDATE messages SET data = ? WHERE id = ?', (damaged, row))
    frames, camera = read(bag)
    assert not frames
    (lost,) = [f.text for f in camera.findings() if f.subject == 'frames']
    assert lost.startswith('6 pairs could not be used: /cam/left/image_rect/compressed: ')


def test_without_camera_info_there_is_disparity(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(), leave_out=['left_info', 'right_info'])
    frames, camera = read(bag)
    assert len(frames) == 6
    assert frames[0].frame.calibration is None
    finding = camera.findings()[0]
    assert (finding.level, finding.subject) == ('warn', 'camera_info')


def test_the_right_camera_info_alone_describes_rectified_pairs(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(), leave_out=['left_info'])
    frames, camera = read(bag)
    calibration = frames[0].frame.calibration
    assert calibration is not None and calibration.baseline_m == pytest.approx(0.1)
    (finding,) = [f for f in camera.findings() if f.subject == 'camera_info']
    assert finding.text.endswith('left/image_rect: taken to be that of the right camera')


def test_raw_pairs_need_both_camera_infos(tmp_path: Path) -> None:
    names = {side: f'/cam/{side}/image_raw' for side in ('left', 'right')}
    bag = write_scene_bag(tmp_path / 'b', planes(), leave_out=['left_info'], names=names)
    frames, camera = read(bag, NodeConfig(rectify=True))
    assert frames == []
    assert 'no camera_info, so nothing can be rectified' in '; '.join(camera.faults)


def test_sizes_that_differ_are_named(tmp_path: Path) -> None:
    pair = planes(1)[0]
    bag = write_scene_bag(tmp_path / 'b', [Pair(pair.left, pair.right[:, :160])] * 6)
    frames, camera = read(bag)
    assert not frames
    line = camera.findings()[0].line
    assert (
        '/cam/left/image_rect, /cam/right/image_rect: left is 200x96 but right is 160x96' in line
    )


def test_exchanged_views_are_named(tmp_path: Path) -> None:
    names = {'left': '/cam/right/image_rect', 'right': '/cam/left/image_rect'}
    bag = write_scene_bag(tmp_path / 'b', planes(6, 24, (240, 400)), names=names)
    _, camera = read(bag)
    finding = camera.findings()[0]
    assert 'are exchanged' in finding.text
    assert '--left /cam/right/image_rect --right /cam/left/image_rect' in finding.mend


def test_missing_frames_are_named(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(40))
    with sqlite3.connect(next(bag.glob('*.db3'))) as base:
        (topic,) = base.execute(
            "SELECT id FROM topics WHERE name = '/cam/right/image_rect'"
        ).fetchone()
        base.execute(
            'DELETE FROM messages WHERE topic_id = ? AND timestamp / 100000000 % 4 = 0', (topic,)
        )
    frames, camera = read(bag)
    assert len(frames) == 30
    lost = next(f for f in camera.findings() if f.subject == 'lost frames')
    assert '/cam/right/image_rect' in lost.text
    assert 'about 23 % of the frames are missing' in lost.text


def test_a_bag_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(20))
    with sqlite3.connect(next(bag.glob('*.db3'))) as base:
        base.execute("UPDATE messages SET data = x'00' WHERE timestamp > 1001000000000")
    frames, camera = read(bag)
    assert len(frames) == 11
    assert camera.findings()[0].subject == 'bag'


@pytest.mark.parametrize('count', [8, 40])
def test_damaged_bags_are_named(tmp_path: Path, count: int) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(), storage='mcap')
    (file,) = bag.glob('*.mcap')
    file.write_bytes(file.read_bytes()[:count])
    with pytest.raises(InputError, match=r'cannot be read \(.*\); mend it by: ros2 bag reindex'):
        read(bag)


def test_what_can_be_read_of_a_damaged_bag_is_judged(tmp_path: Path) -> None:
    """Without metadata.yaml and without the index at the end, as a power cut leaves it."""
    pytest.importorskip('mcap')
    bag = write_scene_bag(tmp_path / 'b', planes(), storage='mcap')
    whole, _ = read(bag)
    (file,) = bag.glob('*.mcap')
    file.write_bytes(file.read_bytes()[:-3000])
    frames, camera = read(bag)
    assert [f.index for f in frames] == [f.index for f in whole]
    assert 'ends early' in camera.findings()[0].text
    (bag / 'metadata.yaml').unlink()
    assert len(read(bag)[0]) == len(whole)


def test_arrivals_are_a_sequence() -> None:
    log = ArrivalLog()
    wanted = [(10**18 + i, -i) for i in range(7)]
    for arrival in wanted:
        log.append(arrival)
    assert list(log) == wanted
    assert log[2:5] == wanted[2:5]
    assert (log[-1], len(log)) == (wanted[-1], 7)
