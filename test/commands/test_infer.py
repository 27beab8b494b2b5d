"""`dtp-stereo infer`, run as a user does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.stereo import StereoFrame

MakeFrame = Callable[..., StereoFrame]
MakeOnnx = Callable[..., Path]

_CALIBRATION = 'f: 500\ncx: 160\ncy: 60\nbaseline: 0.1\nwidth: 320\nheight: 120\n'


@pytest.fixture
def pair(tmp_path: Path, make_frame: MakeFrame) -> tuple[Path, Path]:
    """Two image files, 320x120, with a raw disparity of 20 px, in a folder of their own."""
    frame = make_frame(20)
    folder = tmp_path / 'in'
    folder.mkdir()
    for name, image in (('left.png', frame.left), ('right.png', frame.right)):
        cv2.imwrite(str(folder / name), image[..., ::-1])
    return folder / 'left.png', folder / 'right.png'


def _infer(*arguments: object) -> int:
    return main(['infer', *map(str, arguments)])


@pytest.mark.parametrize('ending', ['npy', 'pfm', 'png', 'ply'])
def test_every_ending(
    pair: tuple[Path, Path], tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = tmp_path / 'calib.yaml'
    calib.write_text(_CALIBRATION)
    out = tmp_path / f'out.{ending}'
    assert _infer(*pair, '-o', out, '--backend', 'sgbm', '--calib', calib) == 0
    printed = capsys.readouterr().out
    assert str(out) in printed
    assert 'sgbm as asked' in printed
    if ending in ('npy', 'pfm'):
        stored = np.load(out) if ending == 'npy' else cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
        assert stored.shape == (120, 320)
        assert np.median(stored[np.isfinite(stored)]) == pytest.approx(20, abs=0.1)
    elif ending == 'png':
        assert cv2.imread(str(out)).shape == (120, 320, 3)
    else:
        body = out.read_bytes().split(b'end_header\n')[1]
        points = np.frombuffer(body, [('xyz', '<f4', 3), ('rgb', 'u1', 3)])['xyz']
        assert np.median(points[:, 2]) == pytest.approx(2.5, abs=0.02)


@pytest.mark.parametrize('ending', ['npy', 'pfm', 'png'])
@pytest.mark.parametrize('limit', [('--max-depth', '10'), ('--max-depth', '2')])
def test_depth_in_metres_and_millimetres(
    pair: tuple[Path, Path], tmp_path: Path, ending: str, limit: tuple[str, str]
) -> None:
    calib = tmp_path / 'calib.yaml'
    calib.write_text(_CALIBRATION)
    out = tmp_path / f'depth.{ending}'
    options = ('--backend', 'sgbm', '--calib', calib, '--what', 'depth', *limit)
    assert _infer(*pair, '-o', out, *options) == 0
    depth = np.load(out) if ending == 'npy' else cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert depth.shape == (120, 320)
    assert depth.dtype == (np.uint16 if ending == 'png' else np.float32)
    right_part = depth[:, 100:]
    if limit[1] == '2':  # 2.5 m is beyond range
        beyond = right_part == 0 if ending == 'png' else np.isposinf(right_part)
        assert beyond.mean() > 0.9
        return
    metres = right_part / 1000 if ending == 'png' else right_part
    assert np.median(metres[np.isfinite(metres)]) == pytest.approx(2.5, abs=0.02)
    unknown = depth == 0 if ending == 'png' else np.isnan(depth)
    assert unknown[:, :10].mean() > 0.9


def test_depth_needs_a_calibration(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'depth.png'
    assert _infer(*pair, '-o', out, '--backend', 'sgbm', '--what', 'depth') == 2
    assert 'depth needs a calibration; give one by --calib' in capsys.readouterr().err
    assert not out.exists()


def test_json_tells_all_there_is(
    pair: tuple[Path, Path],
    tmp_path: Path,
    make_onnx: MakeOnnx,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('onnxruntime')
    out, model = tmp_path / 'out.npy', make_onnx()
    assert _infer(*pair, '-o', out, '--backend', 'onnx', '--model', model, '--json') == 0
    summary = json.loads(capsys.readouterr().out)
    stored = np.load(out)
    assert summary['output'] == str(out)
    assert (summary['width_px'], summary['height_px']) == (320, 120)
    assert summary['valid_share'] == 1.0
    assert summary['disparity_px'] == pytest.approx(
        {'min': stored.min(), 'median': np.median(stored), 'max': stored.max()}
    )
    assert set(summary['latency_s']) == {'preprocess', 'inference', 'postprocess'}
    assert summary['latency_s']['inference'] > 0
    assert (summary['backend'], summary['device']) == ('onnx', 'CPUExecutionProvider')
    assert (summary['model'], summary['precision']) == ('tiny', 'fp32')
    assert len(summary['sha256']) == 64


def test_scale_keeps_size_and_disparity(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / 'out.npy'
    assert _infer(*pair, '-o', out, '--backend', 'sgbm', '--scale', '0.5') == 0
    stored = np.load(out)
    assert stored.shape == (120, 320)
    assert np.nanmedian(stored) == pytest.approx(20, abs=0.3)


def test_exchanged_images_are_told(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for left, right in (pair, pair[::-1]):
        assert _infer(left, right, '-o', tmp_path / 'o.npy', '--backend', 'sgbm', '--json') == 0
        told = capsys.readouterr()
        assert json.loads(told.out)['width_px'] == 320
        wrong = (left, right) != pair
        assert told.err.startswith(f'warning: {left} and {right} are exchanged') == wrong
        assert bool(told.err) == wrong


def test_the_share_is_that_of_the_file(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = tmp_path / 'calib.txt'
    calib.write_text(
        'cam0=[200 0 160; 0 200 60; 0 0 1]\ncam1=[200 0 160; 0 200 60; 0 0 1]\n'
        'baseline=100\nwidth=320\nheight=120\n'
    )
    out, shares = tmp_path / 'out.npy', []
    for most in ('0.5', '20'):  # m; the plane is at 1 m
        options = ('--backend', 'sgbm', '--calib', calib, '--max-depth', most, '--json')
        assert _infer(*pair, '-o', out, *options) == 0
        shares.append(json.loads(capsys.readouterr().out)['valid_share'])
        assert shares[-1] == pytest.approx(np.isfinite(np.load(out)).mean(), abs=1e-6)
    assert shares[0] < 0.1 < 0.5 < shares[1]


@pytest.mark.parametrize('ending', ['png', 'tiff'])
def test_images_of_12_bits_in_16_are_told(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    for bits in (8, 12, 16):
        files = []
        for path in pair:
            image = cv2.imread(str(path)).astype(np.uint16)
            files.append(tmp_path / f'{path.stem}_{bits}.{ending}')
            scaled = (image << (bits - 8)).astype(np.uint8 if bits == 8 else np.uint16)
            cv2.imwrite(str(files[-1]), scaled)
        assert _infer(*files, '-o', tmp_path / 'o.npy', '--backend', 'sgbm') == 0
        told = capsys.readouterr().err.splitlines()
        wanted = [f'warning: {file}: no pixel of the file is above 4095' for file in files]
        assert len(told) == (2 if bits == 12 else 0)
        assert all(line.startswith(start) for line, start in zip(told, wanted, strict=False))


def test_bad_input_is_one_line_exit_code_2_and_nothing_written(
    pair: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip('onnxruntime')
    left, right = pair
    folder = tmp_path / 'out'
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    small, text, broken = tmp_path / 'small.png', tmp_path / 'text.png', tmp_path / 'broken.onnx'
    cv2.imwrite(str(small), np.zeros((8, 12, 3), np.uint8))
    text.write_text('no image')
    broken.write_bytes(b'no model')
    out = folder / 'out.npy'
    sgbm = ('--backend', 'sgbm')
    link = tmp_path / 'link.png'
    link.symlink_to(right)
    before = left.read_bytes(), right.read_bytes()
    for arguments, message in (
        ((tmp_path / 'none.png', right, '-o', out), 'none.png: cannot be read'),
        ((left, text, '-o', out), 'text.png: is no image'),
        ((left, small, '-o', out), 'left is 320x120 but right is 12x8'),
        (
            (small, small, '-o', out, *sgbm),
            f'{small}: images are 12 px wide, sgbm needs at least 16 px',
        ),
        ((left, right, '-o', out, '--model', broken), 'broken.onnx: is no ONNX model'),
        ((left, right, '-o', out, '--model', 'nosuch'), "no model 'nosuch'"),
        ((left, right, '-o', folder / 'out.gif', *sgbm), 'out.gif: unknown ending'),
        ((left, right, '-o', folder / 'out.ply', *sgbm), 'give one by --calib'),
        ((left, right, '-o', folder / 'no' / 'out.png', *sgbm), 'there is no folder'),
        ((left, right, '-o', out, *sgbm, '--calib', 'none.yaml'), 'none.yaml: cannot be read'),
        ((left, right, '-o', out, *sgbm, '--scale', '3'), 'input_scale is 3.0'),
        ((left, right, '-o', out, *sgbm, '--calib', ','), "',': names no calibration file"),
        ((left, right, '-o', left, *sgbm), 'is an image of the pair; name another output'),
        ((left, right, '-o', link, *sgbm), 'is an image of the pair; name another output'),
    ):
        assert _infer(*arguments) == 2, message
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count('\n') == 1
        assert captured.out == ''
        assert list(folder.iterdir()) == []
    assert before == (left.read_bytes(), right.read_bytes())


def test_the_calibration_must_fit_the_images(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = tmp_path / 'calib.yaml'
    calib.write_text(_CALIBRATION.replace('320', '640'))
    out = tmp_path / 'out.ply'
    assert _infer(*pair, '-o', out, '--backend', 'sgbm', '--calib', calib) == 2
    assert 'calibration is for 640x120 but the images are 320x120' in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize('ending', ['png', 'tiff', 'jpg'])
def test_a_damaged_image_is_one_line(
    pair: tuple[Path, Path], tmp_path: Path, ending: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """OpenCV would write lines of its own, which Python does not see."""
    done, content = cv2.imencode(f'.{ending}', cv2.imread(str(pair[0])))
    assert done
    damaged = tmp_path / f'damaged.{ending}'
    damaged.write_bytes(content.tobytes()[: len(content) // 2])
    assert _infer(damaged, pair[1], '-o', tmp_path / 'o.npy', '--backend', 'sgbm') == 2
    error = capfd.readouterr().err
    assert error.startswith(f'dtp-stereo infer: error: {damaged}: is ')
    assert error.count('\n') == 1
