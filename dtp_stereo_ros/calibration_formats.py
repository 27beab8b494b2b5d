"""Formats of calibration files: text to the cameras of a rectified pair.

A new format is one function and one row: of `_TEXTS`, where the text itself shows what it is; of
`_MAPPINGS`, where it is YAML, JSON or OpenCV's XML and its keys do. Formats that hold no rectified
pair have a row too, which says what is missing and where to get it.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import yaml

from .calibration import CALIBRATE, Camera
from .errors import CalibrationError, one_line
from .stereo import LONGEST_BASELINE_M

Entries = dict[str, Any]
Cameras = tuple[Camera, Camera]

_OWN_KEYS = ('f', 'cx', 'cy', 'baseline', 'width', 'height')
_OPTIONAL_KEYS = ('fy', 'cx_right')
_MIDDLEBURY_KEYS = ('cam0', 'cam1', 'baseline', 'width', 'height')

# camera_calibration, `ros2 topic echo`, `rostopic echo`.
_P_KEYS = ('projection_matrix', 'p', 'P')
_K_KEYS = ('camera_matrix', 'k', 'K')
_SIZE_KEYS = (('image_width', 'image_height'), ('width', 'height'))
_SIZE_LISTS = ('imageSize', 'image_size', 'image_Size', 'resolution', 'size')

_HALF = 'one camera is half a stereo pair; give both: LEFT.yaml,RIGHT.yaml'
_RECTIFY = (
    'rectify first (cv2.stereoRectify gives P1, P2 of the rectified images), or ' + CALIBRATE
)


def stereo_cameras(text: str, grey: bool = False) -> Cameras:
    """Both cameras from one file.

    Args:
        text: of the file.
        grey: the images are of the grey pair of a KITTI file, which has a colour pair, too.

    Raises:
        CalibrationError: of no format that is known, or without a rectified pair.
    """
    for _, pattern, read in _TEXTS:
        if re.search(pattern, text, re.MULTILINE):
            return _kitti(text, grey) if read is _kitti else read(text)
    entries = _mapping(text)
    for _, shown_by, read_entries in _MAPPINGS:
        if shown_by(entries):
            return read_entries(entries)
    return _own(entries)


def one_camera(text: str, side: str) -> Camera:
    """One camera from its own file.

    Args:
        text: of a camera_info as YAML, or of an .ini (ost.txt) of camera_calibration.
        side: 'left' or 'right', for errors.

    Raises:
        CalibrationError: of no format that is known, or without a projection matrix.
    """
    if re.search(_OST, text, re.MULTILINE):
        found = list(_ost_cameras(text))
        if len(found) != 1:
            raise CalibrationError(
                f'the {side} file holds {len(found)} cameras; give it alone if that is the pair'
            )
        return found[0][1](f'{side} camera')
    for _, pattern, read in _TEXTS:
        if re.search(pattern, text, re.MULTILINE):
            read(text)  # says what is wrong with it
            raise CalibrationError(f'the {side} file holds both cameras; give it alone')
    entries = _mapping(text)
    if not _first(entries, _P_KEYS):
        for _, shown_by, read_entries in _MAPPINGS:
            if shown_by(entries):
                read_entries(entries)
                raise CalibrationError(f'the {side} file holds both cameras; give it alone')
        raise CalibrationError(f'the {side} camera has no projection_matrix; {CALIBRATE}')
    return _camera_info(entries, f'{side} camera')


# Text formats.


def _middlebury(text: str) -> Cameras:
    """Middlebury 2014 to v3, ETH3D: `cam0=[f 0 cx; 0 f cy; 0 0 1]`, baseline in millimetres."""
    entries: Entries = {}
    for line in text.splitlines():
        key, equals, value = line.partition('=')
        if equals:
            entries[key.strip()] = value.strip()
    _require(entries, _MIDDLEBURY_KEYS)
    baseline_m = _length_m(entries, 'baseline', 1000.0, 'mm')
    size = _size(entries, 'width'), _size(entries, 'height')
    left, right = (_matrix3(entries[key]) for key in ('cam0', 'cam1'))
    return _pinhole_pair(left[0], left[4], left[2], left[5], right, baseline_m, size)


def _kitti(text: str, grey: bool = False) -> Cameras:
    """KITTI's calib.txt (P0 to P3) and calib_cam_to_cam.txt (P_rect_00 to P_rect_03).

    The pair of the colour cameras, 2 and 3, where it is there and not the grey one is meant.
    """
    rows = dict(re.findall(r'^(\w+):[ \t]*(.*)$', text, re.MULTILINE))
    matrices = {
        int(key.rpartition('_')[2].lstrip('P')): numbers_of(value, key)
        for key, value in rows.items()
        if re.fullmatch(r'P\d|P_rect_\d\d', key)
    }
    pairs = ((0, 1), (2, 3)) if grey else ((2, 3), (0, 1))
    pair = next((p for p in pairs if all(i in matrices for i in p)), None)
    if pair is None:
        raise CalibrationError('has neither P2 and P3 nor P0 and P1; a pair has two cameras')
    cameras = []
    for index in pair:
        size = numbers_of(rows.get(f'S_rect_0{index}', '0 0'), 'S_rect')
        if len(size) != 2:
            raise CalibrationError(f'S_rect_0{index} has {len(size)} numbers instead of 2')
        cameras.append(Camera(f'camera {index}', matrices[index], int(size[0]), int(size[1])))
    return cameras[0], cameras[1]


_OST = r'^\s*(# oST version|\[image\]\s*$)'


def _ost(text: str) -> Cameras:
    """The .ini of camera_calibration: ost.txt holds one camera, or both of a stereo pair."""
    found = list(_ost_cameras(text))
    if len(found) == 1:
        raise CalibrationError(_HALF)
    if len(found) != 2:
        raise CalibrationError(f'holds {len(found)} projections, a pair has two; {CALIBRATE}')
    ordered = sorted(found, key=lambda item: 'right' in item[0])
    return ordered[0][1]('left camera'), ordered[1][1]('right camera')


def _ost_cameras(text: str) -> Iterator[tuple[str, Callable[[str], Camera]]]:
    """Name of each camera, and a function of its name in errors that makes it."""
    size, section = (0, 0), ''
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith('#')]
    for index, line in enumerate(lines):
        after = lines[index + 1 : index + 4]
        if line.startswith('['):
            section = line.strip('[]')
        elif line in ('width', 'height') and after:
            value = int(_float(line, after[0]))
            size = (value, size[1]) if line == 'width' else (size[0], value)
        elif line == 'projection':
            p = numbers_of(' '.join(after), 'projection')
            yield section, lambda name, p=p, size=size: Camera(name, p, *size)  # type: ignore[misc]


def _foundation_stereo(text: str) -> Cameras:
    """FoundationStereo's K.txt: K by rows, then the baseline in metres, without a size."""
    values = numbers_of(text, 'K')
    if len(values) == 9:
        raise CalibrationError('holds K but no baseline; add it in metres on a line of its own')
    if len(values) != 10:
        raise CalibrationError(f'has {len(values)} numbers; K has 9, and the baseline is one')
    baseline_m = _length_m({'baseline': values[9]}, 'baseline', 1.0, 'm')
    return _pinhole_pair(
        values[0], values[4], values[2], values[5], list(values[:9]), baseline_m, (0, 0)
    )


