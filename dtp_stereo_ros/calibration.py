"""One calibration from the projection matrices P of two cameras.

Camera info messages, bags, calibration files and data sets all end here, so that the same checks
hold everywhere. P is used and never K: the images are rectified, and P describes the rectified
cameras (sensor_msgs/CameraInfo):

    P = [fx  0 cx Tx]
        [ 0 fy cy Ty]      Tx = -fx * (position of the camera along the baseline), px * m
        [ 0  0  1  0]

The baseline is the difference of both Tx. KITTI's colour cameras, and stereo cameras that count
from their middle, have a Tx on the left camera too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import CalibrationError
from .stereo import LONGEST_BASELINE_M, StereoCalibration

Matrix = npt.NDArray[np.float64]

# The mend of most faults.
CALIBRATE = 'run the stereo calibrator: ros2 run camera_calibration cameracalibrator'

# Focal lengths of a rectified pair are equal; this much is rounding in a calibration file.
_F_TOLERANCE = 1e-3
# Rows of a rectified pair are aligned; a larger difference is a pair that was never rectified.
_CY_TOLERANCE_PX = 1.0
# Ty shifts a row by this share of the disparity. KITTI's colour cameras have 0.5 %.
_TY_TOLERANCE = 0.02
# Two cameras nearer than this are at one place; Tx of a left camera is round-off up to here.
_SAME_PLACE_M = 1e-6
# Entries of P that are 0 or 1 by definition, up to the 0.0027 that KITTI has in P[11].
_FIXED_ENTRIES = {4: 0.0, 8: 0.0, 9: 0.0, 10: 1.0}
_FIXED_TOLERANCE = 1e-3

# Baselines outside these limits are usable, but doubtful.
_SHORT_BASELINE_M = 0.002
_LONG_BASELINE_M = 2.5
# A smaller fx / width is a field of view of over 157 degrees, which no rectified image has.
_SHORT_FOCAL_SHARE = 0.1
# Pixels are square; binning of one axis alone makes it 2.
_PIXEL_ASPECT = 2.5


@dataclass(frozen=True)
class Camera:
    """One camera of a rectified pair, with the fields of sensor_msgs/CameraInfo that matter.

    Attributes:
        name: names the camera in errors, e.g. 'left camera_info'.
        p: projection matrix P, 12 numbers by rows; px, Tx and Ty in px * m.
        width_px, height_px: full resolution of the calibration, before ROI and binning.
        k: camera matrix K, 9 numbers by rows, or None where it is not told. All zero marks a
            camera that is not calibrated.
        binning: (x, y); 0 means 1.
        roi: region of interest (x offset, y offset, width, height) in full resolution; a width
            or height of 0 is that of the full image.
    """

    name: str
    p: tuple[float, ...]
    width_px: int
    height_px: int
    k: tuple[float, ...] | None = None
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)

    @classmethod
    def of_message(cls, message: Any, name: str) -> Camera:
        """The camera of a sensor_msgs/CameraInfo of rclpy or rosbags, ROS 2 or ROS 1."""
        p, k = (getattr(message, key, getattr(message, key.upper(), ())) for key in 'pk')
        roi = message.roi
        return cls(
            name,
            numbers(p),
            int(message.width),
            int(message.height),
            numbers(k),
            (int(message.binning_x), int(message.binning_y)),
            (int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
        )

    @property
    def published_size_px(self) -> tuple[int, int]:
        """(width, height) of the images that are published: after ROI and binning."""
        bin_x, bin_y = self._bins
        return (self.roi[2] or self.width_px) // bin_x, (self.roi[3] or self.height_px) // bin_y

    def published(self, matrix: Matrix) -> Matrix:
        """K (3, 3) or P (3, 4) of the published image: the ROI first, then binning.

        As image_geometry does it: ``cx' = (cx - roi.x_offset) / binning_x``.
        """
        moved = matrix.copy()
        moved[0, 2] -= self.roi[0]
        moved[1, 2] -= self.roi[1]
        moved[0] /= self._bins[0]
        moved[1] /= self._bins[1]
        return moved

    @property
    def _bins(self) -> tuple[int, int]:
        return max(1, self.binning[0]), max(1, self.binning[1])


def numbers(values: Iterable[Any]) -> tuple[float, ...]:
    """A matrix of a message or file, by rows."""
    return tuple(float(value) for value in values)


def stereo_calibration(
    left: Camera, right: Camera, image_size_px: tuple[int, int] | None = None
) -> StereoCalibration:
    """The calibration of a rectified pair, at the size of its images.

    Args:
        left, right: the two cameras.
        image_size_px: (width, height) of the images, or None to take the cameras' word for it.

    Raises:
        CalibrationError: one line that names the camera, the fault and the mend.
    """
    matrices = _checked_p(left), _checked_p(right)
    _check_baseline(left, right, *matrices)
    size = left.published_size_px if image_size_px is None else image_size_px
    for camera in (left, right):
        _check_size(camera, size, 'the left one' if image_size_px is None else 'the image')
    p_left, p_right = left.published(matrices[0]), right.published(matrices[1])
    _check_rectified(left, right, p_left, p_right)
    return StereoCalibration(
        fx_px=float(p_right[0, 0]),
        fy_px=float(p_right[1, 1]),
        cx_left_px=float(p_left[0, 2]),
        cx_right_px=float(p_right[0, 2]),
        cy_px=float(p_left[1, 2]),
        baseline_m=float((p_left[0, 3] - p_right[0, 3]) / p_right[0, 0]),
        width_px=size[0],
        height_px=size[1],
    )


def calibration_doubts(calibration: StereoCalibration) -> list[str]:
    """Numbers of a calibration that are usable but probably in another unit; one line each."""
    doubts = []
    baseline_m = calibration.baseline_m
    if baseline_m < _SHORT_BASELINE_M:
        doubts.append(
            f'baseline is {baseline_m * 1000:.2g} mm; P[3] of the right camera is -fx * baseline, '
            'in px * m'
        )
    elif baseline_m > _LONG_BASELINE_M:
        doubts.append(
            f'baseline is {baseline_m:.4g} m; is it in cm or mm? P[3] of the right camera is '
            '-fx * baseline, in px * m'
        )
    if calibration.fx_px < _SHORT_FOCAL_SHARE * calibration.width_px:
        doubts.append(
            f'fx is {calibration.fx_px:.4g} px but the image is {calibration.width_px} px wide; '
            'is it in mm, or of another size?'
        )
    if not 1 / _PIXEL_ASPECT <= calibration.fy_px / calibration.fx_px <= _PIXEL_ASPECT:
        doubts.append(
            f'fx is {calibration.fx_px:.4g} px and fy {calibration.fy_px:.4g} px; P[0] and P[5] '
            'are nearly equal but for binning'
        )
    for name, centre_px, size_px in (
        ('cx of the left camera', calibration.cx_left_px, calibration.width_px),
        ('cx of the right camera', calibration.cx_right_px, calibration.width_px),
        ('cy', calibration.cy_px, calibration.height_px),
    ):
        if not -size_px <= centre_px <= 2 * size_px:
            doubts.append(
                f'{name} is {centre_px:.4g} px, more than a whole image of {size_px} px outside; '
                'is the calibration of another size?'
            )
    return doubts


def _checked_p(camera: Camera) -> Matrix:
    """P as (3, 4), if it and K can be meant."""
    if len(camera.p) != 12:
        raise CalibrationError(f'{camera.name}: P has {len(camera.p)} numbers instead of 12')
    if not all(math.isfinite(value) for value in (*camera.p, *(camera.k or ()))):
        raise CalibrationError(f'{camera.name}: K or P has NaN or Inf; {CALIBRATE}')
    if camera.k is not None and (len(camera.k) != 9 or camera.k[0] == 0):
        raise CalibrationError(f'{camera.name}: K is zero, uncalibrated; {CALIBRATE}')
    if camera.p[0] <= 0 or camera.p[5] <= 0:
        raise CalibrationError(
            f'{camera.name}: P[0] or P[5] is not positive, it holds no rectified camera; '
            f'{CALIBRATE}'
        )
    for index, value in _FIXED_ENTRIES.items():
        if abs(camera.p[index] - value) > _FIXED_TOLERANCE:
            raise CalibrationError(
                f'{camera.name}: P[{index}] is {camera.p[index]:.4g} but must be {value:g}, P is '
                f'fx 0 cx Tx, 0 fy cy 0, 0 0 1 0; {CALIBRATE}'
            )
    if abs(camera.p[1]) > _F_TOLERANCE * camera.p[0]:
        raise CalibrationError(
            f'{camera.name}: P[1] is {camera.p[1]:.4g} but a rectified camera has no skew; '
            f'{CALIBRATE}'
        )
    return np.asarray(camera.p, np.float64).reshape(3, 4)


def _check_baseline(left: Camera, right: Camera, p_left: Matrix, p_right: Matrix) -> None:
    tx_left, tx_right = float(p_left[0, 3]), float(p_right[0, 3])
    shift_y = abs(float(p_left[1, 3] - p_right[1, 3]))
    baseline_m = (tx_left - tx_right) / float(p_right[0, 0])
    if shift_y > abs(tx_left - tx_right) and shift_y > _SAME_PLACE_M * p_right[1, 1]:
        raise CalibrationError(
            f'{right.name}: Ty is {p_right[1, 3]:.4g} (P[7]), one camera stands above the other; '
            'turn both images by 90 degrees and calibrate again'
        )
    left_at_origin = abs(tx_left) <= _SAME_PLACE_M * p_left[0, 0]
    if abs(baseline_m) <= _SAME_PLACE_M:
        if left_at_origin:
            raise CalibrationError(
                f'{right.name}: Tx is zero (P[3] = {tx_right:.4g}), so there is no baseline; '
                'P[3] must be -fx * baseline'
            )
        raise CalibrationError(
            f'{left.name}: Tx on the left camera is that of the right one (P[3] = {tx_left:.4g}), '
            f'so there is no baseline; give both cameras of the pair, or {CALIBRATE}'
        )
    if baseline_m < 0 and left_at_origin:
        raise CalibrationError(
            f'{right.name}: Tx is positive (P[3] = {tx_right:.4g}), the right camera would stand '
            'left of the left one; P[3] must be -fx * baseline'
        )
    if baseline_m < 0:
        raise CalibrationError(
            f'{left.name}: Tx on the left camera (P[3] = {tx_left:.4g}, right {tx_right:.4g}) '
            'puts it right of the right one; swap the left and right topics, or files'
        )
    if baseline_m > LONGEST_BASELINE_M:
        raise CalibrationError(
            f'{right.name}: baseline is {baseline_m:.4g} m, which no stereo camera has; P[3] '
            f'(here {tx_right:.4g}) must be -fx * baseline in px * m, is it in mm or cm?'
        )
    if shift_y > _TY_TOLERANCE * abs(tx_left - tx_right):
        raise CalibrationError(
            f'{left.name}, {right.name}: Ty differs, left P[7] = {p_left[1, 3]:.4g} and right '
            f'P[7] = {p_right[1, 3]:.4g}, the rows of the pair are not aligned; {CALIBRATE}'
        )


def _check_size(camera: Camera, size_px: tuple[int, int], what: str) -> None:
    published = camera.published_size_px
    if published != size_px:
        raise CalibrationError(
            f'{camera.name}: size {published[0]}x{published[1]} (after ROI and binning) but '
            f'{what} is {size_px[0]}x{size_px[1]}; give the calibration of this size'
        )


def _check_rectified(left: Camera, right: Camera, p_left: Matrix, p_right: Matrix) -> None:
    names = f'{left.name}, {right.name}'
    for axis, index, name in ((0, 0, 'fx'), (1, 5, 'fy')):
        f_left, f_right = p_left[axis, axis], p_right[axis, axis]
        if abs(f_left - f_right) > _F_TOLERANCE * f_right:
            raise CalibrationError(
                f'{names}: {name} differs, left P[{index}] = {f_left:.6g} and right P[{index}] = '
                f'{f_right:.6g}, the pair is not rectified together; {CALIBRATE}'
            )
    cy_left, cy_right = p_left[1, 2], p_right[1, 2]
    if abs(cy_left - cy_right) > _CY_TOLERANCE_PX:
        raise CalibrationError(
            f'{names}: cy differs, left P[6] = {cy_left:.6g} and right P[6] = {cy_right:.6g}, '
            f'the rows of the pair are not aligned; {CALIBRATE}'
        )
