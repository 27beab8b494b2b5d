"""SGI images (``.rgb``), which OpenCV does not read: 8 bits a channel, plain or run-length coded.

Layout (big endian): The SGI Image File Format, version 1.00, P. Haeberli.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

_MAGIC = 474
_HEADER_SIZE = 512


def read_sgi(path: Path) -> UInt8Array:
    """(H, W, C) uint8, C of 1 to 4: grey, grey and alpha, RGB, RGBA.

    Raises:
        ValueError: it is no such image, or ends early.
    """
    data = path.read_bytes()
    try:
        magic, coded, size, _, width, height, channels = struct.unpack_from('>HBBHHHH', data)
        if magic != _MAGIC or size != 1 or not 1 <= channels <= 4:
            raise ValueError('no SGI image with 8 bits a channel')
        rows = _coded_rows(data, height * channels, width) if coded else _rows(data)
        planes = rows[: width * height * channels].reshape(channels, height, width)
    except (struct.error, ValueError, IndexError) as error:
        raise ValueError(f'{path}: not an image that can be read ({error})') from error
    # Rows are from the bottom upwards.
    return np.ascontiguousarray(planes[:, ::-1].transpose(1, 2, 0))


def _rows(data: bytes) -> UInt8Array:
    return np.frombuffer(data, np.uint8, offset=_HEADER_SIZE)


def _coded_rows(data: bytes, count: int, width: int) -> UInt8Array:
    starts = struct.unpack_from(f'>{count}I', data, _HEADER_SIZE)
    out = np.empty((count, width), np.uint8)
    for row, start in enumerate(starts):
        line = bytearray()
        at = start
        while data[at] & 0x7F:
            length = data[at] & 0x7F
            if data[at] & 0x80:
                line += data[at + 1 : at + 1 + length]
                at += 1 + length
            else:
                line += data[at + 1 : at + 2] * length
                at += 2
        out[row] = np.frombuffer(line, np.uint8)
    return out.ravel()
