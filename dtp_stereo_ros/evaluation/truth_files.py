"""Reading the ground truth files of stereo data sets; disparities are px, NaN where unknown.

The codecs (`read_pfm`, `read_kitti_png`, `read_scaled_grey`) give what is stored; `known_px` tells
which of it is known, by the conventions of all public sets. The two together are `pfm_px`,
`kitti_px` and `scaled_grey_px`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..stereo import BoolArray, Float32Array

_KITTI_STEPS_PER_PX = 256.0
_KITTI_UNKNOWN = (0, 65535)

# Of a PFM: a longer header is none.
_HEADER_BYTES = 4096
# Bytes after the pixels that do not matter (a line break).
_TRAILING_BYTES = 16
# Disparities in px lie within; numbers in the wrong byte order lie outside.
_PLAUSIBLE = (1e-6, 1e6)
_ENOUGH_TO_TELL = 16

# Negative numbers that mark unknown pixels, where a whole file has no other disparity.
_NEGATIVE_MARKS = (-1, -9, -10, -99, -100, -999, -1000, -9999, -10000, -32768, -65535)
# Beyond the width of the image, so few values are marks of unknown pixels, more are another unit.
_MARKS = 3


def known_px(stored_px: Float32Array, path: Path) -> Float32Array:
    """Disparities with NaN where unknown, from what a file stores.

    Unknown is: not finite; 0 (Middlebury, KITTI, SceneFlow's sky); negative beside positive ones
    (-1, -999); and at least as large as the image is wide (65535, 1e10). Where all are negative,
    the set counts disparities so (FlyingThings3D's subset, some right views), and the sign is
    turned.

    Args:
        stored_px: (H, W).
        path: the file, for errors.

    Raises:
        InputError: most are larger than the image is wide: these are no disparities in px.
    """
    values = np.asarray(stored_px, np.float32)
    width = values.shape[1]
    with np.errstate(invalid='ignore'):
        possible = np.isfinite(values) & (values != 0)
        beyond = possible & (np.abs(values) >= width)
    if beyond.sum() * 2 > possible.sum() and len(np.unique(values[beyond])) > _MARKS:
        median = float(np.median(np.abs(values[possible])))
        raise InputError(
            f'{path}: no disparities in px: their median is {median:.6g} in an image {width} px '
            'wide; is it depth, or a disparity times 256?'
        )
    possible &= ~beyond
    given = values[possible]
    if given.size and (given < 0).all() and not np.isin(given, _NEGATIVE_MARKS).all():
        values = -values
    with np.errstate(invalid='ignore'):
        return np.where(possible & (values > 0), values, np.float32(np.nan))


def pfm_px(path: Path) -> Float32Array:
    """Disparity of a PFM file; see `read_pfm` and `known_px`."""
    return known_px(read_pfm(path), path)


def kitti_px(path: Path) -> Float32Array:
    """Disparity of KITTI's PNG; see `read_kitti_png` and `known_px`."""
    return known_px(read_kitti_png(path), path)


def scaled_grey_px(path: Path, scale: float) -> Float32Array:
    """Disparity of Middlebury's 8-bit images; see `read_scaled_grey` and `known_px`."""
    return known_px(read_scaled_grey(path, scale), path)


def read_pfm(path: Path) -> Float32Array:
    """A PFM file of one channel: (H, W) float32 as stored, top row first; Inf becomes NaN.

    Numbers of the header stand on any lines, with comments (#) between them. Three channels that
    are equal are one. The header's scale gives the byte order by its sign; its size is not
    applied, because Middlebury writes 1/255 there next to disparities in pixels. Where the scale
    is 0, or its sign makes numbers that no disparity has, the other order is tried.

    Raises:
        InputError: no such file, or not a PFM with one channel.
    """
    content = _read_bytes(path)
    try:
        disparity = _pfm_values(content)
    except ValueError as error:
        raise InputError(f'{path}: not a one-channel PFM ({error}); download it again') from error
    return np.where(np.isfinite(disparity), disparity, np.float32(np.nan))


def _pfm_values(content: bytes) -> Float32Array:
    kind, size, scale, start = _pfm_header(content)
    width, height = size
    channels = 3 if kind == b'PF' else 1
    count = width * height * channels
    rest = len(content) - start - 4 * count
    if rest < 0:
        raise ValueError(f'{-rest} bytes of {width}x{height} pixels are missing')
    if rest and content[start - 1 : start + 1] == b'\r\n':
        start, rest = start + 1, rest - 1
    if rest > _TRAILING_BYTES:
        raise ValueError(f'{rest} bytes follow its {width}x{height} pixels')
    raw = np.frombuffer(content, np.uint8, 4 * count, start)
    values = _ordered(raw, scale).reshape(height, width, channels)
    return np.ascontiguousarray(_one_channel(values)[::-1], np.float32)


def _pfm_header(content: bytes) -> tuple[bytes, tuple[int, int], float, int]:
    """Kind, (width, height), scale, and where the pixels start: one byte after the scale."""
    words: list[bytes] = []
    at, end = 0, min(len(content), _HEADER_BYTES)
    while len(words) < 4:
        while at < end and content[at : at + 1].isspace():
            at += 1
        if content[at : at + 1] == b'#':
            line = content.find(b'\n', at, end)
            at = end if line < 0 else line
            continue
        start = at
        while at < end and not content[at : at + 1].isspace():
            at += 1
        if at >= end:
            raise ValueError(f'its header ends after {len(words)} of 4 words')
        words.append(content[start:at])
        if words[0] not in (b'Pf', b'PF'):
            raise ValueError(f'it starts with {content[:8]!r}, not with Pf')
    width, height, scale = int(words[1]), int(words[2]), float(words[3])
    if width <= 0 or height <= 0:
        raise ValueError(f'its size is {width}x{height}')
    return words[0], (width, height), scale, at + 1


def _ordered(raw: npt.NDArray[np.uint8], scale: float) -> Float32Array:
    """The numbers in the byte order that the scale tells, or that alone makes sense."""
    little, big = (raw.view(order).astype(np.float32) for order in ('<f4', '>f4'))
    told, other = (little, big) if scale < 0 else (big, little)
    if scale != 0 and not np.isnan(scale):
        if _implausible_share(told) > 0.5 and _implausible_share(other) == 0:
            return other
        return told
    shares = _implausible_share(little), _implausible_share(big)
    if (shares[0] == 0) == (shares[1] == 0):
        raise ValueError('its scale is 0, which tells no byte order; write -1.0 or 1.0')
    return little if shares[0] == 0 else big


def _implausible_share(values: Float32Array) -> float:
    """Share of numbers that no disparity in px has; 0 where there are too few to tell."""
    with np.errstate(invalid='ignore'):
        size = np.abs(values[np.isfinite(values) & (values != 0)])
    if size.size < _ENOUGH_TO_TELL:
        return 0.0
    return float(((size < _PLAUSIBLE[0]) | (size > _PLAUSIBLE[1])).mean())


def read_kitti_png(path: Path) -> Float32Array:
    """KITTI's uint16 PNG, disparity = value / 256; 0 and 65535 (all bits) = unknown.

    Raises:
        InputError: no such file, or not a 16-bit grey PNG.
    """
    values = _decode(path, np.uint16)
    unknown = np.isin(values, _KITTI_UNKNOWN)
    return np.where(unknown, np.float32(np.nan), values / np.float32(_KITTI_STEPS_PER_PX))


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


def image_rows(path: Path) -> int:
    """Height of an 8-bit grey image.

    Raises:
        InputError: no such file, or not an 8-bit grey image.
    """
    return int(_decode(path, np.uint8).shape[0])


def _decode(path: Path, dtype: type[np.generic]) -> npt.NDArray[Any]:
    encoded = np.frombuffer(_read_bytes(path), np.uint8)
    try:
        values = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    except cv2.error:
        values = None
    if values is not None and values.dtype == dtype and values.ndim == 3:
        try:
            values = _one_channel(values[..., :3])  # without alpha
        except ValueError as error:
            raise InputError(f'{path}: not a grey image ({error}); download it again') from error
    if values is None or values.dtype != dtype:
        got = 'not an image' if values is None else f'{values.dtype} {values.shape}'
        raise InputError(
            f'{path}: expected a grey image of {np.dtype(dtype).name}, got {got}; '
            'download it again'
        )
    return np.asarray(values)


def _one_channel(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(H, W) of (H, W, C) whose channels are equal.

    Raises:
        ValueError: they are not.
    """
    one = values[..., 0]
    floating = np.issubdtype(values.dtype, np.floating)
    if not all(
        np.array_equal(one, values[..., i], equal_nan=floating) for i in range(1, values.shape[-1])
    ):
        raise ValueError('its three channels differ: a colour image, or optical flow')
    return one


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f'{path}: cannot be read ({error.strerror}); check the data folder'
        ) from error
