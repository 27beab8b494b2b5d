"""`dtp-stereo bench`."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dtp_stereo_ros.cli import main

has_pair = pytest.mark.skipif(
    importlib.util.find_spec('skimage') is None, reason='brings the pair that is timed'
)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Two images of 160x100."""
    noise = np.random.default_rng(0).integers(0, 255, (100, 180, 3), np.uint8)
    paths = [tmp_path / 'left.png', tmp_path / 'right.png']
    for path, first in zip(paths, (0, 20), strict=True):
        cv2.imwrite(str(path), noise[:, first : first + 160])
    return [str(path) for path in paths]


@pytest.mark.parametrize(('options', 'size'), [([], (160, 100)), (['--size', '80x40'], (80, 40))])
def test_a_pair_of_the_user(
    options: list[str],
    size: tuple[int, int],
    pair: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['bench', *pair, '--backend', 'sgbm', '--runs', '1', '--json', *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report['width_px'], report['height_px']) == size


def test_the_choice_of_auto_is_told(
    pair: list[str], make_onnx: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('onnxruntime')
    command = ['bench', *pair, '--backend', 'onnx', '--model', str(make_onnx()), '--runs', '1']
    assert main([*command, '--json']) == 0
    (choice,) = json.loads(capsys.readouterr().out)['auto']
    assert choice['backend'] in ('openvino', 'onnx')
    assert choice['reason'].startswith(f'auto chose {choice["backend"]}: tiny in ')
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith('auto chose ')


def test_block_matching_alone_asks_no_network(
    pair: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['bench', *pair, '--backend', 'sgbm', '--runs', '1', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['auto'] == []


def test_without_the_extra_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, 'skimage', None)
    monkeypatch.setitem(sys.modules, 'skimage.data', None)
    assert main(['bench', '--backend', 'sgbm']) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'pip install scikit-image, or name a pair: dtp-stereo bench LEFT RIGHT' in error


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='0'):
        main(['bench', '-h'])
    assert '0.0 .. 100.0 %. Default: 10.0.' in ' '.join(capsys.readouterr().out.split())


@has_pair
def test_sgbm_is_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['bench', '--backend', 'sgbm', '--size', '200x120', '--runs', '2', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report['width_px'], report['height_px'], report['runs']) == (200, 120, 2)
    (row,) = report['backends']
    assert (row['backend'], row['ratio_to_sgbm']) == ('sgbm', 1.0)
    assert 0 < row['inference_ms'] <= row['total_ms']


@has_pair
def test_backends_that_cannot_start_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ['bench', '--model', 'nosuch', '--size', '200x120', '--runs', '1']
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '200x120, medians of 1 runs'
    assert lines[2].split()[0] == 'sgbm'
    assert lines[2].endswith('1.00x')
    passed_over = [line for line in lines if 'passed over' in line]
    assert [line.split()[0] for line in passed_over] == ['openvino', 'onnx', 'torch', 'tensorrt']
    assert all("no model 'nosuch'" in line for line in passed_over)


@has_pair
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--backend', 'onnx,foo'], 'unknown backend foo; choose among openvino, onnx'),
        (['--size', '640'], "--size: '640' is not WIDTHxHEIGHT"),
        (['--size', '0x480'], "--size: '0x480' is not WIDTHxHEIGHT"),
        (['one.png'], '1 image was given; bench takes LEFT and RIGHT, or none'),
        (['one.png', 'two.png'], 'one.png'),
        (['--runs', '0'], '--runs is 0, it must be at least 1'),
        (['--backend', 'onnx', '--model', 'nosuch'], "no model 'nosuch'"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['bench', *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
