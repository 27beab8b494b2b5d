"""Training pairs on disk: ``NAME:PLACE`` to scenes, each of which loads when it is asked to.

Where a layout is also used for evaluation, the reader of `evaluation.datasets` serves. A new data
set is one reader and one row of `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import datasets
from dtp_stereo_ros.evaluation.datasets import (
    Scene,
    Truth,
    at_least_one,
    kitti_truth,
    only,
    pfm_truth,
)
from dtp_stereo_ros.evaluation.truth_files import read_pfm, read_scaled_grey
from dtp_stereo_ros.image_io import read_image
from dtp_stereo_ros.recordings.bags import unpack_bag
from dtp_stereo_ros.stereo import Float32Array

from ..synthetic.assets.writer import LEFT, RIGHT, TRUTH, read_truth

IMAGE_SUFFIXES = {'.png', '.jpg', '.jpeg', '.bmp', '.webp', '.ppm', '.pgm', '.tif', '.tiff'}

# Middlebury 2005 and 2006 come in three sizes of the same 1110 rows, disparities stored as
# value = disparity * 1 in all of them, so that px = value / shrink at a smaller size.
_MIDDLEBURY_FULL_ROWS = 1110

# Those of 2003 are 1500 rows at full size, where value = disparity; the older ones are all about
# 380 rows high, and value = 8 * disparity.
_MIDDLEBURY_2003_ROWS = {1500: 1, 750: 2, 375: 4}
_MIDDLEBURY_2001_SCALE = 8


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

    What lies below a folder TEST is left out: it is FlyingThings3D's test set.
    """
    scenes = [s for s in datasets.flyingthings(root) if 'TEST' not in s.name.split('/')]
    if not scenes:
        raise InputError(f'{root}: only a TEST split in it; give the folder with TRAIN')
    frames, truths = root / 'frames_cleanpass', root / 'disparity'
    return [
        _with_right(s, (truths / s.right.relative_to(frames)).with_suffix('.pfm'), _pfm_px)
        for s in scenes
    ]


def middlebury_v3(root: Path) -> list[Scene]:
    """Middlebury v3, or ETH3D: as for evaluation, with ``disp1GT.pfm`` where it is there."""
    scenes = datasets.middlebury_v3(root)
    return [_with_right(s, s.left.with_name('disp1GT.pfm'), _pfm_px) for s in scenes]


def kitti2012(root: Path) -> list[Scene]:
    """KITTI 2012 ``training/``: ``colored_0 colored_1``, ``disp_occ`` and/or ``disp_noc``."""
    scenes = [
        Scene(
            left.stem,
            left,
            root / 'colored_1' / left.name,
            partial(kitti_truth, root / 'disp_occ' / left.name, root / 'disp_noc' / left.name),
        )
        for left in sorted((root / 'colored_0').glob('*_10.png'))
    ]
    return at_least_one(scenes, root, 'colored_0/*_10.png')


def middlebury_2001(root: Path) -> list[Scene]:
    """Middlebury 2001 and 2003 as published: ``SCENE/im2.* im6.* disp2.* disp6.*``."""
    scenes = []
    for truth in sorted(root.glob('*/disp2.*')):
        views = only(truth.parent, 'im2.*'), only(truth.parent, 'im6.*')
        load = partial(_truth_by, _middlebury_2001_px, truth)
        scene = Scene(truth.parent.name, *views, load)
        right = truth.with_name(f'disp6{truth.suffix}')
        scenes.append(_with_right(scene, right, _middlebury_2001_px))
    return at_least_one(scenes, root, '*/disp2.*')


def middlebury_2005(root: Path) -> list[Scene]:
    """Middlebury 2005 and 2006 as published: ``SCENE/view1.png view5.png disp1.png disp5.png``."""
    scenes = [
        Scene(
            truth.parent.name,
            truth.parent / 'view1.png',
            truth.parent / 'view5.png',
            partial(_truth_by, _middlebury_2005_px, truth),
        )
        for truth in sorted(root.glob('*/disp1.png'))
    ]
    at_least_one(scenes, root, '*/disp1.png')
    return [_with_right(s, s.left.with_name('disp5.png'), _middlebury_2005_px) for s in scenes]


