"""Inputs and outputs of models of others: found, filled, and tried in both runtimes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.backends import create
from dtp_stereo_ros.backends.ports import Inputs, Outputs, Port, PortOptions
from dtp_stereo_ros.backends.trial import pair_of
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import ConfigError, ModelError
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.stereo import StereoFrame

onnx = pytest.importorskip('onnx', reason='makes the models of these tests')
helper, Types = onnx.helper, onnx.TensorProto

_PATH = Path('some.onnx')
_MODULES = {'onnx': 'onnxruntime', 'openvino': 'openvino'}
_FREE = (1, 3, 'H', 'W')
Wrap = Callable[..., str]


@pytest.fixture(params=_MODULES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime that is installed."""
    pytest.importorskip(_MODULES[request.param])
    return str(request.param)


@pytest.fixture
def wrap(tmp_path: Path) -> Wrap:
    """Give dtpnet-small the inputs and outputs of another project.

    The nodes before make L_ and R_ of the inputs, those after the outputs of D_.
    """

    def make(
        inputs: Sequence[tuple[str, int, Sequence[Any]]],
        before: Sequence[Any],
        after: Sequence[Any],
        outputs: Sequence[tuple[str, int, Sequence[Any]]],
        **external: Any,
    ) -> str:
        model = onnx.load(models.resolve('dtpnet-small', ('.onnx',)))
        del model.metadata_props[:]
        graph = model.graph
        renamed = {'left': 'L_', 'right': 'R_', 'disparity': 'D_', 'confidence': 'C_'}
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [renamed.get(name, name) for name in names]
        nodes = [*before, *graph.node, *after]
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        for field in (graph.node, graph.input, graph.output, graph.value_info):
            del field[:]
        graph.node.extend(nodes)
        graph.input.extend(helper.make_tensor_value_info(*i) for i in inputs)
        graph.output.extend(helper.make_tensor_value_info(*o) for o in outputs)
        path = tmp_path / 'wrapped.onnx'
        onnx.save_model(model, str(path), **external)
        return str(path)

    return make


def _node(kind: str, inputs: Sequence[str], output: str, **how: Any) -> Any:
    return helper.make_node(kind, list(inputs), [output], **how)


def _constant(name: str, value: float | list[int] | list[float]) -> Any:
    values = np.array(value)
    kind = np.float32 if values.dtype.kind == 'f' else np.int64
    tensor = onnx.numpy_helper.from_array(values.astype(kind))
    return helper.make_node('Constant', [], [name], value=tensor)


def _same(left: str, right: str) -> list[Any]:
    return [_node('Identity', [left], 'L_'), _node('Identity', [right], 'R_')]


def _out(name: str = 'out', shape: Sequence[Any] = (1, 1, 'H', 'W')) -> tuple[str, int, Any]:
    return name, Types.FLOAT, shape


def _views(left: str = 'left', right: str = 'right', **how: Any) -> list[tuple[str, int, Any]]:
    kind, shape = how.get('kind', Types.FLOAT), how.get('shape', _FREE)
    return [(left, kind, shape), (right, kind, shape)]


def _error_px(runtime: str, model: str, **settings: Any) -> float:
    """Of a pair of known disparity."""
    config = PipelineConfig(backend=runtime, model=model, threads=1, precision='fp32', **settings)
    backend = create(config)
    pair = pair_of((192, 320))
    disparity, _ = backend.infer(pair.left, pair.right)
    backend.close()
    return float(np.abs(disparity - pair.truth_px)[pair.judged].mean())


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        ('right_image', 'left_image'),
        ('imgR', 'imgL'),
        ('rightImage.1', 'leftImage.1'),
        ('INPUT_R', 'INPUT_L'),
        ('Rimg', 'Limg'),
        ('imgr', 'imgl'),
        ('bright_right', 'bright_left'),
        ('x', 'left'),
        ('r', 'x'),
        ('image2', 'image1'),
        ('im6', 'im2'),
        ('input.1', 'input'),
        ('input_1', 'input_0'),
        ('tgt_img', 'ref_img'),
        ('right0', 'left1'),
    ],
)
def test_names_tell_the_views_in_either_order(first: str, second: str) -> None:
    right, left = (Port(name, 'float32', (1, 3, None, None)) for name in (first, second))
    for ports in ((right, left), (left, right)):
        inputs = Inputs.of(_PATH, ports, PortOptions())
        assert (inputs.left, inputs.right, inputs.by) == (left, right, 'names')


