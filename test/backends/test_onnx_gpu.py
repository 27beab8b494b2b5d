"""The backend onnx on a GPU: CUDA's memory, and plug-in providers, by stand-ins; see there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ort = pytest.importorskip('onnxruntime')

from onnx_standin import CPU, CUDA, CudaSession, DeviceValue, Plugins  # noqa: E402

from dtp_stereo_ros.backends import create, onnx_plugins  # noqa: E402
from dtp_stereo_ros.backends.onnx_memory import DeviceMemory  # noqa: E402
from dtp_stereo_ros.config import PipelineConfig  # noqa: E402
from dtp_stereo_ros.errors import BackendError  # noqa: E402

MakeOnnx = Callable[..., Path]
Install = Callable[..., Plugins]

_REPOSITORY = Path(__file__).resolve().parents[2]
_RTX, _OPENVINO, _WEBGPU = (
    f'onnxruntime-ep-{name}' for name in ('nv-tensorrt-rtx', 'openvino', 'webgpu')
)
_NAMES = {plugin.package: plugin.provider for plugin in onnx_plugins.PLUGINS}


def start(path: Path, **settings: Any) -> Any:
    return create(PipelineConfig(backend='onnx', model=str(path), threads=1, **settings))


def check_values(backend: Any, size: tuple[int, int] = (32, 64), grey: int = 100) -> Any:
    left = np.full((1, 3, *size), grey, np.float32)
    disparity, confidence = backend.infer(left, left)
    assert disparity.shape == size
    assert np.allclose(disparity, grey / 4) and np.allclose(confidence, grey / 255)
    return disparity


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> type[CudaSession]:
    """A machine on which the CUDA provider starts."""
    monkeypatch.setattr(ort, 'get_available_providers', lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, 'InferenceSession', CudaSession)
    monkeypatch.setattr(ort, 'OrtValue', DeviceValue)
    monkeypatch.setattr(DeviceValue, 'made', 0)
    return CudaSession


def test_frames_on_cuda(make_onnx: MakeOnnx, cuda: type[CudaSession]) -> None:
    backend = start(make_onnx())
    assert (backend.device, backend.spec.precision) == (CUDA, 'fp32')
    assert cuda.asked == [(CUDA, {'use_tf32': '0'}), CPU]  # no TF32 under the name of fp32
    before = DeviceValue.made
    for grey in (100, 60, 20):
        check_values(backend, grey=grey)
    assert DeviceValue.made == before + 2  # two images of one size, once
    first = check_values(backend, grey=8)
    check_values(backend, grey=200)
    assert np.allclose(first, 2)  # the next frame does not write into it
    backend.close()


def test_memory_of_few_sizes_is_kept(make_onnx: MakeOnnx, cuda: type[CudaSession]) -> None:
    backend = start(make_onnx())
    sizes = [(32, 64 + 16 * i) for i in range(5)]
    for size in sizes[:4]:
        check_values(backend, size)
    made = DeviceValue.made
    check_values(backend, sizes[0])
    assert DeviceValue.made == made
    check_values(backend, sizes[4])
    check_values(backend, sizes[0])
    assert DeviceValue.made == made + 2
    check_values(backend, sizes[1])  # was not used for longest
    assert DeviceValue.made == made + 4


def test_arrays_in_other_memory_order(make_onnx: MakeOnnx, cuda: type[CudaSession]) -> None:
    memory = DeviceMemory(CudaSession(str(make_onnx()), None, [CPU]))
    values = np.random.default_rng(0).random((1, 32, 64, 3), np.float32).transpose(0, 3, 1, 2)
    assert not values.flags.c_contiguous
    (disparity,) = memory.run(['disparity'], {'left': values, 'right': values})
    np.testing.assert_allclose(disparity[0, 0], values[0].mean(axis=0) / 4, rtol=1e-5)


def test_a_run_that_fails_is_said(
    make_onnx: MakeOnnx, cuda: type[CudaSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = start(make_onnx())

    def fail(*_: Any) -> None:
        raise RuntimeError('CUDA failure 2:\n out of memory')

    monkeypatch.setattr(cuda, 'run', fail)
    with pytest.raises(BackendError, match=f'onnx on {CUDA} failed: CUDA failure 2: out of mem'):
        check_values(backend)


def test_memory_of_the_real_runtime(make_onnx: MakeOnnx) -> None:
    """The same calls on the CPU, as the device that there is."""
    session = ort.InferenceSession(str(make_onnx()), providers=[CPU])
    memory = DeviceMemory(session, 'cpu')
    names = [output.name for output in session.get_outputs()]
    rng, kept = np.random.default_rng(0), []
    for size in ((32, 64), (48, 80), (32, 64), (32, 64)):
        feed = {
            value.name: rng.random((1, 3, *size), np.float32) for value in session.get_inputs()
        }
        kept.append((memory.run(names, feed), session.run(names, feed)))
    for found, expected in kept:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install plug-in packages, given the kinds of hardware that each offers."""
    monkeypatch.setattr(ort, 'get_available_providers', lambda: [CPU])

    class Modules:
        def __setitem__(self, name: str, module: object) -> None:
            monkeypatch.setitem(sys.modules, name, module)

    def make(kinds: dict[str, list[str]], **settings: Any) -> Plugins:
        for plugin in onnx_plugins.PLUGINS:  # what this machine has
            monkeypatch.setitem(sys.modules, plugin.module, None)
        devices = {
            package: [(_NAMES[package], kind) for kind in found]
            for package, found in kinds.items()
        }
        plugins = Plugins(devices, **settings)
        plugins.install(monkeypatch, Modules())  # type: ignore[arg-type]
        return plugins

    onnx_plugins._register.cache_clear()
    return make


