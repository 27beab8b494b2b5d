"""A pair of `sensor_msgs/CameraInfo` to `StereoCalibration` and back.

The checks, and what ROI and binning do, are those of `calibration`, as for files and bags.
"""

from __future__ import annotations

import copy

import numpy as np

from ..calibration import CALIBRATE as CALIBRATE
from ..calibration import Camera, calibration_doubts
from ..calibration import stereo_calibration as calibration_of
from ..errors import CalibrationError
from ..stereo import StereoCalibration
from .types import CameraInfo, Header, MessageTypes


def stereo_calibration(
    left: CameraInfo, right: CameraInfo, width_px: int, height_px: int
) -> StereoCalibration:
    """Calibration of images of this size from the two messages.

    Args:
        left, right: newest message of each camera.
        width_px, height_px: size of the images that they shall describe.

    Raises:
        CalibrationError: one line that names the camera, the fault and the mend.
    """
    return calibration_of(*_cameras(left, right), (width_px, height_px))


def calibration_warnings(left: CameraInfo, right: CameraInfo, image_frame: str) -> list[str]:
    """Doubtful, but usable: what a user should look at. One line each."""
    warnings = []
    if not image_frame:
        warnings.append(
            'header.frame_id of the left image is empty, so tf2 can transform no output; set the '
            'frame of the camera driver'
        )
    elif left.header.frame_id != image_frame:
        warnings.append(
            f"left camera_info has frame '{left.header.frame_id}' but the left image "
            f"'{image_frame}'; outputs use the image's"
        )
    try:
        found = calibration_of(*_cameras(left, right))
    except CalibrationError:
        return warnings  # an error of its own
    return warnings + calibration_doubts(found)


def rectified_px_m(left: CameraInfo, right: CameraInfo) -> tuple[float, float] | None:
    """Focal length (px) of the published images and baseline (m); None where they tell none."""
    try:
        found = calibration_of(*_cameras(left, right))
    except CalibrationError:
        return None
    return found.fx_px, found.baseline_m


def left_of(right: CameraInfo) -> CameraInfo:
    """The info of a left camera that differs from the right one by the Tx of P alone."""
    left = copy.copy(right)
    left.p = [0.0 if index == 3 else float(value) for index, value in enumerate(right.p)]
    return left


def camera_infos(
    types: MessageTypes, calibration: StereoCalibration, left_header: Header, right_header: Header
) -> tuple[CameraInfo, CameraInfo]:
    """The (left, right) messages of a rectified, undistorted pair."""
    infos = []
    for header, cx, tx in (
        (left_header, calibration.cx_left_px, 0.0),
        (right_header, calibration.cx_right_px, -calibration.focal_baseline_px_m),
    ):
        fx, fy, cy = calibration.fx_px, calibration.fy_px, calibration.cy_px
        info = types.camera_info(
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


def at_image(info: CameraInfo, matrix: np.ndarray) -> np.ndarray:
    """K or P of the published image: the region of interest first, then binning."""
    return Camera.of_message(info, '').published(matrix)


def _cameras(left: CameraInfo, right: CameraInfo) -> tuple[Camera, Camera]:
    return (
        Camera.of_message(left, 'left camera_info'),
        Camera.of_message(right, 'right camera_info'),
    )
