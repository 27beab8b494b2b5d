"""Readers of SceneFlow: FlyingThings3D, its subset, Monkaa and Driving, as published."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..errors import InputError
from .scan import first, folders, visible
from .scene import Scene, pfm_truth, with_right
from .truth_files import pfm_px

# Folders of images: clean before final, PNG before WebP.
_PASSES = tuple(
    f'frames_{kind}{form}' for kind in ('cleanpass', 'finalpass') for form in ('', '_webp')
)
_SUBSET_PASSES = ('image_clean', 'image_final')
_SUFFIXES = ('.png', '.webp')

_log = logging.getLogger(__name__)


def flyingthings(root: Path) -> list[Scene]:
    """All pairs with truth: ``frames_cleanpass/**/left/*.png`` and ``disparity/**/left/*.pfm``.

    The images may be of the final pass, or WebP. Folders may be named as their archives
    (``monkaa__disparity``); the subset of FlyingThings3D has ``train/image_clean/left`` and
    ``train/disparity/left``. Truth without its image, as in an incomplete download, is passed
    over with a word.
    """
    scenes: list[Scene] = []
    missing = 0
    for prefix, passes, truths in _places(root):
        for truth in visible(truths.glob('**/left/*.pfm')):
            relative = truth.relative_to(truths)
            left = first(*(p / relative.with_suffix(s) for p in passes for s in _SUFFIXES))
            if left is None:
                missing += 1
                continue
            name = f'{prefix}{relative.with_suffix("").as_posix()}'
            scene = Scene(
                f'/{name}'.replace('/left/', '/').lstrip('/'),
                left,
                left.parent.parent / 'right' / left.name,
                partial(pfm_truth, truth),
                truth_files=(truth,),
            )
            scenes.append(with_right(scene, truth.parent.parent / 'right' / truth.name, pfm_px))
    if missing:
        _log.warning('%s: %d truth files are without their image, passed over', root, missing)
    if not scenes:
        raise InputError(
            f'{root}: no disparity/**/left/*.pfm in it with an image in {_PASSES[0]}; give the '
            'folder that holds them'
        )
    return scenes


def _places(root: Path) -> Iterator[tuple[str, list[Path], Path]]:
    """Prefix of the names, folders of images, and folder of truth."""
    names = {folder.name.rpartition('__')[2]: folder for folder in folders(root)}
    if 'disparity' in names:
        images = _PASSES if any(p in names for p in _PASSES) else _SUBSET_PASSES
        yield '', [names[p] for p in images if p in names], names['disparity']
    for split in ('train', 'val'):
        if (names.get(split, root) / 'disparity').is_dir() and split in names:
            yield (
                f'{split}/',
                [names[split] / p for p in _SUBSET_PASSES],
                names[split] / 'disparity',
            )
