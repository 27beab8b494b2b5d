"""The three kinds of calibration files, and what is wrong with broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dtp_stereo_ros.calibration_io import read_calibration
from dtp_stereo_ros.errors import CalibrationError
from dtp_stereo_ros.stereo import StereoCalibration

_MOTORCYCLE = StereoCalibration(999.421, 999.421, 294.182, 326.96, 252.932, 0.193001, 741, 497)

_MIDDLEBURY = """\
cam0=[ 999.421 0 294.182 ; 0 999.421 252.932 ; 0 0 1 ]
cam1=[ 999.421 0 326.96 ; 0 999.421 252.932 ; 0 0 1 ]
 doffs= 32.778
baseline= 193.001
width= 741
 height= 497
 ndisp= 70
"""

_OWN = """\
f: 999.421
cx: 294.182
cx_right: 326.96
cy: 252.932
baseline: 0.193001
width: 741
height: 497
"""


def _camera_info(cx: float, tx: float, **changes: object) -> str:
    """As camera_calibration writes it."""
    projection = [999.421, 0.0, cx, tx, 0.0, 999.421, 252.932, 0.0, 0.0, 0.0, 1.0, 0.0]
    info = {
        'image_width': 741,
        'image_height': 497,
        'camera_name': 'stereo',
        'camera_matrix': {'rows': 3, 'cols': 3, 'data': [1.0] * 9},
        'distortion_model': 'plumb_bob',
        'projection_matrix': {'rows': 3, 'cols': 4, 'data': projection},
        **changes,
    }
    return yaml.safe_dump(info)


def _pair(folder: Path, left: str, right: str) -> str:
    (folder / 'left.yaml').write_text(left)
    (folder / 'right.yaml').write_text(right)
    return f'{folder}/left.yaml,{folder}/right.yaml'


def _same(found: StereoCalibration) -> None:
    for name, value in vars(_MOTORCYCLE).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name


def test_middlebury(tmp_path: Path) -> None:
    (tmp_path / 'calib.txt').write_text(_MIDDLEBURY)
    _same(read_calibration(str(tmp_path / 'calib.txt')))


def test_own_yaml_with_and_without_the_optional_keys(tmp_path: Path) -> None:
    (tmp_path / 'own.yaml').write_text(_OWN)
    _same(read_calibration(str(tmp_path / 'own.yaml')))
    (tmp_path / 'own.yaml').write_text(_OWN.replace('cx_right: 326.96', 'fy: 1000'))
    found = read_calibration(str(tmp_path / 'own.yaml'))
    assert (found.cx_right_px, found.fy_px) == (294.182, 1000.0)


def test_ros_pair(tmp_path: Path) -> None:
    left, right = _camera_info(294.182, 0.0), _camera_info(326.96, -999.421 * 0.193001)
    _same(read_calibration(_pair(tmp_path, left, right)))


def test_ros_pair_as_echoed_from_the_topic(tmp_path: Path) -> None:
    texts = []
    for cx, tx in ((294.182, 0.0), (326.96, -999.421 * 0.193001)):
        p = [999.421, 0.0, cx, tx, 0.0, 999.421, 252.932, 0.0, 0.0, 0.0, 1.0, 0.0]
        message = {'header': {'frame_id': 'left'}, 'height': 497, 'width': 741, 'p': p}
        texts.append(yaml.safe_dump(message) + '---\n')
    _same(read_calibration(_pair(tmp_path, *texts)))


def test_every_real_middlebury_file_agrees_with_its_doffs(data_root: Path) -> None:
    files = sorted(data_root.glob('middlebury/MiddEval3/trainingQ/*/calib.txt'))
    assert len(files) == 6
    for file in files:
        calibration = read_calibration(str(file))
        lines = (line.partition('=') for line in file.read_text().splitlines())
        entries = {key.strip(): value.strip() for key, _, value in lines}
        # doffs = cx_right - cx_left (Middlebury 2014 format description).
        assert -calibration.disparity_offset_px == pytest.approx(float(entries['doffs']), abs=2e-3)
        assert 0.05 < calibration.baseline_m < 0.3


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (_MIDDLEBURY.replace('baseline= 193.001', ''), 'baseline missing'),
        (_MIDDLEBURY.replace('0 0 1', '0 0', 1), 'has 8 numbers, a camera matrix has 9'),
        (_MIDDLEBURY.replace('294.182', 'wide'), 'is no matrix'),
        (_MIDDLEBURY.replace('193.001', '-193'), 'baseline is -193 mm, it must be positive'),
        (_OWN.replace('741', '741.5'), 'width is 741.5, not a whole number'),
        (_OWN.replace('cy: 252.932', 'cy: high'), "cy is 'high', not a number"),
        (_OWN.replace('f: 999.421', 'f: .nan'), 'f is nan, not finite'),
        (_OWN + 'basline: 1\n', 'unknown basline; known are f, cx'),
        ('f: [', 'is no YAML'),
        ('just text', 'is neither a calib.txt nor a YAML mapping'),
        (_camera_info(294.182, 0.0), 'half a stereo pair; give both: LEFT.yaml,RIGHT.yaml'),
    ],
)
def test_broken_files_are_named_with_the_fault(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / 'calib.txt'
    file.write_text(content)
    with pytest.raises(CalibrationError) as caught:
        read_calibration(str(file))
    assert str(caught.value).startswith(f'{file}: ')
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


def test_broken_ros_pairs(tmp_path: Path) -> None:
    left, right = _camera_info(294.182, 0.0), _camera_info(326.96, -192.8)
    for texts, message in (
        ((right, left), 'left camera: .* swap the left and right topics, or files'),
        ((left, left), r'right camera: Tx is zero .* P\[3\] must be -fx \* baseline'),
        ((left, _camera_info(1.0, -192.8, image_width=640)), 'size 640x497 .* left one is 741x'),
        ((left, _camera_info(1.0, -1.0, projection_matrix={'data': [1.0]})), '12 numbers'),
        ((left, _OWN), 'the right camera has no projection_matrix'),
    ):
        with pytest.raises(CalibrationError, match=message):
            read_calibration(_pair(tmp_path, *texts))


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r'none.yaml: cannot be read \(No such file'):
        read_calibration(str(tmp_path / 'none.yaml'))
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x00\x80')
    with pytest.raises(CalibrationError, match=r'binary.yaml: is no text file'):
        read_calibration(str(tmp_path / 'binary.yaml'))
    with (tmp_path / 'huge.yaml').open('wb') as file:
        file.truncate(2**40)
    with pytest.raises(CalibrationError, match=r'huge.yaml: has over 1048576 bytes'):
        read_calibration(str(tmp_path / 'huge.yaml'))
