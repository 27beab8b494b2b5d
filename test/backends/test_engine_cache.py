"""The cache of TensorRT's engines never costs more than itself.

TensorRT itself is not needed: what ONNX Runtime does with the folder is done here by a session
that stands for it, as its provider does: engines are written without looking whether that worked,
and one that is damaged fails the run.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_limit import largest_file

pytest.importorskip('onnxruntime')

from onnx_standin import DeviceValue, GpuSession

from dtp_stereo_ros.backends import engine_cache
from dtp_stereo_ros.backends.engine_cache import EngineCache
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError

MIB = 2**20
_TENSORRT, _CPU = 'TensorrtExecutionProvider', 'CPUExecutionProvider'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'dtp_stereo' / 'ort'


def full(folder: Path, count: int) -> None:
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_folder_that_can_be_written(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = EngineCache('key')
    assert cache.folder == home / 'key'
    assert cache.options() == {
        'trt_engine_cache_enable': True,
        'trt_engine_cache_path': str(home / 'key'),
    }
    (home / 'key' / 'a.engine').write_bytes(bytes(3 * MIB))
    cache.check()
    assert [p.name for p in (home / 'key').iterdir()] == ['a.engine']  # no trial is left
    assert caplog.messages == []


@pytest.mark.parametrize(
    ('cache_home', 'text'),
    [
        ('/dev/null', 'Not a directory'),
        ('/proc', 'dtp_stereo'),
        ('/dev/full/x', 'Not a directory'),
    ],
)
def test_a_folder_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cache_home: str,
    text: str,
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', cache_home)
    cache = EngineCache('key')
    assert (cache.folder, cache.options(), cache.clear()) == (None, {}, False)
    cache.check()
    assert len(caplog.messages) == 1
    assert text in caplog.text and 'engines are built anew at each start' in caplog.text


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def nowhere() -> Path:
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setattr(Path, 'home', nowhere)
    assert EngineCache('key').folder is None
    assert len(caplog.messages) == 1 and 'home directory' in caplog.text


def test_a_limit_that_is_reached_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with largest_file(MIB // 2):
        assert EngineCache('key').folder is None
    assert len(caplog.messages) == 1 and 'File too large' in caplog.text


def test_an_engine_that_was_cut_short_is_removed(caplog: pytest.LogCaptureFixture) -> None:
    """The trial of the start fits, the engine does not; one from before stays."""
    first = EngineCache('key')
    assert first.folder is not None
    old, new = first.folder / 'old.engine', first.folder / 'new.engine'
    old.write_bytes(b'whole')
    cache = EngineCache('key')
    with largest_file(3 * MIB // 2):
        write_as_onnxruntime(new, bytes(2 * MIB))
        assert new.stat().st_size < 2 * MIB
        cache.check()
        cache.check()
    assert (old.exists(), new.exists(), cache.options()) == (True, False, {})
    assert len(caplog.messages) == 1 and 'File too large' in caplog.text


def test_an_engine_that_was_written_anew_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile for another size changes a file that was there before."""
    cache = EngineCache('key')
    assert cache.folder is not None
    engine = cache.folder / 'a.engine'
    engine.write_bytes(b'for one size')
    cache.check()
    monkeypatch.setattr(engine_cache, 'write_trial', full)
    cache.check()
    assert engine.exists()  # nothing new was written
    engine.write_bytes(b'for another size as well')
    cache.check()
    assert not engine.exists() and cache.options() == {}


def write_as_onnxruntime(path: Path, data: bytes) -> None:
    """As its C++ does: what cannot be written is not noticed."""
    with suppress(OSError), path.open('wb', buffering=0) as file:
        while data:
            data = data[file.write(data) :]


