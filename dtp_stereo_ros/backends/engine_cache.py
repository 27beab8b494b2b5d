"""Where ONNX Runtime keeps the engines that TensorRT builds, between starts.

Building one takes minutes, so they are kept, but never at the price of a backend that does not
run: a folder that cannot be written, a full disk or a damaged file costs the cache and one line in
the log. ONNX Runtime writes the files itself and does not look whether that worked, and a file
that was cut short fails every later start; so it is looked at here.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..paths import cache_folder
from .engine_files import give_up

_BLOCK_BYTES = 2**20

_log = logging.getLogger(__name__)


class EngineCache:
    """A folder for the engines of one model.

    Args:
        key: what the engines depend on, as a name of a folder.

    Attributes:
        folder: None where it cannot be used.
        full: whether the disk did not take an engine; a session goes on writing to the folder
            that it was given, so it is looked after all the same.
    """

    def __init__(self, key: str) -> None:
        self.folder: Path | None = None
        self.full = False
        self._known: dict[Path, tuple[int, int]] = {}
        try:
            folder = cache_folder('ort') / key
            folder.mkdir(parents=True, exist_ok=True)
            write_trial(folder, _BLOCK_BYTES)
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
            give_up(error)
        else:
            self.folder = folder
            self._known = _files(folder)

    def options(self) -> dict[str, object]:
        """For the TensorRT provider of ONNX Runtime."""
        if self.folder is None or self.full:
            return {}
        return {'trt_engine_cache_enable': True, 'trt_engine_cache_path': str(self.folder)}

    def check(self) -> None:
        """Engines may have been written: if the disk did not take them whole, remove them."""
        if self.folder is None:
            return
        files = _files(self.folder)
        fresh = {path: state for path, state in files.items() if self._known.get(path) != state}
        if not fresh:
            return
        try:
            # More than the largest: also beyond a limit on the size of files.
            write_trial(self.folder, max(size for size, _ in fresh.values()) + _BLOCK_BYTES)
        except OSError as error:
            _remove(fresh)
            if not self.full:
                give_up(error)
            self.full = True
        self._known = _files(self.folder)

    def clear(self) -> bool:
        """Remove the engines, because they do not load. Returns whether there were any."""
        files = _files(self.folder) if self.folder else {}
        if files:
            _log.warning('engine cache %s does not load; the engines are built anew', self.folder)
            if not _remove(files):
                self.folder = None
        self._known = {}
        return bool(files)


def write_trial(folder: Path, count: int) -> None:
    """Write that many bytes to a file that nobody sees.

    Raises:
        OSError: the disk, a quota or a limit does not allow them.
    """
    block = os.urandom(_BLOCK_BYTES)  # a file system that compresses is not to cheat
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while count > 0:
            count -= file.write(block[:count])
        os.fsync(file.fileno())


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change of each file; one that vanishes meanwhile is left out."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            state = path.stat()
        except OSError:
            continue
        found[path] = (state.st_size, state.st_mtime_ns)
    return found


def _remove(files: Iterable[Path]) -> bool:
    """Whether all are gone."""
    gone = True
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning('engine cache: %s; remove it by hand', error)
            gone = False
    return gone
