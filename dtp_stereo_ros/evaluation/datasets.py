"""Stereo data sets by name: a folder to scenes, each of which loads when it is asked to.

A new data set is one reader and one row of `READERS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ..errors import InputError
from ..paths import expanded
from .folder_pairs import pairs
from .kitti import kitti2012, kitti2015
from .middlebury import eth3d, middlebury_2001, middlebury_2005, middlebury_classic, middlebury_v3
from .scene import Scene as Scene
from .scene import Truth as Truth
from .sceneflow import flyingthings


class Reader(Protocol):
    """Finds the scenes of a data set below a folder, sorted by name, at least one.

    Raises:
        InputError: the folder is missing or laid out otherwise; names what was looked for.
    """

    def __call__(self, root: Path) -> list[Scene]:
        """Find the scenes."""
        ...


READERS: dict[str, Reader] = {
    'middlebury_v3': middlebury_v3,
    'middlebury_2005': middlebury_2005,
    'middlebury_2001': middlebury_2001,
    'middlebury_classic': middlebury_classic,
    'eth3d': eth3d,
    'kitti2015': kitti2015,
    'kitti2012': kitti2012,
    'flyingthings': flyingthings,
    'pairs': pairs,
}

# Where each data set lies below a common folder, for `eval --shared`.
SHARED_LAYOUT: dict[str, str] = {
    'middlebury_v3': 'middlebury/MiddEval3/trainingQ',
    'middlebury_classic': 'middlebury/classic',
    'kitti2015': 'kitti2015/training',
    'flyingthings': 'sceneflow/FlyingThings3D',
}


def shared_sets(root: Path) -> list[str]:
    """``NAME:PATH`` of each data set of `SHARED_LAYOUT` that lies below a folder.

    Raises:
        InputError: there is none.
    """
    found = [
        f'{name}:{root / path}' for name, path in SHARED_LAYOUT.items() if (root / path).is_dir()
    ]
    if not found:
        raise InputError(
            f'{root}: none of {", ".join(SHARED_LAYOUT.values())} in it; name the folder that has '
            'them, or each data set by --data NAME:PATH'
        )
    return found


def open_dataset(spec: str) -> tuple[str, list[Scene]]:
    """Find the scenes of ``NAME:PATH``.

    Returns:
        The name and the scenes.

    Raises:
        InputError: the name is unknown, or the folder is not laid out as that data set.
    """
    name, colon, path = spec.partition(':')
    if name not in READERS or not colon or not path:
        raise InputError(
            f'data {spec!r}: write it as NAME:PATH with NAME one of {", ".join(READERS)}'
        )
    root = expanded(path)
    if not root.is_dir():
        raise InputError(f'{root}: no such folder; give the folder of {name} after the colon')
    return name, named_apart(READERS[name](root))


def open_datasets(specs: Iterable[str]) -> list[tuple[str, list[Scene]]]:
    """Find the scenes of several ``NAME:PATH``, of which several may have one NAME.

    Returns:
        (title, scenes) of each. The title is NAME where only one has it, else ``NAME-FOLDER``,
        numbered where that does not tell them apart either.

    Raises:
        InputError: see `open_dataset`.
    """
    specs = list(specs)
    found = [open_dataset(spec) for spec in specs]
    names = Counter(name for name, _ in found)
    titles = [
        name if names[name] == 1 else f'{name}-{_folder_name(spec)}'
        for spec, (name, _) in zip(specs, found, strict=True)
    ]
    return [(title, scenes) for title, (_, scenes) in zip(_apart(titles), found, strict=True)]


def named_apart(scenes: list[Scene]) -> list[Scene]:
    """The scenes under names that stay apart when '/' becomes '_', as in names of files."""
    names = _apart([scene.name.replace('/', '_') for scene in scenes])
    return [
        scene if name == scene.name.replace('/', '_') else replace(scene, name=name)
        for scene, name in zip(scenes, names, strict=True)
    ]


def _apart(names: list[str]) -> list[str]:
    """The names, with -2, -3 added to those that were there before."""
    taken: set[str] = set()
    apart = []
    for name in names:
        number, other = 1, name
        while other in taken:
            number += 1
            other = f'{name}-{number}'
        taken.add(other)
        apart.append(other)
    return apart


def _folder_name(spec: str) -> str:
    return Path(spec.partition(':')[2]).expanduser().resolve().name or 'root'
