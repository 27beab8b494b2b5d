"""Readers of plain folders of pairs, with truth as PFM where there is some."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .scan import at_least_one, by_stem, files, images, only_of
from .scene import Scene, pfm_truth

# Of the names of a pair.
_ENDINGS = ('_left', '_right')


def pairs(root: Path) -> list[Scene]:
    """Any folder of ``NAME_left.* NAME_right.*``, with ``NAME_disp.pfm`` where there is truth."""
    found = by_stem(images(root))
    truths = by_stem(files(root, {'.pfm'}))

    def scene(name: str) -> Scene:
        stems = f'{name}_left', f'{name}_right'
        left, right = (only_of(found.get(stem, []), root, f'{stem}.*') for stem in stems)
        return _scene(name, left, right, truths.get(f'{name}_disp', []))

    # Of both sides: where one is missing, that is told.
    names = dict.fromkeys(stem.rpartition('_')[0] for stem in found if stem.endswith(_ENDINGS))
    scenes = [Scene.of(name, partial(scene, name)) for name in names]
    return at_least_one(scenes, root, '*_left.*')


def folder(root: Path) -> list[Scene]:
    """Any folder of pairs.

    Either ``NAME_left.* NAME_right.*`` with ``NAME_disp.pfm`` where there is truth, or
    ``left/NAME.* right/NAME.*`` with ``disp/NAME.pfm``.
    """
    if not (root / 'left').is_dir():
        return pairs(root)
    lefts, rights = by_stem(images(root / 'left')), by_stem(images(root / 'right'))
    truths = by_stem(files(root / 'disp', {'.pfm'})) if (root / 'disp').is_dir() else {}

    def scene(name: str) -> Scene:
        left = only_of(lefts.get(name, []), root / 'left', f'{name}.*')
        right = only_of(rights.get(name, []), root / 'right', f'{name}.*')
        return _scene(name, left, right, truths.get(name, []))

    scenes = [Scene.of(name, partial(scene, name)) for name in dict.fromkeys([*lefts, *rights])]
    return at_least_one(scenes, root, 'left/*')


def _scene(name: str, left: Path, right: Path, truths: list[Path]) -> Scene:
    load = partial(pfm_truth, truths[0]) if truths else None
    return Scene(name, left, right, load, truth_files=tuple(truths[:1]))