def _zed(_: str) -> NoReturn:
    raise CalibrationError(
        "is the factory calibration of a ZED, of raw images; the SDK's rectified images have "
        'other parameters: record its left and right camera_info (ros2 topic echo --once)'
    )


def _colmap(_: str) -> NoReturn:
    raise CalibrationError(
        'is a COLMAP camera list (ETH3D: cameras.txt), without a baseline; give the calib.txt '
        'beside it'
    )


# Name, what shows it (multi-line regular expression), reader. The first that fits reads.
_NUMBER = r'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?'
_TEXTS: list[tuple[str, str, Callable[[str], Cameras]]] = [
    ('Middlebury calib.txt', r'^\s*cam0\s*=', _middlebury),
    ('KITTI', rf'^P(?:\d|_rect_\d\d):[ \t]*{_NUMBER}', _kitti),
    ('camera_calibration .ini', _OST, _ost),
    ('ZED SN*.conf', r'^\s*\[LEFT_CAM_', _zed),
    ('COLMAP cameras.txt', r'^# Camera list with one line|^\d+ [A-Z_]+ \d+ \d+ ', _colmap),
    (
        'FoundationStereo K.txt',
        rf'\A\s*(?:{_NUMBER}[\s,]+){{8,}}{_NUMBER}\s*\Z',
        _foundation_stereo,
    ),
]


