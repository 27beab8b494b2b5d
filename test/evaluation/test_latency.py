"""Times measured in turns and read from bench; block matching; the plot of accuracy and time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import latency, plots, report
from dtp_stereo_ros.evaluation.block_matching import BlockMatcher
from dtp_stereo_ros.evaluation.datasets import open_dataset
from dtp_stereo_ros.evaluation.runner import Method, evaluate
from dtp_stereo_ros.stereo import StereoFrame, StereoResult


class Slow:
    """Says that it took so long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def process(self, frame: StereoFrame) -> StereoResult:
        latency_s = {'preprocess': 0.0, 'inference': self.seconds, 'postprocess': 0.0}
        disparity = np.full(frame.left.shape[:2], 16, np.float32)
        return StereoResult(disparity, np.ones_like(disparity), 0.0, 192.0, latency_s)

    def close(self) -> None:
        pass


BENCH = {
    'width_px': 640,
    'height_px': 480,
    'runs': 5,
    'backends': [
        {'backend': 'openvino', 'model': 'net', 'precision': 'bf16', 'total_ms': 20.0,
         'ratio_to_sgbm': 0.5},
        {'backend': 'sgbm', 'model': 'sgbm', 'precision': 'fp32', 'total_ms': 40.0,
         'ratio_to_sgbm': 1.0},
    ],
}  # fmt: skip


def test_block_matching_finds_a_plane_up_to_the_left_border(
    make_frame: Callable[..., StereoFrame],
) -> None:
    found = BlockMatcher().process(make_frame(12))
    inside = found.disparity_px[20:-20, 20:-20]
    assert np.isfinite(inside).mean() > 0.9
    assert np.nanmedian(inside) == pytest.approx(12, abs=0.1)
    assert found.confidence is None
    assert set(found.latency_s) == set(latency.STAGES)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Two images of a plane."""
    files = [str(tmp_path / 'left.png'), str(tmp_path / 'right.png')]
    for path, image in zip(files, layouts.plane_pair(), strict=True):
        cv2.imwrite(path, image)
    return files


@pytest.fixture
def bench_file(
    tmp_path: Path, pair: list[str], capsys: pytest.CaptureFixture[str]
) -> Callable[..., Path]:
    """Times the pair with some options and keeps the JSON; its file."""

    def run(*options: str) -> Path:
        assert main(['bench', *pair, '--runs', '1', *options, '--json']) == 0
        path = tmp_path / 'bench.json'
        path.write_text(capsys.readouterr().out)
        return path

    return run


def test_times_are_in_those_of_sgbm(make_frame: Callable[..., StereoFrame]) -> None:
    methods = [Method('net', Slow(0.02)), Method('sgbm', Slow(0.04))]
    times = latency.measure(methods, make_frame(8), runs=2)
    assert (times.size, times.runs) == ('320x120', 2)
    assert times.ratios == {'net': pytest.approx(0.5), 'sgbm': 1.0}
    assert times.total_ms['net'] == pytest.approx(20)


def test_a_file_of_bench_has_the_names_of_eval(tmp_path: Path) -> None:
    path = tmp_path / 'bench.json'
    path.write_text(json.dumps(BENCH))
    times = latency.read_bench(path)
    assert times.ratios == {'net openvino bf16': 0.5, 'sgbm': 1.0}
    assert (times.size, times.runs) == ('640x480', 5)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, r'bench\.json: cannot be read \(No such file'),
        ('[', r'bench\.json: not a file of bench \(JSONDecodeError'),
        ('{}', r"not a file of bench \(KeyError: 'backends'\); write it with dtp-stereo bench"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / 'bench.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        latency.read_bench(path)


def test_a_bench_without_the_asked_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('onnxruntime')
    path = tmp_path / 'bench.json'
    path.write_text(json.dumps(BENCH))
    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    assert main(['eval', '--data', data, '--backend', 'onnx', '--bench', str(path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert 'no time of dtpnet onnx fp32 in it, but of net openvino bf16, sgbm;' in error


def test_times_and_errors_of_other_settings_are_not_put_together(
    tmp_path: Path,
    pair: list[str],
    bench_file: Callable[..., Path],
    make_onnx: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither of another scale or model file of one name, whichever command comes first."""
    pytest.importorskip('onnxruntime')
    model, set_ = str(make_onnx()), f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    bench = ['bench', *pair, '--backend', 'onnx', '--runs', '1', '--no-memory']
    judge = ['eval', '--data', set_, '--backend', 'onnx']
    one = ['--backend', 'onnx', '--model', model, '--no-memory', '--threads', '1']
    times, report_of = bench_file(*one), str(tmp_path / 'r')
    assert main([*judge, '--model', model, '--bench', str(times), '-o', report_of]) == 0
    accuracy = ['--report', str(tmp_path / 'b'), '--accuracy', f'{report_of}/report.json']
    assert main([*bench, '--model', model, *accuracy]) == 0
    other = make_onnx('other.onnx', outputs=('disparity',))
    for more, message in (
        (['--model', model, '--scale', '0.5'], 'input_scale'),
        (['--model', model, '--left-right-check', '2'], 'left_right_check'),
        (['--model', str(other)], 'tiny onnx fp32 is of another model file'),
    ):
        for command in ([*judge, '--bench', str(times)], [*bench, *accuracy]):
            capsys.readouterr()
            assert main([*command, *more]) == 2, (command, more)
            assert message in capsys.readouterr().err.splitlines()[-1]


