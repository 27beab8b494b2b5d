"""`dtp-stereo bench --node`: the real node over DDS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dtp_stereo_ros.cli import main

OPTIONS = ['bench', '--node', '--size', '160x120', '--backend', 'sgbm', '--json']


def test_figures_of_a_real_node(capsys: pytest.CaptureFixture[str]) -> None:
    options = ['--seconds', '1', '--steps', '3', '--cameras', '2', '--disparity-range', '64']
    assert main([*OPTIONS, *options]) == 0
    result = json.loads(capsys.readouterr().out)
    (row,) = result['nodes']
    assert (row['width_px'], row['height_px'], row['cameras']) == (160, 120, 2)
    assert (row['backend'], row['model'], row['precision']) == ('sgbm', 'sgbm', 'fp32')
    assert row['parameters'] == {'backend': 'sgbm', 'disparity_range': 64}
    assert 1 <= len(row['steps']) <= 3
    for step in row['steps']:
        # Of two cameras.
        assert step['sent'] >= 10 and step['sent'] % 2 == 0
        assert step['received'] == step['sent'] - sum(step['dropped'].values())
        assert step['sustained'] is (step['received'] == step['sent'])
        assert 0 < step['sent_hz'] <= 1.01 * step['asked_hz']
        assert 0 <= step['cpu_percent'] <= 100 * result['cores'] * 1.2
        assert step['memory_mib'] > 50
    sustained = [step['sent_hz'] for step in row['steps'] if step['sustained']]
    assert row['rate_hz'] == max(sustained, default=None)
    if sustained:
        assert 0 < row['age_p50_ms'] <= row['age_p95_ms']


def test_a_node_that_ends_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('onnxruntime')
    options = ['bench', '--node', '--size', '160x120', '--backend', 'onnx', '--seconds', '1']
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(b'no model')
    assert main([*options, '--model', str(broken)]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'the node ended; its last line: ' in error
    assert 'broken.onnx: is no ONNX model' in error
