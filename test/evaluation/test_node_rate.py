"""The search for the highest rate of a node, and what is told of it."""

from __future__ import annotations

import pytest

from dtp_stereo_ros.evaluation.node_rate import (
    NodeFigures,
    NodeSetting,
    RateStep,
    node_document,
    node_text,
    search,
)

NAN = float('nan')


def step(asked_hz: float, capacity_hz: float, camera_hz: float = 1e9) -> RateStep:
    """Ten pairs at a rate; one is lost above the capacity."""
    sent_hz = min(asked_hz, camera_hz)
    lost = int(sent_hz > capacity_hz)
    ages_ms = [float(10 * index) for index in range(1, 11 - lost)]
    dropped = {'busy': 1} if lost else {}
    return RateStep(asked_hz, sent_hz, 10, 10 - lost, dropped, ages_ms, 150.0, 300.0)


@pytest.mark.parametrize('first_hz', [0.5, 10.0, 22.0, 100.0])
def test_it_closes_in_on_the_capacity(first_hz: float) -> None:
    done = search(lambda hz: step(hz, 23.0), first_hz, steps=20)
    best = NodeFigures(NodeSetting(1, 1), '', '', '', '', done).best
    assert best is not None
    assert 22.9 < best.sent_hz <= 23.0


def test_rates_of_a_search() -> None:
    done = search(lambda hz: step(hz, 23.0), 10.0, steps=6)
    assert [s.asked_hz for s in done] == [10, 15, 22.5, 33.75, 28.125, 25.3125]
    assert [s.sustained for s in done] == [True, True, True, False, False, False]


def test_a_slow_camera_ends_the_search() -> None:
    done = search(lambda hz: step(hz, 1e6, camera_hz=20.0), 10.0, steps=9)
    assert [s.sent_hz for s in done] == [10, 15, 20]
    (row,) = node_document([NodeFigures(NodeSetting(8, 6), '', '', '', '', done)], 4, '')['nodes']
    assert (row['rate_hz'], row['limit']) == (20, 'camera or steps')


def test_figures_are_those_of_the_best_step() -> None:
    done = search(lambda hz: step(hz, 23.0), 20.0, steps=3)
    assert [s.sustained for s in done] == [True, False, False]
    figures = NodeFigures(NodeSetting(640, 480, 2, {'x': 1}), 'onnx', 'CPU', 'net', 'fp32', done)
    result = node_document([figures], 4.0, 'dtp-stereo bench --node')
    (row,) = result['nodes']
    assert (row['rate_hz'], row['limit']) == (20, 'node')
    assert (row['age_p50_ms'], row['age_p95_ms']) == (55, 95.5)
    assert row['cpu_share'] == pytest.approx(1.5 / result['cores'], abs=1e-4)
    assert [s['dropped'] for s in row['steps']] == [{}, {'busy': 1}, {'busy': 1}]
    assert 'ages_ms' not in row['steps'][0]
    line = node_text(result).splitlines()[3]
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    share = f'{150 / result["cores"]:.0f} %'
    assert cells == ['640x480', '2', 'onnx', 'net', 'fp32', '20.0', '55', '96', share, '300']


def test_a_node_that_sustains_nothing() -> None:
    done = search(lambda hz: step(hz, 0.0), 8.0, steps=3)
    assert [s.asked_hz for s in done] == [8, 4, 2]
    result = node_document([NodeFigures(NodeSetting(8, 6), 'a', '', 'b', 'c', done)], 4, '')
    (row,) = result['nodes']
    assert (row['rate_hz'], row['age_p50_ms'], row['cpu_share']) == (None, None, None)
    assert '| below 2.0 |' in node_text(result)


def test_loads_that_are_not_known_are_null() -> None:
    known = step(5.0, 9.0)
    unknown = RateStep(5.0, 5.0, 10, 10, {}, known.ages_ms, NAN, NAN)
    result = node_document([NodeFigures(NodeSetting(8, 6), '', '', '', '', [unknown])], 4, '')
    (row,) = result['nodes']
    assert (row['cpu_percent'], row['cpu_share'], row['memory_mib']) == (None, None, None)
    assert row['steps'][0]['memory_mib'] is None
    assert node_text(result).splitlines()[3].rstrip('| ').endswith('-')
