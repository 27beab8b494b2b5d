"""Geometry: disparity <-> depth <-> points, and calibration under resizing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.errors import CalibrationError, InputError
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame, StereoResult


def _numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, width=32)


calibrations = st.builds(
    StereoCalibration,
    fx_px=_numbers(100, 4000),
    fy_px=_numbers(100, 4000),
    cx_left_px=_numbers(-200, 2000),
    cx_right_px=_numbers(-200, 2000),
    cy_px=_numbers(0, 1000),
    baseline_m=_numbers(0.015625, 2),
    width_px=st.integers(64, 2000),
    height_px=st.integers(64, 2000),
)


def _plain(offset_px: float = 0.0) -> StereoCalibration:
    """Focal length 500 px, baseline 0.1 m: f T = 50 px m."""
    return StereoCalibration(500.0, 500.0, 320.0 + offset_px, 320.0, 240.0, 0.1, 640, 480)


@given(calibrations, _numbers(0.25, 512))
def test_disparity_to_depth_and_back(calibration: StereoCalibration, published: float) -> None:
    raw = np.full((1, 1), published + calibration.disparity_offset_px, np.float32)
    depth = calibration.depth_m(raw)
    expected = calibration.fx_px * calibration.baseline_m / published
    # float32 resolves the raw disparity only to |offset| * 2^-23.
    tolerance = 1e-5 + abs(calibration.disparity_offset_px) * 2**-21 / published
    assert depth[0, 0] == pytest.approx(expected, rel=tolerance)
    assert calibration.raw_disparity(depth)[0, 0] == pytest.approx(raw[0, 0], abs=2e-3)


@given(calibrations, _numbers(0.5, 50))
def test_points_project_back_to_both_images(
    calibration: StereoCalibration, depth_m: float
) -> None:
    depth = np.full((8, 8), depth_m, np.float32)
    x, y, z = calibration.points_m(depth)[5, 3].astype(np.float64)
    column_left = calibration.fx_px * x / z + calibration.cx_left_px
    row = calibration.fy_px * y / z + calibration.cy_px
    column_right = calibration.fx_px * (x - calibration.baseline_m) / z + calibration.cx_right_px
    assert z == pytest.approx(depth_m)
    assert (column_left, row) == pytest.approx((3, 5), abs=2e-3)
    raw = calibration.raw_disparity(depth)[5, 3]
    assert column_left - column_right == pytest.approx(raw, abs=5e-3)


@given(calibrations, st.sampled_from([0.25, 0.5, 2.0]), _numbers(0.5, 50))
def test_depth_is_the_same_at_every_resolution(
    calibration: StereoCalibration, scale: float, depth_m: float
) -> None:
    depth = np.full((1, 1), depth_m, np.float32)
    resized = calibration.scaled(scale)
    raw = calibration.raw_disparity(depth)[0, 0]
    assert resized.raw_disparity(depth)[0, 0] == pytest.approx(scale * raw, rel=1e-5, abs=1e-3)
    assert resized.disparity_offset_px == pytest.approx(
        scale * calibration.disparity_offset_px, abs=1e-9
    )


@given(calibrations, st.sampled_from([2.0, 4.0]), st.sampled_from([2.0, 8.0]))
def test_scaling_back_gives_the_same_calibration(
    calibration: StereoCalibration, scale_x: float, scale_y: float
) -> None:
    back = calibration.scaled(scale_x, scale_y).scaled(1 / scale_x, 1 / scale_y)
    for name in ('fx_px', 'fy_px', 'cx_left_px', 'cx_right_px', 'cy_px', 'baseline_m'):
        assert getattr(back, name) == pytest.approx(getattr(calibration, name), abs=1e-9)
    assert (back.width_px, back.height_px) == (calibration.width_px, calibration.height_px)


def test_scaled_keeps_the_image_centre() -> None:
    centred = StereoCalibration(500.0, 500.0, 319.5, 319.5, 239.5, 0.1, 640, 480)
    half = centred.scaled(0.5)
    assert (half.cx_left_px, half.cy_px) == (159.5, 119.5)
    assert (half.fx_px, half.width_px, half.height_px) == (250.0, 320, 240)


def test_depth_of_known_disparities() -> None:
    raw = np.array([[25.0, 10.0, 0.0, -3.0, np.nan]], np.float32)
    np.testing.assert_array_equal(
        _plain().depth_m(raw), np.array([[2.0, 5.0, np.inf, np.inf, np.nan]], np.float32)
    )


def test_principal_point_offset_shifts_raw_disparity() -> None:
    # A point at infinity has raw disparity cx_l - cx_r = -31; at 2 m it has 25 px more.
    raw = np.array([[-31.0, -6.0]], np.float32)
    np.testing.assert_array_equal(
        _plain(-31.0).depth_m(raw), np.array([[np.inf, 2.0]], np.float32)
    )


def test_raw_disparity_of_special_depths() -> None:
    depth = np.array([[np.inf, np.nan, 0.0, -1.0]], np.float32)
    np.testing.assert_array_equal(
        _plain(4.0).raw_disparity(depth), np.array([[4.0, np.nan, np.nan, np.nan]], np.float32)
    )


def test_points_of_unknown_depth_are_nan_in_all_coordinates() -> None:
    depth = np.array([[np.inf, np.nan, 1.0]], np.float32)
    points = _plain().points_m(depth)
    assert np.isnan(points[0, :2]).all()
    assert np.isfinite(points[0, 2]).all()


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('fx_px', 0.0),
        ('fy_px', -1.0),
        ('baseline_m', 0.0),
        ('baseline_m', math.nan),
        ('cx_left_px', math.inf),
        ('cy_px', math.nan),
        ('width_px', 0),
    ],
)
def test_impossible_calibrations_are_refused(field: str, value: float) -> None:
    values = {
        'fx_px': 500.0,
        'fy_px': 500.0,
        'cx_left_px': 320.0,
        'cx_right_px': 320.0,
        'cy_px': 240.0,
        'baseline_m': 0.1,
        'width_px': 640,
        'height_px': 480,
        field: value,
    }
    with pytest.raises(CalibrationError, match='image size' if field == 'width_px' else field):
        StereoCalibration(**values)  # type: ignore[arg-type]


def test_frames_refuse_what_is_no_pair() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(InputError, match='left is 64x48 but right is 60x48'):
        StereoFrame(image, image[:, :60])
    with pytest.raises(InputError, match='right image: expected RGB uint8'):
        StereoFrame(image, image[..., 0])
    with pytest.raises(InputError, match='left image: expected RGB uint8'):
        StereoFrame(image.astype(np.float32), image)
    with pytest.raises(InputError, match='left image is empty'):
        StereoFrame(image[:0], image[:0])
    with pytest.raises(CalibrationError, match=r'calibration is for 640x480 but .* 64x48'):
        StereoFrame(image, image, calibration=_plain())


def test_valid_share_counts_finite_pixels() -> None:
    disparity = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    assert StereoResult(disparity, None, 0.0, 64.0).valid_share == 0.75


def test_nothing_lies_at_infinity_or_beyond() -> None:
    """Where `max_depth` puts what is farther."""
    calibration = StereoCalibration(500.0, 500.0, 130.0, 160.0, 60.0, 0.1, 320, 120)
    raw = np.array([[-31.0, -30.0, -29.5, 0.0, 40.0, np.nan]], np.float32)
    expected = np.array([[np.nan, np.nan, -29.5, 0.0, 40.0, np.nan]], np.float32)
    np.testing.assert_array_equal(calibration.before_infinity(raw), expected)
