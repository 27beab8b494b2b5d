"""Points of a LiDAR as sparse disparity of the left view."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..stereo import Float32Array, StereoCalibration

# A point is hidden from the camera where one beside it is nearer by more than both: the LiDAR
# stands elsewhere and looks past edges.
_BESIDE_PX = 4
_NEARER_PX = 2.0
_NEARER_SHARE = 0.1


def sparse_disparity(
    points_m: npt.NDArray[np.float64], calibration: StereoCalibration
) -> Float32Array:
    """Raw disparity (H, W) px of points, NaN where there is none.

    The nearest point of a pixel counts, and points behind nearer ones beside them are dropped.

    Args:
        points_m: (N, 3) in the left optical frame (x right, y down, z forward).
        calibration: of the pair.
    """
    height, width = calibration.height_px, calibration.width_px
    found: Float32Array = np.full((height, width), -np.inf, np.float32)
    x, y, z = points_m[points_m[:, 2] > 0].T
    columns = np.rint(calibration.fx_px * x / z + calibration.cx_left_px)
    rows = np.rint(calibration.fy_px * y / z + calibration.cy_px)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    place = rows[inside].astype(np.int64), columns[inside].astype(np.int64)
    disparity = calibration.focal_baseline_px_m / z[inside] + calibration.disparity_offset_px
    np.maximum.at(found, place, disparity.astype(np.float32))
    window = np.ones((2 * _BESIDE_PX + 1,) * 2, np.uint8)
    offset_px = np.float32(calibration.disparity_offset_px)
    nearest = cv2.dilate(np.maximum(found, offset_px), window)
    # The share is of the distance, so that it counts from infinity.
    least = np.maximum(_NEARER_PX, _NEARER_SHARE * (nearest - offset_px))
    hidden = found < nearest - least
    return np.where(np.isfinite(found) & ~hidden, found, np.float32(np.nan))
