"""Limits, confidence and speckles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros import postprocess
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.preprocess import Geometry
from dtp_stereo_ros.stereo import StereoCalibration


def _calibration(offset_px: float = 0.0) -> StereoCalibration:
    """Focal length 500 px, baseline 0.1 m: f T = 50 px m."""
    return StereoCalibration(500.0, 500.0, 320.0 + offset_px, 320.0, 240.0, 0.1, 640, 480)


def test_limits_follow_the_principal_point_offset() -> None:
    config = PipelineConfig(min_depth=1.0, max_depth=10.0)
    assert postprocess.disparity_limits_px(_calibration(), (0, 192), config) == (5.0, 50.0)
    assert postprocess.disparity_limits_px(_calibration(20), (0, 192), config) == (25.0, 70.0)
    assert postprocess.disparity_limits_px(_calibration(-31), (0, 192), config) == (0.0, 19.0)
    assert postprocess.disparity_limits_px(_calibration(), (0, 40), config) == (5.0, 40)
    assert postprocess.disparity_limits_px(None, (0, 192), config) == (0.0, 192)


def test_limits_without_a_near_limit_or_with_nothing_in_sight() -> None:
    near = PipelineConfig(min_depth=0.0, max_depth=10.0)
    assert postprocess.disparity_limits_px(_calibration(), (0, 192), near) == (5.0, 192)
    unseen = PipelineConfig(min_depth=0.01, max_depth=0.1)
    assert postprocess.disparity_limits_px(_calibration(), (0, 192), unseen) == (192, 192)


@pytest.mark.parametrize(
    ('low', 'high', 'offset', 'shown'),
    [
        (192.0, 192.0, 0.0, '192 .. 192'),  # all that counts is nearer than what is searched
        (2000.0, 2000.0, 0.0, '2000 .. 2000'),
        (0.0, 30.0, 31.0, '-31 .. -1'),  # all that is searched is beyond infinity
    ],
)
def test_limits_between_which_nothing_is_are_refused(
    low: float, high: float, offset: float, shown: str
) -> None:
    with pytest.raises(ConfigError, match=rf'disparity range {shown} px is empty: nothing'):
        postprocess.check_limits(low, high, _calibration(offset))
    postprocess.check_limits(low, high + offset + 1.0, _calibration(offset))
    postprocess.check_limits(low, high, None)


def test_a_search_that_begins_too_near_is_told() -> None:
    calibration = StereoCalibration(500.0, 500.0, 130.0, 160.0, 60.0, 0.1, 320, 120)
    config = PipelineConfig(max_depth=10.0)
    doubt = postprocess.range_doubt(0.0, calibration, config)
    assert doubt.startswith('nothing beyond 1.67 m can be measured, as the search begins at 0 px')
    assert doubt.endswith('set min_disparity to -30')
    # The setting counts pixels of the resized image.
    for scale, setting in ((2.0, -60), (0.5, -15)):
        scaled = replace(config, input_scale=scale)
        doubt = postprocess.range_doubt(0.0, calibration, scaled)
        assert doubt.endswith(f'set min_disparity to {setting}')
    for low_px in (-30.0, 50.0 / 10.0 - 30.0):
        assert postprocess.range_doubt(low_px, calibration, config) == ''
    assert postprocess.range_doubt(0.0, None, config) == ''


def test_near_is_unknown_and_far_is_infinite() -> None:
    calibration = _calibration(-31)
    config = PipelineConfig(min_depth=1.0, max_depth=10.0)
    raw = np.array([[19.5, 19.0, 0.0, -26.0, -26.5, np.nan]], np.float32)
    limited = postprocess.apply_limits(raw, calibration, config)
    np.testing.assert_array_equal(
        limited, np.array([[np.nan, 19.0, 0.0, -26.0, -31.0, np.nan]], np.float32)
    )
    depth = calibration.depth_m(limited)
    np.testing.assert_allclose(depth[0, 1:4], [1.0, 50 / 31, 10.0], rtol=1e-6)
    assert depth[0, 4] == np.inf
    assert raw[0, 0] == 19.5, 'the input must stay as it is'


@given(st.floats(-60, 60), st.floats(0.3, 2), st.floats(3, 200), st.floats(0.1, 400))
def test_limited_disparities_lie_between_the_limits(
    offset: float, min_depth: float, max_depth: float, depth_m: float
) -> None:
    calibration = _calibration(offset)
    config = PipelineConfig(min_depth=min_depth, max_depth=max_depth)
    raw = calibration.raw_disparity(np.full((1, 1), depth_m, np.float32))
    limited = postprocess.apply_limits(raw, calibration, config)[0, 0]
    low, high = postprocess.disparity_limits_px(calibration, (0.0, 1e6), config)
    slack = 1e-3
    if min_depth * (1 + slack) < depth_m < max_depth * (1 - slack):
        assert limited == raw[0, 0]
        assert limited <= high + slack
        assert limited >= min(low, 0.0) - 60
    elif depth_m > max_depth * (1 + slack):
        assert limited == pytest.approx(offset)
    elif depth_m < min_depth * (1 - slack):
        assert np.isnan(limited)


def test_unsure_pixels_are_dropped_at_the_threshold() -> None:
    disparity = np.array([[1.0, 2.0, 3.0]], np.float32)
    confidence = np.array([[0.2, 0.5, 0.9]], np.float32)
    np.testing.assert_array_equal(
        postprocess.drop_unsure(disparity, confidence, 0.5), [[np.nan, 2.0, 3.0]]
    )
    assert postprocess.drop_unsure(disparity, confidence, 0.0) is disparity
    assert postprocess.drop_unsure(disparity, None, 0.5) is disparity


@pytest.mark.parametrize('magnitude', [20.0, 4000.0])
def test_speckles_below_the_size_are_dropped(magnitude: float) -> None:
    disparity = np.full((20, 20), magnitude, np.float32)
    disparity[5:8, 5:8] += 10  # 9 px
    disparity[12:14, 12:14] += 10  # 4 px
    disparity[0, 0] = np.nan
    cleaned = postprocess.drop_speckles(disparity, 9, 2.0)
    expected = disparity.copy()
    expected[12:14, 12:14] = np.nan
    np.testing.assert_array_equal(cleaned, expected)
    np.testing.assert_array_equal(postprocess.drop_speckles(disparity, 0, 2.0), disparity)
    np.testing.assert_array_equal(postprocess.drop_speckles(disparity, 9, 11.0), disparity)


def test_a_speckle_may_be_as_rough_as_the_range() -> None:
    ramp = np.tile(np.arange(20, dtype=np.float32) * 1.5, (4, 1))
    np.testing.assert_array_equal(postprocess.drop_speckles(ramp, 50, 2.0), ramp)
    assert np.isnan(postprocess.drop_speckles(ramp, 50, 1.0)).all()


def test_upscaling_puts_nothing_between_two_surfaces() -> None:
    small = np.full((8, 16), 4.0, np.float32)
    small[:, 8:] = 20.0
    small[3, 3] = np.nan
    geometry = Geometry((16, 32), (8, 16), (8, 16))
    restored = postprocess.restore(small, geometry)
    known = restored[np.isfinite(restored)]
    assert set(known.tolist()) == {8.0, 40.0}
    assert np.isnan(restored).sum() == 4
    np.testing.assert_array_equal(restored[10], np.repeat([8.0, 40.0], 16))


def test_flying_pixels_between_two_surfaces_are_dropped() -> None:
    """What is nearer to a surface than a quarter of the jump in its window stays."""
    row = np.array([4, 4, 4, 4, 5, 8.5, 15, 18.5, 20, 20, 20, 20, np.nan, 20], np.float32)
    expected = row.copy()
    expected[[5, 6]] = np.nan
    disparity, wanted = np.tile(row, (6, 1)), np.tile(expected, (6, 1))
    np.testing.assert_array_equal(postprocess.drop_flying(disparity, 10.0), wanted)
    np.testing.assert_array_equal(postprocess.drop_flying(disparity, 15.5), disparity)
    assert postprocess.drop_flying(disparity, 0.0) is disparity


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(10, 100))
def test_a_plane_has_no_flying_pixels(slope_x: float, slope_y: float, base: float) -> None:
    rows, columns = np.mgrid[:20, :30]
    plane = (base + slope_x * columns + slope_y * rows).astype(np.float32)
    # over 5 px a plane changes by four times both slopes
    jump = 4 * (abs(slope_x) + abs(slope_y)) + 0.01
    np.testing.assert_array_equal(postprocess.drop_flying(plane, jump), plane)
    unknown = np.full((4, 4), np.nan, np.float32)
    assert np.isnan(postprocess.drop_flying(unknown, 1.0)).all()


def test_left_right_check_by_hand() -> None:
    """Left pixel x at disparity d is right pixel x - d; the mirrored image is stored backwards."""
    left = np.array([[1, 1, 2, 2, np.nan, 3, 2.4]], np.float32)
    #                 -  0  0  1            2  4 (rounded)
    right = np.array([[1, 2, 2.8, 9, 3, 9, 9]], np.float32)
    checked = postprocess.drop_inconsistent(left, right[:, ::-1], 1.0)
    np.testing.assert_array_equal(
        checked, np.array([[np.nan, 1, 2, 2, np.nan, 3, 2.4]], np.float32)
    )
    strict = postprocess.drop_inconsistent(left, right[:, ::-1], 0.25)
    np.testing.assert_array_equal(
        strict, np.array([[np.nan, 1, np.nan, 2, np.nan, 3, np.nan]], np.float32)
    )


@given(st.integers(0, 20), st.floats(0, 3), st.floats(0, 3))
def test_left_right_check_keeps_what_agrees(shift: int, error: float, tolerance: float) -> None:
    left = np.full((3, 40), shift, np.float32)
    right = np.full((3, 40), shift + error, np.float32)
    checked = postprocess.drop_inconsistent(left, right[:, ::-1], tolerance)
    assert np.isnan(checked[:, :shift]).all(), 'their match lies left of the right image'
    # Compared as float32, as arrays are; NumPy 1 would take a scalar to float64.
    kept = bool(abs(np.float32(shift) - right[0, 0]) <= np.float32(tolerance))
    assert np.isfinite(checked[:, shift:]).all() == kept
    assert np.isfinite(checked[:, shift:]).any() == kept
