"""Tiny data sets in the layouts of the real ones: a textured plane, 16 px nearer on the right."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from dtp_stereo_ros.image_io import write_pfm

HEIGHT, WIDTH, SHIFT_PX = 48, 160, 16


def plane_pair() -> tuple[np.ndarray, np.ndarray]:
    """A fronto-parallel noise plane at 16 px: left and right, BGR uint8."""
    noise = np.random.default_rng(3).integers(0, 255, (HEIGHT, WIDTH + SHIFT_PX, 3), np.uint8)
    return noise[:, :WIDTH].copy(), noise[:, SHIFT_PX:].copy()


def truth() -> np.ndarray:
    """16 px everywhere but at the first row, which is unknown."""
    disparity = np.full((HEIGHT, WIDTH), SHIFT_PX, np.float32)
    disparity[0] = np.nan
    return disparity


def middlebury_v3(root: Path) -> Path:
    """Two scenes; the right half is marked as occluded."""
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, WIDTH // 2 :] = 128
    for name in ('Beta', 'Alpha'):
        scene = root / name
        scene.mkdir(parents=True)
        _write(scene / 'im0.png', scene / 'im1.png')
        write_pfm(scene / 'disp0GT.pfm', truth())
        cv2.imwrite(str(scene / 'mask0nocc.png'), mask)
    return root


def middlebury_classic(root: Path) -> Path:
    """One scene of scale 4."""
    scene = root / 'Plane'
    scene.mkdir(parents=True)
    _write(scene / 'left.png', scene / 'right.png')
    cv2.imwrite(str(scene / 'disp.pgm'), np.nan_to_num(truth() * 4).astype(np.uint8))
    (root / 'scale.json').write_text(json.dumps({'Plane': 4}))
    return root


def kitti2015(root: Path) -> Path:
    """Frame 0 has truth of occluded pixels only, frame 1 only the other, frame 2 both."""
    for folder in ('image_2', 'image_3', 'disp_occ_0', 'disp_noc_0'):
        (root / folder).mkdir(parents=True)
    stored = np.nan_to_num(truth() * 256).astype(np.uint16)
    seen_by_both = stored.copy()
    seen_by_both[:, :SHIFT_PX] = 0
    for index, kinds in enumerate((('occ',), ('noc',), ('occ', 'noc'))):
        name = f'{index:06d}_10.png'
        _write(root / 'image_2' / name, root / 'image_3' / name)
        for kind in kinds:
            pixels = stored if kind == 'occ' else seen_by_both
            cv2.imwrite(str(root / f'disp_{kind}_0' / name), pixels)
    return root


def flyingthings(root: Path) -> Path:
    """One frame of TRAIN/A."""
    frames = root / 'frames_cleanpass' / 'TRAIN' / 'A' / '0000'
    disparity = root / 'disparity' / 'TRAIN' / 'A' / '0000' / 'left'
    for folder in (frames / 'left', frames / 'right', disparity):
        folder.mkdir(parents=True)
    _write(frames / 'left' / '0006.png', frames / 'right' / '0006.png')
    write_pfm(disparity / '0006.pfm', truth())
    return root


def pairs(root: Path) -> Path:
    """One pair with truth and one without."""
    root.mkdir(parents=True)
    for name in ('wall', 'blank'):
        _write(root / f'{name}_left.png', root / f'{name}_right.png')
    write_pfm(root / 'wall_disp.pfm', truth())
    return root


def _write(left_path: Path, right_path: Path) -> None:
    left, right = plane_pair()
    cv2.imwrite(str(left_path), left)
    cv2.imwrite(str(right_path), right)


def eth3d(root: Path) -> Path:
    """Images and truth in two folders, as the two archives unpack."""
    middlebury_v3(root / 'two_view_training')
    for name in ('Beta', 'Alpha'):
        truths = root / 'two_view_training_gt' / name
        truths.mkdir(parents=True)
        for file in ('disp0GT.pfm', 'mask0nocc.png'):
            (root / 'two_view_training' / name / file).rename(truths / file)
    return root


def kitti2012(root: Path) -> Path:
    """Like that of 2015, under other names."""
    kitti2015(root)
    for old, new in (
        ('image_2', 'colored_0'),
        ('image_3', 'colored_1'),
        ('disp_occ_0', 'disp_occ'),
        ('disp_noc_0', 'disp_noc'),
    ):
        (root / old).rename(root / new)
    return root


def middlebury_2005(root: Path) -> Path:
    """At a third of the size, hence of 370 rows, disparities are stored three times as large."""
    scene = root / 'Art'
    scene.mkdir(parents=True)
    left, right = plane_pair()
    for name, pixels in (('view1.png', left), ('view5.png', right), ('disp1.png', stored(3))):
        write_tall(scene / name, pixels, 370)
    return root


def middlebury_2001(root: Path, rows: int = 380, scale: int = 8) -> Path:
    """At about 380 rows, disparities are stored eight times as large; in 2003 otherwise."""
    scene = root / 'venus'
    scene.mkdir(parents=True)
    left, right = plane_pair()
    for name, pixels in (('im2.ppm', left), ('im6.ppm', right), ('disp2.pgm', stored(scale))):
        write_tall(scene / name, pixels, rows)
    return root


def stored(scale: int) -> np.ndarray:
    """The truth as an 8-bit image."""
    return np.nan_to_num(truth() * scale).astype(np.uint8)


def write_tall(path: Path, pixels: np.ndarray, rows: int) -> None:
    """Mirrored below, until it has so many rows."""
    below = rows - HEIGHT
    cv2.imwrite(str(path), cv2.copyMakeBorder(pixels, 0, below, 0, 0, cv2.BORDER_REFLECT))
