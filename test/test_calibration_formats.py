"""Calibration files in the formats that people have: read, or named with the mend."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.calibration_io import read_calibration
from dtp_stereo_ros.errors import CalibrationError
from dtp_stereo_ros.paths import split_at_commas
from dtp_stereo_ros.stereo import StereoCalibration

WIDTH, HEIGHT, F, CX, CX_RIGHT, CY, BASELINE_M = 384, 256, 360.0, 190.0, 184.5, 128.0, 0.12
WANTED = StereoCalibration(F, F, CX, CX_RIGHT, CY, BASELINE_M, WIDTH, HEIGHT)
P_LEFT = [F, 0.0, CX, 0.0, 0.0, F, CY, 0.0, 0.0, 0.0, 1.0, 0.0]
P_RIGHT = [F, 0.0, CX_RIGHT, -F * BASELINE_M, 0.0, F, CY, 0.0, 0.0, 0.0, 1.0, 0.0]
OWN = yaml.safe_dump(
    {'f': F, 'cx': CX, 'cx_right': CX_RIGHT, 'cy': CY, 'baseline': BASELINE_M}
    | {'width': WIDTH, 'height': HEIGHT}
)
MIDDLEBURY = (
    f'cam0=[{F} 0 {CX}; 0 {F} {CY}; 0 0 1]\ncam1=[{F} 0 {CX_RIGHT}; 0 {F} {CY}; 0 0 1]\n'
    f'doffs=-5.5\nbaseline=120\nwidth={WIDTH}\nheight={HEIGHT}\nndisp=64\n'
)


def opencv(name: str, values: list[float]) -> str:
    return f'{name}: !!opencv-matrix\n   rows: 3\n   cols: 4\n   dt: d\n   data: {values}\n'


def section(name: str, p: list[float]) -> str:
    rows = '\n'.join(' '.join(map(str, p[i : i + 4])) for i in (0, 4, 8))
    return (
        f'# oST version 5.0 parameters\n\n\n[image]\n\nwidth\n{WIDTH}\n\nheight\n{HEIGHT}\n\n'
        f'[{name}]\n\ncamera matrix\n1 0 0\n0 1 0\n0 0 1\n\ndistortion\n0 0 0 0 0\n\n'
        f'rectification\n1 0 0\n0 1 0\n0 0 1\n\nprojection\n{rows}\n\n'
    )


def same(found: StereoCalibration, wanted: StereoCalibration = WANTED) -> None:
    for name, value in vars(wanted).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name


def kitti(p: list[float]) -> str:
    return ' '.join(f'{v:e}' for v in p)


SIZE_YAML = f'image_width: {WIDTH}\nimage_height: {HEIGHT}\n'
ONE_FILE = {
    'ost.txt': section('narrow_stereo/left', P_LEFT) + section('narrow_stereo/right', P_RIGHT),
    'ost.txt, right first': section('r/right', P_RIGHT) + section('r/left', P_LEFT),
    'opencv': '%YAML:1.0\n---\n' + SIZE_YAML + opencv('P1', P_LEFT) + opencv('P2', P_RIGHT),
    'opencv 2': '%YAML:1.0\nimageSize: [384, 256]\n'
    + opencv('P1', P_LEFT)
    + opencv('P2', P_RIGHT),
    'orb-slam2 rectify': '%YAML:1.0\n'
    + f'LEFT.height: {HEIGHT}\nLEFT.width: {WIDTH}\n'
    + opencv('LEFT.P', P_LEFT)
    + opencv('RIGHT.P', P_RIGHT),
    'both infos': json.dumps(
        {
            side: {'width': WIDTH, 'height': HEIGHT, 'P': p}
            for side, p in (('left', P_LEFT), ('right', P_RIGHT))
        }
    ),
    'kitti raw': f'calib_time: 09-Jan-2012 13:57:47\nS_rect_02: {WIDTH} {HEIGHT}\n'
    f'P_rect_02: {kitti(P_LEFT)}\nS_rect_03: {WIDTH} {HEIGHT}\nP_rect_03: {kitti(P_RIGHT)}\n',
    'middlebury': MIDDLEBURY,
    'middlebury with blanks and commas': MIDDLEBURY.replace('=', ' = ').replace(' 0 ', ', 0, '),
    'own': OWN,
    'own, foreign bytes in a comment': OWN + '# 23 \N{DEGREE SIGN}C\n',
}
WITHOUT_SIZE = {
    'opencv': '%YAML:1.0\n---\n' + opencv('P1', P_LEFT) + opencv('P2', P_RIGHT),
    'kitti': f'P0: {kitti(P_LEFT)}\nP1: {kitti(P_RIGHT)}\n',
    'kitti colour': f'P0: {kitti(P_LEFT)}\nP1: {kitti(P_LEFT)}\nP2: {kitti(P_LEFT)}\n'
    f'P3: {kitti(P_RIGHT)}\nTr: 1 2 3\n',
}


@pytest.mark.parametrize('text', ONE_FILE.values(), ids=ONE_FILE)
@pytest.mark.parametrize(
    'encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-32', 'latin-1', 'crlf'], ids=str
)
def test_one_file_in_every_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    file = tmp_path / 'calib'
    if encoding == 'crlf':
        text, encoding = text.replace('\n', '\r\n'), 'utf-8'
    file.write_bytes(text.encode(encoding))
    same(read_calibration(str(file)))
    same(read_calibration(str(file), (WIDTH, HEIGHT)))


@pytest.mark.parametrize('text', WITHOUT_SIZE.values(), ids=WITHOUT_SIZE)
def test_files_without_a_size_take_that_of_the_images(tmp_path: Path, text: str) -> None:
    file = tmp_path / 'calib'
    file.write_text(text)
    same(read_calibration(str(file), (WIDTH, HEIGHT)))
    with pytest.raises(CalibrationError, match='holds both cameras but no image size; give the'):
        read_calibration(str(file))


@pytest.mark.parametrize('ending', ['.xml', '.yml', '.json'])
def test_what_opencv_writes_itself(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f'extrinsics{ending}'
    storage = cv2.FileStorage(str(file), cv2.FILE_STORAGE_WRITE)
    for name, p in (('P1', P_LEFT), ('P2', P_RIGHT)):
        storage.write(name, np.array(p).reshape(3, 4))
    storage.write('image_width', WIDTH)
    storage.write('image_height', HEIGHT)
    storage.release()
    same(read_calibration(str(file)))


@pytest.mark.parametrize(
    'text',
    [
        f'{F} 0.0 {CX} 0.0 {F} {CY} 0.0 0.0 1.0\n{BASELINE_M}\n',
        f'{F} 0 {CX}\n0 {F} {CY}\n0 0 1\n{BASELINE_M}',
        f'Camera.fx: {F}\nCamera.fy: {F}\nCamera.cx: {CX}\nCamera.cy: {CY}\nCamera.bf: 43.2\n',
        f'%YAML:1.0\nCamera1.fx: {F}\nCamera1.fy: {F}\nCamera1.cx: {CX}\nCamera1.cy: {CY}\n'
        f'Stereo.b: {BASELINE_M}\nCamera.width: {WIDTH}\nCamera.height: {HEIGHT}\n',
    ],
    ids=['K.txt', 'K.txt by rows', 'orb-slam2', 'orb-slam3'],
)
def test_one_camera_matrix_for_both(tmp_path: Path, text: str) -> None:
    (tmp_path / 'K').write_text(text)
    wanted = StereoCalibration(F, F, CX, CX, CY, BASELINE_M, WIDTH, HEIGHT)
    same(read_calibration(str(tmp_path / 'K'), (WIDTH, HEIGHT)), wanted)


def as_opencv(p: list[float]) -> str:
    return '%YAML:1.0\n---\n' + SIZE_YAML + opencv('projection_matrix', p)


def as_rostopic(p: list[float]) -> str:
    rows = [p[:4], p[4:8], p[8:]]
    return f'width: {WIDTH}\nheight: {HEIGHT}\nK: {[1.0] * 9}\nP: {rows}\nroi:\n  width: 0\n---\n'


def as_binned(p: list[float]) -> str:
    """Half the size by binning, of a window that begins at (100, 40)."""
    full = [2 * v for v in p[:8]] + p[8:]
    full[2], full[6] = full[2] + 100, full[6] + 40
    roi = {'x_offset': 100, 'y_offset': 40, 'width': 2 * WIDTH, 'height': 2 * HEIGHT}
    return yaml.safe_dump(
        {'width': 2 * WIDTH + 300, 'height': 2 * HEIGHT + 50, 'p': full, 'roi': roi}
        | {'binning_x': 2, 'binning_y': 2}
    )


def as_ini(p: list[float]) -> str:
    return section('camera', p)


@pytest.mark.parametrize('write', [as_opencv, as_rostopic, as_binned, as_ini])
def test_two_files(tmp_path: Path, write: object) -> None:
    assert callable(write)
    for name, p in (('left', P_LEFT), ('right', P_RIGHT)):
        (tmp_path / name).write_text(write(p))
    both = f'{tmp_path / "left"},{tmp_path / "right"}'
    same(read_calibration(both))
    same(read_calibration(both, (WIDTH, HEIGHT)))
    with pytest.raises(CalibrationError, match='calibration is for 384x256 but the images are 64'):
        read_calibration(both, (640, 480))


KALIBR = 'cam0:\n  intrinsics: [1, 1, 1, 1]\ncam1:\n  T_cn_cnm1: []\n  intrinsics: [1, 1, 1, 1]\n'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (KALIBR, 'is a Kalibr camchain, .* rectify first'),
        ('[LEFT_CAM_VGA]\nfx=1\n[STEREO]\nBaseline=120\n', 'factory calibration of a ZED'),
        ('%YAML:1.0\n---\n' + opencv('M1', P_LEFT), 'without the rectification P1, P2; give ext'),
        ('sensor_type: camera\nT_BS:\n  data: []\n', r'sensor\.yaml of one camera'),
        ('{"value0": {"T_imu_cam": []}}', 'describes the cameras as they are'),
        ('# Camera list with one line of data per camera:\n0 PINHOLE 9 9 1 1 1 1', 'COLMAP'),
        (section('narrow_stereo', P_LEFT), 'one camera is half a stereo pair'),
        ('[image]\nwidth\n384\n', 'holds 0 projections, a pair has two'),
        (f'P2: {kitti(P_LEFT)}\n', 'neither P2 and P3 nor P0 and P1'),
        ('360 0 190 0 360 128 0 0 1\n', 'holds K but no baseline; add it in metres'),
        ('<?xml version="1.0"?><opencv_storage>', 'is no XML'),
        (OWN.replace('0.12', '120'), 'baseline is 120, a baseline of 120 m, .* write it in m$'),
        (OWN.replace('0.12', '12'), 'baseline is 12, a baseline of 12 m, .* write it in m$'),
        (MIDDLEBURY.replace('=120', '=120000'), 'baseline of 120 m, .* write it in mm'),
        (MIDDLEBURY.replace(f'{F} {CY}; 0 0 1]\ndoffs', '400 9; 0 0 1]\ndoffs'), 'fy differs'),
        (OWN.replace('width: 384', 'width: 0'), 'width is 0, it must be positive'),
    ],
)
def test_what_cannot_be_used_is_named_with_the_mend(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / 'calib').write_text(text)
    with pytest.raises(CalibrationError, match=message) as caught:
        read_calibration(str(tmp_path / 'calib'))
    assert str(caught.value).startswith(f'{tmp_path}/calib: ')
    assert '\n' not in str(caught.value)


def test_two_files_of_which_one_holds_the_pair(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text(MIDDLEBURY)
    (tmp_path / 'b').write_text(KALIBR)
    with pytest.raises(CalibrationError, match='the left file holds both cameras; give it alone'):
        read_calibration(f'{tmp_path}/a,{tmp_path}/a')
    with pytest.raises(CalibrationError, match='is a Kalibr camchain'):
        read_calibration(f'{tmp_path}/b,{tmp_path}/b')


def test_a_doubtful_unit_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / 'calib').write_text(MIDDLEBURY.replace('=120', '=0.12'))
    with caplog.at_level(logging.WARNING):
        read_calibration(str(tmp_path / 'calib'))
    (record,) = caplog.records
    assert 'calib: baseline is 0.12 mm; P[3] of the right camera' in record.getMessage()


def test_tags_are_data_and_never_run(tmp_path: Path) -> None:
    (tmp_path / 'calib').write_text(OWN + 'extra: !!python/object/apply:os.system ["false"]\n')
    with pytest.raises(CalibrationError, match='unknown extra'):
        read_calibration(str(tmp_path / 'calib'))


@given(st.sampled_from(sorted(ONE_FILE)), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_a_damaged_file_is_read_or_is_one_line(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    content = bytearray(ONE_FILE[name].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            del content[at : at + data.draw(st.integers(1, 40))]
        if not content:
            return
    (tmp_path / 'calib').write_bytes(content)
    try:
        read_calibration(str(tmp_path / 'calib'), (WIDTH, HEIGHT))
    except CalibrationError as error:
        assert '\n' not in str(error)


def test_paths_with_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a,b.yaml').write_text(OWN)
    same(read_calibration('a,b.yaml'))
    folder = tmp_path / 'left, right'
    folder.mkdir()
    for name, p in (('l', P_LEFT), ('r', P_RIGHT)):
        (folder / name).write_text(as_opencv(p))
    same(read_calibration('left, right/l,left, right/r'))
    same(read_calibration('left, right/l, left, right/r'))
    assert split_at_commas('dtpnet,a,b.yaml,x') == ['dtpnet', 'a,b.yaml', 'x']
    assert split_at_commas('a, b') == ['a', 'b']
    assert split_at_commas('') == ['']
    with pytest.raises(CalibrationError, match=r'c\.yaml: cannot be read'):
        read_calibration('c.yaml,d.yaml')


ORB = f'Camera1.fx: {F}\nCamera1.fy: {F}\nCamera1.cx: {CX}\nCamera1.cy: {CY}\nStereo.b: 0.12\n'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (ORB + 'Camera1.k1: -0.28\n', r'Camera1\.k1 is -0\.28: of images as they are'),
        (
            ORB + 'Camera1.k1: -0.28\nStereo.T_c1_c2: !!opencv-matrix\n  rows: 1\n  cols: 1\n'
            '  dt: f\n  data: [1.0]\n',
            'rectif',
        ),
        ('f: 1' + 400 * '0' + '\ncx: 1\ncy: 1\nbaseline: 0.1\nwidth: 8\nheight: 8\n', 'f is'),
    ],
    ids=['distortion', 'pose', 'hundreds of digits'],
)
def test_what_is_of_no_rectified_pair_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'K').write_text('%YAML:1.0\n' * text.startswith('Camera') + text)
    with pytest.raises(CalibrationError, match=message) as caught:
        read_calibration(str(tmp_path / 'K'), (WIDTH, HEIGHT))
    assert '\n' not in str(caught.value)


def test_distortion_of_a_camera_that_says_it_is_rectified_is_none(tmp_path: Path) -> None:
    (tmp_path / 'K').write_text(f'%YAML:1.0\n{ORB}Camera.type: Rectified\nCamera1.k1: -0.28\n')
    assert read_calibration(str(tmp_path / 'K'), (WIDTH, HEIGHT)).baseline_m == pytest.approx(0.12)


def test_numbers_may_end_at_their_point(tmp_path: Path) -> None:
    (tmp_path / 'K').write_text('360. 0. 190. 0. 360. 128. 0. 0. 1.\n.12\n')
    found = read_calibration(str(tmp_path / 'K'), (WIDTH, HEIGHT))
    assert (found.fx_px, found.baseline_m) == (360.0, pytest.approx(0.12))
