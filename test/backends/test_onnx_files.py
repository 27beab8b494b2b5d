"""The two runtimes that read .onnx files, on a model whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.backends import create
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError, ModelError
from dtp_stereo_ros.stereo import Float32Array
from dtp_stereo_ros.system import physical_cores

MakeOnnx = Callable[..., Path]

_MODULES = {'onnx': 'onnxruntime', 'openvino': 'openvino'}


@pytest.fixture(params=_MODULES)
def name(request: pytest.FixtureRequest) -> str:
    """Each backend that is installed."""
    pytest.importorskip(_MODULES[request.param])
    return str(request.param)


def _images(height: int, width: int, seed: int = 0) -> tuple[Float32Array, Float32Array]:
    values = np.random.default_rng(seed).integers(0, 256, (2, 1, 3, height, width))
    return values[0].astype(np.float32), values[1].astype(np.float32)


def _fp32(name: str, path: Path) -> PipelineConfig:
    return PipelineConfig(backend=name, model=str(path), precision='fp32')


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.tuples(st.integers(1, 5), st.integers(2, 6)), min_size=2, max_size=6))
def test_numbers_are_right_at_every_size(
    name: str, make_onnx: MakeOnnx, sizes: list[tuple[int, int]]
) -> None:
    backend = create(_fp32(name, make_onnx()))
    for rows, columns in sizes:
        left, right = _images(16 * rows, 16 * columns)
        disparity, confidence = backend.infer(left, right)
        assert disparity.shape == (16 * rows, 16 * columns)
        assert disparity.dtype == np.float32
        np.testing.assert_allclose(disparity, left[0].mean(axis=0) / 4, rtol=1e-5)
        assert confidence is not None
        np.testing.assert_allclose(confidence, right[0].mean(axis=0) / 255, rtol=1e-5)


def test_results_outlive_the_next_frame(name: str, make_onnx: MakeOnnx) -> None:
    backend = create(_fp32(name, make_onnx()))
    left, right = _images(32, 64)
    first, _ = backend.infer(left, right)
    backend.infer(*_images(32, 64, seed=1))
    np.testing.assert_allclose(first, left[0].mean(axis=0) / 4, rtol=1e-5)


def test_spec_tells_what_runs(name: str, make_onnx: MakeOnnx) -> None:
    backend = create(_fp32(name, make_onnx()))
    spec = backend.spec
    assert (spec.name, spec.padding_multiple, spec.max_disparity_px) == ('tiny', 16, 64)
    assert (spec.fixed_size, spec.precision, spec.has_confidence) == (None, 'fp32', True)
    assert backend.device in ('CPU', 'CPUExecutionProvider')
    backend.close()


def test_fixed_size_is_read_from_the_graph(name: str, make_onnx: MakeOnnx) -> None:
    backend = create(_fp32(name, make_onnx(size=(48, 80))))
    assert backend.spec.fixed_size == (48, 80)
    left, right = _images(48, 80)
    disparity, _ = backend.infer(left, right)
    np.testing.assert_allclose(disparity, left[0].mean(axis=0) / 4, rtol=1e-5)


def test_a_foreign_model_without_confidence_runs_by_path(name: str, make_onnx: MakeOnnx) -> None:
    path = make_onnx(metadata={}, outputs=('output',), inputs=('image_a', 'image_b'))
    backend = create(_fp32(name, path))
    assert (backend.spec.padding_multiple, backend.spec.has_confidence) == (32, False)
    left, right = _images(32, 64)
    disparity, confidence = backend.infer(left, right)
    assert confidence is None
    np.testing.assert_allclose(disparity, left[0].mean(axis=0) / 4, rtol=1e-5)


def test_sides_are_told_apart_by_name(name: str, make_onnx: MakeOnnx) -> None:
    # A graph that lists 'right' first: it is the source of its first output.
    backend = create(_fp32(name, make_onnx(inputs=('right', 'left'))))
    left, right = _images(32, 64)
    disparity, _ = backend.infer(left, right)
    np.testing.assert_allclose(disparity, right[0].mean(axis=0) / 4, rtol=1e-5)


def test_graphs_that_match_nothing_are_refused(name: str, make_onnx: MakeOnnx) -> None:
    path = make_onnx(inputs=('image',), outputs=('label',))
    with pytest.raises(ModelError, match=r'has inputs image \(float32, 1, 3, '):
        create(_fp32(name, path))


def test_damaged_graphs_are_refused(name: str, make_onnx: MakeOnnx) -> None:
    path = make_onnx()
    path.write_bytes(path.read_bytes().replace(b'ReduceMean', b'ReduceNope'))
    with pytest.raises((ModelError, BackendError), match=r'tiny.onnx') as caught:
        create(_fp32(name, path))
    assert '\n' not in str(caught.value)


def test_onnx_refuses_a_precision_it_does_not_have(make_onnx: MakeOnnx) -> None:
    pytest.importorskip('onnxruntime')
    config = PipelineConfig(backend='onnx', model=str(make_onnx()), precision='bf16')
    with pytest.raises(BackendError, match='runs tiny in fp32 here, not in bf16; set precision'):
        create(config)


@pytest.mark.parametrize(('bf16_ms', 'taken'), [(0.5, 'bf16'), (1.05, 'bf16'), (1.7, 'fp32')])
def test_openvino_takes_bf16_where_it_is_faster(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch, bf16_ms: float, taken: str
) -> None:
    openvino = pytest.importorskip('openvino')
    from dtp_stereo_ros.backends import openvino as backend

    if 'BF16' not in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        pytest.skip('this processor has no bf16')
    times_s = [bf16_ms / 1e3, 1 / 1e3]
    monkeypatch.setattr(backend, 'undisturbed', lambda *_: times_s)
    backend._bf16_pays.cache_clear()
    try:
        config = PipelineConfig(backend='openvino', model=str(make_onnx()), threads=1)
        assert create(config).spec.precision == taken
    finally:
        backend._bf16_pays.cache_clear()


def test_openvino_infers_in_what_it_takes(make_onnx: MakeOnnx) -> None:
    openvino = pytest.importorskip('openvino')
    has_bf16 = 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    path = make_onnx()
    left, right = _images(32, 64)
    for precision in ('auto', 'fp32', 'bf16'):
        config = PipelineConfig(
            backend='openvino', model=str(path), threads=1, precision=precision
        )
        if precision == 'bf16' and not has_bf16:
            with pytest.raises(BackendError, match='this processor has no bf16'):
                create(config)
            continue
        backend = create(config)
        assert backend.spec.precision in ({precision} if precision != 'auto' else {'bf16', 'fp32'})
        disparity, _ = backend.infer(left, right)
        # bf16 has 8 bits of mantissa.
        exact = backend.spec.precision == 'fp32'
        np.testing.assert_allclose(
            disparity, left[0].mean(axis=0) / 4, rtol=2**-20 if exact else 2**-6
        )


class _Session:
    """Stands for ONNX Runtime's session on a machine where some providers start."""

    started = ('CPUExecutionProvider',)
    asked: list[object]

    def __init__(self, path: str, options: object, providers: list[object]) -> None:
        type(self).asked = [p[0] if isinstance(p, tuple) else p for p in providers]

    def get_providers(self) -> list[str]:
        return list(self.started)

    def disable_fallback(self) -> None:
        pass


