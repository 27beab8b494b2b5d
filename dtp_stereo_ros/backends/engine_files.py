"""Engines of TensorRT on disk: whole, of this machine and this model, or not at all.

Each engine has a sidecar that says what it was built from and for. An engine is read only where
its sidecar says what is wanted now, and its content has the digest that the sidecar names.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import StereoError
from ..image_io import atomic, write_json
from ..paths import cache_folder

# Engines that are kept, of all models and sizes; those that were used last.
_KEPT = 32

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineKey:
    """Versions, GPU, model and sizes that an engine depends on.

    Attributes:
        tensorrt: its version.
        gpu, compute_capability, driver: see `cuda.Gpu`.
        precision: of the tensors in the file that it was built from.
        width_px, height_px: of its images.
        onnx_sha256: of the model file, or of its fp16 form.
    """

    tensorrt: str
    gpu: str
    compute_capability: str
    driver: str
    precision: str
    width_px: int
    height_px: int
    onnx_sha256: str

    @property
    def name(self) -> str:
        """Name of its files, without ending: engines of several GPUs may share a home folder."""
        digest = hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()
        return f'{self.width_px}x{self.height_px}-{self.precision}-{digest[:16]}'


class EngineFiles:
    """The file of one engine in the user's cache.

    A folder that cannot be used costs the cache and one line in the log.
    """

    def __init__(self, key: EngineKey) -> None:
        self._key = key
        self._folder: Path | None = None
        try:
            folder = cache_folder('tensorrt')
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
            give_up(error)
        else:
            self._folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process loads or builds this engine at a time; the others wait."""
        lock = None
        if self._folder is not None:
            with suppress(OSError):
                lock = self._path('.lock').open('a')
        if lock is None:
            yield
            return
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.warning('another process builds %s; waiting', self._path('.engine'))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:  # a network file system without locks
                _log.info('%s: no lock (%s)', lock.name, error)
            yield

    def load(self) -> bytes | None:
        """The engine; None where there is none that can be used."""
        if self._folder is None:
            return None
        engine, sidecar = self._path('.engine'), self._path('.json')
        try:
            facts = json.loads(sidecar.read_text())
            content = engine.read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.refuse(str(error))
            return None
        wanted: dict[str, Any] = asdict(self._key)
        found = facts if isinstance(facts, dict) else {}
        differing = [name for name, value in wanted.items() if found.get(name) != value]
        if differing:
            self.refuse(f'it is of another {", ".join(differing)}')
        elif found.get('engine_sha256') != hashlib.sha256(content).hexdigest():
            self.refuse('it is damaged')
        else:
            with suppress(OSError):
                os.utime(engine)
            return content
        return None

    def save(self, engine: bytes, facts: dict[str, Any]) -> None:
        """Write an engine and what is known of it; the sidecar last, as it makes it valid.

        Args:
            engine: serialised.
            facts: more for the sidecar: plain values.
        """
        if self._folder is None:
            return
        sidecar = {**asdict(self._key), **facts}
        sidecar['engine_sha256'] = hashlib.sha256(engine).hexdigest()
        try:
            self._path('.json').unlink(missing_ok=True)
            with atomic(self._path('.engine')) as file:
                file.write(engine)
            write_json(self._path('.json'), sidecar)
        except (OSError, StereoError) as error:
            with suppress(OSError):
                self._path('.engine').unlink(missing_ok=True)
            give_up(error)
        else:
            self._remove_oldest()

    def refuse(self, reason: str) -> None:
        """Say why an engine is not used; it is built anew, which replaces the file."""
        _log.warning('%s: %s; the engine is built anew', self._path('.engine'), reason)

    def _path(self, ending: str) -> Path:
        assert self._folder is not None
        return self._folder / f'{self._key.name}{ending}'

    def _remove_oldest(self) -> None:
        """Updates of TensorRT and of the driver leave engines behind."""
        assert self._folder is not None
        with suppress(OSError):
            engines = sorted(self._folder.glob('*.engine'), key=lambda path: path.stat().st_mtime)
            for engine in engines[:-_KEPT]:
                for ending in ('.json', '.engine', '.lock'):
                    engine.with_suffix(ending).unlink(missing_ok=True)


def give_up(error: Exception) -> None:
    """Warn that engines are not kept."""
    _log.warning('engine cache: %s; engines are built anew at each start', error)
