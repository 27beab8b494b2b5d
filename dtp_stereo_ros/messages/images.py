"""`sensor_msgs` images to RGB uint8, and arrays to `sensor_msgs/Image`.

We decode the listed encodings ourselves, with NumPy and OpenCV: it is one table and one code path
on every machine, and a `cv_bridge` built against another NumPy ABI (it crashes on import then)
cannot take the node down. Other encodings go to cv_bridge where the node finds it. Encoding
names: `sensor_msgs/image_encodings.hpp`.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError, one_line
from ..sizes import MAX_PIXELS
from ..stereo import UInt8Array
from .compressed_images import PNG_HEADER_BYTES, bayer_pattern, decompress, has_16_bits
from .types import CompressedImage, Image, MessageTypes

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class _Layout:
    """Layout of one encoding in memory, and its conversion to RGB.

    Attributes:
        bytes_per_pixel: on average over a row.
        channels: 0 for (H, W), else (H, W, channels).
        to_rgb: takes uint8 (or uint16 where 16-bit) pixels, returns RGB uint8 (H, W, 3).
        bits: of one channel.
        even_width: pixels come in pairs.
        even: so do rows as well.
        rows: rows of data for one row of pixels, as numerator and denominator: planes of chroma
            follow that of luma.
    """

    bytes_per_pixel: int
    channels: int
    to_rgb: Callable[[Pixels], Pixels]
    bits: int = 8
    even_width: bool = False
    even: bool = False
    rows: tuple[int, int] = (1, 1)


def _convert(code: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _narrowed(pixels: Pixels) -> UInt8Array:
    """Full 16-bit range to 8 bits, the same for both cameras (never stretched per image)."""
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0), np.uint8)


def _of_16_bits(to_rgb: Callable[[Pixels], Pixels]) -> Callable[[Pixels], Pixels]:
    return lambda pixels: to_rgb(_narrowed(pixels))


def _semi_planar_420(code: int) -> Callable[[Pixels], Pixels]:
    """Rows of luma, then half as many rows of chroma pairs."""
    return lambda rows: cv2.cvtColor(rows[..., 0], code)


# ITU-R BT.601 with limited range, as OpenCV's other YUV conversions: columns are Y, V, U, 1.
_RGB_OF_YVU = 1.164 * np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0]], np.float32)
_RGB_OF_YVU[:, 1:] = [[1.596, 0.0], [-0.813, -0.391], [0.0, 2.018]]
_LOWEST_YVU = np.array([16, 128, 128], np.float32)


def _nv24(rows: Pixels) -> Pixels:
    """A plane of luma, then one of chroma pairs (U, V) in rows of twice the length."""
    height = rows.shape[0] // 3
    luma, width = rows[:height, :, 0], rows.shape[1]
    chroma = rows[height:].reshape(height, width, 2)
    yvu = np.dstack((luma, chroma[..., 1], chroma[..., 0])).astype(np.float32) - _LOWEST_YVU
    return np.clip(np.rint(yvu @ _RGB_OF_YVU.T), 0, 255).astype(np.uint8)


_MONO8 = _Layout(1, 0, _convert(cv2.COLOR_GRAY2RGB))
_MONO16 = _Layout(2, 0, _of_16_bits(_convert(cv2.COLOR_GRAY2RGB)), bits=16)
_BGR8 = _Layout(3, 3, _convert(cv2.COLOR_BGR2RGB))
_BGRA8 = _Layout(4, 4, _convert(cv2.COLOR_BGRA2RGB))
_BGR16 = _Layout(6, 3, _of_16_bits(_convert(cv2.COLOR_BGR2RGB)), bits=16)
_BGRA16 = _Layout(8, 4, _of_16_bits(_convert(cv2.COLOR_BGRA2RGB)), bits=16)
_UYVY = _Layout(2, 2, _convert(cv2.COLOR_YUV2RGB_UYVY), even_width=True)
_YUYV = _Layout(2, 2, _convert(cv2.COLOR_YUV2RGB_YUY2), even_width=True)

# OpenCV names a Bayer pattern by its second row, ROS by its first: RGGB is OpenCV's BG.
_BAYER = {
    'rggb': cv2.COLOR_BayerBG2RGB,
    'bggr': cv2.COLOR_BayerRG2RGB,
    'gbrg': cv2.COLOR_BayerGR2RGB,
    'grbg': cv2.COLOR_BayerGB2RGB,
}
_LAYOUTS: dict[str, _Layout] = {
    'mono8': _MONO8,
    '8UC1': _MONO8,
    'mono16': _MONO16,
    '16UC1': _MONO16,
    'rgb8': _Layout(3, 3, np.ascontiguousarray),
    'bgr8': _BGR8,
    '8UC3': _BGR8,  # OpenCV's order, as cv_bridge takes it
    'rgba8': _Layout(4, 4, _convert(cv2.COLOR_RGBA2RGB)),
    'bgra8': _BGRA8,
    '8UC4': _BGRA8,
    'rgb16': _Layout(6, 3, _of_16_bits(np.ascontiguousarray), bits=16),
    'bgr16': _BGR16,
    '16UC3': _BGR16,
    'rgba16': _Layout(8, 4, _of_16_bits(_convert(cv2.COLOR_RGBA2RGB)), bits=16),
    'bgra16': _BGRA16,
    '16UC4': _BGRA16,
    **{
        f'bayer_{pattern}{bits}': _Layout(
            bits // 8, 0, _convert(code) if bits == 8 else _of_16_bits(_convert(code)), bits
        )
        for bits in (8, 16)
        for pattern, code in _BAYER.items()
    },
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    # nv12 is of libcamera and V4L2, not of image_encodings.hpp.
    'nv12': _Layout(1, 1, _semi_planar_420(cv2.COLOR_YUV2RGB_NV12), even=True, rows=(3, 2)),
    'nv21': _Layout(1, 1, _semi_planar_420(cv2.COLOR_YUV2RGB_NV21), even=True, rows=(3, 2)),
    'nv24': _Layout(1, 1, _nv24, rows=(3, 1)),
}

ENCODINGS = tuple(_LAYOUTS)

# Decodes encodings that are not listed to RGB uint8 (H, W, 3), or raises; set by the node, where
# cv_bridge is installed.
OtherDecoder = Callable[[Image], Pixels]
_other: list[OtherDecoder] = []


def set_other_decoder(decoder: OtherDecoder | None) -> None:
    """Use a decoder for encodings that are not in `ENCODINGS`; None for none."""
    _other[:] = [decoder] if decoder else []


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
        return _of_compressed(msg, topic)
    layout = _LAYOUTS.get(msg.encoding)
    if layout is None:
        return _of_other_decoder(msg, topic)
    try:
        return layout.to_rgb(_pixels(msg, layout, topic))
    except cv2.error as error:
        raise InputError(
            f'{topic}: {msg.width}x{msg.height} {msg.encoding} image does not decode: {error.err}'
        ) from error


def sixteen_bits(msg: Image | CompressedImage) -> str:
    """Encoding of an image of 16 bits; '' of one of 8 bits."""
    if not hasattr(msg, 'encoding'):
        return 'the PNG' if has_16_bits(bytes(msg.data[:PNG_HEADER_BYTES])) else ''
    layout = _LAYOUTS.get(msg.encoding)
    return str(msg.encoding) if layout is not None and layout.bits == 16 else ''


def _of_compressed(msg: CompressedImage, topic: str) -> UInt8Array:
    pixels = decompress(msg, topic)
    if pixels.ndim == 2:
        # A JPEG has 8 bits, whatever the camera had.
        name = f'bayer_{bayer_pattern(msg)}{8 * pixels.itemsize}'
        if name not in _LAYOUTS:
            raise InputError(f"{topic}: format '{msg.format}' is not supported")
        pixels = _LAYOUTS[name].to_rgb(pixels)
    return pixels if pixels.dtype == np.uint8 else _narrowed(pixels)


def _of_other_decoder(msg: Image, topic: str) -> UInt8Array:
    reason = ''
    if _other:
        try:
            rgb = np.asarray(_other[0](msg))
        except Exception as error:  # of cv_bridge
            reason = one_line(error)
        else:
            if rgb.dtype == np.uint8 and rgb.shape == (msg.height, msg.width, 3):
                return np.ascontiguousarray(rgb)
            reason = f'cv_bridge made {rgb.dtype} {rgb.shape} of it'
    raise InputError(
        f"{topic}: encoding '{msg.encoding}' is not supported"
        + (f' ({reason})' if reason else '')
        + f', use one of {", ".join(ENCODINGS)}'
    )


def _pixels(msg: Image, layout: _Layout, topic: str) -> Pixels:
    """View the data as (H, W[, C]), without row padding, in native byte order."""
    height, width, step = msg.height, msg.width, msg.step
    what = f'{topic}: {width}x{height} {msg.encoding} image'
    row_bytes = width * layout.bytes_per_pixel
    if height == 0 or width == 0:
        raise InputError(f'{what} is empty; check the camera driver')
    if (layout.even_width or layout.even) and width % 2:
        raise InputError(f'{what} has an odd width, its pixels come in pairs')
    if layout.even and height % 2:
        raise InputError(f'{what} has an odd height, its rows come in pairs')
    if step < row_bytes:
        raise InputError(f'{what} has step {step}, a row takes {row_bytes} bytes')
    if layout.rows == (3, 1) and step != row_bytes:
        raise InputError(f'{what} has step {step}; with padded rows it is not read')
    rows_of_data = height * layout.rows[0] // layout.rows[1]
    if len(msg.data) != step * rows_of_data:
        times = '' if rows_of_data == height else f' x {layout.rows[0] / layout.rows[1]:g}'
        raise InputError(
            f'{what} has {len(msg.data)} bytes of data, '
            f'expected step x height{times} = {step * rows_of_data}'
        )
    if width * height > MAX_PIXELS:
        raise InputError(f'{what} is larger than any camera makes; check the camera driver')
    rows = np.frombuffer(msg.data, np.uint8).reshape(rows_of_data, step)[:, :row_bytes]
    pixels: Pixels = np.ascontiguousarray(rows)
    if layout.bits == 16:
        order = '>u2' if msg.is_bigendian else '<u2'
        pixels = pixels.view(order).astype(np.uint16, copy=False)
    if layout.channels:
        return pixels.reshape(rows_of_data, width, layout.channels)
    return pixels


def to_image(types: MessageTypes, pixels: Pixels, encoding: str, header: Any) -> Image:
    """Wrap an array (H, W) or (H, W, C) as `sensor_msgs/Image` of that encoding."""
    msg, written = new_image(types, pixels.shape, pixels.dtype, encoding, header)
    written[...] = pixels
    return msg


def new_image(
    types: MessageTypes, shape: tuple[int, ...], dtype: npt.DTypeLike, encoding: str, header: Any
) -> tuple[Image, Pixels]:
    """A `sensor_msgs/Image` of zeros, and its pixels (H, W) or (H, W, C) to be filled in place."""
    kind = np.dtype(dtype)
    msg = types.image()
    msg.header = header
    msg.height, msg.width = int(shape[0]), int(shape[1])
    msg.encoding = encoding
    msg.is_bigendian = kind.byteorder == '>'
    msg.step = int(np.prod(shape[1:])) * kind.itemsize
    return msg, zeros_of(msg, msg.step * msg.height).view(kind).reshape(shape)


def zeros_of(msg: Any, count: int) -> UInt8Array:
    """The field `data` of an empty message with so many zeros, to be filled in place.

    The array of the message itself grows. Setters would copy another one: that of Kilted byte by
    byte (48 ms for a cloud of 1280 x 720 points), those of Humble look at each byte of a list.
    """
    data = msg.data
    if not isinstance(data, array.array):  # of a bag
        msg.data = np.zeros(count, np.uint8)
        return np.asarray(msg.data)
    if count:
        data.append(0)
        data *= count
    return np.frombuffer(data, np.uint8) if count else np.empty(0, np.uint8)