# YAML, JSON, and OpenCV's XML.


def _opencv_pair(entries: Entries) -> Cameras:
    """Result of stereoRectify: P1 and P2."""
    size = _document_size(entries)
    return _named_pair(entries, 'P1', 'P2', size)


def _orb_slam2_rectify(entries: Entries) -> Cameras:
    """ORB-SLAM2's settings with maps of rectification: LEFT.P, RIGHT.P, LEFT.width."""
    size = _whole(entries.get('LEFT.width', 0)), _whole(entries.get('LEFT.height', 0))
    return _named_pair(entries, 'LEFT.P', 'RIGHT.P', size)


def _orb_slam(entries: Entries) -> Cameras:
    """ORB-SLAM's settings of a rectified camera: fx, fy, cx, cy, and bf or the baseline b."""
    prefix = 'Camera.' if 'Camera.fx' in entries else 'Camera1.'
    _require(entries, [prefix + key for key in ('fx', 'fy', 'cx', 'cy')])
    for key in ('k1', 'k2', 'p1', 'p2', 'k3'):
        value = entries.get(prefix + key, 0)
        if _float(prefix + key, value) and entries.get('Camera.type') != 'Rectified':
            raise CalibrationError(f'{prefix}{key} is {value}: of images as they are; ' + _RECTIFY)
    fx, fy, cx, cy = (_number(entries, prefix + key) for key in ('fx', 'fy', 'cx', 'cy'))
    if 'Camera.bf' in entries and fx:
        baseline = {'Camera.bf': _number(entries, 'Camera.bf') / fx}
        baseline_m = _length_m(baseline, 'Camera.bf', 1.0, 'px * m')
    else:
        baseline_m = _length_m(entries, 'Stereo.b', 1.0, 'm')
    size = _whole(entries.get('Camera.width', 0)), _whole(entries.get('Camera.height', 0))
    k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    return _pinhole_pair(fx, fy, cx, cy, k, baseline_m, size)


def _left_and_right(entries: Entries) -> Cameras:
    """Two camera infos in one document, under left and right."""
    return (
        _camera_info(entries['left'], 'left camera'),
        _camera_info(entries['right'], 'right camera'),
    )


def _half(_: Entries) -> NoReturn:
    raise CalibrationError(_HALF)


def _kalibr(_: Entries) -> NoReturn:
    raise CalibrationError(
        'is a Kalibr camchain, of the cameras as they are; it holds no rectification: ' + _RECTIFY
    )


def _opencv_intrinsics(_: Entries) -> NoReturn:
    raise CalibrationError(
        "holds OpenCV's intrinsics without the rectification P1, P2; give extrinsics.yml of "
        f'stereo_calib, or {_RECTIFY}'
    )


def _sensor_yaml(_: Entries) -> NoReturn:
    raise CalibrationError(
        'is the sensor.yaml of one camera as it is (EuRoC), with no rectification: ' + _RECTIFY
    )


def _raw_calibration(_: Entries) -> NoReturn:
    raise CalibrationError(
        'describes the cameras as they are (Basalt, DepthAI), with no rectification: ' + _RECTIFY
    )


def _has(*names: str) -> Callable[[Entries], bool]:
    return lambda entries: all(name in entries for name in names)


def _has_any(*names: str) -> Callable[[Entries], bool]:
    return lambda entries: any(name in entries for name in names)


def _is_left_and_right(entries: Entries) -> bool:
    return all(isinstance(entries.get(side), dict) for side in ('left', 'right'))


def _is_kalibr(entries: Entries) -> bool:
    camera = entries.get('cam0')
    return isinstance(camera, dict) and 'intrinsics' in camera


def _is_orb_slam(entries: Entries) -> bool:
    # With the pose between the cameras they are described as they are.
    return (
        'Stereo.T_c1_c2' not in entries
        and _has_any('Camera.bf', 'Stereo.b')(entries)
        and _has_any('Camera.fx', 'Camera1.fx')(entries)
    )


