"""Paths as users write them: with ~, in lists separated by commas; folders that are made."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .errors import ConfigError, InputError

# By `make_folder` in this process, the outer ones first.
_made: list[Path] = []


def split_at_commas(text: str) -> list[str]:
    """The items of ``A,B,C``; what exists as a path is kept whole.

    From the left, the longest run of items that together name a file or folder is one item:
    ``a,b.yaml`` is one where there is a file of that name, else it is ``a`` and ``b.yaml``. Blanks
    around an item do not count, unless they belong to the name of a file.
    """
    pieces = text.split(',')
    items = []
    while pieces:
        runs = {n: ','.join(pieces[:n]) for n in range(len(pieces), 1, -1)}
        count = next((n for n, run in runs.items() if _exists(run) or _exists(run.strip())), 1)
        item = ','.join(pieces[:count])
        items.append(item if _exists(item) else item.strip())
        del pieces[:count]
    return items


def _exists(text: str) -> bool:
    try:
        return bool(text.strip()) and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # name too long, NUL, a user without a home
        return False


def expanded(path: str | Path) -> Path:
    """A path with ``~`` and ``~NAME`` replaced by the home folder.

    Raises:
        ConfigError: there is no such home folder: no HOME and a user id without an entry in
            passwd, as of a service or a container, or no user of that name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        home = Path(path).parts[0]
        raise ConfigError(
            f'{path}: there is no home folder {home} here; write the path in full'
        ) from None


def make_folder(path: Path) -> Path:
    """Make a folder with those above it, where it is missing; returns it.

    Raises:
        InputError: it cannot be made.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f'{path}: the folder cannot be made ({error.strerror}); choose another'
        ) from error
    _made.extend(reversed(missing))
    return path


def remove_empty() -> None:
    """Folders that `make_folder` made and nothing was written to: a failed command leaves none."""
    while _made:
        with contextlib.suppress(OSError):  # it holds something, or is gone
            _made.pop().rmdir()


def plain_name(name: str, option: str) -> str:
    """The name of a file without a folder, as users give it.

    Args:
        name: without ending.
        option: where it was given, for the error.

    Raises:
        InputError: it is none.
    """
    if not name or Path(name).name != name:
        raise InputError(f'{option} {name!r} must be a plain name, without a folder')
    return name


def cache_folder(name: str) -> Path:
    """A folder of the user's cache, which may not exist yet.

    Raises:
        RuntimeError: there is no home folder.
    """
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home, 'dtp_stereo', name)
