"""Reading the ground truth files of stereo data sets; disparities are px, NaN where unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..stereo import BoolArray, Float32Array

_KITTI_STEPS_PER_PX = 256.0


def read_pfm(path: Path) -> Float32Array:
    """One channel of a PFM file: (H, W) float32 as stored, top row first; Inf becomes NaN.

    The header's scale gives the byte order by its sign; its size is not applied, because
    Middlebury writes 1/255 there next to disparities in pixels.

    Raises:
        InputError: no such file, or not a PFM with one channel.
    """
    header, _, body = _read_bytes(path).partition(b'\n')
    try:
        if header.strip() != b'Pf':
            raise ValueError(f'it starts with {header[:8]!r}, not with Pf')
        size, scale, pixels = body.split(b'\n', 2)
        width, height = (int(number) for number in size.split())
        order = '<' if float(scale) < 0 else '>'
        values = np.frombuffer(pixels, f'{order}f4', width * height).reshape(height, width)
    except ValueError as error:
        raise InputError(f'{path}: not a one-channel PFM ({error}); download it again') from error
    disparity = values[::-1].astype(np.float32)
    return np.where(np.isfinite(disparity), disparity, np.float32(np.nan))


def read_kitti_png(path: Path) -> Float32Array:
    """KITTI's uint16 PNG, disparity = value / 256, 0 = unknown.

    Raises:
        InputError: no such file, or not a 16-bit grey PNG.
    """
    values = _decode(path, np.uint16)
    return np.where(values > 0, values / np.float32(_KITTI_STEPS_PER_PX), np.float32(np.nan))


def read_scaled_grey(path: Path, scale: float) -> Float32Array:
    """Middlebury's 8-bit image, disparity = value / `scale`, 0 = unknown.

    Raises:
        InputError: no such file, or not an 8-bit grey image.
    """
    values = _decode(path, np.uint8)
    return np.where(values > 0, values / np.float32(scale), np.float32(np.nan))


def read_non_occluded(path: Path) -> BoolArray:
    """Middlebury v3's mask: True where it is 255 (seen by both cameras; 128 means occluded).

    Raises:
        InputError: no such file, or not an 8-bit grey image.
    """
    return np.asarray(_decode(path, np.uint8) == 255)


def _decode(path: Path, dtype: type[np.generic]) -> npt.NDArray[Any]:
    encoded = np.frombuffer(_read_bytes(path), np.uint8)
    values = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    if values is None or values.dtype != dtype or values.ndim != 2:
        got = 'not an image' if values is None else f'{values.dtype} {values.shape}'
        raise InputError(
            f'{path}: expected a grey image of {np.dtype(dtype).name}, got {got}; '
            'download it again'
        )
    return np.asarray(values)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f'{path}: cannot be read ({error.strerror}); check the data folder'
        ) from error
