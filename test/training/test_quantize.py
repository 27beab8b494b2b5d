"""The int8 form: where a network bears it, and what is written."""

import itertools

import numpy as np
import pytest
import torch

from dtp_stereo_ros import models
from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import InputError, ModelError
from dtp_stereo_ros.image_io import write_png
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.stereo import StereoFrame
from dtp_stereo_ros.training import quantize as module
from dtp_stereo_ros.training.export import export_onnx
from dtp_stereo_ros.training.quantize import quantize

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    return [tuple(rng.uniform(0, 255, (2, 1, 3, 32, 64)).astype(np.float32)) for _ in range(5)]


def graph_file(path, names):
    """Model of left + right / 1000, of the first channels: int8 in the former changes much."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    size = [1, 3, 'H', 'W']
    weights = {'first': [[1, 0, 0]], 'thousandth': [[1e-3, 0, 0]]}
    nodes = [
        helper.make_node('Conv', ['left', 'first'], ['a'], names[0]),
        helper.make_node('Conv', ['right', 'thousandth'], ['b'], names[1]),
        helper.make_node('Add', ['a', 'b'], ['disparity']),
    ]
    graph = helper.make_graph(
        nodes,
        'graph',
        [helper.make_tensor_value_info(name, kind, size) for name in ('left', 'right')],
        [helper.make_tensor_value_info('disparity', kind, [1, 1, 'H', 'W'])],
        [
            onnx.numpy_helper.from_array(np.array(value, np.float32).reshape(1, 3, 1, 1), name)
            for name, value in weights.items()
        ],
    )
    onnx.save(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', 17)]), path
    )
    return path


def test_int8_is_given_where_it_changes_little(tmp_path, pairs, capfd):
    path = graph_file(tmp_path / 'm.onnx', ('/rough/one/one.0/Conv', '/fine/two/Conv'))
    found = quantize(path, pairs)
    assert [part.name for part in found.parts] == ['rough.one', 'fine.two']
    assert [part.bears for part in found.parts] == [False, True]
    assert found.parts[0].change_px > 0.1 > found.parts[1].change_px > 0
    assert found.layers == 1
    assert found.change_px == found.parts[1].change_px
    assert 'than 0.03 px: rough.one (' in found.text()
    kinds = {node.name: node.input[0] for node in onnx.load_from_string(found.model).graph.node}
    assert kinds['/rough/one/one.0/Conv'] == 'left'
    assert kinds['/fine/two/Conv'] != 'right'
    session = onnxruntime.InferenceSession(found.model, providers=['CPUExecutionProvider'])
    left, right = pairs[0]
    (disparity,) = session.run(['disparity'], {'left': left, 'right': right})
    np.testing.assert_allclose(disparity, left[:, :1] + right[:, :1] / 1000, atol=2e-3)
    assert capfd.readouterr() == ('', '')


def test_what_has_no_int8_form(tmp_path, pairs, monkeypatch):
    path = graph_file(tmp_path / 'm.onnx', ('/a/Conv', '/b/Conv'))
    with pytest.raises(ModelError, match=r'm\.onnx: int8 needs four pairs or more, there are 3'):
        quantize(path, pairs[:3])
    monkeypatch.setattr(module, '_BEARABLE_PX', 0.0)
    with pytest.raises(ModelError, match=r'm\.onnx: no part of it bears int8'):
        quantize(path, pairs)


def test_a_checkpoint_is_exported_in_int8(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    sizes = {'stem': 8, 'quarter': 16, 'eighth': 16, 'sixteenth': 16, 'thirtysecond': 16}
    network = DTPNetLight(
        LightConfig(max_disparity_px=64, volume=16, depths=(1, 1, 1, 1), **sizes)
    )
    checkpoint.save(tmp_path / 'best.pt', network.eval(), {})
    (tmp_path / 'pairs').mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        left = np.kron(rng.integers(0, 255, (24, 50, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        for side, image in (('left', left), ('right', np.roll(left, -9, axis=1))):
            write_png(tmp_path / 'pairs' / f'{number}_{side}.png', image)
    pair = [str(tmp_path / 'pairs' / f'0_{side}.png') for side in ('left', 'right')]
    monkeypatch.setattr('dtp_stereo_ros.commands.export.PAIRS', 4)
    all_parts = module._parts
    monkeypatch.setattr(module, '_parts', lambda graph: itertools.islice(all_parts(graph), 3))
    # Of random weights int8 may change any pixel.
    monkeypatch.setattr(module, '_BEARABLE_PX', 1.0)
    monkeypatch.setattr('dtp_stereo_ros.parity._ALLOWED_PX', {'int8': (64.0, 64.0)})
    monkeypatch.setattr('dtp_stereo_ros.parity._ALLOWED_CONFIDENCE', {'int8': 1.0})
    odd = (np.zeros((1, 3, 64, 100), np.float32),) * 2
    frame = StereoFrame(*(np.zeros((96, 200, 3), np.uint8),) * 2)
    with pytest.raises(InputError, match=r'--sizes: pairs for int8 must be multiples of 32 px'):
        export_onnx(tmp_path / 'best.pt', tmp_path / 'x.onnx', frame, [odd])
    arguments = ['--int8', f'folder:{tmp_path / "pairs"}', '--sizes', '64x128', '--pair', *pair]
    out = tmp_path / 'out'
    assert (
        main(['export', str(tmp_path / 'best.pt'), '-o', str(out), '--name', 'x', *arguments]) == 0
    )
    assert 'x.onnx, .md: ONNX Runtime and PyTorch differ by' in capsys.readouterr().out
    assert {path.name for path in out.glob('x*')} == {'x.onnx', 'x.md'}
    assert models.onnx_spec(out / 'x.onnx', assume=False).name == 'x'
    metadata = models.onnx_metadata((out / 'x.onnx').read_bytes())
    assert 'convolutions in int8' in metadata['dtp_stereo.quantized']
    card = (out / 'x.md').read_text()
    assert f'| int8 | {metadata["dtp_stereo.quantized"]} |' in card
    assert f'`best.pt` sha256 | `{models.sha256(tmp_path / "best.pt")}`' in card