class Standin(GpuSession):
    """A session that says it is TensorRT, computes on the CPU, and keeps engines."""

    real: Any
    built = 0

    def __init__(self, path: str, options: object, providers: list[Any]) -> None:
        self._session = Standin.real(path, options, [_CPU])
        self._folder = providers[0][1].get('trt_engine_cache_path')
        self._loaded: set[tuple[int, ...]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [_TENSORRT, _CPU]

    def run(self, outputs: Any, inputs: dict[str, Any]) -> Any:
        shape = next(iter(inputs.values())).shape
        if shape not in self._loaded:
            self._load(shape)
        self._loaded.add(shape)
        return self._session.run(outputs, inputs)

    def _load(self, shape: tuple[int, ...]) -> None:
        engine = Path(self._folder or '/nowhere', f'{shape}.engine')
        if not engine.exists():
            Standin.built += 1
            write_as_onnxruntime(engine, b'\x01' * (2 * MIB)) if self._folder else None
        elif engine.read_bytes() != b'\x01' * (2 * MIB):
            raise RuntimeError(f'TensorRT EP could not deserialize engine from cache: {engine}')


Make = Callable[[], Any]


@pytest.fixture
def make_backend(make_onnx: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Make:
    from dtp_stereo_ros.backends import onnxruntime

    monkeypatch.setattr(Standin, 'real', onnxruntime.ort.InferenceSession, raising=False)
    monkeypatch.setattr(Standin, 'built', 0)
    monkeypatch.setattr(onnxruntime.ort, 'get_available_providers', lambda: [_TENSORRT, _CPU])
    monkeypatch.setattr(onnxruntime.ort, 'InferenceSession', Standin)
    monkeypatch.setattr(onnxruntime.ort, 'OrtValue', DeviceValue)
    config = PipelineConfig(model=str(make_onnx()), precision='fp16', threads=1)
    return lambda: onnxruntime.OnnxRuntimeBackend(config)


def check_values(backend: Any, size: tuple[int, int] = (32, 64)) -> None:
    left = np.full((1, 3, *size), 100, np.float32)
    disparity, confidence = backend.infer(left, left)
    assert np.allclose(disparity, 25) and np.allclose(confidence, 100 / 255)


def test_engines_are_built_once(make_backend: Make, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        backend = make_backend()
        check_values(backend)
        check_values(backend)
    assert Standin.built == 2  # of the trial's size and of the images' size
    assert caplog.messages == []


def test_a_full_disk_from_the_start(
    make_backend: Make, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with largest_file(MIB // 2):
        for _ in range(2):
            backend = make_backend()
            check_values(backend)
    assert Standin.built == 4
    assert not list(home.rglob('*.engine'))
    assert len(caplog.messages) == 2  # one line for each start


def test_a_disk_that_fills_up_leaves_no_damaged_engine(
    make_backend: Make, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = make_backend()
    with largest_file(3 * MIB // 2):
        check_values(backend)
        check_values(backend, (48, 80))
    assert len(caplog.messages) == 1 and 'File too large' in caplog.text
    check_values(make_backend())  # the next start is sound
    assert len(list(home.rglob('*.engine'))) == 2


def test_engines_that_are_damaged_are_built_anew(
    make_backend: Make, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check_values(make_backend())
    for engine in home.rglob('*.engine'):
        engine.write_bytes(b'\x01' * 1000)
    backend = make_backend()
    check_values(backend)
    assert len(caplog.messages) == 1 and 'does not load; the engines are built anew' in caplog.text
    assert {engine.stat().st_size for engine in home.rglob('*.engine')} == {2 * MIB}
    for engine in home.rglob('*.engine'):  # damaged while it runs, and a new size comes
        engine.write_bytes(b'\x01' * 1000)
    check_values(backend)
    assert len(caplog.messages) == 1


def test_it_says_when_an_engine_may_be_built(
    make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make_backend()
    run, seen = Standin.run, []

    def spy(session: Standin, outputs: Any, inputs: dict[str, Any]) -> Any:
        seen.append(backend.compiling)
        return run(session, outputs, inputs)

    monkeypatch.setattr(Standin, 'run', spy)
    for size in ((32, 64), (32, 64), (48, 80)):
        check_values(backend, size)
    assert seen == [True, False, True]
    assert not backend.compiling


def test_what_is_no_fault_of_the_cache_is_not_hidden(
    make_backend: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make_backend()

    def fail(*_: Any) -> None:
        raise RuntimeError('out of memory')

    monkeypatch.setattr(Standin, 'run', fail)
    with pytest.raises(BackendError, match='onnx on TensorrtExecutionProvider failed: out of mem'):
        check_values(backend)
    with pytest.raises(BackendError, match='out of memory'):
        make_backend()
