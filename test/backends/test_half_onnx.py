"""The typed fp16 form of an .onnx model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

import onnx
import onnxruntime as ort

from dtp_stereo_ros import models
from dtp_stereo_ros.backends import trial
from dtp_stereo_ros.backends.half_onnx import half_model
from dtp_stereo_ros.errors import ModelError, StereoError
from dtp_stereo_ros.parity import Parity

helper, FLOAT, HALF = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def _write(path: Path, nodes: Sequence[Any], outputs: Sequence[str]) -> Path:
    weights = np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32)
    tensors = {'x_max': np.array(255, np.float32), 'kernel': weights, 'kernel of nobody': weights}
    tensors['bias'] = weights[:, 0, 0, 0]
    tensors['half'] = np.array(0.5, np.float32)
    graph = helper.make_graph(
        nodes,
        'graph',
        [helper.make_tensor_value_info('x', FLOAT, [1, 3, 'H', 'W'])],
        [helper.make_tensor_value_info(name, FLOAT, [1, 3, 'H', 'W']) for name in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', 17)])
    onnx.save(model, path)
    return path


def _run(model: bytes, values: Any) -> list[Any]:
    session = ort.InferenceSession(model, providers=['CPUExecutionProvider'])
    return list(session.run(None, {'x': values}))


def test_convolutions_are_fp16_and_the_tail_is_not(tmp_path: Path) -> None:
    path = _write(
        tmp_path / 'tail.onnx',
        [
            helper.make_node('Div', ['x', 'x_max'], ['scaled'], 'scale'),
            helper.make_node('Identity', ['kernel'], ['shared'], 'share'),
            helper.make_node('Conv', ['scaled', 'shared', 'bias'], ['c'], 'conv', pads=[1] * 4),
            helper.make_node('Relu', ['c'], ['r'], 'relu'),
            helper.make_node('Add', ['r', 'scaled'], ['mixed'], 'add'),
            helper.make_node('Mul', ['mixed', 'x_max'], ['y'], 'unscale'),
        ],
        ['y'],
    )
    half = half_model(path)
    typed = onnx.load_model_from_string(half)
    onnx.checker.check_model(typed, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(typed, strict_mode=True).graph.value_info
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred}
    assert (kinds['c'], kinds['r'], kinds['mixed'], kinds['scaled']) == (HALF, HALF, FLOAT, FLOAT)
    names = {tensor.name for tensor in typed.graph.initializer}
    assert names == {
        'shared_fp16',
        'bias_fp16',
        'kernel',
        'x_max',
    }  # what nobody reads is left out
    values = np.random.default_rng(1).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
    (expected,), (found,) = _run(path.read_bytes(), values), _run(half, values)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 2.0


def test_an_output_that_is_made_in_fp16_is_given_out_in_fp32(tmp_path: Path) -> None:
    path = _write(
        tmp_path / 'end.onnx',
        [
            helper.make_node('Conv', ['x', 'kernel', 'bias'], ['y'], 'conv', pads=[1] * 4),
            helper.make_node('Relu', ['y'], ['z'], 'relu'),
            helper.make_node('Conv', ['y', 'kernel'], ['w'], 'next', pads=[1] * 4),
        ],
        ['y', 'z', 'w'],
    )
    half = half_model(path)
    onnx.checker.check_model(onnx.load_model_from_string(half), full_check=True)
    values = np.random.default_rng(1).uniform(0, 1, (1, 3, 16, 16)).astype(np.float32)
    for found, expected in zip(_run(half, values), _run(path.read_bytes(), values), strict=True):
        assert found.dtype == np.float32
        assert np.allclose(found, expected, atol=5e-3 * np.abs(expected).max())


@pytest.mark.parametrize('bright', [True, False])
def test_what_the_branches_of_an_if_read_stays_fp32(tmp_path: Path, bright: bool) -> None:
    def branch(name: str, *nodes: Any) -> Any:
        value = helper.make_tensor_value_info(name, FLOAT, None)
        return helper.make_graph(nodes, name, [], [value])

    path = _write(
        tmp_path / 'if.onnx',
        [
            helper.make_node('Conv', ['x', 'kernel', 'bias'], ['c'], 'conv', pads=[1] * 4),
            helper.make_node('Relu', ['c'], ['r'], 'relu'),
            helper.make_node('ReduceMean', ['x'], ['mean'], 'mean', keepdims=0),
            helper.make_node('Greater', ['mean', 'half'], ['is bright'], 'compare'),
            helper.make_node(
                'If',
                ['is bright'],
                ['y'],
                'if',
                then_branch=branch('t', helper.make_node('Mul', ['c', 'x_max'], ['t'])),
                else_branch=branch('e', helper.make_node('Identity', ['r'], ['e'])),
            ),
        ],
        ['y'],
    )
    half = half_model(path)
    onnx.checker.check_model(onnx.load_model_from_string(half), full_check=True)
    values = np.random.default_rng(1).uniform(0, 1, (1, 3, 16, 16)).astype(np.float32)
    values = values + 1 if bright else values * 0.4
    (expected,), (found,) = _run(path.read_bytes(), values), _run(half, values)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def test_what_has_no_fp16_form(tmp_path: Path) -> None:
    path = _write(tmp_path / 'none.onnx', [helper.make_node('Relu', ['x'], ['y'])], ['y'])
    with pytest.raises(ModelError, match=r'none.onnx: has no fp32 convolution'):
        half_model(path)
    path.write_bytes(b'\xff' * 100)
    with pytest.raises(ModelError, match=r'none.onnx: onnx cannot read it'):
        half_model(path)


@pytest.mark.parametrize('name', ['dtpnet', 'dtpnet-small', 'dtpnet-large'])
def test_the_shipped_models_keep_their_disparity(name: str) -> None:
    try:
        path = models.resolve(name, ('.onnx',))
    except StereoError:
        pytest.skip('no shipped model')
    pair = trial.pair_of((256, 384))  # multiples of all paddings
    found, expected = (
        ort.InferenceSession(content, providers=['CPUExecutionProvider']).run(
            ['disparity', 'confidence'], {'left': pair.left, 'right': pair.right}
        )
        for content in (half_model(path), path.read_bytes())
    )
    parity = Parity.of(found, expected)
    assert parity.fits('fp16') and parity.median_px < 0.001
