"""DisparityImage, depth and cloud: fields and bytes against the message definitions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image, PointField
from std_msgs.msg import Header

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.image_io import colorize
from dtp_stereo_ros.messages.compressed_images import decompress
from dtp_stereo_ros.messages.outputs import Computed, cloud_of, output_messages
from dtp_stereo_ros.messages.pictures import colored_disparity, disparity_picture
from dtp_stereo_ros.messages.point_cloud import point_cloud, voxel_cloud
from dtp_stereo_ros.messages.results import (
    confidence_image,
    depth_camera_info,
    depth_image,
    disparity_image,
)
from dtp_stereo_ros.ros.message_types import ROS_TYPES
from dtp_stereo_ros.ros.outputs import OUTPUT_TYPES
from dtp_stereo_ros.row_parts import row_parts
from dtp_stereo_ros.stereo import StereoCalibration, StereoResult
from dtp_stereo_ros.topics import OUTPUTS

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id='left_optical')
# f T = 40 px m; principal points differ by 10 px
CALIBRATION = StereoCalibration(400.0, 400.0, 3.0, -7.0, 1.0, 0.1, 4, 2)


def floats(msg: Image) -> np.ndarray:
    return np.frombuffer(msg.data, '<f4').reshape(msg.height, msg.width)


def test_disparity_fields_and_values() -> None:
    nan = np.nan
    raw = np.array([[30, 12, 10, nan], [50, 110, 111, 9]], np.float32)
    msg = disparity_image(ROS_TYPES, StereoResult(raw, None, 11.0, 110.0), CALIBRATION, HEADER)
    assert msg.header == msg.image.header == HEADER
    assert (msg.f, msg.t) == (400.0, pytest.approx(0.1))
    assert (msg.min_disparity, msg.max_disparity) == (1.0, 100.0)
    assert msg.delta_d > 0
    assert (msg.image.encoding, msg.image.step, msg.image.is_bigendian) == ('32FC1', 16, 0)
    # 10 is infinity and 9 lies behind it; 111 is beyond the range: all are min - 1 = 0
    expected = [[20, 2, 0, 0], [40, 100, 0, 0]]
    assert floats(msg.image).tolist() == expected
    # Z = f T / d as the message documents
    assert CALIBRATION.depth_m(raw)[0, 0] == pytest.approx(msg.f * msg.t / 20)


def test_valid_window_leaves_out_columns_that_cannot_match() -> None:
    calibration = StereoCalibration(400.0, 400.0, 3.0, 3.0, 1.0, 0.1, 64, 2)
    raw = np.full((2, 64), 20, np.float32)
    window = disparity_image(
        ROS_TYPES, StereoResult(raw, None, 16.5, 60.0), calibration, HEADER
    ).valid_window
    assert (window.x_offset, window.y_offset, window.width, window.height) == (16, 0, 48, 2)


@given(
    offset=st.floats(-40, 40),
    low=st.floats(0.0, 100),
    span=st.floats(0.5, 200),
    seed=st.integers(0, 2**16),
)
def test_disparity_contract(offset: float, low: float, span: float, seed: int) -> None:
    """Never NaN; valid within the limits; invalid exactly min - 1; limits never both 0."""
    calibration = StereoCalibration(400.0, 400.0, 3.0, 3.0 - offset, 1.0, 0.1, 9, 5)
    raw = np.random.default_rng(seed).uniform(-20, 320, (5, 9)).astype(np.float32)
    raw[0, :3] = np.nan
    result = StereoResult(raw, None, low, low + span)
    msg = disparity_image(ROS_TYPES, result, calibration, HEADER)
    data = floats(msg.image)
    valid = data >= np.float32(msg.min_disparity)
    assert np.isfinite(data).all()
    assert not valid[0, :3].any()
    assert (data[valid] <= np.float32(msg.max_disparity)).all()
    assert np.allclose(data[~valid], msg.min_disparity - 1, atol=1e-4)
    assert msg.max_disparity > msg.min_disparity
    expected = raw - np.float32(offset)
    assert np.array_equal(data[valid], expected[valid])


def test_depth_in_metres_keeps_nan_and_infinity() -> None:
    depth = np.array([[1.5, np.nan, np.inf]], np.float32)
    msg = depth_image(ROS_TYPES, depth, '32FC1', HEADER)
    assert (msg.encoding, msg.step, msg.header) == ('32FC1', 12, HEADER)
    assert np.array_equal(floats(msg), depth, equal_nan=True)


def test_depth_in_millimetres_that_does_not_fit_is_unknown() -> None:
    depth = np.array([[1.5004, np.nan, np.inf, 65.535, 65.536, 131.5, -2.0]], np.float32)
    msg = depth_image(ROS_TYPES, depth, '16UC1', HEADER)
    assert (msg.encoding, msg.step) == ('16UC1', 14)
    assert np.frombuffer(msg.data, '<u2').tolist() == [1500, 0, 0, 65535, 0, 0, 0]


def test_confidence() -> None:
    values = np.array([[0.25, 1.0]], np.float32)
    msg = confidence_image(ROS_TYPES, values, HEADER)
    assert (msg.encoding, floats(msg).tolist()) == ('32FC1', [[0.25, 1.0]])


def test_depth_camera_info_is_the_left_one_at_the_images_time() -> None:
    left = CameraInfo(width=4, height=2, header=Header(frame_id='other'), distortion_model='x')
    left.p[0] = 400.0
    info = depth_camera_info(left, HEADER)
    assert (info.header, info.width, info.p[0], info.distortion_model) == (HEADER, 4, 400.0, 'x')
    assert left.header.frame_id == 'other'


COLOR = np.array([[[255, 2, 3]] * 4, [[4, 5, 6]] * 4], np.uint8)


@pytest.mark.parametrize(
    ('avoid_padding', 'step', 'rgb_offset'), [(False, 32, 16), (True, 16, 12)]
)
def test_colour_cloud_bytes(avoid_padding: bool, step: int, rgb_offset: int) -> None:
    depth = np.array([[2, np.nan, np.inf, 4], [1, 1, 1, 1]], np.float32)
    msg = point_cloud(ROS_TYPES, depth, CALIBRATION, HEADER, COLOR, avoid_padding)
    assert (msg.height, msg.width, msg.point_step, msg.row_step) == (2, 4, step, 4 * step)
    assert (msg.is_dense, msg.is_bigendian, msg.header) == (False, False, HEADER)
    fields = [(f.name, f.offset, f.datatype, f.count) for f in msg.fields]
    float32 = PointField.FLOAT32
    assert fields == [
        ('x', 0, float32, 1),
        ('y', 4, float32, 1),
        ('z', 8, float32, 1),
        ('rgb', rgb_offset, float32, 1),
    ]
    data = bytes(msg.data)
    assert len(data) == 2 * 4 * step
    # first point: column 0, row 0, z = 2: x = (0 - 3) * 2 / 400, y = (0 - 1) * 2 / 400
    assert np.frombuffer(data[:12], '<f4') == pytest.approx([-0.015, -0.005, 2.0])
    assert data[rgb_offset : rgb_offset + 4] == bytes([3, 2, 255, 0])  # B, G, R, 0
    assert np.isnan(np.frombuffer(data[step : step + 12], '<f4')).all()
    assert np.isnan(np.frombuffer(data[2 * step : 2 * step + 12], '<f4')).all()
    last = data[-step:]
    assert np.frombuffer(last[:12], '<f4') == pytest.approx([0.0, 0.0, 1.0])
    assert last[rgb_offset : rgb_offset + 4] == bytes([6, 5, 4, 0])


@settings(max_examples=30)
@given(
    height=st.integers(1, 80),
    width=st.integers(1, 30),
    layout=st.tuples(st.booleans(), st.booleans()),
    other=st.tuples(st.booleans(), st.booleans()),
    seed=st.integers(0, 99),
)
def test_a_cloud_is_filled_again_where_its_layout_is_the_same(
    height: int, width: int, layout: tuple[bool, bool], other: tuple[bool, bool], seed: int
) -> None:
    """Layout: with colour, without padding."""
    rng = np.random.default_rng(seed)

    def arguments(layout: tuple[bool, bool], header: Header = HEADER) -> Any:
        depth = rng.choice(np.array([1, 2.5, np.nan, np.inf], np.float32), (height, width))
        color = rng.integers(0, 256, (height, width, 3)).astype(np.uint8) if layout[0] else None
        return ROS_TYPES, depth, CALIBRATION, header, color, layout[1]

    before = point_cloud(*arguments(other))
    later = Header(frame_id='later')
    new = arguments(layout, later)
    fresh, again = point_cloud(*new), point_cloud(*new, before)
    assert (again is before) is (layout == other)
    assert again.header == later
    assert bytes(again.data) == bytes(fresh.data)
    assert (again.point_step, again.fields) == (fresh.point_step, fresh.fields)
    depth = np.where(np.isfinite(new[1]), new[1], np.nan)
    xyz = np.frombuffer(again.data, '<f4').reshape(height, width, -1)[..., :3]
    rows, columns = np.mgrid[:height, :width]
    np.testing.assert_allclose(xyz[..., 0], (columns - 3.0) / 400 * depth, rtol=1e-5)
    np.testing.assert_allclose(xyz[..., 1], (rows - 1.0) / 400 * depth, rtol=1e-5)
    np.testing.assert_array_equal(xyz[..., 2], depth)


@pytest.mark.parametrize(('avoid_padding', 'step'), [(False, 16), (True, 12)])
def test_cloud_without_colour(avoid_padding: bool, step: int) -> None:
    msg = point_cloud(
        ROS_TYPES, np.ones((2, 4), np.float32), CALIBRATION, HEADER, None, avoid_padding
    )
    assert [f.name for f in msg.fields] == ['x', 'y', 'z']
    assert (msg.point_step, len(msg.data)) == (step, 8 * step)


def test_a_cloud_of_several_parts_has_no_seams() -> None:
    """Its points are computed some rows at a time."""
    height, width = 170, 1000
    assert len(list(row_parts(height, width))) == 3
    depth = np.random.default_rng(0).uniform(1, 9, (height, width)).astype(np.float32)
    color = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    calibration = StereoCalibration(400.0, 300.0, 499.5, 499.5, 84.5, 0.1, width, height)
    msg = point_cloud(ROS_TYPES, depth, calibration, HEADER, color, avoid_padding=True)
    points = np.frombuffer(msg.data, '<f4').reshape(height, width, 4)
    rows, columns = np.indices((height, width))
    np.testing.assert_allclose(points[..., 0], (columns - 499.5) * depth / 400, rtol=1e-5)
    np.testing.assert_allclose(points[..., 1], (rows - 84.5) * depth / 300, rtol=1e-5)
    np.testing.assert_array_equal(points[..., 2], depth)
    packed = np.ascontiguousarray(points[..., 3]).view(np.uint8).reshape(height, width, 4)
    np.testing.assert_array_equal(packed[..., :3], color[..., ::-1])


def test_voxel_cloud_is_one_dense_row() -> None:
    depth = np.array([[2, 2, np.nan, 2], [4, 4, 4, 4]], np.float32)
    msg = voxel_cloud(ROS_TYPES, depth, CALIBRATION, HEADER, COLOR, True, 1.0)
    # at 1 m, all of each depth lies in the cubes left and right, above and below the axes
    assert (msg.height, msg.width, msg.is_dense) == (1, 4, True)
    assert (msg.point_step, msg.row_step, len(msg.data)) == (16, 64, 64)
    empty = voxel_cloud(
        ROS_TYPES, np.full((2, 4), np.nan, np.float32), CALIBRATION, HEADER, COLOR, True, 1.0
    )
    assert (empty.height, empty.width, len(empty.data)) == (1, 0, 0)


def test_filters_of_the_cloud_work_together() -> None:
    depth = np.array([[2, 9, np.inf, 9], [9, 9, 9, 9]], np.float32)
    result = StereoResult(CALIBRATION.raw_disparity(depth), None, 0.0, 64.0)
    color = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    computed = Computed(result, CALIBRATION, color, CameraInfo(), HEADER, 8.0)
    config = NodeConfig(decimation=2, invalid_as_inf=True, avoid_point_cloud_padding=True)
    msg = cloud_of(ROS_TYPES, computed, config)
    assert (msg.height, msg.width, msg.is_dense) == (1, 2, False)
    points = np.frombuffer(msg.data, '<f4').reshape(2, 4)[:, :3]
    # columns 0 and 2 of row 0: x = (column - 3) z / 400, y = -z / 400
    np.testing.assert_allclose(points, [[-0.015, -0.005, 2], [-0.02, -0.02, 8]], rtol=1e-5)
    colors = np.frombuffer(msg.data, np.uint8).reshape(2, 16)[:, 12:]
    assert colors.tolist() == [[2, 1, 0, 0], [8, 7, 6, 0]]  # of columns 0 and 2
    grid = cloud_of(
        ROS_TYPES, computed, dataclasses.replace(config, voxel_size=10.0, use_color=False)
    )
    assert (grid.width, grid.point_step) == (1, 12)
    np.testing.assert_allclose(np.frombuffer(grid.data, '<f4'), [-0.0175, -0.0125, 5.0], rtol=1e-5)


def test_colours_of_the_disparity_keep_their_range() -> None:
    raw = np.array([[10, 9, 15, 26], [90, 110, 200, np.nan]], np.float32)
    colors = colored_disparity(StereoResult(raw, None, 11.0, 110.0), CALIBRATION)
    # 10 is infinity, 9 lies behind it; 200 is beyond the range.
    assert (colors[0, 0] == colors[0, 1]).all()
    assert (colors[1, 1] == colors[1, 2]).all()
    assert colors[1, 3].tolist() == [0, 0, 0]
    # By the square root: 16 of 100 px is at 0.4 of the map, and 80 px at 0.894.
    expected = colorize(np.array([[0.4, 0.8**0.5]], np.float32), 0.0, 1.0)[0]
    assert np.abs(colors[(0, 1), (3, 0)].astype(int) - expected).max() <= 1
    # Another image of the same search has the same colours for the same disparities.
    other = StereoResult(raw[:, :3], None, 11.0, 110.0)
    assert np.array_equal(colored_disparity(other, CALIBRATION), colors[:, :3])
    blank = StereoResult(np.full((2, 4), np.nan, np.float32), None, 0.0, 0.0)
    assert not colored_disparity(blank, None).any()


def test_picture_of_the_disparity_is_a_jpeg_that_we_decode() -> None:
    raw = np.repeat(np.array([[10.0, 60.0]], np.float32), 32, axis=1).repeat(48, axis=0)
    calibration = dataclasses.replace(CALIBRATION, width_px=64, height_px=48)
    result = StereoResult(raw, None, 11.0, 110.0)
    msg = disparity_picture(ROS_TYPES, result, calibration, HEADER)
    assert (msg.header, msg.format) == (HEADER, 'jpeg')
    decoded = decompress(msg, 'disparity/compressed').astype(int)
    assert np.abs(decoded - colored_disparity(result, calibration)).mean() < 3


def test_only_the_wanted_outputs_are_made() -> None:
    raw = np.full((2, 4), 30, np.float32)
    result = StereoResult(raw, np.ones_like(raw), 11.0, 110.0)
    computed = Computed(result, CALIBRATION, COLOR, CameraInfo(), HEADER, 8.0)
    for topic in OUTPUTS:
        made = dict(output_messages(ROS_TYPES, {topic}, computed, NodeConfig()))
        assert list(made) == [topic]
        assert isinstance(made[topic], OUTPUT_TYPES[topic])
        assert made[topic].header == HEADER
    assert set(dict(output_messages(ROS_TYPES, OUTPUTS, computed, NodeConfig()))) == set(OUTPUTS)
