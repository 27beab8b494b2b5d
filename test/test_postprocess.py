"""Limits, confidence and speckles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros import postprocess
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.preprocess import Geometry
from dtp_stereo_ros.stereo import StereoCalibration


def _calibration(offset_px: float = 0.0) -> StereoCalibration:
    """Focal length 500 px, baseline 0.1 m: f T = 50 px m."""
    return StereoCalibration(500.0, 500.0, 320.0 + offset_px, 320.0, 240.0, 0.1, 640, 480)


def test_limits_follow_the_principal_point_offset() -> None:
    config = PipelineConfig(min_depth=1.0, max_depth=10.0)
    assert postprocess.disparity_limits_px(_calibration(), 192, config) == (5.0, 50.0)
    assert postprocess.disparity_limits_px(_calibration(20), 192, config) == (25.0, 70.0)
    assert postprocess.disparity_limits_px(_calibration(-31), 192, config) == (0.0, 19.0)
    assert postprocess.disparity_limits_px(_calibration(), 40, config) == (5.0, 40)
    assert postprocess.disparity_limits_px(None, 192, config) == (0.0, 192)


def test_limits_without_a_near_limit_or_with_nothing_in_sight() -> None:
    near = PipelineConfig(min_depth=0.0, max_depth=10.0)
    assert postprocess.disparity_limits_px(_calibration(), 192, near) == (5.0, 192)
    unseen = PipelineConfig(min_depth=0.01, max_depth=0.1)
    assert postprocess.disparity_limits_px(_calibration(), 192, unseen) == (192, 192)


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
    low, high = postprocess.disparity_limits_px(calibration, 1e6, config)
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
    restored, _ = postprocess.restore(small, None, geometry)
    known = restored[np.isfinite(restored)]
    assert set(known.tolist()) == {8.0, 40.0}
    assert np.isnan(restored).sum() == 4
    np.testing.assert_array_equal(restored[10], np.repeat([8.0, 40.0], 16))
