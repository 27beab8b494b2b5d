"""CameraInfo pairs: the numbers of image_geometry, and every fault by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from dtp_stereo_ros.errors import CalibrationError
from dtp_stereo_ros.messages.camera_info import (
    calibration_warnings,
    camera_infos,
    rectified_px_m,
    stereo_calibration,
)
from dtp_stereo_ros.ros.message_types import ROS_TYPES
from dtp_stereo_ros.stereo import StereoCalibration

Infos = tuple[CameraInfo, CameraInfo]


def pair() -> Infos:
    """Make a pair: fx 400, cx 320 / 310, baseline 0.1 m, 640x480; K differs from P."""
    infos = []
    for cx, tx in ((320.0, 0.0), (310.0, -40.0)):
        info = CameraInfo(width=640, height=480, header=Header(frame_id='cam_left'))
        info.k = [500.0, 0.0, 333.0, 0.0, 501.0, 222.0, 0.0, 0.0, 1.0]
        info.p = [400.0, 0.0, cx, tx, 0.0, 402.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        infos.append(info)
    return infos[0], infos[1]


def test_p_and_not_k() -> None:
    calibration = stereo_calibration(*pair(), 640, 480)
    assert calibration == StereoCalibration(400.0, 402.0, 320.0, 310.0, 240.0, 0.1, 640, 480)
    assert calibration.disparity_offset_px == 10.0


def test_binning() -> None:
    left, right = pair()
    for info in (left, right):
        info.binning_x, info.binning_y = 2, 4
    calibration = stereo_calibration(left, right, 320, 120)
    assert calibration == StereoCalibration(200.0, 100.5, 160.0, 155.0, 60.0, 0.1, 320, 120)


def test_region_of_interest_then_binning() -> None:
    left, right = pair()
    for info in (left, right):
        info.roi.x_offset, info.roi.y_offset = 20, 40
        info.roi.width, info.roi.height = 400, 200
        info.binning_x = info.binning_y = 2
    calibration = stereo_calibration(left, right, 200, 100)
    assert calibration == StereoCalibration(200.0, 201.0, 150.0, 145.0, 100.0, 0.1, 200, 100)


def set_p(side: int, index: int, value: float) -> Callable[[Infos], None]:
    def change(infos: Infos) -> None:
        infos[side].p[index] = value

    return change


def set_k_zero(infos: Infos) -> None:
    infos[0].k = [0.0] * 9


def set_p_zero(infos: Infos) -> None:
    infos[1].p = [0.0] * 12


def swap_tx(infos: Infos) -> None:
    infos[0].p[3], infos[1].p[3] = infos[1].p[3], infos[0].p[3]


def shrink(infos: Infos) -> None:
    infos[1].width = 320


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (set_k_zero, 'left camera_info: K is zero'),
        (set_p_zero, 'right camera_info: P\\[0\\] or P\\[5\\] is not positive'),
        (set_p(1, 3, 0.0), 'right camera_info: Tx is zero'),
        (set_p(1, 3, 40.0), 'right camera_info: Tx is positive'),
        (set_p(0, 3, -40.0), 'left camera_info: Tx on the left camera .* run the stereo'),
        (swap_tx, 'Tx on the left camera .* swap the left and right topics'),
        (set_p(1, 0, 410.0), 'fx differs, left P\\[0\\] = 400 and right P\\[0\\] = 410'),
        (set_p(1, 6, 250.0), 'cy differs'),
        (set_p(0, 2, math.nan), 'left camera_info: K or P has NaN or Inf'),
        (set_p(1, 3, -math.inf), 'right camera_info: K or P has NaN or Inf'),
        (shrink, 'right camera_info: size 320x480 .* image is 640x480'),
    ],
)
def test_faults_by_name(change: Callable[[Infos], None], text: str) -> None:
    infos = pair()
    change(infos)
    with pytest.raises(CalibrationError, match=text) as caught:
        stereo_calibration(*infos, 640, 480)
    assert '\n' not in str(caught.value)


def test_fx_may_differ_by_rounding() -> None:
    left, right = pair()
    right.p[0] = 400.01
    assert stereo_calibration(left, right, 640, 480).fx_px == 400.01


def test_focal_length_and_baseline_where_both_cameras_have_a_tx() -> None:
    """As in KITTI, whose cameras are measured from a third one: the difference counts."""
    left, right = pair()
    left.p[3], right.p[3] = 44.85728, -339.5242
    found = rectified_px_m(left, right)
    assert found == (right.p[0], pytest.approx((44.85728 + 339.5242) / right.p[0]))
    left.binning_x = right.binning_x = left.binning_y = right.binning_y = 2
    assert rectified_px_m(left, right) == (right.p[0] / 2, pytest.approx(found[1]))
    right.p[0] = 0.0
    assert rectified_px_m(left, right) is None


def test_warnings() -> None:
    left, right = pair()
    assert calibration_warnings(left, right, 'cam_left') == []
    assert (
        "frame 'cam_left' but the left image 'other'"
        in (calibration_warnings(left, right, 'other')[0])
    )
    right.p[3] = -0.1  # metres instead of px * m
    assert 'baseline is 0.25 mm' in calibration_warnings(left, right, 'cam_left')[0]


@given(
    fx=st.floats(10, 5000),
    fy=st.floats(10, 5000),
    cx=st.floats(-100, 3000),
    offset=st.floats(-100, 100),
    baseline=st.floats(0.01, 2.0),
    width=st.integers(1, 4000),
)
def test_round_trip(
    fx: float, fy: float, cx: float, offset: float, baseline: float, width: int
) -> None:
    calibration = StereoCalibration(fx, fy, cx, cx - offset, 100.0, baseline, width, 200)
    left, right = camera_infos(ROS_TYPES, calibration, Header(frame_id='l'), Header(frame_id='l'))
    back = stereo_calibration(left, right, width, 200)
    assert back.baseline_m == pytest.approx(baseline, rel=1e-12)
    assert (back.fx_px, back.fy_px) == (fx, fy)
    assert (back.cx_left_px, back.cx_right_px) == (cx, cx - offset)
    assert (left.p[3], left.header.frame_id, right.width) == (0.0, 'l', width)