def test_providers_by_what_is_found_and_what_starts(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip('onnxruntime')
    from dtp_stereo_ros.backends import onnxruntime
    from dtp_stereo_ros.backends.onnx_file import OnnxFile

    tensorrt, cuda, cpu = (f'{name}ExecutionProvider' for name in ('Tensorrt', 'CUDA', 'CPU'))
    path = make_onnx()
    file, config = OnnxFile.find(str(path)), PipelineConfig(model=str(path))
    monkeypatch.setenv('XDG_CACHE_HOME', str(path.parent))
    monkeypatch.setattr(onnxruntime.ort, 'get_available_providers', lambda: [tensorrt, cuda, cpu])
    monkeypatch.setattr(onnxruntime.ort, 'InferenceSession', _Session)

    monkeypatch.setattr(_Session, 'started', (cuda, cpu))
    assert onnxruntime._start(config, file)[1] == 'fp32'
    assert _Session.asked == [cuda, cpu]
    assert caplog.text == ''

    monkeypatch.setattr(_Session, 'started', (cpu,))
    onnxruntime._start(config, file)
    assert f'{cuda} does not start here, {cpu} runs instead' in caplog.text

    half = replace(config, precision='fp16')
    with pytest.raises(BackendError, match=f'{tensorrt} does not start, fp16 needs it') as caught:
        onnxruntime._start(half, file)
    assert 'loads libnvinfer.so.10, found is' in str(caught.value)
    monkeypatch.setattr(_Session, 'started', (tensorrt, cuda, cpu))
    assert onnxruntime._start(half, file)[1] == 'fp16'
    assert _Session.asked == [tensorrt, cuda, cpu]


class _Xnnpack:
    """ONNX Runtime's session with XNNPACK, which runs on the runtime's own provider."""

    sessions: list[_Xnnpack]
    real: Any
    starts = True

    def __init__(self, path: str, options: Any, providers: list[Any]) -> None:
        self.asked, self.options = providers, options
        session = type(self).real(path, options, ['CPUExecutionProvider'])
        self.shapes = [value.shape for value in session.get_inputs()]
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs
        self.run = session.run
        type(self).sessions.append(self)

    def get_providers(self) -> list[str]:
        return ['XnnpackExecutionProvider', 'CPUExecutionProvider'][not self.starts :]

    def disable_fallback(self) -> None:
        pass


@pytest.fixture
def xnnpack(monkeypatch: pytest.MonkeyPatch) -> type[_Xnnpack]:
    pytest.importorskip('onnxruntime')
    from dtp_stereo_ros.backends import onnxruntime

    monkeypatch.setattr(_Xnnpack, 'real', onnxruntime.ort.InferenceSession, raising=False)
    found = ['XnnpackExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime.ort, 'get_available_providers', lambda: found)
    monkeypatch.setattr(onnxruntime.ort, 'InferenceSession', _Xnnpack)
    monkeypatch.setattr(_Xnnpack, 'sessions', [], raising=False)
    return _Xnnpack


def _in_xnnpack(path: Path, **settings: Any) -> Any:
    from dtp_stereo_ros.backends.onnxruntime import OnnxRuntimeBackend

    (provider,) = OnnxRuntimeBackend.other_providers()
    return OnnxRuntimeBackend(PipelineConfig(model=str(path), **settings), provider)


def test_xnnpack_has_a_session_for_each_size(xnnpack: type[_Xnnpack], make_onnx: MakeOnnx) -> None:
    backend = _in_xnnpack(make_onnx())
    assert backend.device == 'XnnpackExecutionProvider'
    begun = len(xnnpack.sessions)
    for height, width in ((32, 64), (48, 80), (32, 64)):
        left, right = _images(height, width)
        disparity, confidence = backend.infer(left, right)
        np.testing.assert_allclose(disparity, left[0].mean(axis=0) / 4, rtol=1e-5)
        np.testing.assert_allclose(confidence, right[0].mean(axis=0) / 255, rtol=1e-5)
    made = [session.shapes for session in xnnpack.sessions[begun:]]
    assert made == [[[1, 3, 32, 64]] * 2, [[1, 3, 48, 80]] * 2]
    for height in range(16, 16 * 6, 16):
        backend.infer(*_images(height, 64))
    begun = len(xnnpack.sessions)
    backend.infer(*_images(80, 64))
    assert len(xnnpack.sessions) == begun
    backend.infer(*_images(48, 80))
    assert len(xnnpack.sessions) == begun + 1


def test_xnnpack_runs_a_model_of_fixed_size_in_one_session(
    xnnpack: type[_Xnnpack], make_onnx: MakeOnnx
) -> None:
    backend = _in_xnnpack(make_onnx(size=(48, 80)))
    left, right = _images(48, 80)
    disparity, _ = backend.infer(left, right)
    np.testing.assert_allclose(disparity, left[0].mean(axis=0) / 4, rtol=1e-5)
    assert len(xnnpack.sessions) == 1


@pytest.mark.parametrize('threads', [0, 3])
def test_xnnpack_has_the_threads_and_the_session_one_that_does_not_spin(
    xnnpack: type[_Xnnpack], make_onnx: MakeOnnx, threads: int
) -> None:
    _in_xnnpack(make_onnx(), threads=threads)
    wanted = str(threads or physical_cores())
    for session in xnnpack.sessions:
        assert session.asked == [
            ('XnnpackExecutionProvider', {'intra_op_num_threads': wanted}),
            'CPUExecutionProvider',
        ]
        assert session.options.intra_op_num_threads == 1
        spins = session.options.get_session_config_entry('session.intra_op.allow_spinning')
        assert spins == '0'


def test_xnnpack_that_does_not_start_or_lacks_the_precision_is_refused(
    xnnpack: type[_Xnnpack], make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendError, match='runs tiny in fp32 here, not in bf16; set precision'):
        _in_xnnpack(make_onnx(), precision='bf16')
    monkeypatch.setattr(xnnpack, 'starts', False)
    with pytest.raises(BackendError, match='XNNPACK does not start here; take another backend'):
        _in_xnnpack(make_onnx())


def test_a_runtime_without_xnnpack_has_no_other_provider() -> None:
    ort = pytest.importorskip('onnxruntime')
    from dtp_stereo_ros.backends.onnxruntime import OnnxRuntimeBackend

    has = 'XnnpackExecutionProvider' in ort.get_available_providers()
    assert bool(OnnxRuntimeBackend.other_providers()) == has
    assert OnnxRuntimeBackend.may_use_gpu() == (
        'CUDAExecutionProvider' in ort.get_available_providers()
    )


def test_a_giant_fixed_size_is_refused(name: str, make_onnx: MakeOnnx) -> None:
    path = make_onnx(size=(2**15, 2**15))
    with pytest.raises(ModelError, match='takes images of 32768x32768 only'):
        create(_fp32(name, path))


@pytest.mark.parametrize('size', [(8, 16), (96, 24)])
def test_a_fixed_size_in_which_there_is_no_disparity_is_refused(
    name: str, make_onnx: MakeOnnx, size: tuple[int, int]
) -> None:
    path = make_onnx(size=size)
    with pytest.raises(ModelError, match=f'takes images of {size[1]}x{size[0]} only, and a disp'):
        create(_fp32(name, path))


@pytest.mark.parametrize('size', [('H', 320), (96, 'W')])
def test_a_size_that_is_fixed_in_one_direction_is_refused(
    name: str, make_onnx: MakeOnnx, size: tuple[int | str, int | str]
) -> None:
    with pytest.raises(ModelError, match=r'takes images whose (width is 320|height is 96) px, of'):
        create(_fp32(name, make_onnx(size=size)))


def test_data_outside_the_folder_of_a_model_is_not_read(name: str, make_onnx: MakeOnnx) -> None:
    onnx = pytest.importorskip('onnx')
    path = make_onnx()
    (path.parent / 'secret.bin').write_bytes(b'\x00\x00\x80\x3f')
    (path.parent / 'models').mkdir()
    for location, message in (('../secret.bin', 'cannot load it'), ('secret.bin', '')):
        model = onnx.load(path)
        scale = model.graph.initializer[0]
        scale.ClearField('float_data')
        scale.ClearField('raw_data')
        scale.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (('location', location), ('offset', '0'), ('length', '4')):
            scale.external_data.add(key=key, value=value)
        target = path.parent / 'models' / 'm.onnx'
        if not message:  # beside the model it is read: the refusal is not for another reason
            target = path.parent / 'm.onnx'
        target.write_bytes(model.SerializeToString())
        if message:
            with pytest.raises(ModelError, match=message):
                create(_fp32(name, target))
        else:
            left, right = _images(32, 64)
            disparity, _ = create(_fp32(name, target)).infer(left, right)
            np.testing.assert_allclose(disparity, left[0].mean(axis=0), rtol=1e-5)
