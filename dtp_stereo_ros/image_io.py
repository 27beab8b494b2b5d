"""Reading images, and writing disparities and clouds.

Every writer makes the whole file beside its target and renames it, so that a failure leaves
nothing half-written.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from .errors import CalibrationError, InputError
from .stereo import (
    BoolArray,
    Float32Array,
    StereoCalibration,
    StereoFrame,
    StereoResult,
    UInt8Array,
    depth_mm,
)

# Colour, 8 bit, and not turned by an EXIF orientation.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

OUTPUT_ENDINGS = ('.npy', '.pfm', '.png', '.ply')


def silence_opencv() -> None:
    """Keep OpenCV from writing a line of its own for each damaged image, which is said once."""
    # OpenCV 4.13 moved the function: Humble has 4.5.4, Jazzy and Kilted have 4.6.0.
    if hasattr(cv2, 'setLogLevel'):
        cv2.setLogLevel(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read_image(path: str | Path) -> UInt8Array:
    """Read an image as RGB uint8 (H, W, 3); grey becomes RGB, 16 bit becomes 8, alpha is dropped.

    Pixels stay where the sensor has them, whatever orientation the file suggests to viewers
    (EXIF): calibration, rectification and disparity belong to the rows of the sensor.

    Raises:
        InputError: the file is missing, no image, or cut short.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); check the path') from error
    # Before it is decoded: libpng writes a line of its own for it.
    if not _complete(raw):
        raise InputError(f'{path}: is cut short, its last rows are missing; copy it again')
    bgr = _decode(raw, _AS_STORED)
    if bgr is None:
        raise InputError(f'{path}: is no image that can be read; give a PNG, JPEG, PPM or TIFF')
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def decoded(path: Path, flags: int) -> npt.NDArray[Any] | None:
    """Pixels of an image file as OpenCV decodes them; None where it is none.

    Like `cv2.imread`, which aborts at names that are no UTF-8, and prints what it cannot read.
    """
    try:
        return _decode(path.read_bytes(), flags)
    except OSError:
        return None


def _decode(raw: bytes, flags: int) -> npt.NDArray[Any] | None:
    # OpenCV reports some broken files by an empty result and some by an exception.
    try:
        pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), flags) if raw else None
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels)


def has_16_bits(path: Path) -> bool:
    """Whether an image file has 16 bits a channel."""
    pixels = decoded(path, cv2.IMREAD_ANYDEPTH)
    return pixels is not None and pixels.dtype == np.uint16


def _complete(content: bytes) -> bool:
    """Whether a JPEG or PNG has its end; OpenCV fills what is missing of a JPEG with grey."""
    if content.startswith(b'\x89PNG'):
        return b'IEND\xaeB`\x82' in content  # with its checksum
    if not content.startswith(b'\xff\xd8'):
        return True
    # From marker to marker to the first scan: a thumbnail before it has an end of its own.
    at = 2
    while content[at : at + 1] == b'\xff' and content[at + 1 : at + 2] != b'\xda':
        padding = content[at + 1 : at + 2] == b'\xff'
        at += 1 if padding else 2 + int.from_bytes(content[at + 2 : at + 4], 'big')
    return content.find(b'\xff\xd9', at) >= 0


def read_pair(
    left: Path, right: Path, calibration: StereoCalibration | None = None
) -> StereoFrame:
    """A rectified pair of image files.

    Raises:
        InputError: a file cannot be read, or the sizes differ.
        CalibrationError: the calibration is of another size.
    """
    images = read_image(left), read_image(right)
    try:
        return StereoFrame(*images, calibration=calibration)
    except InputError as error:
        raise InputError(f'{left}, {right}: {error}') from error


def check_output(
    path: Path, calibration: StereoCalibration | None, what: str = 'disparity'
) -> None:
    """Refuse an output that `write_result` could not write, before any work is done.

    Raises:
        InputError: unknown ending, or no such folder.
        CalibrationError: a cloud or depth without a calibration.
    """
    if path.suffix.lower() not in OUTPUT_ENDINGS:
        raise InputError(f'{path}: unknown ending; choose one of {", ".join(OUTPUT_ENDINGS)}')
    if path.is_dir():
        raise InputError(f'{path}: is a folder; name a file to write')
    if not path.parent.is_dir():
        raise InputError(f'{path}: there is no folder {path.parent} to write it in; create it')
    if what == 'depth' and calibration is None:
        raise CalibrationError(f'{path}: depth needs a calibration; give one by --calib')
    if path.suffix.lower() == '.ply' and calibration is None:
        raise CalibrationError(f'{path}: a point cloud needs a calibration; give one by --calib')


def write_result(
    path: Path, frame: StereoFrame, result: StereoResult, what: str = 'disparity'
) -> None:
    """Write a result in the format that the ending of the path names.

    .ply is the coloured cloud in metres. Of the disparity, .npy is float32 (H, W) px with NaN
    unknown or beyond range, .pfm the same with +Inf (Middlebury's convention), .png a picture in
    colour.
    Of the depth, .npy and .pfm are float32 (H, W) m with NaN unknown and +Inf beyond range
    (REP 117), .png 16 bit in mm with 0 unknown or beyond range.

    Args:
        path: where to.
        frame: the pair.
        result: of it.
        what: 'disparity' or 'depth'.

    Raises:
        InputError: the path cannot be written, or has an unknown ending.
        CalibrationError: a cloud or depth of a frame without calibration.
    """
    check_output(path, frame.calibration, what)
    ending = path.suffix.lower()
    if frame.calibration is not None and (ending == '.ply' or what == 'depth'):
        depth_m = frame.calibration.depth_m(result.disparity_px)
        if ending == '.ply':
            write_ply(path, frame.calibration.points_m(depth_m), frame.left)
        elif ending == '.npy':
            write_npy(path, depth_m)
        elif ending == '.pfm':
            _write_floats(path, depth_m)
        else:
            write_depth_png(path, depth_m)
        return
    disparity_px = measured_px(frame, result)
    if ending == '.npy':
        write_npy(path, disparity_px)
    elif ending == '.pfm':
        write_pfm(path, disparity_px)
    else:
        write_png(path, colorize(disparity_px))


