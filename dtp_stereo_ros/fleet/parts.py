"""Results of tasks in a folder: one file each, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..image_io import atomic
from ..paths import make_folder

_ENDING = '.part'
# Modules whose classes a part holds; nothing else is made when a file is read.
_ROOMS = tuple(
    f'dtp_stereo_ros.{room}.' for room in ('evaluation', 'fleet', 'health', 'recordings')
)
_NUMPY = {
    '_reconstruct', '_frombuffer', 'scalar', 'ndarray', 'dtype', 'bool_', 'float32', 'float64',
    'int64', 'uint8',
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """The result of a task.

    Attributes:
        value: of the worker.
        jobs: number of tasks that were done at the same time.
    """

    value: Any
    jobs: int


class PartFolder:
    """Parts by name.

    Args:
        folder: is made with the first part.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> Part | None:
        """A part, or None where it is missing or damaged, so that it is done again.

        Files are pickles of which only the classes of results and NumPy's arrays are made, so that
        reading one that came from elsewhere runs no code.
        """
        try:
            content = (self.folder / f'{name}{_ENDING}').read_bytes()
            part = _Reader(io.BytesIO(content)).load()
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError):
            return None
        except (pickle.UnpicklingError, ImportError):
            return None
        return part if isinstance(part, Part) else None

    def write(self, name: str, part: Part) -> None:
        """Write a part.

        Raises:
            InputError: it cannot be written.
        """
        make_folder(self.folder)
        with atomic(self.folder / f'{name}{_ENDING}') as file:
            pickle.dump(part, file, protocol=pickle.HIGHEST_PROTOCOL)

    def remove(self) -> None:
        """Remove the folder with all parts, those of other settings too."""
        shutil.rmtree(self.folder, ignore_errors=True)


def name_of(index: int, *what: object) -> str:
    """Name of a part: its number, and a hash of this program's version and all that it depends on.

    Args:
        index: of the task.
        what: settings and input, whose `repr` tells them apart.
    """
    text = '\n'.join(map(repr, (__version__, *what)))
    return f'{index:06d}-{hashlib.sha256(text.encode()).hexdigest()[:20]}'


def state_of(path: Path) -> tuple[str, int, int]:
    """Path, size and time of change of a file, for `name_of`; zeros where there is none."""
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_size, state.st_mtime_ns


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        numpy = module == 'numpy' or module.startswith(('numpy.core.', 'numpy._core.'))
        if (numpy and name in _NUMPY) or (f'{module}.'.startswith(_ROOMS) and '.' not in name):
            found = super().find_class(module, name)
            if numpy or (isinstance(found, type) and f'{found.__module__}.'.startswith(_ROOMS)):
                return found
        raise pickle.UnpicklingError(f'{module}.{name} does not belong into a result')
