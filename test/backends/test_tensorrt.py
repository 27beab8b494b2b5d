"""The backend tensorrt on stand-ins that are held to the real packages' signatures."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

import onnx
import tensorrt_standin
from file_limit import largest_file
from tensorrt_standin import VERSIONS, State

from dtp_stereo_ros import backends, models
from dtp_stereo_ros.backends import trial
from dtp_stereo_ros.backends.engine_files import EngineFiles, EngineKey
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError, ModelError, StereoError

Make = Callable[..., Any]

_REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'dtp_stereo' / 'tensorrt'


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., State]:
    """Install the stand-ins, of a state."""

    class Modules:
        def __setitem__(self, name: str, module: object) -> None:
            monkeypatch.setitem(sys.modules, name, module)

    def make(**settings: Any) -> State:
        state = State(**settings)
        tensorrt_standin.install(state, Modules())
        return state

    return make


@pytest.fixture
def model(make_onnx: Callable[..., Path]) -> Path:
    return make_onnx()


def start(model: Path | str, **settings: Any) -> Any:
    return backends.create(
        PipelineConfig(backend='tensorrt', model=str(model), threads=1, **settings)
    )


def check_values(backend: Any, size: tuple[int, int] = (32, 64), grey: int = 100) -> None:
    left = np.full((1, 3, *size), grey, np.float32)
    disparity, confidence = backend.infer(left, left)
    assert disparity.shape == size
    assert np.allclose(disparity, grey / 4) and np.allclose(confidence, grey / 255)


def files(cache: Path) -> list[str]:
    return sorted(path.suffix for path in cache.glob('*') if path.suffix != '.lock')


@pytest.mark.parametrize('version', VERSIONS)
def test_frames_of_each_version(
    install: Callable[..., State], model: Path, version: str, cache: Path
) -> None:
    state = install(version=version)
    backend = start(model)
    assert (backend.name, backend.device) == ('tensorrt', 'NVIDIA Stand-in')
    assert backend.spec.precision == 'fp32' and not backend.compiling
    assert state.built == 0  # the start builds nothing
    for grey in (100, 60, 20, 200, 40):
        check_values(backend, grey=grey)
    assert state.built == 1
    # The trial and the first frame run as they are, then the frame that is captured, and on.
    assert (state.captured, state.launched) == (1, 4)
    first = backend.infer(*[np.full((1, 3, 32, 64), 8, np.float32)] * 2)[0]
    check_values(backend, grey=80)
    assert np.allclose(first, 2)  # the next frame does not write into it
    backend.close()
    assert not state.memory and not state.alive
    (sidecar,) = cache.glob('*.json')
    facts = json.loads(sidecar.read_text())
    assert facts.items() >= {
        'tensorrt': version, 'gpu': 'NVIDIA Stand-in', 'compute_capability': '8.7',
        'driver': '12.8', 'precision': 'fp32', 'width_px': 64, 'height_px': 32,
        'onnx_sha256': models.sha256(model), 'median_px': 0.0,
    }.items()  # fmt: skip


def test_an_engine_is_built_once(
    install: Callable[..., State], model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = install()
    check_values(start(model))
    assert len(caplog.messages) == 2
    assert 'builds the engine of tiny for 64x32 in fp32 on NVIDIA' in caplog.messages[0]
    assert 'median 0.00000 px' in caplog.messages[1]
    caplog.clear()
    backend = start(model)
    check_values(backend)
    assert (state.built, caplog.messages) == (1, [])
    check_values(backend, (64, 96))
    assert state.built == 2


@pytest.mark.parametrize(
    'change',
    [
        {'version': VERSIONS[-1]},
        {'gpu': 'NVIDIA Other'},
        {'capability': (9, 0)},
        {'driver': 13000},
    ],
)
def test_another_version_or_gpu_has_its_own_engine(
    install: Callable[..., State], model: Path, change: dict[str, Any]
) -> None:
    install()
    check_values(start(model))
    other = install(**change)
    check_values(start(model))
    assert other.built == 1
    again = install()
    check_values(start(model))
    assert again.built == 0


def test_another_model_of_that_name(
    install: Callable[..., State], make_onnx: Callable[..., Path]
) -> None:
    state = install()
    check_values(start(make_onnx()))
    check_values(start(make_onnx(size=(32, 64))))
    assert state.built == 2


def _truncated(engine: Path, sidecar: Path) -> None:
    engine.write_bytes(engine.read_bytes()[:100])


def _no_json(engine: Path, sidecar: Path) -> None:
    sidecar.write_text('{')


def _no_object(engine: Path, sidecar: Path) -> None:
    sidecar.write_text('[]')


def _foreign(engine: Path, sidecar: Path) -> None:
    facts = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**facts, 'gpu': 'NVIDIA Other'}))


@pytest.mark.parametrize(
    ('harm', 'why'),
    [
        (_truncated, 'it is damaged'),
        (_no_json, 'Expecting property name'),
        (_no_object, 'it is of another tensorrt, gpu'),
        (_foreign, 'it is of another gpu'),
    ],
)
def test_a_damaged_or_foreign_engine_is_built_anew(
    install: Callable[..., State],
    model: Path,
    cache: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path, Path], None],
    why: str,
) -> None:
    state = install()
    check_values(start(model))
    harm(*cache.glob('*.engine'), *cache.glob('*.json'))
    caplog.clear()
    check_values(start(model))
    assert state.built == 2
    assert why in caplog.messages[0] and 'is built anew' in caplog.messages[0]
    check_values(start(model))
    assert state.built == 2


def test_an_engine_that_tensorrt_refuses_is_built_anew(
    install: Callable[..., State], model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = install()
    check_values(start(model))
    state.unloadable = True
    with pytest.raises(BackendError, match='cannot load the engine: magicTag does not match'):
        check_values(start(model))
    state.unloadable = False
    assert 'magicTag does not match; the engine is built anew' in caplog.text
    check_values(start(model))
    assert state.built == 2  # the first one was never at fault


def test_an_engine_without_sidecar_is_built_anew(
    install: Callable[..., State], model: Path, cache: Path
) -> None:
    """As a process leaves it that ends between the two."""
    state = install()
    check_values(start(model))
    next(cache.glob('*.json')).unlink()
    check_values(start(model))
    assert state.built == 2 and files(cache) == ['.engine', '.json']


def test_a_full_disk(
    install: Callable[..., State], model: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = install()
    with largest_file(200):
        backend = start(model)
        check_values(backend)
        check_values(backend)
    assert files(cache) == []
    assert sum('engines are built anew at each start' in text for text in caplog.messages) == 1
    check_values(start(model))  # there is space again
    assert state.built == 2 and files(cache) == ['.engine', '.json']


def test_a_folder_that_cannot_be_made(
    install: Callable[..., State],
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', '/dev/null')
    state = install()
    for _ in range(2):
        check_values(start(model))
    assert state.built == 2
    assert sum('Not a directory' in text for text in caplog.messages) == 2


def test_an_engine_that_computes_something_else_is_refused(
    install: Callable[..., State], model: Path, cache: Path
) -> None:
    state = install(factor=1.01)
    backend = start(model)
    for _ in range(3):
        with pytest.raises(BackendError) as caught:
            check_values(backend)
    text = str(caught.value)
    assert '\n' not in text and 'differs from ONNX Runtime on a textured pair: median 0.3' in text
    assert 'take backend onnx' in text and 'dtp-stereo selftest' in text
    assert state.built == 1  # not again at every frame
    assert files(cache) == []
    assert not backend.compiling
    backend.close()
    assert not state.memory and not state.alive


_CHILD = """
import sys, numpy as np
from pathlib import Path
import tensorrt_standin
state = tensorrt_standin.State(build_s=float(sys.argv[3]), build_log=Path(sys.argv[2]))
tensorrt_standin.install(state)
from dtp_stereo_ros import backends
from dtp_stereo_ros.config import PipelineConfig
backend = backends.create(PipelineConfig(backend='tensorrt', model=sys.argv[1], threads=1))
grey = np.full((1, 3, 32, 64), 100, np.float32)
print(float(backend.infer(grey, grey)[0].mean()))
"""


def _process(model: Path, log: Path, build_s: float) -> subprocess.Popen[str]:
    """Another process that builds an engine and prints the disparity that it computes."""
    paths = os.pathsep.join([str(_REPOSITORY), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, '-c', _CHILD, str(model), str(log), str(build_s)],
        env={**os.environ, 'PYTHONPATH': paths},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_build_one_engine(model: Path, tmp_path: Path, cache: Path) -> None:
    log = tmp_path / 'builds'
    children = [_process(model, log, 2.0) for _ in range(2)]
    answers = [child.communicate(timeout=100)[0].strip() for child in children]
    assert answers == ['25.0', '25.0']
    assert log.read_text() == 'built\n'
    assert files(cache) == ['.engine', '.json']


def test_a_process_that_is_killed_while_it_builds(
    install: Callable[..., State], model: Path, tmp_path: Path, cache: Path
) -> None:
    log = tmp_path / 'builds'
    child = _process(model, log, 600.0)
    end_s = time.monotonic() + 60
    while not log.exists() and time.monotonic() < end_s:
        time.sleep(0.05)
    child.kill()
    child.communicate(timeout=60)
    assert files(cache) == []
    state = install()
    check_values(start(model))  # does not wait for it
    assert state.built == 1 and files(cache) == ['.engine', '.json']


def test_the_oldest_engines_are_removed(cache: Path) -> None:
    keys = [EngineKey('10.3', 'GPU', '8.7', '12.8', 'fp32', 64, n, 'sha') for n in range(40)]
    for number, key in enumerate(keys):
        EngineFiles(key).save(b'engine', {})
        os.utime(cache / f'{key.name}.engine', (number, number))
    assert len(list(cache.glob('*.engine'))) == len(list(cache.glob('*.json'))) == 32
    assert EngineFiles(keys[0]).load() is None
    assert EngineFiles(keys[-1]).load() == b'engine'


def test_engines_of_few_sizes_are_kept_on_the_gpu(
    install: Callable[..., State], model: Path
) -> None:
    state = install()
    backend = start(model)
    for width in range(32, 32 * 7, 32):
        check_values(backend, (32, width))
    assert len(state.device_bytes) == 4 * 4
    check_values(backend, (32, 32))  # loaded again, not built
    assert state.built == 6
    backend.close()
    assert not state.memory and not state.alive


def test_a_network_that_cannot_be_captured_runs_all_the_same(
    install: Callable[..., State], model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    state = install(capture_fails=True)
    backend = start(model)
    for grey in (100, 60, 20, 200):
        check_values(backend, grey=grey)
    assert (state.launched, state.enqueued) == (0, 5)
    assert sum('no CUDA graph' in text for text in caplog.messages) == 1


def test_too_little_memory(install: Callable[..., State], model: Path) -> None:
    state = install(memory_bytes=50_000)
    with pytest.raises(BackendError, match='cudaErrorMemoryAllocation; lower input_scale'):
        check_values(start(model))
    assert not state.memory and not state.alive


def test_what_cannot_be_built(install: Callable[..., State], model: Path, cache: Path) -> None:
    install(unbuildable=True)
    with pytest.raises(
        BackendError, match=r'TensorRT cannot build the engine of tiny .*no tactic'
    ):
        check_values(start(model))
    assert files(cache) == []


@pytest.mark.parametrize(
    ('settings', 'text'),
    [
        ({'version': '8.6.1'}, 'TensorRT 8.6.1 is installed, 10.3 or newer and older than 12'),
        ({'version': '12.0.0.1'}, 'TensorRT 12.0.0.1 is installed'),
        ({'driver': 0}, 'no NVIDIA driver runs; it needs an NVIDIA GPU'),
        ({'no_library': True}, r'no NVIDIA driver runs \(Failed to dlopen libcuda.so.1\)'),
        ({'gpu': ''}, r'no NVIDIA GPU can be used \(cudaSuccess\)'),
    ],
)
def test_what_is_missing_is_named(
    install: Callable[..., State], model: Path, settings: dict[str, Any], text: str
) -> None:
    install(**settings)
    with pytest.raises(BackendError, match=text) as caught:
        start(model)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('module', 'text'),
    [
        ('tensorrt', 'the package tensorrt cannot be imported .*pip install .tensorrt-cu12'),
        ('cuda.bindings', 'the package cuda-bindings .*pip install .cuda-bindings'),
        ('onnxruntime', 'ONNX Runtime .*pip install onnxruntime'),
    ],
)
def test_a_package_that_is_missing_is_named(
    install: Callable[..., State],
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    text: str,
) -> None:
    install()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=text) as caught:
        start(model)
    assert '\n' not in str(caught.value)


def test_precisions(
    install: Callable[..., State], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    with pytest.raises(BackendError, match='in fp32 or fp16, not in bf16'):
        start(model, precision='bf16')
    with pytest.raises(ModelError, match='no fp32 convolution'):
        start(model, precision='fp16')
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(BackendError, match=r'fp16 needs the package onnx .*pip install onnx'):
        start(model, precision='fp16')


def test_fp16_of_the_shipped_model(install: Callable[..., State], cache: Path) -> None:
    try:
        path = models.resolve('dtpnet', ('.onnx',))
    except StereoError:
        pytest.skip('no shipped model')
    state = install()
    pair = trial.pair_of((128, 192))
    found = {}
    for precision in ('fp32', 'fp16'):
        backend = start('dtpnet', precision=precision)
        assert backend.spec.precision == precision
        found[precision] = backend.infer(pair.left, pair.right)[0]
    assert 0 < np.median(np.abs(found['fp16'] - found['fp32'])) < 0.01
    assert len(list(cache.glob('*.engine'))) == 2
    as_it_is, typed = (onnx.load_model_from_string(plan) for plan in state.plans)
    assert as_it_is == onnx.load(path)
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    kinds = {t.name: t.data_type for t in typed.graph.initializer}
    convolutions = [node for node in typed.graph.node if node.op_type == 'Conv']
    assert convolutions and all(kinds[node.input[1]] == half for node in convolutions)
    ports = [*typed.graph.input, *typed.graph.output]
    assert all(port.type.tensor_type.elem_type == single for port in ports)
