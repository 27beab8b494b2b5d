"""`dtp-stereo bench`."""

from __future__ import annotations

import json

import pytest

from dtp_stereo_ros.cli import main

pytest.importorskip('skimage', reason='brings the pair that is timed')


def test_sgbm_is_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['bench', '--backend', 'sgbm', '--size', '200x120', '--runs', '2', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report['width_px'], report['height_px'], report['runs']) == (200, 120, 2)
    (row,) = report['backends']
    assert (row['backend'], row['ratio_to_sgbm']) == ('sgbm', 1.0)
    assert 0 < row['inference_ms'] <= row['total_ms']


def test_backends_that_cannot_start_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ['bench', '--model', 'nosuch', '--size', '200x120', '--runs', '1']
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '200x120, medians of 1 runs'
    assert lines[2].split()[0] == 'sgbm'
    assert lines[2].endswith('1.00x')
    passed_over = [line for line in lines if 'passed over' in line]
    assert [line.split()[0] for line in passed_over] == ['openvino', 'onnx', 'torch']
    assert all("no model 'nosuch'" in line for line in passed_over)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--backend', 'onnx,foo'], 'unknown backend foo; choose among openvino, onnx'),
        (['--size', '640'], "--size: '640' is not WIDTHxHEIGHT"),
        (['--size', '0x480'], "--size: '0x480' is not WIDTHxHEIGHT"),
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
