"""JPEG and PNG `sensor_msgs/CompressedImage` to pixels.

What a file says of its size is read before it is decoded: a hundred damaged or hostile bytes can
ask for gigabytes.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..sizes import MAX_PIXELS
from .types import CompressedImage

# Nor do more pixels fit into a byte: a black PNG in grey has about 1000.
_MAX_PIXELS_PER_BYTE = 4096

PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
# IHDR: length and name of the chunk, width, height, then the bits of a channel.
_PNG_DEPTH_AT = len(PNG_MAGIC) + 16
PNG_HEADER_BYTES = _PNG_DEPTH_AT + 1
_JPEG_MAGIC = b'\xff\xd8\xff'
# Start of frame, all kinds (ITU T.81, table B.1): C0 .. CF without DHT, JPG and DAC.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, without a length: TEM and RST0 .. RST7.
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})


def decompress(msg: CompressedImage, topic: str) -> npt.NDArray[Any]:
    """Decode a JPEG or PNG.

    Returns:
        RGB uint8 (H, W, 3), or the mosaic uint8 or uint16 (H, W) that `format` tells: the
        compressed plug-in of image_transport writes it as ENCODING; ..., and colours it or not.

    Raises:
        InputError: empty, of another format, too large, or it does not decode.
    """
    data = bytes(msg.data)
    if not data:
        raise InputError(f'{topic}: compressed image is empty; check the camera driver')
    size = declared_size(data)
    if size is None:
        raise InputError(
            f"{topic}: {len(data)} bytes of format '{msg.format}' are neither JPEG nor PNG"
        )
    width, height = size
    if not 0 < width * height <= min(MAX_PIXELS, _MAX_PIXELS_PER_BYTE * len(data)):
        raise InputError(
            f'{topic}: compressed image says that it has {width}x{height} pixels; damaged?'
        )
    if data.startswith(PNG_MAGIC) and not _chunks_fit(data):
        raise InputError(f'{topic}: compressed image of {len(data)} bytes is cut off or damaged')
    # A camera's EXIF rotation would break the row alignment of the rectified pair.
    kinds = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR if bayer_pattern(msg) else cv2.IMREAD_COLOR
    flags = kinds | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if pixels is not None:
            return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    except cv2.error as error:
        raise InputError(f'{topic}: compressed image does not decode: {error.err}') from error
    raise InputError(f'{topic}: compressed image of {len(data)} bytes does not decode')


def bayer_pattern(msg: CompressedImage) -> str:
    """'rggb' of the format 'bayer_rggb8; png compressed ', '' of one without a mosaic."""
    encoding, semicolon, _ = msg.format.partition(';')
    name, _, pattern = encoding.strip().rstrip('0123456789').partition('_')
    return pattern if semicolon and name == 'bayer' else ''


def has_16_bits(data: bytes) -> bool:
    """Whether this is the beginning of a PNG of 16 bits a channel."""
    return data.startswith(PNG_MAGIC) and data[_PNG_DEPTH_AT : _PNG_DEPTH_AT + 1] == b'\x10'


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in the header of a PNG or JPEG; None where it is neither, or has none."""
    if data.startswith(PNG_MAGIC) and len(data) >= 24 and data[12:16] == b'IHDR':
        width, height = struct.unpack('>II', data[16:24])
        return int(width), int(height)
    if data.startswith(_JPEG_MAGIC):
        return _jpeg_size(data)
    return None


def _chunks_fit(data: bytes) -> bool:
    """Whether every chunk of a PNG lies within the data.

    OpenCV allocates what a chunk says it has, up to 4 GB, and fills it before it reads.
    """
    place = len(PNG_MAGIC)
    while place < len(data):
        if place + 12 > len(data):
            return False
        length, kind = struct.unpack('>I4s', data[place : place + 8])
        place += 12 + length  # length, kind, data, checksum
        if kind == b'IEND':
            break
    return place <= len(data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the start of frame."""
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack('>HH', data[place + 5 : place + 9])
            return int(width), int(height)
        else:
            place += 2 + int(struct.unpack('>H', data[place + 2 : place + 4])[0])
    return None
