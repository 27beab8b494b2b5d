"""The measurement of cost, on small images."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('openvino')
pytest.importorskip('onnxruntime')

import onnx

from dtp_stereo_ros.evaluation.node_rate import NodeFigures, NodeSetting, RateStep
from tools.performance import parts
from tools.performance.__main__ import PAGE, main
from tools.performance.graph_cost import GraphCost, graph_cost
from tools.performance.roofline import Bound, row

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / 'resource' / 'models'
PARTS = ('pixels', 'range', 'threads', 'roofline', 'publishing', 'node')


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / 'page.md'
    path.write_text('\n'.join(f'<!-- {p}: begin -->\n<!-- {p}: end -->' for p in PARTS))
    return path


def section(page: Path, part: str) -> list[list[str]]:
    """Cells of the table of a part, without its headings."""
    text = page.read_text().partition(f'<!-- {part}: begin -->')[2].partition('<!--')[0]
    lines = [line for line in text.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


@pytest.fixture
def convolution(tmp_path: Path) -> Path:
    """The views behind each other in channels, then 3x3 to 8 channels, a half of the size."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    views = [helper.make_tensor_value_info(v, kind, [1, 3, 'H', 'W']) for v in ('left', 'right')]
    graph = helper.make_graph(
        [
            helper.make_node('Concat', ['left', 'right'], ['both'], axis=1),
            helper.make_node('Conv', ['both', 'w'], ['out'], strides=[2, 2], pads=[1, 1, 1, 1]),
        ],
        'convolution',
        views,
        [helper.make_tensor_value_info('out', kind, [1, 8, 'h', 'w'])],
        [onnx.numpy_helper.from_array(np.ones((8, 6, 3, 3), np.float32), 'w')],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', 13)])
    onnx.save(model, tmp_path / 'convolution.onnx')
    return tmp_path / 'convolution.onnx'


def test_cost_of_one_convolution(convolution: Path) -> None:
    cost = graph_cost(convolution, 64, 32, 'fp32')
    assert cost.gmac == pytest.approx(32 * 16 * 8 * 6 * 9 / 1e9)
    # At least the views, the joined views twice, and the result, in four bytes each.
    least = 4 * (2 * 6 * 64 * 32 + 6 * 64 * 32 + 8 * 32 * 16) / 1e6
    assert least <= cost.moved_mb < 2 * least


@pytest.mark.parametrize('name', ['dtpnet', 'dtpnet-small'])
def test_multiplications_are_those_that_pruning_counts(name: str) -> None:
    pytest.importorskip('torch')
    from dtp_stereo_ros.network import checkpoint
    from dtp_stereo_ros.training.pruning.cost import ConvolutionCost

    network = checkpoint.load(MODELS / f'{name}.pt')
    counted = ConvolutionCost.of(network).multiplications(network) / 1e9
    cost = graph_cost(MODELS / f'{name}.onnx', 640, 480, 'fp32')
    # Products that are no layers of the network come on top.
    assert counted <= cost.gmac < 1.02 * counted
    assert cost.moved_mb > 4 * 2 * 3 * 640 * 480 / 1e6


@pytest.mark.parametrize(
    ('copied_mb_s', 'least_s', 'limit'), [(1000.0, 0.5, 'memory'), (1e6, 0.02, 'multiplying')]
)
def test_roofline(copied_mb_s: float, least_s: float, limit: str) -> None:
    bound = Bound(GraphCost(2.0, 500.0), 0.05, 100.0, copied_mb_s)
    assert bound.share_of_peak == pytest.approx(0.4)
    assert (bound.least_s, bound.limit) == (pytest.approx(least_s), limit)
    assert row('onnx', 'fp32', 'net', bound)[3:] == [
        *('2.00', '500', '50.0', '40', '100', '40 %', f'{1e3 * least_s:.1f}', limit)
    ]


@pytest.mark.slow
def test_all_parts_are_written(page: Path) -> None:
    """Process of its own, because the parts change the threads of several runtimes."""
    options = ['--model', 'dtpnet-small', '--size', '160x128,320x128', '--one-size', '160x128']
    options += ['--rounds', '1', '--write', str(page)]
    command = [
        sys.executable,
        '-m',
        'tools.performance',
        '--only',
        'pixels,range,threads,roofline',
    ]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    methods = [cells[0] for cells in section(page, 'pixels')]
    assert methods[-3:] == ['sgbm', 'sgbm-full', 'bm']
    assert {'dtpnet-small openvino fp32', 'dtpnet-small onnx fp32'} <= set(methods)
    sgbm = next(cells for cells in section(page, 'pixels') if cells[0] == 'sgbm')
    assert [re.sub(r'^[\d.]+ ', '', cell) for cell in sgbm[1:3]] == ['(1.00)', '(1.00)']
    ranges = section(page, 'range')
    assert [cells[0] for cells in ranges] == ['64 px', '128 px', '192 px', '256 px']
    assert [cell.split()[1] for cell in ranges[2][1:]] == ['(1.00)', '(1.00)']
    assert [cells[0] for cells in section(page, 'threads')] == methods
    runtimes = {(cells[0], cells[1]) for cells in section(page, 'roofline')}
    assert {('openvino', 'fp32'), ('onnx', 'fp32')} <= runtimes
    assert 'Load average before: ' in page.read_text()
    assert section(page, 'node') == []


def figures(setting: NodeSetting) -> NodeFigures:
    """A node that answers up to 20 Hz, in 30 ms at low rates; with overlap in 27 ms."""
    age_ms = 27.0 if setting.parameters.get('overlap_publishing') else 30.0
    steps = [
        RateStep(10.0, 10.0, 40, 40, {}, [age_ms] * 40, 50.0, 200.0),
        RateStep(20.0, 20.0, 80, 80, {}, [40.0] * 72 + [50.0] * 8, 90.0, 200.0),
        RateStep(30.0, 30.0, 120, 110, {'busy': 10}, [60.0] * 110, 100.0, 200.0),
    ]
    return NodeFigures(setting, 'openvino', 'CPU', 'dtpnet-small', 'bf16', steps)


def test_tables_of_the_node(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of the parts about the node, from known figures; `test_node_bench` has a real one."""
    monkeypatch.setattr(parts, 'measure', lambda setting, *_: figures(setting))
    monkeypatch.setattr(parts, 'inference_ms', lambda *_: 24.0)
    options = ['--only', 'node,publishing', '--model', 'dtpnet-small', '--node-size', '160x128']
    assert main([*options, '--seconds', '1', '--steps', '3', '--write', str(page)]) == 0
    rows = section(page, 'node')
    assert [cells[:2] for cells in rows] == [['160x128', count] for count in ('1', '2', '4')]
    for cells in rows:
        assert cells[2:8] == ['openvino', 'dtpnet-small', 'bf16', '20.0', '40', '50']
    assert section(page, 'publishing') == [
        ['160x128', 'no', '20.0', '40', '50', '24.0', '30.0 (1.25)'],
        ['160x128', 'yes', '20.0', '40', '50', '24.0', '27.0 (1.12)'],
    ]


def test_time_of_the_network_alone() -> None:
    assert 0.5 < parts.inference_ms('dtpnet-small', (160, 128), 3) < 5000


def test_the_page_has_the_sections() -> None:
    text = PAGE.read_text()
    for part in PARTS:
        assert f'<!-- {part}: begin -->' in text


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--only', 'pixel'], '--only: no part pixel; there are pixels, range, threads'),
        (['--size', '640'], "--size: '640' is not WIDTHxHEIGHT"),
        (['--rounds', '0'], '--rounds is 0, it must be at least 1'),
        (['--steps', '0'], '--steps is 0, it must be at least 1'),
        (['--write', 'none.md'], 'none.md: cannot be read'),
    ],
)
def test_user_errors(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith('performance: ') and error.count('\n') == 1
    assert message in error
