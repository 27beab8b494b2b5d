"""Rectification inside the node, for cameras whose driver publishes raw images only.

From K, D, R and P of `sensor_msgs/CameraInfo`, as `image_proc` does it: a pixel of the rectified
image (P) is rotated back into the camera (R), distorted (D) and looked up in the raw image (K).
The maps are made once per calibration.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import CalibrationError
from ..stereo import BoolArray, UInt8Array
from .camera_info import CALIBRATE, at_image
from .types import CameraInfo

Matrix = npt.NDArray[np.float64]

# distortion_model -> numbers of coefficients that it has (sensor_msgs/distortion_models.hpp).
_PINHOLE = {'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14)}
_FISHEYE = {'equidistant': (4,), 'fisheye': (4,)}
_MODELS = {**_PINHOLE, **_FISHEYE}

# Distortion is inverted by iteration. OpenCV's five steps are off by half a pixel in the corners
# of a lens of 94 degrees.
_INVERSION = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-6)


class Rectifier:
    """Rectifies the images of one camera.

    Args:
        side: 'left' or 'right', named in errors.

    Attributes:
        seen: (H, W) of the newest image, False where more than half of a pixel lies outside of
            the raw one; None where no pixel does.
    """

    def __init__(self, side: str) -> None:
        self._side = side
        self.seen: BoolArray | None = None
        self._key: tuple[Any, ...] | None = None
        self._maps: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None

    def rectify(self, image: UInt8Array, info: CameraInfo) -> UInt8Array:
        """Rectify an image (H, W, 3); what the camera did not see is black.

        Raises:
            CalibrationError: K, D or R cannot be used, or the distortion model is unknown.
        """
        height, width = image.shape[:2]
        key = (
            (width, height, info.distortion_model, tuple(info.d), tuple(info.k), tuple(info.r)),
            (tuple(info.p), info.binning_x, info.binning_y, info.roi.x_offset, info.roi.y_offset),
        )
        if key != self._key:
            self._maps = _maps(info, self._side, (width, height))
            white = np.full((height, width), 255, np.uint8)
            seen = cv2.remap(white, *self._maps, cv2.INTER_LINEAR) > 127
            self.seen = None if seen.all() else seen
            self._key = key
        assert self._maps is not None
        return np.asarray(cv2.remap(image, *self._maps, cv2.INTER_LINEAR))


def rectified_points(info: CameraInfo, side: str, points_px: Matrix) -> Matrix:
    """Points of the raw image in the rectified one, (N, 2) px.

    Raises:
        CalibrationError: K, D or R cannot be used, or the distortion model is unknown.
    """
    model, k, d, r, p = _camera(info, side)
    if not len(points_px):
        return points_px
    points = np.ascontiguousarray(points_px, np.float64).reshape(-1, 1, 2)
    if model in _FISHEYE:
        found = cv2.fisheye.undistortPoints(points, k, d, R=r, P=p)
    elif hasattr(cv2, 'undistortPointsIter'):  # before OpenCV 5
        found = cv2.undistortPointsIter(points, k, d, r, p, _INVERSION)
    else:
        found = cv2.undistortPoints(points, k, d, R=r, P=p, criteria=_INVERSION)
    return np.asarray(found, np.float64).reshape(-1, 2)


def _maps(
    info: CameraInfo, side: str, size: tuple[int, int]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Place of each rectified pixel in the raw image, in OpenCV's fixed-point form."""
    model, k, d, r, p = _camera(info, side)
    make = cv2.fisheye.initUndistortRectifyMap if model in _FISHEYE else _pinhole_maps
    first, second = make(k, d, r, p, size, cv2.CV_16SC2)
    return first, second


def _camera(info: CameraInfo, side: str) -> tuple[str, Matrix, Matrix, Matrix, Matrix]:
    """Distortion model, K, D, R and P (3, 3), at the published size."""
    model, d = _distortion(info, side)
    k = at_image(info, np.asarray(info.k, np.float64).reshape(3, 3))
    p = at_image(info, np.asarray(info.p, np.float64).reshape(3, 4)[:, :3])
    r = np.asarray(info.r, np.float64).reshape(3, 3)
    if not all(np.isfinite(m).all() for m in (k, p, d)):
        raise CalibrationError(f'{side} camera_info: K, D or P has NaN or Inf; calibrate again')
    if k[0, 0] <= 0 or k[1, 1] <= 0 or p[0, 0] <= 0 or p[1, 1] <= 0:
        raise CalibrationError(
            f'{side} camera_info: K or P is zero, so nothing can be rectified; {CALIBRATE}'
        )
    with np.errstate(over='ignore', invalid='ignore'):  # of numbers that are no rotation
        is_rotation = np.allclose(r @ r.T, np.eye(3), atol=1e-3)
    if not is_rotation:
        raise CalibrationError(
            f'{side} camera_info: R is no rotation, so nothing can be rectified; {CALIBRATE}'
        )
    return model, k, d, r, p


def _pinhole_maps(*arguments: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    first, second = cv2.initUndistortRectifyMap(*arguments)
    return first, second


def _distortion(info: CameraInfo, side: str) -> tuple[str, Matrix]:
    """Model and coefficients.

    Zeros alone are a lens without distortion, whatever the driver calls it, but for the four of
    the fisheye models, whose projection differs from a pinhole's without any coefficient.
    """
    d = np.asarray(info.d, np.float64)
    model = info.distortion_model
    if not d.any() and not (model in _FISHEYE and d.size in _FISHEYE[model]):
        return 'plumb_bob', np.zeros(5)
    if model not in _MODELS:
        raise CalibrationError(
            f"{side} camera_info: distortion_model '{model}' is not known, use one of "
            f'{", ".join(_MODELS)}, or rectify before the node and set rectify to false'
        )
    if d.size not in _MODELS[model]:
        wanted = ' or '.join(str(n) for n in _MODELS[model])
        fits = next((name for name, sizes in _MODELS.items() if d.size in sizes), '')
        mend = f'set distortion_model to {fits} if that is meant, or {CALIBRATE}'
        raise CalibrationError(
            f'{side} camera_info: {model} has {wanted} coefficients but D has {d.size}; '
            f'{mend if fits else CALIBRATE}'
        )
    return model, d