@pytest.mark.parametrize(('first', 'second'), [('a', 'b'), ('q', 'p'), ('left_r', 'left_l')])
def test_other_names_are_taken_in_their_order_or_as_they_are_told(first: str, second: str) -> None:
    ports = [Port(name, 'float32', (1, 3, None, None)) for name in (first, second)]
    inputs = Inputs.of(_PATH, ports, PortOptions())
    if first != 'left_r':
        assert (inputs.left.name, inputs.by) == (first, 'order')
    told = Inputs.of(_PATH, ports, PortOptions(inputs=f'{second}, {first}'))
    assert (told.left.name, told.right.name, told.by) == (second, first, 'settings')
    for wrong in ('left', f'{first},{first}', f'{first},c'):
        with pytest.raises(ConfigError, match='model_inputs is'):
            Inputs.of(_PATH, ports, PortOptions(inputs=wrong))


@pytest.mark.parametrize(
    ('shape', 'axes', 'channels', 'size'),
    [
        ((1, 3, None, None), 'NCHW', 3, (None, None)),
        ((None, 3, 48, 80), 'NCHW', 3, (48, 80)),
        ((1, 48, 80, 3), 'NHWC', 3, (48, 80)),
        ((1, None, None, 1), 'NHWC', 1, (None, None)),
        ((1, 1, 48, 80), 'NCHW', 1, (48, 80)),
        ((None, None, None, None), 'NCHW', 3, (None, None)),
        ((3, None, None), 'CHW', 3, (None, None)),
        ((48, 80, 3), 'HWC', 3, (48, 80)),
        ((48, 80), 'HW', 1, (48, 80)),
        (None, 'NCHW', 3, (None, None)),
    ],
)
def test_shapes_tell_the_order_of_the_axes(
    shape: Any, axes: str, channels: int, size: tuple[int | None, int | None]
) -> None:
    port = Port('left', 'float32', shape)
    assert (port.axes, port.channels, port.size) == (axes, channels, size)
    inputs = Inputs.of(_PATH, [port, Port('right', 'float32', shape)], PortOptions())
    left, right = np.random.default_rng(0).uniform(0, 255, (2, 1, 3, 48, 80)).astype(np.float32)
    feed = inputs.feed(left, right)
    assert list(feed['left'].shape) == inputs.shapes((48, 80))['left']
    if channels == 3:
        flat = feed['right'].reshape((48, 80, 3) if axes.endswith('C') else (3, 48, 80))
        flat = np.moveaxis(flat, -1, 0) if axes.endswith('C') else flat
        np.testing.assert_array_equal(flat, right[0])


@pytest.mark.parametrize(
    'ports',
    [
        [Port('image', 'float32', (1, 3, None, None))],
        [Port(n, 'float32', (1, 64, None, None)) for n in 'lr'],
        [Port(n, 'float32', (2, 3, None, None)) for n in 'lr'],
        [Port(n, 'float32', (1, 3, None, None)) for n in ('left', 'right', 'flow_init')],
        [Port(n, 'float32', (1,)) for n in 'lr'],
        [],
    ],
)
def test_graphs_that_take_no_pair_are_refused_with_what_they_take(ports: list[Port]) -> None:
    with pytest.raises(ModelError, match='has two image inputs') as caught:
        Inputs.of(_PATH, ports, PortOptions())
    assert all(port.name in str(caught.value) for port in ports)


@pytest.mark.parametrize('kind', ['bfloat16', 'bool', 'int8', 'string', 'float8e4m3fn'])
def test_types_that_images_are_not_given_in_are_named(kind: str) -> None:
    ports = [Port(name, kind, (1, 3, None, None)) for name in ('left', 'right')]
    with pytest.raises(ModelError, match=rf'input left \({kind}, 1, 3, \?, \?\)'):
        Inputs.of(_PATH, ports, PortOptions())


