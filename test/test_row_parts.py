"""Images in parts: every row once, and the same values as of the whole image."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from std_msgs.msg import Header

from dtp_stereo_ros import postprocess
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.messages.point_cloud import point_cloud
from dtp_stereo_ros.messages.results import disparity_image
from dtp_stereo_ros.ros.message_types import ROS_TYPES
from dtp_stereo_ros.row_parts import row_parts
from dtp_stereo_ros.stereo import StereoCalibration, StereoResult


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 3000))
def test_every_row_is_in_one_part(height: int, width: int, part_px: int) -> None:
    parts = list(row_parts(height, width, part_px))
    assert [row for rows in parts for row in range(height)[rows]] == list(range(height))
    counts = [rows.stop - rows.start for rows in parts]
    assert all(count == 1 or count * width <= part_px for count in counts)
    # None is smaller than it must be, but the last.
    assert all((count + 1) * max(width, 1) > part_px for count in counts[:-1])


@settings(max_examples=10, deadline=None)
@given(st.integers(200, 300), st.integers(700, 900), st.integers(0, 99))
def test_an_image_of_several_parts(height: int, width: int, seed: int) -> None:
    """Limits, depth, cloud and DisparityImage of more pixels than a part has."""
    assert len(list(row_parts(height, width))) > 1
    calibration = StereoCalibration(500, 500, width / 2, width / 2 - 5, 100, 0.1, width, height)
    config = PipelineConfig(min_depth=1.0, max_depth=10.0)
    rng = np.random.default_rng(seed)
    raw = rng.uniform(-20, 90, (height, width)).astype(np.float32)
    raw[rng.random(raw.shape) < 0.1] = np.nan
    given_px = raw.copy()

    limited = postprocess.apply_limits(raw, calibration, config)
    expected = np.where(raw < np.float32(10), np.float32(5), raw)
    expected = np.where(raw > np.float32(55), np.float32(np.nan), expected)
    np.testing.assert_array_equal(limited, expected)
    np.testing.assert_array_equal(raw, given_px)

    depth = calibration.depth_m(limited)
    with np.errstate(divide='ignore'):
        np.testing.assert_array_equal(depth, np.float32(50) / (expected - np.float32(5)))

    cloud = point_cloud(ROS_TYPES, depth, calibration, Header())
    xyz = np.frombuffer(cloud.data, '<f4').reshape(height, width, 4)
    z = np.where(np.isfinite(depth), depth, np.float32(np.nan))
    rows = np.arange(height, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(xyz[..., 2], z)
    np.testing.assert_allclose(xyz[..., 1], z * (rows - 100) / 500, rtol=1e-5, atol=1e-6)

    msg = disparity_image(
        ROS_TYPES, StereoResult(limited, None, 10.0, 55.0), calibration, Header()
    )
    published = np.frombuffer(msg.image.data, '<f4').reshape(height, width)
    inside = (limited >= 10) & (limited <= 55)
    np.testing.assert_array_equal(published, np.where(inside, limited - 5, np.float32(4)))
