"""Two P matrices to one calibration: the number, and every fault by name and mend."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.calibration import Camera, calibration_doubts, stereo_calibration
from dtp_stereo_ros.errors import CalibrationError
from dtp_stereo_ros.stereo import StereoCalibration

F, CX, CY, BASELINE_M = 360.0, 190.0, 128.0, 0.12


def camera(name: str, tx: float, **changes: Any) -> Camera:
    p = [F, 0.0, CX, tx, 0.0, F, CY, 0.0, 0.0, 0.0, 1.0, 0.0]
    for index, value in changes.pop('p', {}).items():
        p[index] = value
    return Camera(name, tuple(p), 384, 256, **changes)


def pair(left_p: dict[int, float], right_p: dict[int, float]) -> tuple[Camera, Camera]:
    return camera('left', 0.0, p=left_p), camera('right', -F * BASELINE_M, p=right_p)


@given(
    origin_m=st.floats(-5, 5),
    baseline_m=st.floats(0.001, 9.9),
    fx=st.floats(10, 5000),
    binning=st.sampled_from([0, 1, 2, 4]),
    offset=st.integers(0, 90),
)
def test_the_baseline_is_the_difference_of_both_tx_wherever_the_origin_is(
    origin_m: float, baseline_m: float, fx: float, binning: int, offset: int
) -> None:
    """KITTI's cam2 and cam3, cameras that count from their middle, from the right one, ..."""
    cameras = [
        camera(
            name,
            -fx * at_m,
            p={0: fx},
            binning=(binning, binning),
            roi=(offset, 0, 384 - offset, 0),
        )
        for name, at_m in (('left', origin_m), ('right', origin_m + baseline_m))
    ]
    bins = max(1, binning)
    found = stereo_calibration(cameras[0], cameras[1])
    assert found.baseline_m == pytest.approx(baseline_m, rel=1e-6)
    assert found.fx_px == pytest.approx(fx / bins)
    assert found.cx_left_px == pytest.approx((CX - offset) / bins)
    assert (found.width_px, found.height_px) == ((384 - offset) // bins, 256 // bins)


@pytest.mark.parametrize('tx', [1e-13, -1e-13, 6.9e-310, -0.0])
def test_round_off_on_the_left_camera_is_none(tx: float) -> None:
    found = stereo_calibration(*pair({3: tx}, {}))
    assert found.baseline_m == pytest.approx(BASELINE_M, rel=1e-12)


def test_the_colour_cameras_of_kitti() -> None:
    left = [721.5377, 0, 609.5593, 44.85728, 0, 721.5377, 172.854, 0.2163791]
    right = [721.5377, 0, 609.5593, -339.5242, 0, 721.5377, 172.854, 2.199936]
    found = stereo_calibration(
        Camera('cam2', (*left, 0, 0, 1, 0.002745884), 1242, 375),
        Camera('cam3', (*right, 0, 0, 1, 0.002729905), 1242, 375),
    )
    assert found.baseline_m == pytest.approx(0.532725, abs=1e-6)
    assert found.disparity_offset_px == 0.0


@pytest.mark.parametrize(
    ('left_p', 'right_p', 'message'),
    [
        ({}, {6: CY + 9}, 'left, right: cy differs, left P[6] = 128 and right P[6] = 137'),
        ({}, {0: F * 1.1}, 'left, right: fx differs, left P[0] = 360 and right P[0] = 396'),
        ({}, {5: F * 1.1}, 'left, right: fy differs, left P[5] = 360 and right P[5] = 396'),
        ({3: -43.2}, {3: 0.0}, 'left: Tx on the left camera (P[3] = -43.2, right 0)'),
        ({3: 22.0}, {3: 22.0}, 'left: Tx on the left camera is that of the right one'),
        ({}, {3: 43.2}, 'right: Tx is positive (P[3] = 43.2)'),
        ({}, {3: 1e-13}, 'right: Tx is zero (P[3] = 1e-13)'),
        ({}, {3: -43200.0}, 'right: baseline is 120 m'),
        ({}, {3: -4320.0}, 'right: baseline is 12 m'),
        ({}, {3: 0.0, 7: -43.2}, 'right: Ty is -43.2 (P[7]), one camera stands above the other'),
        ({}, {7: 4.0}, 'left, right: Ty differs, left P[7] = 0 and right P[7] = 4'),
        ({0: 0.0}, {}, 'left: P[0] or P[5] is not positive'),
        ({1: 12.0}, {}, 'left: P[1] is 12 but a rectified camera has no skew'),
        ({}, {10: 2.0}, 'right: P[10] is 2 but must be 1'),
        ({}, {8: 0.5}, 'right: P[8] is 0.5 but must be 0'),
        ({}, {2: float('nan')}, 'right: K or P has NaN or Inf'),
    ],
)
def test_faults_by_name(left_p: dict, right_p: dict, message: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        stereo_calibration(*pair(left_p, right_p))
    assert str(caught.value).startswith(message)
    assert '\n' not in str(caught.value)


def test_k_of_zero_and_matrices_of_another_size() -> None:
    left, right = pair({}, {})
    for broken, message in (
        (replace(left, k=(0.0,) * 9), 'left: K is zero, uncalibrated'),
        (replace(left, k=()), 'left: K is zero, uncalibrated'),
        (replace(left, p=left.p[:9]), 'left: P has 9 numbers instead of 12'),
    ):
        with pytest.raises(CalibrationError, match=message):
            stereo_calibration(broken, right)


def test_sizes_that_differ() -> None:
    left, right = pair({}, {})
    with pytest.raises(CalibrationError, match=r'right: size 192x128 .* but the left one is 384'):
        stereo_calibration(left, replace(right, binning=(2, 2)))
    with pytest.raises(CalibrationError, match=r'left: size 384x256 .* but the image is 640x480'):
        stereo_calibration(left, right, (640, 480))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=24, max_size=24))
