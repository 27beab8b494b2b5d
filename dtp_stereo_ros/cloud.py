"""Filters of point clouds: thinned, one point per voxel, clearing points beyond range."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class LazyDepth:
    """Depth (H, W) in metres that is computed for the rows that are asked for.

    Rows that are used at once stay in the cache, where a whole image would be fetched again.

    Attributes:
        disparity_px: (H, W), raw, input pixels; may be every so many rows and columns.
        calibration: of the whole image.
        beyond_m: depth that stands for +Inf (REP 117: beyond range); NaN stays.
    """

    disparity_px: Float32Array
    calibration: StereoCalibration
    beyond_m: float = np.inf

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W)."""
        return self.disparity_px.shape

    def __getitem__(self, rows: slice) -> Float32Array:
        """Depth of these rows."""
        depth_m = self.calibration.depth_m(self.disparity_px[rows])
        if self.beyond_m != np.inf:
            np.copyto(depth_m, np.float32(self.beyond_m), where=np.isposinf(depth_m))
        return depth_m


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
