"""`dtp-stereo selftest`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.evaluation.selftest import Measured, Row, Selftest, generated_pair
from dtp_stereo_ros.parity import Parity


def test_a_report_of_one_backend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'selftest.json'
    options = ['--generated', '--backend', 'sgbm', '--runs', '2', '--json', str(file)]
    assert main(['selftest', *options]) == 0
    shown = capsys.readouterr().out
    for part in ('| python |', '| processor |', '| system |', '640x480; inference of 2 frames'):
        assert part in shown
    result = json.loads(file.read_text())
    assert (result['format'], result['version']) == ('dtp_stereo selftest', 1)
    (row,) = result['backends']
    assert (row['backend'], row['state'], row['precision']) == ('sgbm', 'passed', 'fp32')
    assert row['error_px'] < 0.2 and row['parity'] is None
    assert row['frame_ms'] > 0 and row['peak_memory_mib'] > 20


def test_a_comparison_without_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'selftest.json'
    options = ['--size', '320x192', '--backend', 'sgbm', '--runs', '0', '--json', str(file)]
    assert main(['selftest', *options]) == 0
    shown = capsys.readouterr().out
    assert '320x192; no times.' in shown and ' ms |' not in shown
    (row,) = json.loads(file.read_text())['backends']
    assert row['state'] == 'passed' and row['error_px'] < 0.2
    assert row['frame_ms'] is None and row['first_frame_s'] is None and row['start_s'] is None


def test_what_computes_a_wrong_disparity_fails(
    make_onnx: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('onnxruntime')
    file = tmp_path / 'selftest.json'
    options = ['--backend', 'onnx', '--model', str(make_onnx()), '--json', str(file)]
    assert main(['selftest', '--generated', '--runs', '1', *options]) == 1
    assert '- onnx: failed: half of the known pixels are' in capsys.readouterr().out
    (row,) = json.loads(file.read_text())['backends']
    assert row['state'] == 'failed' and row['error_px'] > 1.5


def test_what_was_asked_for_and_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('onnxruntime')
    file = tmp_path / 'selftest.json'
    model = ['--model', str(tmp_path / 'none.onnx'), '--json', str(file)]
    assert main(['selftest', '--generated', '--backend', 'onnx,sgbm', '--runs', '1', *model]) == 1
    assert '- onnx: not here:' in capsys.readouterr().out
    rows = json.loads(file.read_text())['backends']
    assert [row['state'] for row in rows] == ['not here', 'passed']
    assert rows[0]['error_px'] is None


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        (['--backend', 'tpu'], 'unknown backend tpu'),
        (['--runs', '-1'], '--runs'),
        (['--size', 'vga'], '--size'),
        (['--size', '320x32'], '--size is 320x32, both must be at least 64'),
    ],
)
def test_wrong_options(options: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['selftest', *options]) == 2
    assert error in capsys.readouterr().err


@pytest.mark.slow
def test_the_shipped_model_beside_its_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its reference is PyTorch where that is installed, and no backend is its own."""
    pytest.importorskip('onnxruntime')
    try:
        models.resolve('dtpnet', ('.onnx',))
    except ModelError:
        pytest.skip('no shipped model')
    file = tmp_path / 'selftest.json'
    options = ['--backend', 'onnx', '--runs', '1', '--precision', 'fp32', '--json', str(file)]
    assert main(['selftest', '--generated', *options]) == 0
    (row,) = json.loads(file.read_text())['backends']
    if row['reference']:
        assert row['reference'] == 'torch in fp32 on the CPU'
        assert row['parity']['median_px'] < 1e-3
    assert row['error_px'] < 0.5


def _row(backend: str, state: str) -> Row:
    return Row(backend, state, '', '', None, Measured())


@pytest.mark.parametrize(
    ('states', 'asked', 'passed'),
    [
        (['passed', 'not here'], [], True),
        (['passed', 'failed'], [], False),
        (['not here', 'not here'], [], False),
        (['passed', 'not here'], ['b1'], False),
        (['passed', 'not here'], ['b0'], True),
    ],
)
def test_when_it_counts_as_passed(states: list[str], asked: list[str], passed: bool) -> None:
    rows = [_row(f'b{number}', state) for number, state in enumerate(states)]
    assert Selftest('pair', '64x64', 1, {}, rows).passed(asked) is passed


def test_a_mismatch_is_said_in_the_report() -> None:
    row = replace(_row('tensorrt', 'failed'), reason='differs from onnx', parity=Parity(2.0, 9.0))
    result = Selftest('pair', '64x64', 1, {'python': '3.11'}, [row])
    assert '- tensorrt: failed: differs from onnx' in result.as_markdown()
    assert result.as_json()['backends'][0]['parity'] == {
        'median_px': 2.0,
        'p99_px': 9.0,
        'p99_confidence': None,
    }


def test_the_generated_pair_knows_its_truth() -> None:
    pair = generated_pair((192, 320))
    assert (pair.frame.height_px, pair.frame.width_px) == (192, 320)
    assert set(np.unique(pair.truth_px[np.isfinite(pair.truth_px)])) == {8.0, 24.0}