def test_any_numbers_make_a_calibration_or_a_line(values: list[float]) -> None:
    cameras = [Camera(n, tuple(v), 384, 256) for n, v in (('l', values[:12]), ('r', values[12:]))]
    try:
        stereo_calibration(cameras[0], cameras[1])
    except CalibrationError as error:
        assert '\n' not in str(error)


def test_doubts_name_the_unit() -> None:
    good = StereoCalibration(F, F, CX, CX, CY, BASELINE_M, 384, 256)
    assert calibration_doubts(good) == []
    # Binned in one axis; cropped, so that the principal point is outside.
    assert calibration_doubts(replace(good, fy_px=F / 2, cx_left_px=-300.0)) == []
    for change, message in (
        ({'baseline_m': 0.00033}, 'baseline is 0.33 mm; P[3]'),
        ({'baseline_m': 6.5}, 'baseline is 6.5 m; is it in cm or mm?'),
        ({'fx_px': 4.0, 'fy_px': 4.0}, 'fx is 4 px but the image is 384 px wide; is it in mm'),
        ({'fy_px': 2.0}, 'fx is 360 px and fy 2 px; P[0] and P[5]'),
        ({'cx_left_px': 1e9}, 'cx of the left camera is 1e+09 px, more than a whole image'),
        ({'cx_right_px': -400.0}, 'cx of the right camera is -400 px, more than a whole image of'),
        ({'cy_px': 700.0}, 'cy is 700 px, more than a whole image of 256 px outside'),
    ):
        (doubt,) = calibration_doubts(replace(good, **change))  # type: ignore[arg-type]
        assert doubt.startswith(message)


@given(st.floats(10.001, 1e9))
def test_no_calibration_has_a_baseline_in_another_unit(baseline_m: float) -> None:
    with pytest.raises(CalibrationError, match='no stereo camera has that; give it in metres'):
        StereoCalibration(F, F, CX, CX, CY, baseline_m, 384, 256)


@pytest.mark.parametrize('upper', [False, True], ids=['ROS 2', 'ROS 1'])
def test_messages_of_both_generations(upper: bool) -> None:
    roi = SimpleNamespace(x_offset=4, y_offset=6, width=100, height=80)
    message = SimpleNamespace(width=384, height=256, binning_x=2, binning_y=0, roi=roi)
    for key, values in (('p', pair({}, {})[1].p), ('k', (1.0,) * 9)):
        setattr(message, key.upper() if upper else key, values)
    found = Camera.of_message(message, 'right camera_info')
    assert found.p[3] == -F * BASELINE_M
    assert found.published_size_px == (50, 80)
    assert found.k == (1.0,) * 9
