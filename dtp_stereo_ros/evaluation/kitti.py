"""Readers of KITTI 2012 and 2015: ``training/`` as published, or the folder that holds it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .scan import at_least_one, below, files, first
from .scene import Scene, Truth
from .truth_files import kitti_px


def kitti2015(root: Path) -> list[Scene]:
    """KITTI 2015: ``image_2 image_3`` with ``disp_occ_0`` and/or ``disp_noc_0``."""
    root = below(root, 'training', 'image_2')
    return _scenes(root, ('image_2', 'image_3'), ('disp_occ_0', 'disp_noc_0'), 'calib_cam_to_cam')


def kitti2012(root: Path) -> list[Scene]:
    """KITTI 2012: ``colored_0 colored_1``, else grey, with ``disp_occ`` and/or ``disp_noc``."""
    root = below(root, 'training', 'colored_0')
    views = 'colored_0', 'colored_1'
    if not (root / views[0]).is_dir():
        grey = below(root, 'training', 'image_0')
        if (grey / 'image_0').is_dir():
            root, views = grey, ('image_0', 'image_1')
    return _scenes(root, views, ('disp_occ', 'disp_noc'), 'calib')


def _scenes(
    root: Path, views: tuple[str, str], truths: tuple[str, str], calibrations: str
) -> list[Scene]:
    """Scenes of the frames ``*_10.png``, the only ones with truth; without truth (testing) too."""
    # Of both views: where one is missing, that is told.
    folders = [root / view for view in views if (root / view).is_dir()]
    names = {path.name for folder in folders for path in files(folder, {'.png'})}
    scenes = []
    for left in (root / views[0] / name for name in sorted(names)):
        if not left.stem.endswith('_10'):
            continue
        paths = root / truths[0] / left.name, root / truths[1] / left.name
        known = first(*paths) is not None
        calibration = root / calibrations / f'{left.stem.removesuffix("_10")}.txt'
        scenes.append(
            Scene(
                left.stem,
                left,
                root / views[1] / left.name,
                partial(kitti_truth, *paths) if known else None,
                calibration_file=first(calibration),
                truth_files=paths,
            )
        )
    return at_least_one(scenes, root, f'{views[0]}/*_10.png')


def kitti_truth(occluded_too: Path, non_occluded_only: Path) -> Truth:
    """KITTI's truth of one image from its two files, of which one may be missing."""
    if not occluded_too.exists():
        truth = kitti_px(non_occluded_only)
        return Truth(truth, np.isfinite(truth), has_occluded=False, source=non_occluded_only)
    truth = kitti_px(occluded_too)
    if not non_occluded_only.exists():
        return Truth(truth, source=occluded_too)
    return Truth(truth, np.isfinite(kitti_px(non_occluded_only)), source=occluded_too)
