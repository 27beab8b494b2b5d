"""Filters of point clouds: thinned, one point per voxel, clearing points beyond range."""

from __future__ import annotations

import numpy as np

from .stereo import Float32Array, StereoCalibration, UInt8Array

# Voxel indices along an axis that still pack into 63 bits together; at 1 mm that is 1 km each way.
_INDEX_BITS = 21
_INDEX_LIMIT = 2 ** (_INDEX_BITS - 1) - 1


def decimated(calibration: StereoCalibration, step: int) -> StereoCalibration:
    """The camera whose pixels are every `step`-th row and column, from the first on.

    Pixel i of it is pixel `i * step` of the image, so the principal point is divided, without the
    half-pixel terms of `StereoCalibration.scaled`, which averages pixels.
    """
    return StereoCalibration(
        fx_px=calibration.fx_px / step,
        fy_px=calibration.fy_px / step,
        cx_left_px=calibration.cx_left_px / step,
        cx_right_px=calibration.cx_right_px / step,
        cy_px=calibration.cy_px / step,
        baseline_m=calibration.baseline_m,
        width_px=-(-calibration.width_px // step),
        height_px=-(-calibration.height_px // step),
    )


def beyond_range_at(depth_m: Float32Array, max_depth_m: float) -> Float32Array:
    """Depth (H, W) m with `max_depth_m` instead of +Inf (REP 117: beyond range); NaN stays."""
    return np.where(np.isposinf(depth_m), np.float32(max_depth_m), depth_m)


def voxel_grid(
    points_m: Float32Array, color: UInt8Array | None, size_m: float
) -> tuple[Float32Array, UInt8Array | None]:
    """One point per occupied cube: the mean of the points in it, as PCL's VoxelGrid.

    Args:
        points_m: (..., 3) xyz; points that are not finite are left out.
        color: (..., 3) uint8 of the same points, or None.
        size_m: edge of the cubes, positive; the origin is a corner of one.

    Returns:
        points (N, 3) float32 and their mean colours (N, 3) uint8, or None. Points farther than
        about a million voxels from the origin are left out.
    """
    flat = points_m.reshape(-1, 3)
    with np.errstate(invalid='ignore', over='ignore', divide='ignore'):
        indices = np.floor(flat / np.float32(size_m))
        kept = (np.abs(indices) <= _INDEX_LIMIT).all(axis=1)  # False for NaN
    flat, cells = flat[kept], indices[kept].astype(np.int64) + _INDEX_LIMIT
    keys = (cells[:, 0] << 2 * _INDEX_BITS) | (cells[:, 1] << _INDEX_BITS) | cells[:, 2]
    _, voxel, count = np.unique(keys, return_inverse=True, return_counts=True)
    voxel = voxel.reshape(-1)

    def mean(values: Float32Array | UInt8Array) -> Float32Array:
        sums = [np.bincount(voxel, values[:, axis], len(count)) for axis in range(3)]
        return (np.stack(sums, axis=1) / count[:, None]).astype(np.float32)

    if color is None:
        return mean(flat), None
    return mean(flat), np.rint(mean(color.reshape(-1, 3)[kept])).astype(np.uint8)
