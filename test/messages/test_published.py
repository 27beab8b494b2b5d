"""Messages of the node back to the result that they were made from."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from std_msgs.msg import Header

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages.published import stereo_result
from dtp_stereo_ros.messages.results import confidence_image, depth_image, disparity_image
from dtp_stereo_ros.ros.message_types import ROS_TYPES
from dtp_stereo_ros.stereo import StereoCalibration, StereoResult

HEADER = Header(stamp=Time(sec=1), frame_id='left_optical')
NAN = np.float32(np.nan)


def camera(offset_px: float) -> StereoCalibration:
    return StereoCalibration(400.0, 400.0, 2.0, 2.0 - offset_px, 1.0, 0.1, 4, 2)


@given(st.floats(-40, 40, width=16))
def test_what_was_published_is_read_back(offset_px: float) -> None:
    """With a hole, and with a pixel beyond max_depth, which only the depth tells from it."""
    calibration = camera(offset_px)
    infinity = np.float32(offset_px)
    raw = np.float32(offset_px) + np.array([[20, 30.5, 0, 1.5], [40, 98, 99.5, 0.5]], np.float32)
    raw[0, 2], raw[1, 3] = NAN, infinity
    confidence = np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4)
    result = StereoResult(raw, confidence, offset_px + 1.0, offset_px + 100.0)
    disparity = disparity_image(ROS_TYPES, result, calibration, HEADER)
    depth = depth_image(ROS_TYPES, calibration.depth_m(raw), '32FC1', HEADER)
    sure = confidence_image(ROS_TYPES, confidence, HEADER)
    found = stereo_result(disparity, calibration, '/disparity', depth, sure, latency_s=0.25)
    np.testing.assert_allclose(found.disparity_px, raw, atol=1e-4)
    np.testing.assert_array_equal(found.confidence, confidence)
    assert found.min_disparity_px == pytest.approx(offset_px + 1.0)
    assert found.max_disparity_px == pytest.approx(offset_px + 100.0)
    assert found.latency_s == {'replay': 0.25}
    # Millimetres have 0 for both; without a depth nothing tells them apart either.
    raw[1, 3] = NAN
    millimetres = depth_image(ROS_TYPES, calibration.depth_m(raw), '16UC1', HEADER)
    for given_depth in (None, millimetres):
        found = stereo_result(disparity, calibration, '/disparity', given_depth)
        np.testing.assert_allclose(found.disparity_px, raw, atol=1e-4)
        assert found.confidence is None


def test_outputs_of_another_size_are_left_out() -> None:
    """As of a node whose camera changed its size between two messages."""
    calibration = camera(0.0)
    raw = np.array([[20, 0, NAN, 1]], np.float32)
    disparity = disparity_image(ROS_TYPES, StereoResult(raw, None, 1.0, 64.0), calibration, HEADER)
    other = np.full((2, 4), np.inf, np.float32)
    depth = depth_image(ROS_TYPES, other, '32FC1', HEADER)
    confidence = confidence_image(ROS_TYPES, np.ones((2, 4), np.float32), HEADER)
    found = stereo_result(disparity, calibration, '/disparity', depth, confidence)
    np.testing.assert_array_equal(found.disparity_px, [[20, NAN, NAN, 1]])
    assert found.confidence is None


def test_damaged_data_is_named() -> None:
    result = StereoResult(np.ones((2, 4), np.float32), None, 1.0, 64.0)
    disparity = disparity_image(ROS_TYPES, result, camera(0.0), HEADER)
    disparity.image.step += 4
    with pytest.raises(InputError, match='/disparity: 4x2 32FC1 image has step 20'):
        stereo_result(disparity, camera(0.0), '/disparity')