def measured_px(frame: StereoFrame, result: StereoResult) -> Float32Array:
    """Raw disparity of a result (H, W) px, NaN where unknown or beyond range."""
    if frame.calibration is None:
        return result.disparity_px
    return frame.calibration.before_infinity(result.disparity_px)


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` only when the block ends without error.

    Where `path` is a link, the file that it leads to is written. What is no file, a pipe or a
    device, stays and takes what is written.

    Raises:
        InputError: the file cannot be written: no such folder, no right, no space.
    """
    name, target = '', Path(os.path.realpath(path))
    try:
        # By the path: what a link to standard output leads to has none.
        if path.exists() and not (path.is_file() or path.is_dir()):
            with path.open('wb') as file:
                yield file
            return
        handle, name = tempfile.mkstemp(prefix=f'.{target.name}.', dir=target.parent)
        with os.fdopen(handle, 'wb') as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)  # mkstemp makes files that only the owner may read
        Path(name).replace(target)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        # That of another file which the block reads has its name.
        foreign = name and getattr(error, 'filename', None) not in (None, name)
        if isinstance(error, OSError) and not foreign:
            reason = error.strerror or error
            raise InputError(
                f'{path}: cannot be written ({reason}); check the folder and the space in it'
            ) from error
        raise


def write_npy(path: Path, values: Float32Array) -> None:
    """Write an array as .npy."""
    # Into memory first: NumPy's own writing to files tells no reason where it fails.
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    with atomic(path) as file:
        file.write(content.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8; bytes of file names that are none are escaped.

    Raises:
        InputError: it cannot be written.
    """
    with atomic(path) as file:
        file.write(text.encode(errors='backslashreplace'))


def write_json(path: Path, content: object) -> None:
    """Write plain values as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1))


def write_pfm(path: Path, disparity_px: Float32Array) -> None:
    """Write (H, W) float32 as a little-endian PFM, bottom row first, NaN as +Inf."""
    _write_floats(path, np.where(np.isnan(disparity_px), np.float32(np.inf), disparity_px))


def _write_floats(path: Path, values: Float32Array) -> None:
    """Write (H, W) float32 as a little-endian PFM, bottom row first."""
    height, width = values.shape
    with atomic(path) as file:
        file.write(f'Pf\n{width} {height}\n-1.0\n'.encode())
        file.write(values[::-1].astype('<f4').tobytes())


def write_depth_png(path: Path, depth_m: Float32Array) -> None:
    """Write (H, W) metres as PNG of 16 bits in millimetres, see `stereo.depth_mm`."""
    _, encoded = cv2.imencode('.png', depth_mm(depth_m))
    with atomic(path) as file:
        file.write(encoded.tobytes())


def write_png(path: Path, image: UInt8Array) -> None:
    """Write RGB uint8 (H, W, 3) as PNG."""
    _write_image(path, image, '.png')


def write_jpeg(path: Path, image: UInt8Array) -> None:
    """Write RGB uint8 (H, W, 3) as JPEG, small enough for a document."""
    _write_image(path, image, '.jpg', (cv2.IMWRITE_JPEG_QUALITY, 80))


def _write_image(
    path: Path, image: UInt8Array, ending: str, settings: tuple[int, ...] = ()
) -> None:
    _, encoded = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    with atomic(path) as file:
        file.write(encoded.tobytes())


def write_ply(path: Path, points_m: Float32Array, colors: UInt8Array) -> None:
    """Write the finite points of (H, W, 3) with their RGB colours as a binary PLY cloud."""
    known = np.isfinite(points_m).all(axis=2)
    vertices = np.empty(int(known.sum()), [('xyz', '<f4', 3), ('rgb', 'u1', 3)])
    vertices['xyz'] = points_m[known]
    vertices['rgb'] = colors[known]
    header = '\n'.join(
        [
            'ply',
            'format binary_little_endian 1.0',
            'comment left optical frame: x right, y down, z forward, metres',
            f'element vertex {len(vertices)}',
            *(f'property float {axis}' for axis in 'xyz'),
            *(f'property uchar {color}' for color in ('red', 'green', 'blue')),
            'end_header\n',
        ]
    )
    with atomic(path) as file:
        file.write(header.encode())
        file.write(vertices.tobytes())


def colour_range(values: Float32Array) -> tuple[float, float]:
    """Percentiles 1 and 99 of the known numbers; 0 and 1 without any."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, (1, 99))
    return float(low), float(high)


def colorize(
    values: Float32Array, low: float | None = None, high: float | None = None
) -> UInt8Array:
    """Numbers (H, W) to colours: RGB uint8 (H, W, 3) in the Turbo map, black where unknown.

    Args:
        values: NaN or infinite where unknown.
        low, high: values of the ends of the map; by default those of `colour_range`.
    """
    known: BoolArray = np.isfinite(values)
    if low is None or high is None:
        own = colour_range(values)
        low, high = own[0] if low is None else low, own[1] if high is None else high
    span = max(high - low, 1e-6)
    levels = np.where(known, (values - low) / span, 0.0).clip(0.0, 1.0)
    bgr = cv2.applyColorMap(np.rint(levels * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    rgb: UInt8Array = np.ascontiguousarray(bgr[..., ::-1])
    rgb[~known] = 0
    return rgb
