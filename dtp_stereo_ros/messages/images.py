"""`sensor_msgs` images to RGB uint8, and arrays to `sensor_msgs/Image`.

We decode the listed encodings ourselves, with NumPy and OpenCV: it is one table and one code path
on every machine, and a `cv_bridge` built against another NumPy ABI (it crashes on import then)
cannot take the node down. Encoding names: `sensor_msgs/image_encodings.hpp`.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..stereo import UInt8Array
from .compressed_images import MAX_PIXELS, decompress
from .types import CompressedImage, Image, MessageTypes

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class _Layout:
    """How one encoding lies in memory, and its way to RGB.

    Attributes:
        bytes_per_pixel: on average over a row.
        channels: 0 for (H, W), else (H, W, channels).
        to_rgb: takes uint8 (or uint16 where 16-bit) pixels, returns RGB uint8 (H, W, 3).
        bits: of one channel.
        even_width: pixels come in pairs.
    """

    bytes_per_pixel: int
    channels: int
    to_rgb: Callable[[Pixels], Pixels]
    bits: int = 8
    even_width: bool = False


def _convert(code: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _mono16(pixels: Pixels) -> Pixels:
    """Full 16-bit range to 8 bits, the same for both cameras (never stretched per image)."""
    return cv2.cvtColor(cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0), cv2.COLOR_GRAY2RGB)


_MONO8 = _Layout(1, 0, _convert(cv2.COLOR_GRAY2RGB))
_MONO16 = _Layout(2, 0, _mono16, bits=16)
_BGR8 = _Layout(3, 3, _convert(cv2.COLOR_BGR2RGB))
_UYVY = _Layout(2, 2, _convert(cv2.COLOR_YUV2RGB_UYVY), even_width=True)
_YUYV = _Layout(2, 2, _convert(cv2.COLOR_YUV2RGB_YUY2), even_width=True)

# OpenCV names a Bayer pattern by its second row, ROS by its first: RGGB is OpenCV's BG.
_LAYOUTS: dict[str, _Layout] = {
    'mono8': _MONO8,
    '8UC1': _MONO8,
    'mono16': _MONO16,
    '16UC1': _MONO16,
    'rgb8': _Layout(3, 3, np.ascontiguousarray),
    'bgr8': _BGR8,
    '8UC3': _BGR8,  # OpenCV's order, as cv_bridge takes it
    'rgba8': _Layout(4, 4, _convert(cv2.COLOR_RGBA2RGB)),
    'bgra8': _Layout(4, 4, _convert(cv2.COLOR_BGRA2RGB)),
    'bayer_rggb8': _Layout(1, 0, _convert(cv2.COLOR_BayerBG2RGB)),
    'bayer_bggr8': _Layout(1, 0, _convert(cv2.COLOR_BayerRG2RGB)),
    'bayer_gbrg8': _Layout(1, 0, _convert(cv2.COLOR_BayerGR2RGB)),
    'bayer_grbg8': _Layout(1, 0, _convert(cv2.COLOR_BayerGB2RGB)),
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
}

ENCODINGS = tuple(_LAYOUTS)


def to_rgb(msg: Image | CompressedImage, topic: str) -> UInt8Array:
    """Decode a raw or compressed image.

    Args:
        msg: `sensor_msgs/Image` in one of `ENCODINGS`, or a JPEG or PNG `CompressedImage`.
        topic: named in errors.

    Returns:
        RGB uint8 (H, W, 3). It may share memory with the message.

    Raises:
        InputError: empty, wrongly sized, unknown encoding, or data that does not decode.
    """
    if not hasattr(msg, 'encoding'):
        return decompress(msg, topic)
    layout = _LAYOUTS.get(msg.encoding)
    if layout is None:
        raise InputError(
            f"{topic}: encoding '{msg.encoding}' is not supported, use one of "
            f'{", ".join(ENCODINGS)}'
        )
    try:
        return layout.to_rgb(_pixels(msg, layout, topic))
    except cv2.error as error:
        raise InputError(
            f'{topic}: {msg.width}x{msg.height} {msg.encoding} image does not decode: {error.err}'
        ) from error


def _pixels(msg: Image, layout: _Layout, topic: str) -> Pixels:
    """View the data as (H, W[, C]), without row padding, in native byte order."""
    height, width, step = msg.height, msg.width, msg.step
    what = f'{topic}: {width}x{height} {msg.encoding} image'
    row_bytes = width * layout.bytes_per_pixel
    if height == 0 or width == 0:
        raise InputError(f'{what} is empty; check the camera driver')
    if layout.even_width and width % 2:
        raise InputError(f'{what} has an odd width, its pixels come in pairs')
    if step < row_bytes:
        raise InputError(f'{what} has step {step}, a row takes {row_bytes} bytes')
    if len(msg.data) != step * height:
        raise InputError(
            f'{what} has {len(msg.data)} bytes of data, expected step x height = {step * height}'
        )
    if width * height > MAX_PIXELS:
        raise InputError(f'{what} is larger than any camera makes; check the camera driver')
    rows = np.frombuffer(msg.data, np.uint8).reshape(height, step)[:, :row_bytes]
    if layout.bits == 16:
        order = '>u2' if msg.is_bigendian else '<u2'
        return np.ascontiguousarray(rows).view(order).astype(np.uint16, copy=False)
    if layout.channels:
        return np.ascontiguousarray(rows).reshape(height, width, layout.channels)
    return np.ascontiguousarray(rows)


def to_image(types: MessageTypes, pixels: Pixels, encoding: str, header: Any) -> Image:
    """Wrap an array (H, W) or (H, W, C) as `sensor_msgs/Image` of that encoding."""
    pixels = np.ascontiguousarray(pixels)
    msg = types.image()
    msg.header = header
    msg.height, msg.width = int(pixels.shape[0]), int(pixels.shape[1])
    msg.encoding = encoding
    msg.is_bigendian = pixels.dtype.byteorder == '>'
    msg.step = int(pixels.nbytes // pixels.shape[0])
    msg.data = byte_array(pixels)
    return msg


def byte_array(values: Pixels) -> array.array[int]:
    """Contiguous array to the one type that rclpy's `data` setters take as it is.

    Given `bytes` or a list, those of ROS 2 Humble and Jazzy look at every element in Python.
    """
    data = array.array('B')
    data.frombytes(values.data.cast('B'))
    return data
