"""`depth_node` with a backend that fails on a sign: for the fault matrix and the tests.

The sign is a pair whose left image is black, so that a fault is set off over DDS; what happens
then is said by the environment variable `DTP_STEREO_FAULT`. The disk of the engine cache is full
while the file `full` is in the cache folder of the user.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dtp_stereo_ros.backends import engine_cache
from dtp_stereo_ros.backends.sgbm import SgbmBackend
from dtp_stereo_ros.ros import depth_node

FAULT_ENV = 'DTP_STEREO_FAULT'


def _raise() -> None:
    raise RuntimeError('injected: the runtime failed')


def _memory() -> None:
    raise MemoryError('injected: out of memory')


def _hang() -> None:
    threading.Event().wait()


def _die() -> None:
    raise SystemExit('injected: a library ends the thread')


FAULTS: dict[str, Callable[[], None]] = {
    'raise': _raise,
    'memory': _memory,
    'hang': _hang,
    'die': _die,
}


FULL_DISK = 'full disk'
_TENSORRT, _CPU = 'TensorrtExecutionProvider', 'CPUExecutionProvider'
_ENGINE_BYTES = 2**20


def full_mark(cache_home: Path) -> Path:
    """The file that fills the disk."""
    return cache_home / 'full'


def engine_is_whole(path: Path) -> bool:
    """Whether an engine of `_stand_for_tensorrt` was written to its end."""
    return path.stat().st_size == _ENGINE_BYTES


def _stand_for_tensorrt() -> None:
    """ONNX Runtime with a TensorRT that computes on the CPU and keeps engines of 1 MiB.

    As the real provider it writes them without looking whether that worked.
    """
    import onnxruntime as ort

    from dtp_stereo_ros.backends import onnxruntime as backend

    mark = full_mark(Path(os.environ['XDG_CACHE_HOME']))
    real_session, real_trial = ort.InferenceSession, engine_cache.write_trial

    class Session:
        def __init__(self, path: str, options: Any, providers: list[Any]) -> None:
            self._session = real_session(path, options, [_CPU])
            self._folder = providers[0][1].get('trt_engine_cache_path')
            self._sizes: set[str] = set()  # whose engines are in memory

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def get_providers(self) -> list[str]:
            return [_TENSORRT, _CPU]

        def run(self, outputs: Any, inputs: dict[str, Any]) -> Any:
            size = 'x'.join(map(str, next(iter(inputs.values())).shape[2:]))
            if self._folder and size not in self._sizes:
                count = _ENGINE_BYTES // 2 if mark.exists() else _ENGINE_BYTES
                Path(self._folder, f'{size}.engine').write_bytes(bytes(count))
            self._sizes.add(size)
            return self._session.run(outputs, inputs)

    class Memory:
        """There is no GPU whose memory could be bound."""

        def __init__(self, session: Session) -> None:
            self.run = session.run

    def trial(folder: Path, count: int) -> None:
        if mark.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real_trial(folder, count)

    ort.InferenceSession = Session
    setattr(backend, 'DeviceMemory', Memory)  # noqa: B010  # no export of the module
    ort.get_available_providers = lambda: [_TENSORRT, _CPU]
    engine_cache.write_trial = trial


def main() -> int:
    """Run the node with the fault of the environment."""
    if os.environ[FAULT_ENV] == FULL_DISK:
        _stand_for_tensorrt()
        return depth_node.main()
    fail, infer = FAULTS[os.environ[FAULT_ENV]], SgbmBackend.infer

    def infer_or_fail(backend: SgbmBackend, left: Any, right: Any) -> Any:
        if not left.any():
            fail()
        return infer(backend, left, right)

    SgbmBackend.infer = infer_or_fail  # type: ignore[method-assign,assignment]
    return depth_node.main()


if __name__ == '__main__':
    sys.exit(main())
