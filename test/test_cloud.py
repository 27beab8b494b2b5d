"""Decimated cameras, clearing points, and one point per voxel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dtp_stereo_ros.cloud import LazyDepth, decimated, voxel_grid
from dtp_stereo_ros.stereo import StereoCalibration


@given(st.integers(1, 16), st.integers(1, 50), st.integers(1, 50), st.floats(-40, 40))
def test_decimated_points_are_points_of_the_whole_cloud(
    step: int, width: int, height: int, offset: float
) -> None:
    calibration = StereoCalibration(400.0, 410.0, 20.5, 20.5 + offset, 11.25, 0.1, width, height)
    depth = np.random.default_rng(0).uniform(1, 9, (height, width)).astype(np.float32)
    small = decimated(calibration, step)
    thinned = depth[::step, ::step]
    assert thinned.shape == (small.height_px, small.width_px)
    np.testing.assert_allclose(
        small.points_m(thinned), calibration.points_m(depth)[::step, ::step], rtol=1e-4, atol=1e-6
    )
    assert small.baseline_m == calibration.baseline_m


def test_beyond_range_becomes_a_point_there_and_unknown_stays_unknown() -> None:
    calibration = StereoCalibration(400.0, 400.0, 20.0, 20.0, 10.0, 0.1, 3, 2)
    disparity = np.array([[20, 0, np.nan], [80, -1, 40]], np.float32)
    depth = LazyDepth(disparity, calibration, 8.0)
    np.testing.assert_array_equal(depth[:], [[2, 8, np.nan], [0.5, 8, 1]])
    np.testing.assert_array_equal(depth[1:2], [[0.5, 8, 1]])
    assert depth.shape == (2, 3)
    np.testing.assert_array_equal(LazyDepth(disparity, calibration)[:1], [[2, np.inf, np.nan]])


def test_voxels_by_hand() -> None:
    nan = np.nan
    points = np.array(
        [[[0.1, 0.1, 0.1], [0.3, 0.1, 0.3]], [[nan, nan, nan], [-0.1, 0.1, 0.1]]], np.float32
    )
    color = np.array([[[10, 0, 255], [21, 0, 255]], [[9, 9, 9], [1, 2, 3]]], np.uint8)
    grid, colors = voxel_grid(points, color, 0.5)
    np.testing.assert_allclose(grid, [[-0.1, 0.1, 0.1], [0.2, 0.1, 0.2]], rtol=1e-6)
    assert colors is not None
    assert colors.tolist() == [[1, 2, 3], [16, 0, 255]]  # 15.5 to even
    assert voxel_grid(points, None, 0.05)[0].shape == (3, 3)
    assert voxel_grid(points, None, 1e-50)[0].shape == (0, 3)  # 0 as float32


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 12), st.integers(0, 12), st.just(3)),
        elements=st.floats(-(2.0**100), 2.0**100, width=32)
        | st.just(np.nan)
        | st.floats(-3, 3, width=32),
    ),
    st.sampled_from([0.01, 0.1, 1.0, 10.0]),
)
def test_every_voxel_once_and_its_mean_inside(points: np.ndarray, size: float) -> None:
    grid, colors = voxel_grid(points, None, size)
    assert colors is None
    assert np.isfinite(grid).all()
    flat = points.reshape(-1, 3)
    voxels = np.floor(flat.astype(np.float64) / np.float64(np.float32(size)))
    inside = (np.abs(voxels) < 2**20).all(axis=1)
    near = flat[inside]
    cells = np.floor(near / np.float32(size))
    assert len(grid) == len({tuple(v) for v in cells.tolist()})
    if len(near):
        slack = 1e-5 * size + 1e-5 * np.abs(near).max(axis=0)
        assert (grid >= near.min(axis=0) - slack).all()
        assert (grid <= near.max(axis=0) + slack).all()
