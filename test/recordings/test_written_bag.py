"""Pairs and outputs written as a bag, and read again."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene_bag import (
    IMAGE,
    INFO,
    STORE,
    Pair,
    header,
    image,
    info,
    planes,
    typesys,
    write_scene_bag,
)
from test_lidar_truth import write as write_lidar_bag

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages.camera_info import camera_infos, stereo_calibration
from dtp_stereo_ros.messages.compressed_images import decompress
from dtp_stereo_ros.messages.pictures import colored_disparity
from dtp_stereo_ros.messages.points import read_points
from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.messages.truth import raw_disparity
from dtp_stereo_ros.recordings.bag_messages import KINDS, BagMessages
from dtp_stereo_ros.recordings.recorded_frames import RecordedCamera, RecordedFrame, Selection
from dtp_stereo_ros.recordings.recording import Recording
from dtp_stereo_ros.recordings.stereo_topics import chosen_topics, stereo_topics
from dtp_stereo_ros.recordings.written_bag import WrittenBag, uninterrupted
from dtp_stereo_ros.recordings.written_results import DECIMATION, ResultWriter
from dtp_stereo_ros.stereo import StereoResult
from dtp_stereo_ros.topics import OUTPUTS

ALL = {f'/{topic}' for topic in OUTPUTS}


def result_of(frame: RecordedFrame) -> StereoResult:
    """A ramp with holes, of its own for each pair."""
    height, width = frame.frame.left.shape[:2]
    ramp = np.linspace(5, 40 + frame.index, height * width, dtype=np.float32)
    ramp = ramp.reshape(height, width)
    ramp[:3] = np.nan
    return StereoResult(ramp, np.clip(ramp / 64, 0, 1), 0.0, 64.0)


def rewrite(
    bag: Path,
    out: Path,
    config: NodeConfig | None = None,
    selection: Selection | None = None,
    **given: str,
) -> dict[str, list[RecordedFrame]]:
    """Write all pairs of all cameras with `result_of`; returns them by camera."""
    config, found = config or NodeConfig(), {}
    with Recording(bag) as recording, WrittenBag(out) as written:
        topics = chosen_topics(recording, '', given, config.rectify)
        for one in topics:
            camera = RecordedCamera(recording, one, config, selection or Selection())
            writer = ResultWriter(written, camera, config, 100.0, len(topics) > 1)
            found[one.name] = list(camera.frames())
            for frame in found[one.name]:
                writer.add(frame, result_of(frame))
            assert writer.pairs == len(found[one.name])
            assert not camera.faults
            assert not recording.broken
    return found


def contents(bag: Path) -> dict[str, list[tuple[int, Any]]]:
    """Topic to the times of recording and messages."""
    found = defaultdict(list)
    with Recording(bag) as recording:
        for topic, recorded_ns, message in recording.messages(recording.types):
            found[topic].append((recorded_ns, message))
        assert not recording.broken
        assert {t: len(m) for t, m in found.items()} == recording.counts
    return dict(found)


def raw(kind: str, messages: list[tuple[int, Any]]) -> list[bytes]:
    return [bytes(STORE.serialize_cdr(message, kind)) for _, message in messages]


@pytest.mark.parametrize('png', [False, True])
def test_inputs_are_as_recorded_and_outputs_those_of_the_result(tmp_path: Path, png: bool) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(4), offset_px=2.0, png=png)
    out = tmp_path / 'new' / 'out.mcap'
    frames = rewrite(bag, out)['cam']
    assert [path.name for path in out.parent.iterdir()] == ['out.mcap']
    before, after = contents(bag), contents(out)
    assert set(after) == set(before) | ALL
    with Recording(bag) as recording:
        for topic, kind in recording.types.items():
            assert raw(kind, after[topic]) == raw(kind, before[topic]), topic
    for topic in ALL:
        assert [t for t, _ in after[topic]] == [frame.frame.stamp_ns for frame in frames]
    for index, frame in enumerate(frames):
        result, calibration = result_of(frame), frame.frame.calibration
        assert calibration is not None
        messages = {topic: after[topic][index][1] for topic in ALL}
        assert {stamp_ns(m) for m in messages.values()} == {frame.frame.stamp_ns}
        assert {m.header.frame_id for m in messages.values()} == {'left_optical'}
        disparity = messages['/disparity']
        known = np.isfinite(result.disparity_px)
        again = raw_disparity(disparity, calibration, '/disparity')
        np.testing.assert_array_equal(np.isfinite(again), known)
        np.testing.assert_allclose(again[known], result.disparity_px[known], atol=1e-5)
        assert (disparity.f, disparity.t) == (200.0, pytest.approx(0.1))
        depth = np.frombuffer(messages['/depth/image'].data, '<f4').reshape(known.shape)
        np.testing.assert_array_equal(depth, calibration.depth_m(result.disparity_px))
        confidence = np.frombuffer(messages['/confidence'].data, '<f4').reshape(known.shape)
        np.testing.assert_array_equal(confidence, result.confidence)
        assert messages['/depth/camera_info'].p[0] == 200.0
        points = read_points(messages['/points2'], '/points2')
        every = slice(None, None, DECIMATION)
        assert len(points) == np.isfinite(depth[every, every]).sum()
        assert points[:, 2].max() == pytest.approx(np.nanmax(depth[every, every]))
        picture = decompress(messages['/disparity/compressed'], '').astype(int)
        assert np.abs(picture - colored_disparity(result, calibration)).mean() < 12


def test_a_part_of_a_bag_is_read_again(tmp_path: Path) -> None:
    """Each third pair, stamped apart, with its truth; the result is a bag like any other."""
    config = NodeConfig(approximate_sync=True)
    bag = write_scene_bag(tmp_path / 'b', planes(27), late_ns=4_000_000, storage='mcap')
    out = tmp_path / 'out.mcap'
    frames = rewrite(bag, out, config, Selection(every=3))['cam']
    assert [frame.index for frame in frames] == list(range(0, 27, 3))
    with Recording(out) as recording:
        (topics,) = chosen_topics(recording, '', {}, False)
        again = list(RecordedCamera(recording, topics, config).frames())
    assert len(again) == 9
    for old, new in zip(frames, again, strict=True):
        assert old.frame.stamp_ns == new.frame.stamp_ns
        assert old.frame.calibration == new.frame.calibration
        np.testing.assert_array_equal(old.frame.left, new.frame.left)
        np.testing.assert_array_equal(old.frame.right, new.frame.right)
        np.testing.assert_array_equal(old.truth_px, new.truth_px)


def test_points_and_their_transforms_are_read_again(tmp_path: Path) -> None:
    bag, out = write_lidar_bag(tmp_path / 'b', True), tmp_path / 'out.mcap'
    frames = rewrite(bag, out, truth='/lidar/points')['cam']
    with Recording(out) as recording:
        (topics,) = chosen_topics(recording, '', {'truth': '/lidar/points'}, False)
        again = list(RecordedCamera(recording, topics, NodeConfig()).frames())
        connections = {c.topic: c for c in recording._reader.connections}
    assert len(again) == len(frames) == 8
    for old, new in zip(frames, again, strict=True):
        assert old.truth_px is not None and np.isfinite(old.truth_px).any()
        np.testing.assert_array_equal(old.truth_px, new.truth_px)
    # A player publishes them for those who come later, too.
    (qos,) = connections['/tf_static'].ext.offered_qos_profiles
    assert (qos.durability.name, qos.reliability.name) == ('TRANSIENT_LOCAL', 'RELIABLE')


def test_without_camera_info_there_are_picture_and_confidence(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(2), leave_out=['left_info', 'right_info'])
    rewrite(bag, tmp_path / 'out.mcap')
    assert set(contents(tmp_path / 'out.mcap')) & ALL == {'/disparity/compressed', '/confidence'}


def test_with_the_right_camera_info_alone_there_is_all_but_the_left_one(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(2), leave_out=['left_info'])
    rewrite(bag, tmp_path / 'out.mcap')
    found = contents(tmp_path / 'out.mcap')
    assert '/cam/right/camera_info' in found and '/cam/left/camera_info' not in found
    assert {'/disparity', '/depth/image', '/points2'} <= set(found)


def test_parameters_of_the_node_count(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(1))
    config = NodeConfig(depth_encoding='16UC1', decimation=8, avoid_point_cloud_padding=True)
    rewrite(bag, tmp_path / 'out.mcap', config)
    found = contents(tmp_path / 'out.mcap')
    assert found['/depth/image'][0][1].encoding == '16UC1'
    cloud = found['/points2'][0][1]
    assert (cloud.height, cloud.width, cloud.point_step) == (12, 25, 16)


def test_outputs_of_several_cameras_have_their_names(tmp_path: Path) -> None:
    pair, bag = planes(1)[0], tmp_path / 'b'
    size = pair.left.shape[:2]
    with pytest.importorskip('rosbags.rosbag2').Writer(bag, version=8) as writer:
        for camera in ('front', 'rear'):
            for side, pixels, tx in (('left', pair.left, 0.0), ('right', pair.right, -20.0)):
                for topic, kind in (('camera_info', INFO), ('image_rect', IMAGE)):
                    name = f'/{camera}/{side}/{topic}'
                    connection = writer.add_connection(name, kind, typestore=STORE)
                    stamp = 10**12
                    message = (
                        info(size, 100.0, tx, stamp)
                        if kind == INFO
                        else image(pixels, 'rgb8', stamp)
                    )
                    writer.write(connection, stamp, STORE.serialize_cdr(message, kind))
    rewrite(bag, tmp_path / 'out.mcap')
    found = set(contents(tmp_path / 'out.mcap'))
    assert {f'/{c}/{topic}' for c in ('front', 'rear') for topic in OUTPUTS} <= found
    assert not found & ALL
    assert {t.name for t in stereo_topics(dict.fromkeys(found, IMAGE))} == {
        'front',
        'rear',
    }


def test_outputs_give_way_to_recorded_topics(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(2), names={'truth': '/disparity'})
    rewrite(bag, tmp_path / 'out.mcap', truth='/disparity')
    found = contents(tmp_path / 'out.mcap')
    assert {f'/dtp_stereo/{topic}' for topic in OUTPUTS} <= set(found)
    assert found['/disparity'][0][1].max_disparity == 1e4


def test_a_latched_calibration_is_written_once(tmp_path: Path) -> None:
    pairs = [Pair(p.left, p.right) for p in planes(3)]
    bag, pair = tmp_path / 'b', pairs[0]
    size = pair.left.shape[:2]
    with pytest.importorskip('rosbags.rosbag2').Writer(bag, version=8) as writer:
        for side, pixels, tx in (('left', pair.left, 0.0), ('right', pair.right, -20.0)):
            infos = writer.add_connection(f'/c/{side}/camera_info', INFO, typestore=STORE)
            images = writer.add_connection(f'/c/{side}/image_rect', IMAGE, typestore=STORE)
            message = info(size, 100.0, tx, 5)
            writer.write(infos, 10**12, STORE.serialize_cdr(message, INFO))
            for index in range(3):
                stamp = 10**12 + (index + 1) * 10**8
                message = image(pixels, 'rgb8', stamp)
                writer.write(images, stamp, STORE.serialize_cdr(message, IMAGE))
    frames = rewrite(bag, tmp_path / 'out.mcap')['c']
    assert len(frames) == 3
    found = contents(tmp_path / 'out.mcap')
    assert [t for t, _ in found['/c/left/camera_info']] == [frames[0].frame.stamp_ns]
    assert stamp_ns(found['/c/left/camera_info'][0][1]) == 5
    assert len(found['/disparity']) == 3
    # So that `ros2 bag play` gives it to whoever comes later.
    with pytest.importorskip('rosbags.rosbag2').Reader(tmp_path / 'out.mcap') as reader:
        profiles = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
    (latched,) = profiles['/c/left/camera_info']
    assert latched.durability.name == 'TRANSIENT_LOCAL'
    assert profiles['/disparity'] == []


def test_a_bag_of_ros1_becomes_one_of_ros2(tmp_path: Path) -> None:
    store = typesys.get_typestore(typesys.Stores.ROS1_NOETIC)
    store.register(
        typesys.get_types_from_msg(
            'geometry_msgs/TransformStamped[] transforms', 'tf2_msgs/msg/TFMessage'
        )
    )
    kinds, pair, bag = store.types, planes(1)[0], tmp_path / 'b.bag'
    height, width = pair.left.shape[:2]

    def head(number: int) -> Any:
        return kinds['std_msgs/msg/Header'](
            number, kinds['builtin_interfaces/msg/Time'](1000, number * 10**8), 'left_optical'
        )

    def roi() -> Any:
        return kinds['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)

    def gray(pixels: np.ndarray, encoding: str, number: int) -> Any:
        data = np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8)
        step = data.size // height
        return kinds[IMAGE](head(number), height, width, encoding, 0, step, data)

    with pytest.importorskip('rosbags.rosbag1').Writer(bag) as writer:
        topics: dict[str, Any] = {}

        def send(topic: str, kind: str, number: int, message: Any) -> None:
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=store)
            data = store.serialize_ros1(message, kind)
            writer.write(topics[topic], 10**12 + number * 10**8, data)

        geometry = 'geometry_msgs/msg/'
        move = kinds[f'{geometry}Transform'](
            kinds[f'{geometry}Vector3'](1.0, 2.0, 3.0),
            kinds[f'{geometry}Quaternion'](0.0, 0.0, 0.0, 1.0),
        )
        stamped = kinds[f'{geometry}TransformStamped'](head(0), 'lidar', move)
        tf = 'tf2_msgs/msg/TFMessage'
        send('/tf_static', tf, 0, kinds[tf]([stamped]))
        for number in range(2):
            for side, pixels, tx in (('left', pair.left, 0.0), ('right', pair.right, -20.0)):
                like = info((height, width), 100.0, tx, 0)
                send(
                    f'/c/{side}/camera_info', INFO, number,
                    kinds[INFO](
                        head(number), height, width, 'plumb_bob', like.d, like.k, like.r, like.p,
                        0, 0, roi(),
                    ),
                )  # fmt: skip
                send(f'/c/{side}/image_rect', IMAGE, number, gray(pixels, 'rgb8', number))
            truth = np.full((height, width), 8, np.float32)
            kind = 'stereo_msgs/msg/DisparityImage'
            send(
                '/c/gt/disparity', kind, number,
                kinds[kind](
                    head(number), gray(truth, '32FC1', number), 200.0, 0.1, roi(), 0.0, 64.0, 0.1
                ),
            )  # fmt: skip
    frames = rewrite(bag, tmp_path / 'out.mcap')['c']
    found = contents(tmp_path / 'out.mcap')
    assert set(found) == {*topics, *ALL}
    assert found['/tf_static'][0][1].transforms[0].transform.translation.z == 3.0
    assert found['/c/gt/disparity'][1][1].t == pytest.approx(0.1)
    with Recording(tmp_path / 'out.mcap') as recording:
        (one,) = chosen_topics(recording, '', {}, False)
        again = list(RecordedCamera(recording, one, NodeConfig()).frames())
    for old, new in zip(frames, again, strict=True):
        assert old.frame.calibration == new.frame.calibration
        np.testing.assert_array_equal(old.frame.left, new.frame.left)
        np.testing.assert_array_equal(old.truth_px, new.truth_px)


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / 'out.mcap'
    out.write_bytes(b'old')
    message = image(np.zeros((4, 4), np.uint8), 'mono8', 5)
    with pytest.raises(RuntimeError), WrittenBag(out) as bag:
        bag.write('/a', IMAGE, 5, message)
        raise RuntimeError
    with WrittenBag(out):
        pass
    assert out.read_bytes() == b'old'
    with WrittenBag(out) as bag:
        bag.write('/a', IMAGE, -5, message)
    assert [path.name for path in tmp_path.iterdir()] == ['out.mcap']
    assert [t for t, _ in contents(out)['/a']] == [0]


def test_ctrl_c_waits_until_a_pair_is_written() -> None:
    done = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append(True)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert done


@pytest.mark.parametrize(
    ('name', 'message'), [('out', 'one .mcap file'), ('folder.mcap', 'is a folder')]
)
def test_other_names_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / 'folder.mcap').mkdir()
    with pytest.raises(InputError, match=message):
        WrittenBag(tmp_path / name)


def test_a_folder_that_takes_no_file_is_named_as_it_was_typed() -> None:
    path = Path('/proc/out.mcap')  # nobody, root neither, makes a file there
    with pytest.raises(InputError, match=f'^{path}: cannot be written .*; choose'):
        WrittenBag(path).__enter__()


def test_empty_messages_have_all_fields() -> None:
    messages = BagMessages()
    for name, kind in KINDS.items():
        empty = getattr(messages.types, name)()
        data = messages.serialised(empty, kind)
        again = messages.store.deserialize_cdr(data, kind)
        assert vars(empty).keys() == {field for field, _ in STORE.fielddefs[kind][1]}
        assert bytes(STORE.serialize_cdr(again, kind)) == bytes(data)


def test_camera_infos_of_the_writer_are_those_that_the_reader_takes() -> None:
    messages, frame = BagMessages(), header(7)
    (old,) = [stereo_calibration(info((4, 8), 4.0, 0.0, 7), info((4, 8), 3.0, -20.0, 7), 8, 4)]
    pair = camera_infos(messages.types, old, frame, frame)
    made = [messages.store.deserialize_cdr(messages.serialised(one, INFO), INFO) for one in pair]
    assert stereo_calibration(made[0], made[1], 8, 4) == old
