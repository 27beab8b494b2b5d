"""`stereo_msgs/DisparityImage` and depth images to raw disparity of the left view."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError
from ..stereo import Float32Array, StereoCalibration
from .types import DisparityImage, Image

_MM_PER_M = np.float32(1000)
_DTYPES = {'32FC1': 'f4', '16UC1': 'u2', 'mono16': 'u2'}


def raw_disparity(
    msg: DisparityImage | Image, calibration: StereoCalibration | None, topic: str
) -> Float32Array:
    """Raw disparity `x_l - x_r`, (H, W) float32 px, NaN unknown.

    Args:
        msg: a DisparityImage, or a depth image of the left view (32FC1 m or 16UC1 mm).
        calibration: of the pair. A depth image needs it; a DisparityImage is taken to be of
            equal principal points without.
        topic: named in errors.

    Raises:
        InputError: another encoding or size of data, or depth without calibration.
    """
    if hasattr(msg, 'min_disparity'):
        published = image_values(msg.image, topic)
        low, high = np.float32(msg.min_disparity), np.float32(msg.max_disparity)
        known = np.isfinite(published) & (published >= low) & (published <= high)
        offset_px = np.float32(calibration.disparity_offset_px if calibration else 0.0)
        return np.where(known, published + offset_px, np.float32(np.nan)).astype(np.float32)
    if calibration is None:
        raise InputError(f'{topic}: depth needs a camera_info to become disparity; record it')
    depth_m = image_values(msg, topic)
    if msg.encoding != '32FC1':
        depth_m = depth_m / _MM_PER_M
    known = np.isfinite(depth_m) & (depth_m > 0)
    return calibration.raw_disparity(np.where(known, depth_m, np.float32(np.nan)))


def image_values(msg: Any, topic: str) -> Float32Array:
    """Pixels of a one-channel image as float32 (H, W).

    Raises:
        InputError: another encoding or size of data; names the topic.
    """
    code = _DTYPES.get(msg.encoding)
    if code is None:
        raise InputError(
            f"{topic}: encoding '{msg.encoding}' is no disparity or depth, use "
            f'{" or ".join(_DTYPES)}'
        )
    dtype = np.dtype(('>' if msg.is_bigendian else '<') + code)
    height, width, step = msg.height, msg.width, msg.step
    row_bytes = width * dtype.itemsize
    if not (height and width) or step < row_bytes or len(msg.data) != step * height:
        raise InputError(
            f'{topic}: {width}x{height} {msg.encoding} image has step {step} and '
            f'{len(msg.data)} bytes; they do not fit'
        )
    rows = np.frombuffer(msg.data, np.uint8).reshape(height, step)[:, :row_bytes]
    return np.ascontiguousarray(rows).view(dtype).astype(np.float32)
