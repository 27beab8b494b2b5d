"""Calibration files: Middlebury, KITTI, ROS, OpenCV, ORB-SLAM, FoundationStereo, and our own YAML.

Every format is read as the projection matrices of two cameras, which `calibration` checks and
turns into one calibration (see `calibration_formats` for the formats). Our own YAML, in px and
metres (`fy`, `cx_right` default to `f`, `cx`):

    f: 994.978
    cx: 311.193
    cx_right: 342.279
    cy: 254.877
    baseline: 0.193001
    width: 741
    height: 497
"""

from __future__ import annotations

import codecs
import logging
import re
from dataclasses import replace
from pathlib import Path

from .calibration import Camera, calibration_doubts, stereo_calibration
from .calibration_formats import one_camera, stereo_cameras
from .errors import CalibrationError
from .paths import expanded, split_at_commas
from .stereo import StereoCalibration

# A calibration has a few kB; rows of thousands of distortion coefficients do not exist.
_MAX_BYTES = 2**20

# UTF-32 first: its little-endian mark begins as that of UTF-16 does.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: 'utf-8',
    codecs.BOM_UTF32_LE: 'utf-32-le',
    codecs.BOM_UTF32_BE: 'utf-32-be',
    codecs.BOM_UTF16_LE: 'utf-16-le',
    codecs.BOM_UTF16_BE: 'utf-16-be',
}

_log = logging.getLogger(__name__)


def read_calibration(
    files: str, image_size_px: tuple[int, int] | None = None, left: Path | None = None
) -> StereoCalibration:
    """Read a calibration.

    Args:
        files: path of a file that describes both cameras, or 'LEFT,RIGHT', two files of one
            camera each, e.g. those that ROS's camera_calibration writes. A path may have commas.
        image_size_px: (width, height) of the images. Files without a size need it, others must
            have it.
        left: the left image, whose folder tells which pair of a KITTI file it is of.

    Raises:
        CalibrationError: missing, unreadable, incomplete or no stereo pair; names the file.
    """
    paths = [expanded(item) for item in split_at_commas(files) if item]
    if not paths:
        raise CalibrationError(f'{files!r}: names no calibration file')
    texts = [_read(path) for path in paths]
    try:
        if len(paths) > 2:
            raise CalibrationError('more than two files; give LEFT.yaml,RIGHT.yaml')
        if len(paths) == 2:
            first, second = one_camera(texts[0], 'left'), one_camera(texts[1], 'right')
        else:
            first, second = stereo_cameras(texts[0], _is_grey(left))
        first, second = (_sized(camera, image_size_px) for camera in (first, second))
        calibration = stereo_calibration(first, second)
        size_px = calibration.width_px, calibration.height_px
        if image_size_px and image_size_px != size_px:
            raise CalibrationError(
                f'calibration is for {size_px[0]}x{size_px[1]} but the images are '
                f'{image_size_px[0]}x{image_size_px[1]}; calibrate at, or scale to, the image size'
            )
    except CalibrationError as error:
        raise CalibrationError(f'{files}: {error}') from error
    for doubt in calibration_doubts(calibration):
        _log.warning('%s: %s', files, doubt)
    return calibration


def _is_grey(left: Path | None) -> bool:
    """Whether an image lies where KITTI has those of its grey cameras: image_0, image_00/data."""
    folders = left.absolute().parts[-3:-1] if left else ()
    return any(re.fullmatch('image_0?0', folder) for folder in folders)


def _sized(camera: Camera, image_size_px: tuple[int, int] | None) -> Camera:
    """The camera, with the size of the images where its file tells none."""
    if camera.width_px and camera.height_px:
        return camera
    if image_size_px is None:
        raise CalibrationError(
            'holds both cameras but no image size; give the images with it, or write f, cx, cy, '
            'baseline, width and height into a YAML (see dtp-stereo infer -h)'
        )
    return replace(camera, width_px=image_size_px[0], height_px=image_size_px[1])


def _read(path: Path) -> str:
    try:
        with path.open('rb') as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CalibrationError(
            f'{path}: cannot be read ({error.strerror}); check the path'
        ) from error
    if len(content) > _MAX_BYTES:
        raise CalibrationError(f'{path}: has over {_MAX_BYTES} bytes, no calibration has')
    text = _decoded(content)
    if text is None:
        raise CalibrationError(f'{path}: is no text file; give a calibration file')
    return text


def _decoded(content: bytes) -> str | None:
    """Text with its byte order mark taken off, or None.

    Editors and shells of Windows write UTF-8 with a mark, UTF-16, and single bytes in comments.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            text = content[len(mark) :].decode(encoding, errors='replace')
            # A binary file may begin like a mark; a calibration has digits.
            return text if any(c in '0123456789' for c in text) and '\0' not in text else None
    if b'\0' in content:
        return None
    try:
        return content.decode('utf-8')
    except UnicodeDecodeError:
        return content.decode('latin-1')
