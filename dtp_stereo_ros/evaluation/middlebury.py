"""Readers of Middlebury's stereo sets of 2001 to 2021, and of ETH3D, which has the same layout."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import InputError
from ..stereo import Float32Array
from .scan import at_least_one, first, folders, images, only, visible
from .scene import Scene, Truth, with_right
from .truth_files import image_rows, pfm_px, read_non_occluded, scaled_grey_px

# Names of the left truth: v3 and ETH3D, 2014 and 2021. That of the right view has a 1.
_TRUTHS = ('disp0GT.pfm', 'disp0.pfm')

# 2005 and 2006 come in three sizes of the same 1110 rows, disparities stored as
# value = disparity * 1 in all of them, so that px = value / shrink at a smaller size.
_FULL_ROWS_2005 = 1110

# Those of 2003 are 1500 rows at full size, where value = disparity; those of 2001 are all about
# 380 rows high, and value = 8 * disparity.
_SCALES_2003 = {1500: 1, 750: 2, 375: 4}
_SCALE_2001 = 8
# Images and truth of 2001 and 2003 by their names: left, right, left truth, right truth, scale
# (0: by the rows). `map` and `tsukuba` are named in their own ways.
_NAMES_2001 = (
    ('im2', 'im6', 'disp2', 'disp6', 0),
    ('im0', 'im1', 'disp0', 'disp1', 8),
    ('scene1.row3.col3', 'scene1.row3.col4', 'truedisp.row3.col3', '', 16),
)


def middlebury_v3(root: Path) -> list[Scene]:
    """Middlebury v3, 2014, 2021, ETH3D: ``SCENE/{im0,im1}.png`` with disparity as PFM.

    The truth is ``disp0GT.pfm`` with the mask ``mask0nocc.png`` where there is one (v3, ETH3D), or
    ``disp0.pfm`` (2014, 2021). Folders of scenes without truth (test sets) are read where none has
    one.
    """
    return _im0_scenes(root, [root])


def eth3d(root: Path) -> list[Scene]:
    """ETH3D's two views: as v3, with the truth beside the images or in ``*_gt``, as unpacked."""
    for name in ('two_view_training', 'two_view_test', 'two_view_testing'):
        if (root / name).is_dir():
            root = root / name
            break
    return _im0_scenes(root, [root, root.with_name(f'{root.name}_gt')])


def _im0_scenes(root: Path, truth_roots: list[Path]) -> list[Scene]:
    scenes = []
    for folder in folders(root):
        left = folder / 'im0.png'
        found = [place / folder.name / name for place in truth_roots for name in _TRUTHS]
        truth = first(*found)
        if truth is None and not left.exists():
            continue
        scene = Scene(
            folder.name,
            left,
            folder / 'im1.png',
            None if truth is None else partial(_masked_truth, truth),
            calibration_file=first(folder / 'calib.txt'),
            truth_files=() if truth is None else (truth, _mask_of(truth)),
        )
        right = None if truth is None else truth.with_name(truth.name.replace('0', '1'))
        scenes.append(with_right(scene, right, pfm_px))
    if any(scene.load_truth for scene in scenes):
        scenes = [
            scene
            if scene.load_truth
            else replace(
                scene,
                broken=f'{root / scene.name}: no {" or ".join(_TRUTHS)}, which other scenes have',
            )
            for scene in scenes
        ]
    if not scenes:
        names = ' or '.join(f'*/{name}' for name in _TRUTHS)
        raise InputError(f'{root}: no {names} in it; give the folder that holds the scenes')
    return scenes


def _mask_of(truth: Path) -> Path:
    return truth.with_name('mask0nocc.png')


def _masked_truth(path: Path) -> Truth:
    mask = _mask_of(path)
    non_occluded = read_non_occluded(mask) if mask.exists() else None
    return Truth(pfm_px(path), non_occluded, source=path)


def middlebury_2005(root: Path) -> list[Scene]:
    """Middlebury 2005 and 2006: ``SCENE/{view1,view5,disp1,disp5}.png``, two or seven views.

    Of seven views, those of the first illumination and exposure are taken
    (``SCENE/Illum1/Exp0/view1.png``).
    """
    scenes = []
    for folder in folders(root):
        truth = folder / 'disp1.png'
        if not truth.exists():
            continue
        views = folder
        if not (folder / 'view1.png').exists():
            views = next(iter(visible(p.parent for p in folder.glob('*/*/view1.png'))), folder)
        scene = Scene(
            folder.name,
            views / 'view1.png',
            views / 'view5.png',
            partial(_truth_by, _px_2005, truth),
            truth_files=(truth,),
        )
        scenes.append(with_right(scene, folder / 'disp5.png', _px_2005))
    return at_least_one(scenes, root, '*/disp1.png')


def middlebury_2001(root: Path) -> list[Scene]:
    """Middlebury 2001 and 2003: ``SCENE/im2.* im6.* disp2.* disp6.*``, also map and tsukuba."""
    scenes = []
    for folder in folders(root):
        stems = {path.stem for path in images(folder)}
        for left, right, truth, right_truth, scale in _NAMES_2001:
            if truth in stems:
                read = partial(_px_2001, scale)
                make = partial(_named_scene, folder, (left, right, truth), read)
                scene = Scene.of(folder.name, make)
                other = only(folder, right_truth) if right_truth in stems else None
                scenes.append(with_right(scene, other, read))
                break
    return at_least_one(scenes, root, '*/disp2.*')


def middlebury_classic(root: Path) -> list[Scene]:
    """Middlebury 2001-2006: ``scale.json`` (scene to scale), ``SCENE/{left,right,disp}.*``."""
    path = root / 'scale.json'
    try:
        scales = json.loads(path.read_text(encoding='utf-8-sig'))
        scales = {name: float(scale) for name, scale in scales.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f'{path}: cannot be read ({error}); it maps each scene to the factor of its stored '
            'disparities'
        ) from error
    for name, scale in scales.items():
        if not (math.isfinite(scale) and scale > 0):
            raise InputError(f'{path}: the factor of {name} is {scale}, it must be positive')
    stems = ('left', 'right', 'disp')
    scenes = [
        Scene.of(
            name,
            partial(_named_scene, root / name, stems, partial(scaled_grey_px, scale=scale), path),
        )
        for name, scale in sorted(scales.items())
    ]
    return at_least_one(scenes, root, 'scene in scale.json')


def _named_scene(
    folder: Path,
    stems: tuple[str, str, str],
    read: Callable[[Path], Float32Array],
    *others: Path,
) -> Scene:
    """Left and right image and truth of a folder by their names; the truth depends on others too.

    Raises:
        InputError: one of them is missing, or there are several of that name.
    """
    left, right, truth = (only(folder, stem) for stem in stems)
    load = partial(_truth_by, read, truth)
    return Scene(folder.name, left, right, load, truth_files=(truth, *others))


def _px_2001(scale: int, path: Path) -> Float32Array:
    return scaled_grey_px(path, scale or _SCALES_2003.get(image_rows(path), _SCALE_2001))


def _px_2005(path: Path) -> Float32Array:
    return scaled_grey_px(path, max(1, round(_FULL_ROWS_2005 / image_rows(path))))


def _truth_by(read: Callable[[Path], Float32Array], path: Path) -> Truth:
    return Truth(read(path), source=path)
