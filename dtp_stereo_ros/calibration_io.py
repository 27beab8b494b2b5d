"""Calibration files: Middlebury's calib.txt, our own small YAML, a pair of ROS camera_info YAMLs.

Our own YAML, in px and metres (`fy`, `cx_right` default to `f`, `cx`):

    f: 994.978
    cx: 311.193
    cx_right: 342.279
    cy: 254.877
    baseline: 0.193001
    width: 741
    height: 497
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from .errors import CalibrationError, one_line
from .stereo import StereoCalibration

# A calibration has a few kB; rows of thousands of distortion coefficients do not exist.
_MAX_BYTES = 2**20

_OWN_KEYS = ('f', 'cx', 'cy', 'baseline', 'width', 'height')
_OPTIONAL_KEYS = ('fy', 'cx_right')
_MIDDLEBURY_KEYS = ('cam0', 'cam1', 'baseline', 'width', 'height')


def read_calibration(files: str) -> StereoCalibration:
    """Read a calibration.

    Args:
        files: path of a calib.txt or of our own YAML; or 'LEFT.yaml,RIGHT.yaml', the two files
            that ROS's camera_calibration writes (or `ros2 topic echo --once .../camera_info`).

    Raises:
        CalibrationError: missing, unreadable, incomplete or no stereo pair; names the file.
    """
    paths = [Path(p.strip()).expanduser() for p in files.split(',')]
    texts = [_read(path) for path in paths]
    try:
        if len(paths) == 1 and re.search(r'^\s*cam0\s*=', texts[0], re.MULTILINE):
            return _from_middlebury(texts[0])
        documents = [_mapping(text) for text in texts]
        if len(documents) == 2:
            return _from_camera_infos(*documents)
        if len(documents) > 2:
            raise CalibrationError('more than two files; give LEFT.yaml,RIGHT.yaml')
        if _projection_key(documents[0]):
            raise CalibrationError(
                'one camera_info is half a stereo pair; give both: LEFT.yaml,RIGHT.yaml'
            )
        return _from_own(documents[0])
    except CalibrationError as error:
        raise CalibrationError(f'{files}: {error}') from error


def _read(path: Path) -> str:
    try:
        with path.open('rb') as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise CalibrationError(f'{path}: has over {_MAX_BYTES} bytes, no calibration has')
        return content.decode('utf-8')
    except OSError as error:
        raise CalibrationError(
            f'{path}: cannot be read ({error.strerror}); check the path'
        ) from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f'{path}: is no text file; give a calibration file') from error


def _mapping(text: str) -> dict[str, Any]:
    """First YAML document as a mapping; `ros2 topic echo` ends documents by '---'."""
    try:
        document = next(iter(yaml.safe_load_all(text)), None)
    except yaml.YAMLError as error:
        raise CalibrationError(f'is no YAML ({one_line(error)})') from error
    if not isinstance(document, dict):
        raise CalibrationError('is neither a calib.txt nor a YAML mapping; see infer -h')
    return document


def _from_middlebury(text: str) -> StereoCalibration:
    """Middlebury v3: `cam0=[f 0 cx; 0 f cy; 0 0 1]`, baseline in millimetres."""
    entries: dict[str, Any] = {}
    for line in text.splitlines():
        key, equals, value = line.partition('=')
        if equals:
            entries[key.strip()] = value.strip()
    _require(entries, _MIDDLEBURY_KEYS)
    left, right = _matrix(entries['cam0']), _matrix(entries['cam1'])
    return StereoCalibration(
        fx_px=right[0],
        fy_px=right[4],
        cx_left_px=left[2],
        cx_right_px=right[2],
        cy_px=left[5],
        baseline_m=_number(entries, 'baseline') / 1000.0,
        width_px=_size(entries, 'width'),
        height_px=_size(entries, 'height'),
    )


def _matrix(text: str) -> list[float]:
    try:
        values = [float(v) for v in text.strip('[] ').replace(';', ' ').split()]
    except ValueError as error:
        raise CalibrationError(f'{text!r} is no matrix [f 0 cx; 0 f cy; 0 0 1]') from error
    if len(values) != 9:
        raise CalibrationError(f'{text!r} has {len(values)} numbers, a camera matrix has 9')
    return values


def _from_own(entries: dict[str, Any]) -> StereoCalibration:
    _require(entries, _OWN_KEYS)
    unknown = set(map(str, entries)) - {*_OWN_KEYS, *_OPTIONAL_KEYS}
    if unknown:
        raise CalibrationError(
            f'unknown {", ".join(sorted(unknown))}; known are '
            f'{", ".join((*_OWN_KEYS, *_OPTIONAL_KEYS))}'
        )
    f, cx = _number(entries, 'f'), _number(entries, 'cx')
    return StereoCalibration(
        fx_px=f,
        fy_px=_number(entries, 'fy') if 'fy' in entries else f,
        cx_left_px=cx,
        cx_right_px=_number(entries, 'cx_right') if 'cx_right' in entries else cx,
        cy_px=_number(entries, 'cy'),
        baseline_m=_number(entries, 'baseline'),
        width_px=_size(entries, 'width'),
        height_px=_size(entries, 'height'),
    )


def _from_camera_infos(left: dict[str, Any], right: dict[str, Any]) -> StereoCalibration:
    """P of both rectified cameras: [f 0 cx Tx; 0 f cy 0; 0 0 1 0] (sensor_msgs/CameraInfo)."""
    p_left, size_left = _projection(left, 'left')
    p_right, size_right = _projection(right, 'right')
    if size_left != size_right:
        raise CalibrationError(f'left is {size_left}, right is {size_right}; a pair has one size')
    if p_right[0] == 0:
        raise CalibrationError('P[0] of the right camera is 0: it is not calibrated')
    baseline_m = -p_right[3] / p_right[0]
    if baseline_m <= 0:
        raise CalibrationError(
            f'P[3] of the right camera is {p_right[3]}, it must be negative (-f * baseline); are '
            'the files in the order LEFT,RIGHT?'
        )
    return StereoCalibration(
        fx_px=p_right[0],
        fy_px=p_right[5],
        cx_left_px=p_left[2],
        cx_right_px=p_right[2],
        cy_px=p_left[6],
        baseline_m=baseline_m,
        width_px=size_left[0],
        height_px=size_left[1],
    )


def _projection_key(entries: dict[str, Any]) -> str | None:
    """'projection_matrix' (camera_calibration) or 'p' (ros2 topic echo)."""
    return next((k for k in ('projection_matrix', 'p') if k in entries), None)


def _projection(entries: dict[str, Any], side: str) -> tuple[list[float], tuple[int, int]]:
    key = _projection_key(entries)
    if key is None:
        raise CalibrationError(f'the {side} camera has no projection_matrix')
    raw = entries[key]
    data = raw.get('data') if isinstance(raw, dict) else raw
    if not isinstance(data, list) or len(data) != 12:
        raise CalibrationError(f'{key} of the {side} camera does not have 12 numbers')
    values = [_float(f'{key} of the {side} camera', v) for v in data]
    prefix = 'image_' if 'image_width' in entries else ''
    _require(entries, (f'{prefix}width', f'{prefix}height'))
    return values, (_size(entries, f'{prefix}width'), _size(entries, f'{prefix}height'))


def _require(entries: dict[str, Any], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if key not in entries]
    if missing:
        raise CalibrationError(f'{", ".join(missing)} missing; see dtp-stereo infer -h')


def _number(entries: dict[str, Any], key: str) -> float:
    return _float(key, entries[key])


def _size(entries: dict[str, Any], key: str) -> int:
    value = _float(key, entries[key])
    if value != int(value):
        raise CalibrationError(f'{key} is {entries[key]!r}, not a whole number')
    return int(value)


def _float(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f'{name} is {value!r}, not a number') from error
    if not math.isfinite(number):
        raise CalibrationError(f'{name} is {value!r}, not finite')
    return number
