"""Readers of stereo data sets: a folder to scenes, each of which loads when it is asked to.

A new data set is one reader and one row of `READERS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import InputError
from ..image_io import read_image
from ..stereo import BoolArray, Float32Array, StereoFrame
from .truth_files import read_kitti_png, read_non_occluded, read_pfm, read_scaled_grey


@dataclass(frozen=True)
class Truth:
    """Ground truth of one left image, (H, W) each.

    Attributes:
        disparity_px: float32, NaN where unknown.
        non_occluded: where both cameras see the point, or None where the data set does not say.
        has_occluded: False when occluded pixels have no truth at all, so that there is no *all*.
    """

    disparity_px: Float32Array
    non_occluded: BoolArray | None = None
    has_occluded: bool = True

    def region(self, name: str) -> Float32Array | None:
        """The truth of one region, 'all' or 'noc', NaN elsewhere; None where it is not known."""
        if name == 'all':
            return self.disparity_px if self.has_occluded else None
        if self.non_occluded is None:
            return None
        return np.where(self.non_occluded, self.disparity_px, np.float32(np.nan))


@dataclass(frozen=True)
class Scene:
    """One pair of a data set.

    Attributes:
        name: unique in its data set.
        left, right: image files.
        load_truth: reads the ground truth, or None where there is none.
        load_right_px: reads the right view's disparity, (H, W) float32 px, NaN where unknown; only
            training asks for it. None where it is not published.
        world: scenes of one world are all trained on or all held out; empty where the scene is
            the only one of its world.
    """

    name: str
    left: Path
    right: Path
    load_truth: Callable[[], Truth] | None = None
    load_right_px: Callable[[], Float32Array] | None = None
    world: str = ''

    def load_frame(self) -> StereoFrame:
        """Read both images.

        Raises:
            InputError: a file is missing or unreadable, or the sizes differ.
        """
        return StereoFrame(read_image(self.left), read_image(self.right))


class Reader(Protocol):
    """Finds the scenes of a data set below a folder, sorted by name, at least one.

    Raises:
        InputError: the folder is missing or laid out otherwise; names what was looked for.
    """

    def __call__(self, root: Path) -> list[Scene]:
        """Find the scenes."""
        ...


def middlebury_v3(root: Path) -> list[Scene]:
    """Middlebury v3, the folder of scenes: ``SCENE/{im0,im1,mask0nocc}.png disp0GT.pfm``."""
    return [
        Scene(
            folder.name,
            folder / 'im0.png',
            folder / 'im1.png',
            partial(_middlebury_v3_truth, folder),
        )
        for folder in _folders(root, 'disp0GT.pfm')
    ]


def middlebury_classic(root: Path) -> list[Scene]:
    """Middlebury 2001-2006: ``scale.json`` (scene to scale), ``SCENE/{left,right,disp}.*``."""
    try:
        scales = json.loads((root / 'scale.json').read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise InputError(
            f'{root / "scale.json"}: cannot be read ({error}); it maps each scene to the factor '
            'of its stored disparities'
        ) from error
    return [
        Scene(
            name,
            only(root / name, 'left.*'),
            only(root / name, 'right.*'),
            partial(_scaled_truth, only(root / name, 'disp.*'), float(scale)),
        )
        for name, scale in sorted(scales.items())
    ]


def kitti2015(root: Path) -> list[Scene]:
    """KITTI 2015 ``training/``: ``image_2 image_3`` with ``disp_occ_0`` and/or ``disp_noc_0``."""
    scenes = [
        Scene(
            left.stem,
            left,
            root / 'image_3' / left.name,
            partial(kitti_truth, root / 'disp_occ_0' / left.name, root / 'disp_noc_0' / left.name),
        )
        for left in sorted((root / 'image_2').glob('*_10.png'))
    ]
    return at_least_one(scenes, root, 'image_2/*_10.png')


def flyingthings(root: Path) -> list[Scene]:
    """SceneFlow's original layout: ``frames_cleanpass/**/left/*.png`` and ``disparity/``."""
    scenes = []
    for truth in sorted((root / 'disparity').glob('**/left/*.pfm')):
        relative = truth.relative_to(root / 'disparity').with_suffix('.png')
        left = root / 'frames_cleanpass' / relative
        right = left.parent.parent / 'right' / left.name
        name = relative.with_suffix('').as_posix().replace('/left/', '/')
        scenes.append(Scene(name, left, right, partial(pfm_truth, truth)))
    return at_least_one(scenes, root, 'disparity/**/left/*.pfm')


def pairs(root: Path) -> list[Scene]:
    """Any folder of ``NAME_left.* NAME_right.*``, with ``NAME_disp.pfm`` where there is truth."""
    scenes = []
    for left in sorted(root.glob('*_left.*')):
        name = left.stem.removesuffix('_left')
        truth = root / f'{name}_disp.pfm'
        load = partial(pfm_truth, truth) if truth.exists() else None
        scenes.append(Scene(name, left, only(root, f'{name}_right.*'), load))
    return at_least_one(scenes, root, '*_left.*')


READERS: dict[str, Reader] = {
    'middlebury_v3': middlebury_v3,
    'middlebury_classic': middlebury_classic,
    'kitti2015': kitti2015,
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
        raise InputError(f'{root}: none of {", ".join(SHARED_LAYOUT.values())} in it')
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
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f'{root}: no such folder; give the folder of {name} after the colon')
    return name, READERS[name](root)


def _middlebury_v3_truth(folder: Path) -> Truth:
    return Truth(read_pfm(folder / 'disp0GT.pfm'), read_non_occluded(folder / 'mask0nocc.png'))


def _scaled_truth(path: Path, scale: float) -> Truth:
    return Truth(read_scaled_grey(path, scale))


def pfm_truth(path: Path) -> Truth:
    """Truth of all pixels from a PFM."""
    return Truth(read_pfm(path))


def kitti_truth(occluded_too: Path, non_occluded_only: Path) -> Truth:
    """KITTI's truth of one image from its two files, of which one may be missing."""
    if not occluded_too.exists():
        truth = read_kitti_png(non_occluded_only)
        return Truth(truth, np.isfinite(truth), has_occluded=False)
    truth = read_kitti_png(occluded_too)
    if not non_occluded_only.exists():
        return Truth(truth)
    return Truth(truth, np.isfinite(read_kitti_png(non_occluded_only)))


def _folders(root: Path, marker: str) -> list[Path]:
    folders = sorted(path.parent for path in root.glob(f'*/{marker}'))
    if not folders:
        raise InputError(f'{root}: no */{marker} in it; give the folder that holds the scenes')
    return folders


def at_least_one(scenes: list[Scene], root: Path, pattern: str) -> list[Scene]:
    """The scenes.

    Raises:
        InputError: there is none; names the pattern that found none.
    """
    if not scenes:
        raise InputError(f'{root}: no {pattern} in it; give the folder that holds them')
    return scenes


def only(folder: Path, pattern: str) -> Path:
    """The one file of a folder that matches a pattern.

    Raises:
        InputError: there is none, or there are several.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise InputError(f'{folder}: {len(found)} files {pattern}, expected one')
    return found[0]