def test_models_of_one_name_keep_their_times(
    tmp_path: Path,
    bench_file: Callable[..., Path],
    make_onnx: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('onnxruntime')
    both = f'{make_onnx("a.onnx")},{make_onnx("b.onnx", outputs=("disparity",))}'
    arguments = ['--backend', 'onnx', '--model', both]
    path = bench_file(*arguments, '--no-memory')
    names = ['tiny onnx fp32', f'tiny onnx fp32 {tmp_path / "b.onnx"}', 'sgbm']
    assert list(latency.read_bench(path).ratios) == names
    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    assert main(['eval', '--data', data, *arguments, '--bench', str(path), '--json']) == 0
    assert list(json.loads(capsys.readouterr().out)['times']['ratios']) == names


def test_the_report_has_the_plots_and_says_where_there_can_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('matplotlib')
    dataset = open_dataset(f'middlebury_v3:{layouts.middlebury_v3(tmp_path / "m")}')
    methods = [Method('net', Slow(0.02)), Method('sgbm', Slow(0.04))]
    results = [evaluate(*dataset, methods)]
    times = latency.Times('640x480', 5, {'net': 20.0, 'sgbm': 40.0}, {'net': 0.5, 'sgbm': 1.0})
    report.write_report(tmp_path, results, 'eval', report.Extras(times=times))
    text = (tmp_path / 'report.md').read_text()
    for name in ('times.png', 'sparsification.png', 'calibration.png'):
        assert f']({name})' in text
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None
        assert picture.std() > 5
    assert '| LAS2-S bf16 (elsewhere) | 2.70       | -    |' in text
    times_of = json.loads((tmp_path / 'report.json').read_text())['times']
    assert times_of['ratios'] == {'net': 0.5, 'sgbm': 1.0}
    assert times_of['references'][1]['ratio_to_sgbm'] == 4.0
    monkeypatch.setattr(plots, 'available', lambda: False)
    report.write_report(tmp_path, results, 'eval', report.Extras(times=times))
    text = (tmp_path / 'report.md').read_text()
    assert text.count(plots.MISSING) == 2
    assert '.png' not in text


def test_a_set_without_truth_has_a_report_too(tmp_path: Path) -> None:
    root = layouts.pairs(tmp_path / 'p')
    (root / 'wall_disp.pfm').unlink()
    methods = [Method('net', Slow(0.02)), Method('sgbm', Slow(0.04))]
    results = [evaluate(*open_dataset(f'pairs:{root}'), methods)]
    times = latency.Times('640x480', 5, {'net': 20.0, 'sgbm': 40.0}, {'net': 0.5, 'sgbm': 1.0})
    report.write_report(tmp_path, results, 'eval', report.Extras(times=times))
    text = (tmp_path / 'report.md').read_text()
    assert '| pairs | 2      | -      | net    | no truth | no truth ' in text
    assert '.png' not in text
    assert 'Where the errors are' not in text


def test_the_command_draws_accuracy_against_times_of_bench(
    tmp_path: Path, bench_file: Callable[..., Path]
) -> None:
    pytest.importorskip('matplotlib')
    bench = bench_file('--backend', 'sgbm,bm')
    assert set(latency.read_bench(bench).ratios) == {'sgbm', 'bm'}
    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    out = tmp_path / 'out'
    arguments = ['eval', '--data', data, '--backend', 'sgbm', '--bench', str(bench)]
    assert main([*arguments, '-o', str(out)]) == 0
    text = (out / 'report.md').read_text()
    assert '![Accuracy against time](times.png)' in text
    assert 'Medians of 1 frames of 160x48, in turns.' in text
    assert '| flyingthings | 1      | all    | bm ' in text
    assert 'No method has a confidence.' in text


def test_timed_measures_at_vga(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('skimage')
    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    assert main(['eval', '--data', data, '--backend', 'sgbm', '--timed', '--json']) == 0
    times = json.loads(capsys.readouterr().out)['times']
    assert times['size'] == '640x480'
    assert times['ratios']['sgbm'] == 1.0
    assert times['ratios']['bm'] > 0
