"""Training pairs on disk: ``NAME:PLACE`` to scenes, each of which loads when it is asked to.

The readers are those of `evaluation.datasets`, beside bags. A new data set is one reader and one
row there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import datasets
from dtp_stereo_ros.evaluation.datasets import Scene, Truth
from dtp_stereo_ros.evaluation.folder_pairs import folder
from dtp_stereo_ros.evaluation.scan import at_least_one, visible
from dtp_stereo_ros.evaluation.sceneflow import flyingthings
from dtp_stereo_ros.health.brightness import BrightnessCheck
from dtp_stereo_ros.image_io import read_image
from dtp_stereo_ros.messages.compressed_images import PNG_HEADER_BYTES, has_16_bits
from dtp_stereo_ros.paths import expanded
from dtp_stereo_ros.recordings.bags import unpack_bag
from dtp_stereo_ros.stereo import Float32Array

from ..synthetic.assets.writer import LEFT, RIGHT, TRUTH, read_truth

_log = logging.getLogger(__name__)


class PairReader(Protocol):
    """Finds the pairs at a place.

    Args:
        place: what stands behind ``NAME:``.
        cache: folder for what has to be unpacked first; made when it is needed.

    Raises:
        InputError: the place is missing or laid out otherwise.
    """

    def __call__(self, place: str, cache: Path) -> list[Scene]:
        """Find the pairs, sorted by name, at least one."""
        ...


def sceneflow(root: Path) -> list[Scene]:
    """FlyingThings3D, Monkaa or Driving as published: ``frames_cleanpass/`` and ``disparity/``.

    What lies below a folder TEST, or val of the subset, is left out: it is FlyingThings3D's test
    set.
    """
    scenes = [
        s
        for s in flyingthings(root)
        if 'TEST' not in s.name.split('/') and not s.name.startswith('val/')
    ]
    if not scenes:
        raise InputError(f'{root}: only a TEST split in it; give the folder with TRAIN')
    return scenes


def rendered(root: Path) -> list[Scene]:
    """Pairs of `dtp-stereo render`: ``NAME_left.png NAME_right.png NAME_truth.npz``."""
    scenes = []
    for left in visible(root.glob(f'*{LEFT}')):
        name = left.name.removesuffix(LEFT)
        truth = root / f'{name}{TRUTH}'
        scenes.append(
            Scene(
                name,
                left,
                root / f'{name}{RIGHT}',
                partial(_rendered_truth, truth),
                partial(_rendered_right_px, truth),
                name.rpartition('_')[0],
            )
        )
    return at_least_one(scenes, root, f'*{LEFT}')


def bag(place: str, cache: Path) -> list[Scene]:
    """A rosbag, ``FILE[,left=TOPIC,right=TOPIC,truth=TOPIC]``; see `bags.unpack_bag`."""
    return folder(unpack_bag(place, cache))


def _at_folder(read: Callable[[Path], list[Scene]]) -> PairReader:
    """A reader of a folder as a reader of a place."""

    def reader(place: str, cache: Path) -> list[Scene]:
        root = expanded(place)
        if not root.is_dir():
            raise InputError(f'{root}: no such folder; give one after the colon')
        return read(root)

    return reader


# Those of evaluation; pairs are part of `folder`, and flyingthings of `sceneflow`.
READERS: dict[str, PairReader] = {
    'sceneflow': _at_folder(sceneflow),
    'folder': _at_folder(folder),
    'rendered': _at_folder(rendered),
    'bag': bag,
    **{
        name: _at_folder(read)
        for name, read in datasets.READERS.items()
        if name not in ('pairs', 'flyingthings')
    },
}


def open_pairs(spec: str, cache: Path) -> list[Scene]:
    """Find the pairs of ``NAME:PLACE``.

    Raises:
        InputError: the name is unknown, the place is missing or laid out otherwise, or an image
            of a pair is missing.
    """
    name, colon, place = spec.partition(':')
    if name not in READERS or not colon or not place:
        raise InputError(
            f'data {spec!r}: write synthetic, raycast, assets:FILE, or NAME:PATH with NAME one of '
            f'{", ".join(READERS)}'
        )
    scenes = READERS[name](place, cache)
    for scene in scenes:
        # A training would meet it after hours; an evaluation leaves it out.
        missing = [path for path in (scene.left, scene.right) if not path.exists()]
        if scene.broken or missing:
            raise InputError(scene.broken or f'{missing[0]}: no such file; its pair needs it')
    for scene in scenes[:1]:
        _warn_of_12_bits(scene.left)
    return datasets.named_apart(scenes)


def _warn_of_12_bits(path: Path) -> None:
    """Warn where 16 bits hold 12: of 8 bits, which a network takes, four are left then."""
    with path.open('rb') as file:
        if not has_16_bits(file.read(PNG_HEADER_BYTES)):
            return
    for finding in BrightnessCheck(images=1).look(read_image(path), 'the PNG', str(path)):
        _log.warning('%s', finding.line)


def _rendered_truth(path: Path) -> Truth:
    return Truth(*read_truth(path), source=path)


def _rendered_right_px(path: Path) -> Float32Array:
    return read_truth(path, right=True)[0]
