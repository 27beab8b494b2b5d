"""A pair of `sensor_msgs/CameraInfo` to `StereoCalibration` and back.

P is used and never K: the images are rectified, and P describes the rectified cameras. Binning and
region of interest are applied as `image_geometry` does: `cx' = (cx - roi.x_offset) / binning_x`.
"""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from ..errors import CalibrationError
from ..stereo import StereoCalibration

# Focal lengths of a rectified pair are equal; this much is rounding in a calibration file.
_FX_TOLERANCE = 1e-3
# Rows of a rectified pair are aligned; a larger difference is a pair that was never rectified.
_CY_TOLERANCE_PX = 1.0
# Shorter than any stereo head: P[3] was probably written in metres instead of px * m.
_SHORTEST_BASELINE_M = 0.002

# The mend of most faults.
CALIBRATE = 'run the stereo calibrator: ros2 run camera_calibration cameracalibrator'


def stereo_calibration(
    left: CameraInfo, right: CameraInfo, width_px: int, height_px: int
) -> StereoCalibration:
    """What the two messages say about images of this size.

    Args:
        left, right: newest message of each camera.
        width_px, height_px: size of the images that they shall describe.

    Raises:
        CalibrationError: one line that names the camera, the fault and the mend.
    """
    p_left = _checked_p(left, 'left')
    p_right = _checked_p(right, 'right')
    _check_baseline(p_left, p_right)
    for side, info in (('left', left), ('right', right)):
        _check_size(info, side, width_px, height_px)
    p_left, p_right = at_image(left, p_left), at_image(right, p_right)
    _check_rectified(p_left, p_right)
    return StereoCalibration(
        fx_px=float(p_right[0, 0]),
        fy_px=float(p_right[1, 1]),
        cx_left_px=float(p_left[0, 2]),
        cx_right_px=float(p_right[0, 2]),
        cy_px=float(p_left[1, 2]),
        baseline_m=float(-p_right[0, 3] / p_right[0, 0]),
        width_px=width_px,
        height_px=height_px,
    )


def calibration_warnings(left: CameraInfo, right: CameraInfo, image_frame: str) -> list[str]:
    """Doubtful, but usable: what a user should look at. One line each."""
    warnings = []
    if left.header.frame_id != image_frame:
        warnings.append(
            f"left camera_info has frame '{left.header.frame_id}' but the left image "
            f"'{image_frame}'; outputs use the image's"
        )
    baseline_m = -right.p[3] / right.p[0] if right.p[0] else math.inf
    if 0 < baseline_m < _SHORTEST_BASELINE_M:  # zero and less are errors of their own
        warnings.append(
            f'baseline is {baseline_m * 1000:.2g} mm; P[3] of the right camera is -fx * baseline, '
            'in px * m'
        )
    return warnings


def camera_infos(
    calibration: StereoCalibration, left_header: Header, right_header: Header
) -> tuple[CameraInfo, CameraInfo]:
    """The (left, right) messages of a rectified, undistorted pair."""
    infos = []
    for header, cx, tx in (
        (left_header, calibration.cx_left_px, 0.0),
        (right_header, calibration.cx_right_px, -calibration.focal_baseline_px_m),
    ):
        fx, fy, cy = calibration.fx_px, calibration.fy_px, calibration.cy_px
        info = CameraInfo(
            header=header,
            width=calibration.width_px,
            height=calibration.height_px,
            distortion_model='plumb_bob',
        )
        info.d = [0.0] * 5
        info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
        info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        info.p = [fx, 0.0, cx, tx, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        infos.append(info)
    return infos[0], infos[1]


def _checked_p(info: CameraInfo, side: str) -> np.ndarray:
    """P as (3, 4), if it and K can be meant."""
    p = np.asarray(info.p, np.float64).reshape(3, 4)
    k = np.asarray(info.k, np.float64)
    if not (np.isfinite(p).all() and np.isfinite(k).all()):
        raise CalibrationError(f'{side} camera_info: K or P has NaN or Inf; {CALIBRATE}')
    if k[0] == 0:
        raise CalibrationError(f'{side} camera_info: K is zero, uncalibrated; {CALIBRATE}')
    if p[0, 0] <= 0 or p[1, 1] <= 0:
        raise CalibrationError(
            f'{side} camera_info: P[0] or P[5] is not positive, it holds no rectified camera; '
            f'{CALIBRATE}'
        )
    return p


def _check_baseline(p_left: np.ndarray, p_right: np.ndarray) -> None:
    tx_left, tx_right = p_left[0, 3], p_right[0, 3]
    if tx_left != 0:
        swapped = tx_right == 0
        raise CalibrationError(
            f'left camera_info: Tx on the left camera (P[3] = {tx_left:.4g}, must be 0); '
            + ('swap the left and right topics' if swapped else CALIBRATE)
        )
    if tx_right == 0:
        raise CalibrationError(
            'right camera_info: Tx is zero (P[3] = 0), so there is no baseline; '
            'P[3] must be -fx * baseline'
        )
    if tx_right > 0:
        raise CalibrationError(
            f'right camera_info: Tx is positive (P[3] = {tx_right:.4g}), the right camera would '
            'stand left of the left one; P[3] must be -fx * baseline'
        )


def _check_size(info: CameraInfo, side: str, width_px: int, height_px: int) -> None:
    roi = info.roi
    width = (roi.width or info.width) // max(1, info.binning_x)
    height = (roi.height or info.height) // max(1, info.binning_y)
    if (width, height) != (width_px, height_px):
        raise CalibrationError(
            f'{side} camera_info: size {width}x{height} (after ROI and binning) but the image is '
            f'{width_px}x{height_px}; publish the calibration of this size'
        )


def at_image(info: CameraInfo, matrix: np.ndarray) -> np.ndarray:
    """K or P of the published image: the region of interest first, then binning."""
    moved = matrix.copy()
    moved[0, 2] -= info.roi.x_offset
    moved[1, 2] -= info.roi.y_offset
    moved[0] /= max(1, info.binning_x)
    moved[1] /= max(1, info.binning_y)
    return moved


def _check_rectified(p_left: np.ndarray, p_right: np.ndarray) -> None:
    fx_left, fx_right = p_left[0, 0], p_right[0, 0]
    if abs(fx_left - fx_right) > _FX_TOLERANCE * fx_right:
        raise CalibrationError(
            f'camera_info: fx differs, left P[0] = {fx_left:.6g} and right P[0] = {fx_right:.6g},'
            f' the pair is not rectified together; {CALIBRATE}'
        )
    cy_left, cy_right = p_left[1, 2], p_right[1, 2]
    if abs(cy_left - cy_right) > _CY_TOLERANCE_PX:
        raise CalibrationError(
            f'camera_info: cy differs, left P[6] = {cy_left:.6g} and right P[6] = {cy_right:.6g},'
            f' the rows of the pair are not aligned; {CALIBRATE}'
        )