def folder(root: Path) -> list[Scene]:
    """Any folder of pairs.

    Either ``NAME_left.* NAME_right.*`` with ``NAME_disp.pfm`` where there is truth, or
    ``left/NAME.* right/NAME.*`` with ``disp/NAME.pfm``.
    """
    if not (root / 'left').is_dir():
        return datasets.pairs(root)
    rights = {p.stem: p for p in _images(root / 'right')}
    scenes = []
    for left in _images(root / 'left'):
        if left.stem not in rights:
            raise InputError(f'{left}: there is no {left.stem}.* in {root / "right"}')
        truth = root / 'disp' / f'{left.stem}.pfm'
        load = partial(pfm_truth, truth) if truth.exists() else None
        scenes.append(Scene(left.stem, left, rights[left.stem], load))
    return at_least_one(scenes, root, 'left/*')


def rendered(root: Path) -> list[Scene]:
    """Pairs of `dtp-stereo render`: ``NAME_left.png NAME_right.png NAME_truth.npz``."""
    scenes = []
    for left in sorted(root.glob(f'*{LEFT}')):
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
        root = Path(place).expanduser()
        if not root.is_dir():
            raise InputError(f'{root}: no such folder; give one after the colon')
        return read(root)

    return reader


READERS: dict[str, PairReader] = {
    'sceneflow': _at_folder(sceneflow),
    'kitti2012': _at_folder(kitti2012),
    'kitti2015': _at_folder(datasets.kitti2015),
    'middlebury_v3': _at_folder(middlebury_v3),
    'middlebury_2001': _at_folder(middlebury_2001),
    'middlebury_2005': _at_folder(middlebury_2005),
    'middlebury_classic': _at_folder(datasets.middlebury_classic),
    'eth3d': _at_folder(middlebury_v3),
    'folder': _at_folder(folder),
    'rendered': _at_folder(rendered),
    'bag': bag,
}


def open_pairs(spec: str, cache: Path) -> list[Scene]:
    """Find the pairs of ``NAME:PLACE``.

    Raises:
        InputError: the name is unknown, or the place is missing or laid out otherwise.
    """
    name, colon, place = spec.partition(':')
    if name not in READERS or not colon or not place:
        raise InputError(
            f'data {spec!r}: write synthetic, or NAME:PATH with NAME one of {", ".join(READERS)}'
        )
    return READERS[name](place, cache)


def _middlebury_2001_px(path: Path) -> Float32Array:
    rows = read_image(path).shape[0]
    return read_scaled_grey(path, _MIDDLEBURY_2003_ROWS.get(rows, _MIDDLEBURY_2001_SCALE))


def _truth_by(read: Callable[[Path], Float32Array], path: Path) -> Truth:
    return Truth(read(path))


def _middlebury_2005_px(path: Path) -> Float32Array:
    rows = read_image(path).shape[0]
    return read_scaled_grey(path, max(1, round(_MIDDLEBURY_FULL_ROWS / rows)))


def _with_right(scene: Scene, path: Path, read: Callable[[Path], Float32Array]) -> Scene:
    """With the right view's disparity where it is there."""
    return replace(scene, load_right_px=partial(read, path)) if path.exists() else scene


def _pfm_px(path: Path) -> Float32Array:
    """Some releases count the right view's disparities negatively."""
    return np.abs(read_pfm(path))


def _images(root: Path) -> list[Path]:
    if not root.is_dir():
        raise InputError(f'{root}: no such folder; left/ and right/ hold the two views')
    return sorted(p for p in root.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _rendered_truth(path: Path) -> Truth:
    return Truth(*read_truth(path))


def _rendered_right_px(path: Path) -> Float32Array:
    return read_truth(path, right=True)[0]