@pytest.mark.parametrize('package', [_RTX, _OPENVINO, _WEBGPU])
def test_an_installed_plugin_runs(install: Install, make_onnx: MakeOnnx, package: str) -> None:
    plugins = install({package: ['CPU', 'NPU', 'GPU']})
    for _ in range(2):  # is registered once
        backend = start(make_onnx())
        assert (backend.device, backend.spec.precision) == (_NAMES[package], 'fp32')
        check_values(backend)
        check_values(backend, (48, 80))
        assert not backend.compiling
    assert plugins.registered == [package]
    assert [taken[:2] for taken in plugins.taken] == [(_NAMES[package], 'GPU')] * 2


def test_openvino_is_asked_for_fp32(install: Install, make_onnx: MakeOnnx) -> None:
    plugins = install({_OPENVINO: ['CPU', 'NPU']})
    start(make_onnx())
    ((_, kind, options),) = plugins.taken
    assert kind == 'CPU'
    assert json.loads(options['load_config']) == {
        'CPU': {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': 1},
        'GPU': {'INFERENCE_PRECISION_HINT': 'f32'},
    }


def test_the_first_that_starts_is_taken(
    install: Install, make_onnx: MakeOnnx, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = install({_WEBGPU: ['GPU'], _RTX: [], _OPENVINO: ['NPU']})
    assert start(make_onnx()).device == _NAMES[_WEBGPU]
    assert plugins.registered == [_RTX, _OPENVINO, _WEBGPU]
    assert [message.split()[0] for message in caplog.messages] == [_RTX, _OPENVINO]
    assert all('finds no device that it runs on' in message for message in caplog.messages)


def test_without_one_that_starts_the_cpu_runs(
    install: Install, make_onnx: MakeOnnx, caplog: pytest.LogCaptureFixture
) -> None:
    install({_WEBGPU: ['GPU']}, starts=False)
    backend = start(make_onnx())
    assert backend.device == CPU
    check_values(backend)
    assert caplog.messages == [f'{_WEBGPU} does not start here: {CPU} runs instead']


def test_an_old_runtime_is_said(
    install: Install,
    make_onnx: MakeOnnx,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    install({_WEBGPU: ['GPU']})
    monkeypatch.delattr(ort, 'register_execution_provider_library')
    assert start(make_onnx()).device == CPU
    assert 'is too old: pip install' in caplog.text


def test_cuda_comes_before_plugins(
    install: Install, make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch, cuda: Any
) -> None:
    plugins = install({_WEBGPU: ['GPU']})
    monkeypatch.setattr(ort, 'get_available_providers', lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, 'InferenceSession', CudaSession)
    monkeypatch.setattr(ort, 'SessionOptions', ort.capi._pybind_state.SessionOptions)
    assert start(make_onnx()).device == CUDA
    assert plugins.registered == []


def test_another_disparity_is_refused(install: Install, make_onnx: MakeOnnx) -> None:
    install({_WEBGPU: ['GPU']}, factor=1.1)
    with pytest.raises(BackendError) as caught:
        start(make_onnx())
    message = str(caught.value)
    assert f'{_WEBGPU} beside the CPU on a textured pair of 32x32: median ' in message
    assert 'fp32 may differ by 0.01 px' in message and f'pip uninstall {_WEBGPU}' in message


def test_another_disparity_at_one_size_is_refused_there(
    install: Install, make_onnx: MakeOnnx
) -> None:
    install({_WEBGPU: ['GPU']}, factor=1.1, wrong_from_px=80)
    backend = start(make_onnx())
    check_values(backend)
    for _ in range(2):
        with pytest.raises(BackendError, match='on a textured pair of 80x48'):
            check_values(backend, (48, 80))
    check_values(backend)


_SOFTWARE_GPU = Path('/usr/lib/chromium/vk_swiftshader_icd.json')


@pytest.mark.slow
def test_webgpu_on_a_gpu_in_software(make_onnx: MakeOnnx) -> None:
    """The real package, on the software GPU that Chromium brings."""
    pytest.importorskip('onnxruntime_ep_webgpu')
    if not _SOFTWARE_GPU.exists():
        pytest.skip('no software GPU of Chromium')
    code = (
        'import sys, numpy as np\n'
        'from dtp_stereo_ros.backends import create\n'
        'from dtp_stereo_ros.config import PipelineConfig\n'
        "backend = create(PipelineConfig(backend='onnx', model=sys.argv[1], threads=1))\n"
        'left = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 64)).astype(np.float32)\n'
        'found, _ = backend.infer(left, left)\n'
        'assert np.allclose(found, left[0].mean(axis=0) / 4, rtol=1e-5)\n'
        'print(backend.device)\n'
    )
    environment = {
        **os.environ,
        'VK_DRIVER_FILES': str(_SOFTWARE_GPU),
        'VK_ICD_FILENAMES': str(_SOFTWARE_GPU),
        'ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER': '1',
    }
    done = subprocess.run(
        [sys.executable, '-c', code, str(make_onnx())],
        capture_output=True, text=True, env=environment, cwd=_REPOSITORY, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ['WebGpuExecutionProvider']
