"""Looking for the files of a data set in a folder, past what only lies beside them.

Hidden files (also those that macOS writes on foreign disks, ``._NAME``), folders of archives and
files of other kinds are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError

Item = TypeVar('Item')

IMAGE_SUFFIXES = {'.png', '.jpg', '.jpeg', '.bmp', '.webp', '.ppm', '.pgm', '.tif', '.tiff'}

_NOT_A_SCENE = {'__MACOSX', '$RECYCLE.BIN', 'System Volume Information'}


def visible(paths: Iterable[Path]) -> list[Path]:
    """Those that are not hidden, sorted; numbers in a name count as numbers."""
    shown = (p for p in paths if not p.name.startswith('.') and p.name not in _NOT_A_SCENE)
    return sorted(shown, key=_in_order)


def _in_order(path: Path) -> tuple[Any, ...]:
    """Key by which frame9 comes before frame10; texts and numbers take turns in it."""
    parts = re.split(r'([0-9]+)', str(path))
    return tuple(int(part) if part.isdecimal() else part for part in parts), str(path)


def folders(root: Path) -> list[Path]:
    """Folders in a folder, sorted.

    Raises:
        InputError: it cannot be listed.
    """
    return [path for path in _listed(root) if path.is_dir()]


def files(root: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files of a folder with one of the endings (lower case, any case is found), sorted.

    Raises:
        InputError: there is no such folder, or it cannot be listed.
    """
    wanted = set(suffixes)
    return [path for path in _listed(root) if path.suffix.lower() in wanted and path.is_file()]


def _listed(root: Path) -> list[Path]:
    try:
        return visible(root.iterdir())
    except OSError as error:
        raise InputError(
            f'{root}: cannot be listed ({error.strerror}); check the data folder'
        ) from error


def images(root: Path) -> list[Path]:
    """Images of a folder, sorted."""
    return files(root, IMAGE_SUFFIXES)


def by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by their names without ending."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(path.stem, []).append(path)
    return found


def only(folder: Path, stem: str) -> Path:
    """The one image ``STEM.*`` of a folder.

    Raises:
        InputError: there is none, or there are several.
    """
    found = [path for path in images(folder) if path.stem == stem]
    return only_of(found, folder, f'{stem}.*')


def only_of(found: list[Path], folder: Path, pattern: str) -> Path:
    """The one file that was found.

    Raises:
        InputError: there is none, or there are several; names the folder and the pattern.
    """
    if not found:
        raise InputError(f'{folder}: has no file {pattern}; add it')
    if len(found) > 1:
        raise InputError(f'{folder}: has {len(found)} files {pattern}; leave one of them')
    return found[0]


def first(*paths: Path) -> Path | None:
    """The first path that exists."""
    return next((path for path in paths if path.exists()), None)


def below(root: Path, name: str, marker: str) -> Path:
    """The folder that holds the marker: the root or, as archives unpack, a folder in it."""
    return (
        root / name if not (root / marker).exists() and (root / name / marker).exists() else root
    )


def at_least_one(found: list[Item], root: Path, pattern: str) -> list[Item]:
    """Scenes that were found.

    Raises:
        InputError: nothing; names the pattern that found none.
    """
    if not found:
        raise InputError(f'{root}: no {pattern} in it; give the folder that holds them')
    return found