# Name, what shows it, reader. What none shows is our own.
_MAPPINGS: list[tuple[str, Callable[[Entries], bool], Callable[[Entries], Cameras]]] = [
    ('OpenCV P1, P2', _has('P1', 'P2'), _opencv_pair),
    ('ORB-SLAM2 with rectification', _has('LEFT.P', 'RIGHT.P'), _orb_slam2_rectify),
    ('ORB-SLAM', _is_orb_slam, _orb_slam),
    ('two camera infos', _is_left_and_right, _left_and_right),
    ('one camera info', _has_any(*_P_KEYS), _half),
    ('Kalibr camchain', _is_kalibr, _kalibr),
    ('EuRoC sensor.yaml', _has('T_BS'), _sensor_yaml),
    ('Basalt, DepthAI', _has_any('value0', 'cameraData'), _raw_calibration),
    (
        'OpenCV intrinsics',
        _has_any(
            'M1',
            'K1',
            'cameraMatrix1',
            'camera_matrix',
            'Camera_Matrix',
            'T_c1_c2',
            'Stereo.T_c1_c2',
        ),
        _opencv_intrinsics,
    ),
]


def _own(entries: Entries) -> Cameras:
    """Our own YAML, in px and metres."""
    _require(entries, _OWN_KEYS)
    unknown = set(map(str, entries)) - {*_OWN_KEYS, *_OPTIONAL_KEYS}
    if unknown:
        raise CalibrationError(
            f'unknown {", ".join(sorted(unknown))}; known are '
            f'{", ".join((*_OWN_KEYS, *_OPTIONAL_KEYS))}'
        )
    f, cx, cy = (_number(entries, key) for key in ('f', 'cx', 'cy'))
    fy = _number(entries, 'fy') if 'fy' in entries else f
    cx_right = _number(entries, 'cx_right') if 'cx_right' in entries else cx
    return _pinhole_pair(
        f,
        fy,
        cx,
        cy,
        [f, 0.0, cx_right, 0.0, fy, cy, 0.0, 0.0, 1.0],
        _length_m(entries, 'baseline', 1.0, 'm'),
        (_size(entries, 'width'), _size(entries, 'height')),
    )


def _mapping(text: str) -> Entries:
    """First document of YAML, JSON or OpenCV's XML as a mapping.

    `ros2 topic echo` ends documents by '---'; OpenCV's YAML begins with a line that is none.
    """
    if text.lstrip().startswith(('<?xml', '<opencv_storage')):
        return _opencv_xml(text)
    text = re.sub(r'\A\s*%YAML[^\n]*', '', text)
    try:
        document = next(iter(yaml.load_all(text, _PlainLoader)), None)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CalibrationError(f'is no YAML ({one_line(error)[:160]}); see infer -h') from error
    if not isinstance(document, dict):
        raise CalibrationError('is neither a calib.txt nor a YAML mapping; see infer -h')
    return {str(key): value for key, value in document.items()}


class _PlainLoader(yaml.SafeLoader):
    """Safe, and takes what has an unknown tag (!!opencv-matrix) as if it had none."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]  # the only kind left


_PlainLoader.add_multi_constructor('', _untagged)


def _opencv_xml(text: str) -> Entries:
    """OpenCV's XML storage: a matrix has <data>, a list of numbers is the text of its element."""
    if '<!' in text.replace('<!--', ''):  # entities may grow without bound
        raise CalibrationError('has an XML document type; give what OpenCV writes')
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise CalibrationError(f'is no XML ({one_line(error)})') from error
    entries: Entries = {}
    for element in root:
        data = element.find('data')
        values = ((element if data is None else data).text or '').split()
        entries[element.tag] = {'data': values} if data is not None else ' '.join(values)
    return entries


# Values.


def _named_pair(entries: Entries, left: str, right: str, size: tuple[int, int]) -> Cameras:
    p_left, p_right = (_matrix(entries, key, key, 12) for key in (left, right))
    return Camera(left, p_left, *size), Camera(right, p_right, *size)


