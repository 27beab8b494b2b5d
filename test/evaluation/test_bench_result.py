"""Figures, tables and report of a bench, from stand-in methods whose times are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import bench_result, latency, plots, result_file
from dtp_stereo_ros.evaluation.bench_result import Entry
from dtp_stereo_ros.evaluation.comparison import Accuracy
from dtp_stereo_ros.evaluation.intervals import Interval
from dtp_stereo_ros.evaluation.latency import Entrant
from dtp_stereo_ros.evaluation.peak_memory import PeakMemory
from dtp_stereo_ros.stereo import StereoFrame, StereoResult

NAN = float('nan')


class Stand:
    """Says that its inference took these times in turn, and notes when it was called."""

    def __init__(self, name: str, inference_ms: Iterator[float], called: list[str]) -> None:
        self.name, self.inference_ms, self.called = name, inference_ms, called

    def process(self, frame: StereoFrame) -> StereoResult:
        self.called.append(self.name)
        latency_s = {
            'preprocess': 0.001,
            'inference': next(self.inference_ms) / 1000,
            'postprocess': 0.002,
        }
        return StereoResult(np.zeros(frame.left.shape[:2], np.float32), None, 0, 1, latency_s)

    def close(self) -> None:
        pass


def timed(make_frame: Callable[..., StereoFrame], runs: int, **times_ms: list[float]) -> Any:
    """Entries of methods by their inference times, and the order in which they were called."""
    called: list[str] = []
    names = {name: name.replace('_', '-') for name in times_ms}
    entries = [
        Entry(
            Entrant(names[name], Stand(name, iter(values), called)),
            'CPU',
            'light' if name == 'net' else names[name],
            'fp32',
            PeakMemory(200, 150, None) if name == 'net' else PeakMemory(60, 9, None),
        )
        for name, values in times_ms.items()
    ]
    latency.take_turns([entry.entrant for entry in entries], make_frame(8), runs)
    return entries, called


@pytest.fixture
def result(make_frame: Callable[..., StereoFrame]) -> dict[str, Any]:
    """Four timed runs of four methods after the warm-up, whose times are far larger."""
    warm = [1e6] * latency.WARM_UP
    entries, called = timed(
        make_frame,
        4,
        net=[*warm, 10, 20, 30, 40],
        sgbm=[*warm, 47, 47, 47, 47],
        sgbm_full=[*warm, 97, 97, 97, 97],
        bm=[*warm, 7, 7, 7, 7],
    )
    assert called == ['net', 'sgbm', 'sgbm_full', 'bm'] * (latency.WARM_UP + 4)
    size = bench_result.size_result(320, 120, entries)
    return bench_result.document([size], 4, {'torch': 'not installed'}, 'dtp-stereo bench')


def test_medians_percentiles_and_ratios(result: dict[str, Any]) -> None:
    net, sgbm, full, bm = result['backends']
    assert (net['preprocess_ms'], net['inference_ms'], net['postprocess_ms']) == (1, 25, 2)
    assert net['total_ms'] == 28
    # Between the third and the fourth of four: 30 + 0.85 * 10.
    assert (net['inference_p95_ms'], net['total_p95_ms']) == (38.5, 41.5)
    assert (net['ratio_to_sgbm'], net['ratio_to_sgbm_full'], net['ratio_to_bm']) == (
        0.56,
        0.28,
        2.8,
    )
    assert (sgbm['ratio_to_sgbm'], full['ratio_to_sgbm_full'], bm['ratio_to_bm']) == (1, 1, 1)
    assert (net['peak_memory_mib'], net['method_memory_mib']) == (200, 150)
    assert net['gpu_memory_mib'] is None


def test_what_was_not_timed_has_no_ratio(make_frame: Callable[..., StereoFrame]) -> None:
    entries, _ = timed(make_frame, 1, sgbm=[1.0] * 4)
    (row,) = bench_result.size_result(320, 120, entries)['backends']
    assert (row['ratio_to_sgbm'], row['ratio_to_sgbm_full'], row['ratio_to_bm']) == (1, None, None)


def test_text_and_clocks(result: dict[str, Any]) -> None:
    small = {**result, 'width_px': 64, 'gpu_clocks': '1980 MHz, 1980 MHz, 2619 MHz, 2619 MHz'}
    text = bench_result.text({**result, 'further_sizes': [small]})
    lines = text.splitlines()
    assert lines[0] == '320x120, medians of 4 runs'
    cells = [cell.strip() for cell in lines[3].strip('|').split('|')]
    assert cells == [
        *('net', 'CPU', 'light', 'fp32', '1.0', '25.0', '2.0', '28.0', '41.5', '200 (150)'),
        *('0.56', '0.28', '2.80'),
    ]
    assert '64x120, medians of 4 runs' in lines
    assert text.count('Clocks of the GPU after it: 1980 MHz, 1980 MHz') == 1
    assert lines[-1] == 'torch passed over: not installed'


def test_eval_reads_the_file_of_a_report(result: dict[str, Any], tmp_path: Path) -> None:
    bench_result.write_report(tmp_path, result, [], '')
    times = latency.read_bench(tmp_path / 'bench.json')
    assert times.ratios == {'light net fp32': 0.56, 'sgbm': 1, 'sgbm-full': 2, 'bm': 0.2}


def accuracy(method: str, dataset: str = 'kitti2015') -> Accuracy:
    values = {'bad_3': Interval(0.05, 0.04, 0.06, 9)}
    return Accuracy(dataset, method, 'all', 9, True, values, {})


def test_the_report_draws_what_has_an_accuracy(
    result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(plots, 'available', lambda: True)
    monkeypatch.setattr(plots, 'draw_times', lambda *arguments: drawn.append(arguments))
    rows = [accuracy('light net fp32'), accuracy('other')]
    bench_result.write_report(tmp_path, result, rows, 'report.json')
    ((path, given, times, unjudged),) = drawn
    assert (path.name, given, times.size) == ('accuracy.png', rows, '320x120')
    assert {r.name: r.ratio_to_sgbm for r in unjudged} == {'sgbm': 1, 'sgbm-full': 2, 'bm': 0.2}
    text = (tmp_path / 'bench.md').read_text()
    assert 'vertical line: sgbm, sgbm-full, bm.' in text
    assert '- torch: not installed' in text


def test_a_report_without_a_method_in_common(result: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / 'accuracy.png').touch()
    (tmp_path / 'bench.md').write_text('![of before](accuracy.png)')
    bench_result.write_report(tmp_path, result, [accuracy('other')], 'report.json')
    assert not (tmp_path / 'accuracy.png').exists()
    text = (tmp_path / 'bench.md').read_text()
    assert 'report.json has no accuracy of any of light net fp32, sgbm, sgbm-full, bm;' in text
    assert '.png' not in text


def test_accuracy_comes_back_from_a_result_file(tmp_path: Path) -> None:
    import layouts

    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    assert main(['eval', '--data', data, '--backend', 'sgbm', '-o', str(tmp_path)]) == 0
    (row,) = result_file.read_accuracy(tmp_path / 'report.json')
    written = json.loads((tmp_path / 'report.json').read_text())['accuracy'][0]
    assert (row.dataset, row.method, row.images) == ('flyingthings', 'sgbm', 1)
    assert row.values['bad_3'].mean == written['values']['bad_3']['mean']
    # Of one image there is no interval.
    assert np.isnan(row.values['bad_3'].low)


def test_a_file_without_accuracy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'report.json'
    content = {'format': result_file.FORMAT, 'version': result_file.VERSION, 'accuracy': [{}]}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r'report\.json: has no rows of accuracy .*KeyError'):
        result_file.read_accuracy(path)
