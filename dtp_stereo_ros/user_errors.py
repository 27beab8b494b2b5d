"""One line for each error that a user can cause or mend, whichever library raised it.

The commands and the node ask here. An error that gets no line is a bug and crashes loudly.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType

from .errors import StereoError, one_line

_OURS = __name__.partition('.')[0]

# Modules whose package has another name.
_PACKAGES = {
    'cv2': 'opencv-python-headless',
    'yaml': 'PyYAML',
    'skimage': 'scikit-image',
    'torch_pruning': 'torch-pruning',
    'rclpy': "'dtp_stereo[ros]', or source ROS 2",
}

_SPACE = 'free some space, or choose another place'
_PLACE = 'choose a place that can be written and read'
_PATH = 'check the path'
_MEMORY = 'take smaller images, fewer pairs at a time or fewer worker processes'
_MENDS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EACCES: _PLACE,
    errno.EPERM: _PLACE,
    errno.EROFS: _PLACE,
    errno.EIO: 'check the disk or the connection',
    errno.ESTALE: 'check the disk or the connection',
    errno.ENOENT: _PATH,
    errno.ENOTDIR: _PATH,
    errno.EISDIR: _PATH,
    errno.EEXIST: _PATH,
    errno.ENAMETOOLONG: _PATH,
    errno.ELOOP: _PATH,
    errno.EINVAL: _PATH,
    errno.EMFILE: 'raise the limit of open files, as by ulimit -n 4096',
    errno.ENFILE: 'close other programs',
    errno.ENOMEM: _MEMORY,
}
# The errors that say enough without the name of a file.
_NAMELESS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENOMEM}
# The texts of PyTorch and OpenCV, whose errors have no class for it.
_OUT_OF_MEMORY = ("can't allocate memory", 'Insufficient memory', 'bad_alloc', 'DataLoader worker')


def user_line(error: BaseException) -> str | None:
    """Fault and mend in one line, or None where the user cannot have caused it."""
    if isinstance(error, StereoError):
        return one_line(error)
    for cause in _chain(error):
        if isinstance(cause, OSError) and (line := _system_line(cause)):
            return line
    if _is_memory(error):
        return f'out of memory ({one_line(error)[:160]}); {_MEMORY}'
    failed = failed_import(error)
    if failed is None:
        return None
    name, reason = failed
    return f'{name} cannot be imported ({reason}); install it: pip install {package_of(name)}'


def failed_import(error: BaseException) -> tuple[str, str] | None:
    """Name of the library that cannot be imported, and why; None for every other error.

    A library may raise anything while it is imported: OSError for a shared library that is
    missing, AttributeError or RuntimeError for a NumPy of another version.
    """
    being = _being_imported(error)
    name = error.name if isinstance(error, ImportError) else None
    if name and name.partition('.')[0] == _OURS:
        return None
    if isinstance(error, ImportError):
        return (being or name or 'a library').partition('.')[0], _reason(error)
    if being:
        return being.partition('.')[0], _reason(error)
    if isinstance(error, SyntaxError) and error.filename:
        # Written for another Python; of such a module there is no frame.
        module_path = Path(error.filename)
        if not module_path.is_relative_to(Path(__file__).parent):
            path = module_path.parent if module_path.stem == '__init__' else module_path
            return path.stem, _reason(error)
    if isinstance(error, AttributeError):
        # What is left of a package that was removed is imported as an empty one.
        module = getattr(error, 'obj', None)
        if isinstance(module, ModuleType) and module.__name__.partition('.')[0] != _OURS:
            return module.__name__.partition('.')[0], _reason(error)
    return None


def package_of(module: str) -> str:
    """The package that pip installs for a module."""
    return _PACKAGES.get(module, module)


@contextmanager
def one_line_imports(program: str) -> Iterator[None]:
    """Imports of a program: a library that cannot be imported ends it by one line and code 2.

    Ctrl-C meanwhile ends it by code 130.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        line = user_line(error)
        if line is None:
            raise
        print(f'{program}: {line}', file=sys.stderr)
        raise SystemExit(2) from None


def print_anything() -> None:
    """Let a terminal of any encoding show every text: as escapes where it has no letter."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def is_read() -> bool:
    """Whether somebody still reads the standard output, as `head` does not after its lines."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    broken = any(event & select.POLLERR for _, event in output.poll(0))
    if broken:
        # The interpreter flushes what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return not broken


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from or during."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _system_line(error: OSError) -> str | None:
    if error.errno not in _MENDS or _being_imported(error):
        return None
    if not isinstance(error.filename, (str, bytes)):
        return f'{error.strerror}; {_MENDS[error.errno]}' if error.errno in _NAMELESS else None
    return f'{os.fsdecode(error.filename)}: {error.strerror}; {_MENDS[error.errno]}'


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == 'OutOfMemoryError':
        return True
    text = str(error)
    return any(part in text for part in _OUT_OF_MEMORY)


def _being_imported(error: BaseException) -> str | None:
    """Name of the module outside of this project whose import raised the error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [index for index, frame in enumerate(frames) if _is_ours(frame)]
    for frame in frames[own[-1] + 1 :] if own else frames:
        if frame.f_code.co_name == '<module>':
            return str(frame.f_globals.get('__name__', ''))
    return None


def _is_ours(frame: FrameType) -> bool:
    names = frame.f_globals
    package = names.get('__package__') or names.get('__name__') or ''
    return str(package).partition('.')[0] == _OURS


def _reason(error: BaseException) -> str:
    return one_line(error)[:200] or type(error).__name__