def _pinhole_pair(
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    right_k: list[float],
    baseline_m: float,
    size: tuple[int, int],
) -> Cameras:
    """Two cameras from K of each; px."""
    p_left = (fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
    f, tx = right_k[0], -right_k[0] * baseline_m
    p_right = (f, 0.0, right_k[2], tx, 0.0, right_k[4], right_k[5], 0.0, 0.0, 0.0, 1.0, 0.0)
    return Camera('left camera', p_left, *size), Camera('right camera', p_right, *size)


def _camera_info(entries: Entries, name: str) -> Camera:
    """A camera_info as camera_calibration writes it or a topic shows it."""
    p_key, k_key = _first(entries, _P_KEYS), _first(entries, _K_KEYS)
    if p_key is None:
        raise CalibrationError(f'the {name} has no projection_matrix; {CALIBRATE}')
    keys = next((pair for pair in _SIZE_KEYS if any(key in entries for key in pair)), None)
    if keys is not None:
        _require(entries, keys)
    roi = entries.get('roi')
    roi = roi if isinstance(roi, dict) else {}
    return Camera(
        name,
        _matrix(entries, p_key, f'{p_key} of the {name}', 12),
        *(_document_size(entries)),
        k=None if k_key is None else _matrix(entries, k_key, f'{k_key} of the {name}', 9),
        binning=(_whole(entries.get('binning_x', 0)), _whole(entries.get('binning_y', 0))),
        roi=(
            _whole(roi.get('x_offset', 0)),
            _whole(roi.get('y_offset', 0)),
            _whole(roi.get('width', 0)),
            _whole(roi.get('height', 0)),
        ),
    )


def _document_size(entries: Entries) -> tuple[int, int]:
    """(width, height) by any of its usual names; (0, 0) where there is none."""
    for width, height in _SIZE_KEYS:
        if width in entries and height in entries:
            return _size(entries, width), _size(entries, height)
    for key in _SIZE_LISTS:
        if key in entries:
            values = _flat(entries[key], key)
            if len(values) == 2:
                return int(values[0]), int(values[1])
    return 0, 0


def _matrix(entries: Entries, key: str, name: str, count: int) -> tuple[float, ...]:
    values = _flat(entries[key], name)
    if len(values) != count:
        raise CalibrationError(f'{name} does not have {count} numbers but {len(values)}')
    return values


def _flat(value: Any, name: str) -> tuple[float, ...]:
    """Numbers of a matrix: a list, a list of rows, OpenCV's {data: ...}, or text."""
    if isinstance(value, dict):
        value = value.get('data')
    if isinstance(value, str):
        return numbers_of(value, name)
    if not isinstance(value, list):
        raise CalibrationError(f'{name} is no list of numbers')
    flat = [v for row in value for v in (row if isinstance(row, list) else [row])]
    return tuple(_float(name, v) for v in flat)


def _matrix3(text: str) -> list[float]:
    try:
        values = [float(v) for v in re.sub(r'[\[\];,]', ' ', text).split()]
    except ValueError as error:
        raise CalibrationError(f'{text!r} is no matrix [f 0 cx; 0 f cy; 0 0 1]') from error
    if len(values) != 9:
        raise CalibrationError(f'{text!r} has {len(values)} numbers, a camera matrix has 9')
    return values


def numbers_of(text: str, name: str) -> tuple[float, ...]:
    """Numbers that are separated by blanks or commas.

    Raises:
        CalibrationError: one of them is none.
    """
    return tuple(_float(name, value) for value in text.replace(',', ' ').split())


def _first(entries: Entries, keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in entries), None)


def _require(entries: Entries, keys: tuple[str, ...] | list[str]) -> None:
    missing = [key for key in keys if key not in entries]
    if missing:
        raise CalibrationError(f'{", ".join(missing)} missing; see dtp-stereo infer -h')


def _length_m(entries: Entries, key: str, per_metre: float, unit: str) -> float:
    """A baseline in metres; one that no stereo camera has is named with its unit."""
    _require(entries, [key])
    value = _number(entries, key)
    if value <= 0:
        raise CalibrationError(f'{key} is {value:.6g} {unit}, it must be positive')
    if value / per_metre > LONGEST_BASELINE_M:
        raise CalibrationError(
            f'{key} is {value:.6g}, a baseline of {value / per_metre:.4g} m, which no stereo '
            f'camera has; write it in {unit}'
        )
    return value / per_metre


def _number(entries: Entries, key: str) -> float:
    return _float(key, entries[key])


def _size(entries: Entries, key: str) -> int:
    value = _float(key, entries[key])
    if value != int(value):
        raise CalibrationError(f'{key} is {entries[key]!r}, not a whole number')
    if value <= 0:
        raise CalibrationError(f'{key} is {entries[key]!r}, it must be positive')
    return int(value)


def _whole(value: Any) -> int:
    return int(_float('a size or offset', value))


def _float(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f'{name} is {value!r}, not a number') from error
    except OverflowError as error:  # a whole number of hundreds of digits
        raise CalibrationError(f'{name} is beyond all numbers') from error
    if not math.isfinite(number):
        raise CalibrationError(f'{name} is {value!r}, not finite')
    return number
