"""`stereo_msgs/DisparityImage` and depth images to raw disparity of the left view."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from ..errors import InputError
from ..sizes import MAX_PIXELS
from ..stereo import MM_PER_M, Float32Array, StereoCalibration
from .compressed_images import PNG_MAGIC, declared_size
from .types import CompressedImage, DisparityImage, Image

_DTYPES = {'32FC1': 'f4', '16UC1': 'u2', 'mono16': 'u2'}
# Header of compressed_depth_image_transport: format, and two parameters of inverse depth.
_DEPTH_HEADER = struct.Struct('<iff')

# Difference of two disparities that only rounding to float32 has made.
_SAME_PX = 1e-3


def raw_disparity(
    msg: DisparityImage | Image | CompressedImage,
    calibration: StereoCalibration | None,
    topic: str,
) -> Float32Array:
    """Raw disparity `x_l - x_r`, (H, W) float32 px, NaN unknown.

    Args:
        msg: a DisparityImage, or a depth image of the left view (32FC1 m or 16UC1 mm), raw, as a
            16-bit PNG, or of compressed_depth_image_transport. Limits of a DisparityImage that
            are empty are none: publishers leave them unset. Those of stereo_image_proc, which
            are raw disparities, are told by its mark for unknown pixels.
        calibration: of the pair. A depth image needs it; a DisparityImage is taken to be of
            equal principal points without.
        topic: named in errors.

    Raises:
        InputError: another encoding or size of data, or depth without calibration.
    """
    if hasattr(msg, 'min_disparity'):
        offset_px = calibration.disparity_offset_px if calibration else 0.0
        return _within_limits(msg, image_values(msg.image, topic), np.float32(offset_px))
    if calibration is None:
        raise InputError(f'{topic}: depth needs a camera_info to become disparity; record it')
    depth_m = _compressed_m(msg, topic) if hasattr(msg, 'format') else _raw_m(msg, topic)
    known = np.isfinite(depth_m) & (depth_m > 0)
    return calibration.raw_disparity(np.where(known, depth_m, np.float32(np.nan)))


def _within_limits(
    msg: DisparityImage, published: Float32Array, offset_px: np.float32
) -> Float32Array:
    """Raw disparity of the published one, `raw - offset_px`; NaN outside the message's limits."""
    low, high = np.float32(msg.min_disparity), np.float32(msg.max_disparity)
    if not high > low:
        low, high = np.float32(0), np.float32(np.inf)
    finite = np.isfinite(published)
    # stereo_image_proc subtracts the offset from everything, its mark `min_disparity - 1` too, and
    # leaves the limits as they are (stereo_processor.cpp).
    mark = low - np.float32(1) - offset_px
    lowest = published.min(where=finite, initial=np.float32(np.inf))
    if abs(lowest - mark) < _SAME_PX:
        low, high = low - offset_px, high - offset_px
    known = finite & (published >= low) & (published <= high)
    return np.where(known, published + offset_px, np.float32(np.nan)).astype(np.float32)


def _raw_m(msg: Any, topic: str) -> Float32Array:
    values = image_values(msg, topic)
    return values if msg.encoding == '32FC1' else values / np.float32(MM_PER_M)


def _compressed_m(msg: Any, topic: str) -> Float32Array:
    """Depth of a CompressedImage.

    Raises:
        InputError: another compression than PNG, or it does not decode.
    """
    data = bytes(msg.data)
    inverse = (0.0, 0.0)
    is_float = False
    if not data.startswith(PNG_MAGIC):
        _, *inverse_depth = _DEPTH_HEADER.unpack_from(data.ljust(_DEPTH_HEADER.size, b'\0'))
        inverse = (inverse_depth[0], inverse_depth[1])
        data = data[_DEPTH_HEADER.size :]
        is_float = msg.format.startswith('32FC1')
    size = declared_size(data)
    if not data.startswith(PNG_MAGIC) or size is None or not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise InputError(
            f"{topic}: format '{msg.format}' is no depth, use a PNG of 16 bits or compressedDepth "
            'with PNG'
        )
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        stored = None
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 2:
        raise InputError(f'{topic}: depth does not decode to 16 bits of one channel; damaged?')
    values = stored.astype(np.float32)
    if not is_float:
        return values / np.float32(MM_PER_M)
    # compressed_depth_image_transport/src/codec.cpp: 0 stands for unknown.
    scale, offset = (np.float32(parameter) for parameter in inverse)
    unknown = stored == 0
    return np.where(unknown, np.float32(np.nan), scale / np.where(unknown, 1, values - offset))


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
