"""LiDAR points as truth: projected by /tf_static, hidden points dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scene_bag import FRAME, STORE, header, image, info, kind, planes, rosbag2

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.recordings.recorded_frames import RecordedCamera
from dtp_stereo_ros.recordings.recording import Recording
from dtp_stereo_ros.recordings.sparse_truth import sparse_disparity
from dtp_stereo_ros.recordings.stereo_topics import chosen_topics
from dtp_stereo_ros.stereo import StereoCalibration

CLOUD = 'sensor_msgs/msg/PointCloud2'


def test_nearest_points_count_and_hidden_ones_are_dropped() -> None:
    calibration = StereoCalibration(100.0, 100.0, 20.0, 20.0, 10.0, 0.5, 40, 20)
    points = np.array(
        [
            [0, 0, 5.0],  # pixel 20, 10
            [0, 0, 10.0],  # behind it, the same pixel
            [0.2, 0, 10.0],  # 2 px beside it: hidden
            [1.5, 0, 10.0],  # 15 px beside it
            [0, 0, -5.0],  # behind the camera
            [9.0, 0, 5.0],  # outside
        ]
    )
    found = sparse_disparity(points, calibration)
    assert np.isfinite(found).sum() == 2
    assert found[10, 20] == pytest.approx(50 / 5)
    assert found[10, 35] == pytest.approx(50 / 10)


@pytest.mark.parametrize('offset_px', [0.0, 150.0, -60.0])
def test_what_is_hidden_does_not_depend_on_the_principal_points(offset_px: float) -> None:
    """A board at 4 m (30 px) before a wall at 8 m (15 px)."""
    calibration = StereoCalibration(240.0, 240.0, 40.0, 40.0 - offset_px, 20.0, 0.5, 80, 40)
    points = np.array([[0, 0, 4.0], [0.1, 0, 8.0]])  # 3 px beside it
    found = sparse_disparity(points, calibration)
    assert np.argwhere(np.isfinite(found)).tolist() == [[20, 40]]
    assert found[20, 40] == pytest.approx(30 + offset_px)


def write(path: Path, with_tf: bool) -> Path:
    """A wall at 2.5 m (8 px), seen by a LiDAR 1 m behind the camera that looks along its x."""
    types = {
        '/cam/left/image_rect': 'sensor_msgs/msg/Image',
        '/cam/right/image_rect': 'sensor_msgs/msg/Image',
        '/cam/left/camera_info': 'sensor_msgs/msg/CameraInfo',
        '/cam/right/camera_info': 'sensor_msgs/msg/CameraInfo',
        '/lidar/points': CLOUD,
        '/tf_static': 'tf2_msgs/msg/TFMessage',
    }
    across, up = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-0.4, 0.4, 9))
    points = np.stack([np.full(across.size, 3.5), across.ravel(), up.ravel()], axis=1)
    pair = planes(1)[0]
    size = pair.left.shape[:2]
    with rosbag2.Writer(path, version=9) as writer:
        topics = {t: writer.add_connection(t, k, typestore=STORE) for t, k in types.items()}

        def send(topic, message, stamp):
            raw = STORE.serialize_cdr(message, types[topic])
            writer.write(topics[topic], stamp, raw)

        if with_tf:
            # Optical x is -y of the LiDAR, y is -z, z is x.
            rotation = kind('geometry_msgs/msg/Quaternion')(-0.5, 0.5, -0.5, 0.5)
            place = kind('geometry_msgs/msg/Vector3')(1.0, 0.0, 0.0)
            move = kind('geometry_msgs/msg/Transform')(place, rotation)
            stamped = kind('geometry_msgs/msg/TransformStamped')(header(0, 'lidar'), FRAME, move)
            send('/tf_static', kind('tf2_msgs/msg/TFMessage')([stamped]), 10**12)
        for index in range(8):
            stamp = 10**12 + index * 100_000_000
            send('/cam/left/camera_info', info(size, 100.0, 0.0, stamp), stamp)
            send('/cam/right/camera_info', info(size, 100.0, -20.0, stamp), stamp)
            send('/cam/left/image_rect', image(pair.left, 'rgb8', stamp), stamp)
            send('/cam/right/image_rect', image(pair.right, 'rgb8', stamp), stamp)
            fields = [
                kind('sensor_msgs/msg/PointField')(name, 4 * i, 7, 1)
                for i, name in enumerate('xyz')
            ]
            data = np.frombuffer(points.astype('<f4').tobytes(), np.uint8)
            cloud = kind(CLOUD)(
                header(stamp + 10_000_000, 'lidar'), 1, len(points), fields, False, 12,
                12 * len(points), data, True,
            )  # fmt: skip
            send('/lidar/points', cloud, stamp + 10_000_000)
    return path


def test_points_of_a_bag(tmp_path: Path) -> None:
    with Recording(write(tmp_path / 'b', with_tf=True)) as recording:
        given = {'truth': '/lidar/points'}
        (topics,) = chosen_topics(recording, '', given, raw_first=False)
        camera = RecordedCamera(recording, topics, NodeConfig())
        frames = list(camera.frames())
    assert len(frames) == 8
    for frame in frames:
        truth_px = frame.truth_px
        assert truth_px is not None
        known = np.isfinite(truth_px)
        assert known.sum() == 41 * 9
        np.testing.assert_allclose(truth_px[known], 8.0, rtol=1e-5)
    assert {f.level for f in camera.findings()} == {'ok'}


def test_without_transform_the_pairs_are_kept(tmp_path: Path) -> None:
    with Recording(write(tmp_path / 'b', with_tf=False)) as recording:
        given = {'truth': '/lidar/points'}
        (topics,) = chosen_topics(recording, '', given, raw_first=False)
        camera = RecordedCamera(recording, topics, NodeConfig())
        frames = list(camera.frames())
    assert [frame.truth_px for frame in frames] == [None] * 8
    finding = camera.findings()[0]
    assert (finding.level, finding.subject) == ('error', 'truth')
    assert finding.text.startswith(f"/lidar/points: no transform from 'lidar' to '{FRAME}'")