@pytest.mark.parametrize(
    ('input_range', 'expected'),
    [
        ('0..255', (51.0, 102.0, 204.0)),
        ('0..1', (0.2, 0.4, 0.8)),
        ('-1..1', (-0.6, -0.2, 0.6)),
        ('imagenet', ((0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225)),
    ],
)
def test_ranges_and_channels(input_range: str, expected: tuple[float, ...]) -> None:
    image = np.array([51, 102, 204], np.float32).reshape(1, 3, 1, 1) * np.ones((1, 3, 8, 8))
    image = image.astype(np.float32)
    for channels in ('rgb', 'bgr'):
        options = PortOptions(input_range=input_range, channels=channels)
        ports = [Port(name, 'float32', (1, 3, None, None)) for name in ('left', 'right')]
        got = Inputs.of(_PATH, ports, options).feed(image, image)['left'][0, :, 3, 5]
        wanted = expected if channels == 'rgb' else expected[::-1]
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_both_views_in_one_input() -> None:
    left, right = (np.full((1, 3, 4, 4), v, np.float32) for v in (1, 2))
    port = Port('input', 'float32', (1, 6, None, None))
    feed = Inputs.of(_PATH, [port], PortOptions()).feed(left, right)['input']
    assert feed[0, :, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    swapped = Inputs.of(_PATH, [port], PortOptions(inputs='right,left'))
    assert swapped.feed(left, right)['input'][0, :, 0, 0].tolist() == [2, 2, 2, 1, 1, 1]
    grey = Port('input', 'uint8', (1, None, None, 2))
    feed = Inputs.of(_PATH, [grey], PortOptions()).feed(left, right)['input']
    assert feed.shape == (1, 4, 4, 2)
    assert feed[0, 0, 0].tolist() == [1, 2]


def _outputs(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ('outputs', 'disparity', 'confidence'),
    [
        (_outputs(occlusion=(1, 1, 8, 16), disp=(1, 1, 8, 16)), 'disp', None),
        (_outputs(low=(1, 1, 2, 4), up=(1, 1, 8, 16)), 'up', None),
        (_outputs(flow_low=(1, 1, 8, 16), flow_up=(1, 1, 8, 16)), 'flow_up', None),
        (_outputs(disparity=(1, 8, 16, 1)), 'disparity', None),
        (_outputs(x=(8, 16), conf_map=(1, 1, 2, 4)), 'x', 'conf_map'),
        (_outputs(confidence=(1, 1, 4, 8), disparity=(1, 8, 16)), 'disparity', 'confidence'),
        (_outputs(confidence=(1, 1, 3, 6), disparity=(1, 8, 16)), 'disparity', 'confidence'),
        (_outputs(confidence=(1, 1, 3, 8), disparity=(1, 8, 16)), 'disparity', None),
        (_outputs(disparity=(1, 1, 8, 16), confidence=(1, 1, 8, 16)), 'disparity', 'confidence'),
        (_outputs(disp_right=(1, 1, 8, 16), disp_left=(1, 1, 8, 16)), 'disp_left', None),
        (_outputs(disp4=(1, 1, 2, 4), disp2=(1, 1, 4, 8), disp1=(1, 1, 8, 16)), 'disp1', None),
        (_outputs(flow=(1, 2, 8, 16)), 'flow', None),
        (_outputs(uncertainty=(1, 1, 8, 16), output=(1, 1, 8, 16)), 'output', None),
    ],
)
def test_outputs_by_name_and_size(
    outputs: dict[str, np.ndarray], disparity: str, confidence: str | None
) -> None:
    found = Outputs.of(_PATH, outputs, (8, 16), PortOptions())
    assert (found.disparity, found.confidence) == (disparity, confidence)
    planes = found.planes([outputs[name] for name in found.names], (8, 16))
    assert planes[0].shape == (8, 16)


def test_outputs_that_cannot_be_told_apart_or_do_not_fit() -> None:
    both = _outputs(x=(1, 1, 8, 16), y=(1, 1, 8, 16))
    with pytest.raises(ModelError, match=r'outputs x, y .* name the disparity .* model_output'):
        Outputs.of(_PATH, both, (8, 16), PortOptions())
    assert Outputs.of(_PATH, both, (8, 16), PortOptions(output='y')).disparity == 'y'
    with pytest.raises(ConfigError, match="model_output is 'z'"):
        Outputs.of(_PATH, both, (8, 16), PortOptions(output='z'))
    with pytest.raises(ModelError, match=r'low \(1, 1, 2, 4\)'):
        Outputs.of(_PATH, _outputs(low=(1, 1, 2, 4)), (8, 16), PortOptions())


def test_the_output_is_scaled_to_pixels() -> None:
    output = np.full((1, 1, 8, 16), -2.5, np.float16)
    found = Outputs.of(_PATH, {'flow': output}, (8, 16), PortOptions(output_scale=-4.0))
    disparity, _ = found.planes([output], (8, 16))
    assert disparity.dtype == np.float32
    assert (disparity == 10).all()


@pytest.mark.parametrize('kind', [Types.FLOAT16, Types.DOUBLE, Types.UINT8, Types.INT32])
def test_types_run_in_both_runtimes(runtime: str, wrap: Wrap, kind: int) -> None:
    before = [_node('Cast', [n], t, to=Types.FLOAT) for n, t in (('left', 'L_'), ('right', 'R_'))]
    model = wrap(_views(kind=kind), before, [_node('Identity', ['D_'], 'out')], [_out()])
    assert _error_px(runtime, model) < 0.2


@pytest.mark.parametrize('multiple', [64, 128])
def test_images_are_padded_as_the_model_wants_them(
    runtime: str, wrap: Wrap, make_frame: Callable[..., StereoFrame], multiple: int
) -> None:
    window = {'kernel_shape': [multiple] * 2, 'strides': [multiple] * 2}
    after = [
        _node('AveragePool', ['D_'], 'coarse', **window),
        _constant('sizes', [1.0, 1.0, float(multiple), float(multiple)]),
        _node('Resize', ['coarse', '', 'sizes'], 'fine'),
        _constant('nothing', 0.0),
        _node('Mul', ['fine', 'nothing'], 'zeros'),
        _node('Add', ['D_', 'zeros'], 'out'),
    ]
    model = wrap(_views(), _same('left', 'right'), after, [_out()])
    pipeline = StereoPipeline(PipelineConfig(backend=runtime, model=model))
    assert pipeline.backend.spec.padding_multiple == multiple
    found = pipeline.process(make_frame(12, (150, 330))).disparity_px[10:-10, 40:-10]
    assert np.median(found) == pytest.approx(12, abs=0.3)
    pipeline.close()


def test_layouts_run_in_both_runtimes(runtime: str, wrap: Wrap) -> None:
    before = [
        _node('Transpose', [n], t, perm=[0, 3, 1, 2]) for n, t in (('imR', 'R_'), ('imL', 'L_'))
    ]
    after = [_node('Transpose', ['D_'], 'disp', perm=[0, 2, 3, 1])]
    views = _views('imR', 'imL', shape=(1, 'H', 'W', 3))
    assert _error_px(runtime, wrap(views, before, after, [_out('disp', (1, 'H', 'W', 1))])) < 0.2
    split = [helper.make_node('Split', ['input'], ['L_', 'R_'], axis=1)]
    one = [('input', Types.FLOAT, (1, 6, 192, 320))]
    model = wrap(one, split, [_node('Identity', ['D_'], 'x')], [_out('x', (1, 1, 192, 320))])
    assert _error_px(runtime, model) < 0.2


def _told(
    caplog: pytest.LogCaptureFixture, runtime: str, model: str, **settings: Any
) -> tuple[float, str]:
    """Error, and what the trial said."""
    caplog.clear()
    error = _error_px(runtime, model, **settings)
    lines = [record.getMessage() for record in caplog.records]
    assert 'says nothing about itself' in lines[0]
    return error, ''.join(lines[1:])


def test_a_trial_names_the_range(
    runtime: str, wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    after = [_node('Identity', ['D_'], 'disparity')]
    unit = [_constant('k', 255.0), _node('Mul', ['left', 'k'], 'L_')]
    unit += [_node('Mul', ['right', 'k'], 'R_')]
    model = wrap(_views(), unit, after, [_out('disparity')])
    error, said = _told(caplog, runtime, model)
    assert error > 3
    assert 'RGB images of 0..255' in caplog.text
    assert 'seems to want model_input_range 0..1: set that' in said
    assert _told(caplog, runtime, model, model_input_range='0..1') == (
        pytest.approx(0, abs=0.2),
        '',
    )


@pytest.mark.parametrize(
    ('scale', 'views', 'settings', 'said'),
    [
        (-1.0, ('left', 'right'), {'model_output_scale': -1.0}, 'model_output_scale -1.0: set'),
        (0.25, ('left', 'right'), {'model_output_scale': 4.0}, 'model_output_scale 4.0: set'),
        (1.0, ('b', 'a'), {'model_inputs': 'a,b'}, 'model_inputs a,b: set'),
        (
            -1.0,
            ('b', 'a'),
            {'model_inputs': 'a,b', 'model_output_scale': -1.0},
            'model_inputs a,b, model_output_scale -1.0: set',
        ),
    ],
)
def test_a_trial_names_order_sign_and_scale(
    wrap: Wrap,
    caplog: pytest.LogCaptureFixture,
    scale: float,
    views: tuple[str, str],
    settings: dict[str, Any],
    said: str,
) -> None:
    pytest.importorskip('onnxruntime')
    left, right = ('a', 'b') if 'a' in views else views
    before = [*_same(left, right), _constant('k', scale)]
    model = wrap(_views(*views), before, [_node('Mul', ['D_', 'k'], 'out')], [_out()])
    error, text = _told(caplog, 'onnx', model)
    assert error > 3
    assert said in text
    error, text = _told(caplog, 'onnx', model, **settings)
    assert (error < 0.2, text) == (True, '')


def test_a_model_that_nothing_helps_says_so(wrap: Wrap, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip('onnxruntime')
    before = [*_same('left', 'right'), _constant('k', 0.0)]
    model = wrap(_views(), before, [_node('Mul', ['D_', 'k'], 'out')], [_out()])
    assert 'check which input the model takes' in _told(caplog, 'onnx', model)[1]


def test_a_range_for_whole_numbers_is_refused() -> None:
    ports = [Port(name, 'uint8', (1, 3, None, None)) for name in ('left', 'right')]
    with pytest.raises(ConfigError, match=r'model_input_range is 0\.\.1; some.onnx takes whole'):
        Inputs.of(_PATH, ports, PortOptions(input_range='0..1'))


def test_weights_outside_of_the_file_are_part_of_the_model(wrap: Wrap, tmp_path: Path) -> None:
    after = [_node('Identity', ['D_'], 'out')]
    arguments = _views(), _same('left', 'right'), after, [_out()]
    inside = models.sha256(Path(wrap(*arguments)))
    path = Path(wrap(*arguments, save_as_external_data=True, location='w.bin', size_threshold=0))
    assert models.external_files(path.read_bytes()) == ['w.bin']
    outside = models.sha256(path)
    assert outside != inside
    assert models.onnx_spec(path, assume=True).sha256 == outside
    weights = tmp_path / 'w.bin'
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(bytes(content))
    assert models.sha256(path) != outside
    weights.unlink()
    with pytest.raises(ModelError, match=r'its weights w.bin are missing'):
        models.onnx_spec(path, assume=True)


def test_weights_behind_a_link_are_to_be_copied(wrap: Wrap, tmp_path: Path) -> None:
    """As the cache of Hugging Face keeps them."""
    arguments = _views(), _same('left', 'right'), [_node('Identity', ['D_'], 'out')], [_out()]
    path = Path(wrap(*arguments, save_as_external_data=True, location='w.bin', size_threshold=0))
    snapshot = tmp_path / 'snapshot'
    snapshot.mkdir()
    for file in (path, path.with_name('w.bin')):
        (snapshot / file.name).symlink_to(file)
    with pytest.raises(ModelError, match=f'cp -rL {snapshot} COPY$'):
        models.onnx_spec(snapshot / path.name, assume=True)


@pytest.mark.parametrize('backend', ['onnx', 'openvino', 'torch', 'auto'])
@pytest.mark.parametrize(
    'setting', [{'model_input_range': 'imagenet'}, {'model_output_scale': -1.0}]
)
def test_what_a_model_tells_itself_is_not_set(backend: str, setting: dict[str, Any]) -> None:
    """Settings that give other disparities of a shipped model, or are passed over in silence."""
    pytest.importorskip({'onnx': 'onnxruntime', 'auto': 'onnxruntime'}.get(backend, backend))
    with pytest.raises(ConfigError, match='dtpnet-small tells what it takes'):
        create(PipelineConfig(backend=backend, model='dtpnet-small', **setting))


def test_sgbm_has_no_model_of_which_anything_is_set() -> None:
    create(PipelineConfig(backend='sgbm', model_input_range='imagenet')).close()
