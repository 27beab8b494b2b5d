"""`dtp-stereo bench`."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation.result_file import as_document, json_pieces

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
    arguments = ['--backend', 'sgbm', '--size', '200x120', '--runs', '1', '--no-memory', '--json']
    assert main(['bench', *arguments]) == 0
    told = capsys.readouterr()
    assert told.err.startswith('a generated pair is timed: the Motorcycle pair comes with scikit-')
    report = json.loads(told.out)
    assert (report['width_px'], report['height_px']) == (200, 120)
    assert report['backends'][0]['total_ms'] > 0


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
def test_backends_that_cannot_start_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('onnxruntime')
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(b'no model')
    arguments = ['--size', '200x120', '--runs', '1', '--no-memory']
    assert main(['bench', '--model', str(broken), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '200x120, medians of 1 runs'
    headings, sgbm, full, bm = (
        [cell.strip() for cell in line.strip('|').split('|')] for line in (lines[1], *lines[3:6])
    )
    assert headings[-3:] == ['/ sgbm', '/ sgbm-full', '/ bm']
    assert 'memory MiB' not in headings
    assert [row[0] for row in (sgbm, full, bm)] == ['sgbm', 'sgbm-full', 'bm']
    assert (sgbm[-3], full[-2], bm[-1]) == ('1.00', '1.00', '1.00')
    passed_over = [line for line in lines if 'passed over' in line]
    assert [line.split()[0] for line in passed_over] == ['openvino', 'onnx', 'torch', 'tensorrt']
    assert all('broken.onnx' in line for line in passed_over)


def test_several_sizes_with_stages_rivals_and_memory(
    pair: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['--backend', 'sgbm-full,bm', '--size', '320x200,64x48', '--runs', '3', '--json']
    assert main(['bench', *pair, *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    (small,) = report['further_sizes']
    assert (report['width_px'], small['width_px'], small['height_px']) == (320, 64, 48)
    for size in (report, small):
        rows = {row['backend']: row for row in size['backends']}
        assert list(rows) == ['sgbm', 'sgbm-full', 'bm']
        for name, row in rows.items():
            assert row['model'] == name
            stages = [row[f'{stage}_ms'] for stage in ('preprocess', 'inference', 'postprocess')]
            assert max(stages) <= row['total_ms'] <= row['total_p95_ms']
            assert 0 <= row['method_memory_mib'] < row['peak_memory_mib']
        assert rows['sgbm']['ratio_to_sgbm_full'] == pytest.approx(
            rows['sgbm']['total_ms'] / rows['sgbm-full']['total_ms'], rel=0.05
        )
    # Eight directions keep costs of the whole image.
    of_full = [size['backends'][1]['method_memory_mib'] for size in (report, small)]
    assert of_full[0] > of_full[1] + 10
    assert report['machine']['python']
    assert report['load_average'] >= 0


def test_a_report_without_accuracy_says_so(pair: list[str], tmp_path: Path) -> None:
    out = tmp_path / 'out'
    arguments = ['--backend', 'sgbm', '--runs', '1', '--no-memory', '--report', str(out)]
    assert main(['bench', *pair, *arguments]) == 0
    text = (out / 'bench.md').read_text()
    assert '## 160x100' in text
    assert 'The plot of accuracy against latency is left out, as no accuracy was given' in text
    assert json.loads((out / 'bench.json').read_text())['backends'][0]['peak_memory_mib'] is None
    assert sorted(path.name for path in out.iterdir()) == ['bench.json', 'bench.md']


def test_a_report_with_the_accuracy_of_eval(pair: list[str], tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    judged, out = tmp_path / 'judged', tmp_path / 'out'
    assert main(['eval', '--data', data, '--backend', 'sgbm', '-o', str(judged)]) == 0
    arguments = ['--backend', 'sgbm,bm', '--runs', '1', '--no-memory', '--report', str(out)]
    accuracy = ['--accuracy', str(judged / 'report.json')]
    assert main(['bench', *pair, *arguments, *accuracy]) == 0
    text = (out / 'bench.md').read_text()
    assert '![Accuracy against latency](accuracy.png)' in text
    assert 'Without an accuracy in that file, and so a vertical line: bm.' in text
    picture = cv2.imread(str(out / 'accuracy.png'))
    assert picture is not None and picture.std() > 5


@pytest.mark.skipif(importlib.util.find_spec('onnxruntime') is None, reason='runs the models')
def test_a_report_takes_all_models_that_have_a_name(
    make_onnx: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    pair: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ('one', 'two'):
        numbers = {'padding_multiple': '16', 'max_disparity_px': '64', 'min_width_px': '32'}
        values = {'name': name, 'precision': 'fp32', **numbers}
        make_onnx(f'{name}.onnx', {f'dtp_stereo.{key}': value for key, value in values.items()})
    monkeypatch.setattr('dtp_stereo_ros.models.folders', lambda: [tmp_path])
    arguments = ['--backend', 'onnx', '--runs', '1', '--no-memory', '--json']
    assert main(['bench', *pair, *arguments, '--report', str(tmp_path / 'out')]) == 0
    rows = json.loads(capsys.readouterr().out)['backends']
    assert [row['model'] for row in rows] == ['one', 'two', 'sgbm']


def test_the_node_needs_ros(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith('dtp_stereo_ros.ros.')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert main(['bench', '--node', '--backend', 'sgbm']) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'bench --node needs ROS 2: ' in error
    assert "source it, or pip install 'dtp_stereo[ros]'" in error


@has_pair
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', '640x480,', '--runs', '1'], "--size: '' is not WIDTHxHEIGHT"),
        (['--accuracy', 'report.json'], '--accuracy is for the plot of a report; give --report'),
        (['--accuracy', 'none.json', '--report', 'out'], 'none.json: cannot be read'),
        (['--node', 'a.png', 'b.png'], '--node takes no pair, no --report and no --accuracy'),
        (['--node', '--seconds', '0'], '--seconds is 0, it must be 1 to 120'),
        (['--node', '--seconds', 'nan'], '--seconds is nan, it must be 1 to 120'),
        (['--node', '--steps', '0'], '--steps is 0, it must be at least 1'),
        (['--node', '--cameras', '17'], '--cameras is 17, it must be 1 to 16'),
        (['--node', '--backend', 'bm'], 'unknown backend bm; the node has auto, openvino'),
        (['--backend', 'onnx,foo'], 'unknown backend foo; choose among openvino, onnx'),
        (['--size', '640'], "--size: '640' is not WIDTHxHEIGHT"),
        (['--size', '0x480'], "--size: '0x480' is not WIDTHxHEIGHT"),
        (['one.png'], '1 image was given; bench takes LEFT and RIGHT, or none'),
        (['one.png', 'two.png'], 'one.png'),
        (['--runs', '0'], '--runs is 0, it must be at least 1'),
        (['--backend', 'onnx', '--model', 'nosuch'], "no model 'nosuch'"),
        (['--model', 'nosuch'], "no model 'nosuch'"),
        (['--model', 'dtpnet,nosuch'], "no model 'nosuch'"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['bench', *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_a_result_without_accuracy_is_refused(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a bag without truth."""
    file = tmp_path / 'result.json'
    file.write_text(''.join(json_pieces(as_document([], ''))))
    options = ['--backend', 'sgbm', '--runs', '1', '--report', str(tmp_path / 'r')]
    assert main(['bench', *pair, *options, '--accuracy', str(file)]) == 2
    told = f'{file}: has no accuracy; name the report.json of dtp-stereo eval -o DIR'
    assert capsys.readouterr().err == f'dtp-stereo bench: error: {told}\n'
    assert not (tmp_path / 'r').exists()
