"""Rendered pairs as a folder: PNG views, half-precision disparity of both, occlusion.

Pair ``NAME`` is ``NAME_left.png``, ``NAME_right.png`` and ``NAME_truth.npz`` with ``left_px`` and
``right_px``, float16 (H, W) px, and ``left_seen`` and ``right_seen``, one bit a pixel.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from dtp_stereo_ros.errors import ConfigError, InputError
from dtp_stereo_ros.fleet.fleet import Fleet
from dtp_stereo_ros.fleet.tasks import Task
from dtp_stereo_ros.image_io import atomic
from dtp_stereo_ros.paths import make_folder
from dtp_stereo_ros.stereo import BoolArray, Float32Array, UInt8Array

from ..planar.render import StereoPair
from ..planar.textures import load_photos
from .library import Library
from .packages import write_packages
from .pairs import Assets, PairSettings, render_pairs

SETTINGS = 'settings.json'
LEFT, RIGHT, TRUTH = '_left.png', '_right.png', '_truth.npz'
# Compression of PNG files: level 3 is a fifth larger than 9 at a tenth of the time.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


@dataclass(frozen=True)
class RenderSettings:
    """A folder of pairs.

    Attributes:
        assets: packed file.
        textures: folder of photographs, or None.
        size: (height, width) px.
        seed: of everything; world k depends on it and on k alone.
        pairs: how pairs are drawn.
        photos: most photographs that are loaded.
    """

    assets: Path
    textures: Path | None = None
    size: tuple[int, int] = (384, 640)
    seed: int = 0
    pairs: PairSettings = field(default_factory=PairSettings)
    photos: int = 400

    def described(self) -> dict[str, object]:
        """Settings that the pairs depend on, as plain values."""
        return {
            'assets': f'{self.assets.name}, {self.assets.stat().st_size} bytes',
            'textures': str(self.textures),
            'size': list(self.size),
            'seed': self.seed,
            'pairs': asdict(self.pairs),
            'photos': self.photos,
        }


def render_folder(
    settings: RenderSettings,
    count: int,
    out: Path,
    workers: int,
    progress: Callable[[int], object] = lambda done: None,
) -> int:
    """Render pairs that are not in the folder yet, until it holds `count`.

    Args:
        settings: what is rendered.
        count: pairs.
        out: folder; made where it is missing.
        workers: processes.
        progress: told the number of pairs there are after each world.

    Returns:
        Pairs rendered now.

    Raises:
        ConfigError: the folder was rendered with other settings; or embreex is missing.
        InputError: the assets cannot be read.
    """
    # Errors of the assets are told here, in one line, and not by each worker.
    packages = Library(settings.assets).packages
    photos = load_photos(settings.textures, settings.photos) if settings.textures else []
    make_folder(out)
    _claim(out / SETTINGS, settings)
    write_packages(out, packages)
    views = settings.pairs.views
    worlds = range((count + views - 1) // views)
    missing = [
        (world, min(views, count - world * views))
        for world in worlds
        if not (out / f'{_name(world, min(views, count - world * views) - 1)}{LEFT}').exists()
    ]
    done = 0
    there = count - sum(number for _, number in missing)
    tasks = [Task(f'{out}: world {world}', (world, number)) for world, number in missing]
    for _, number in Fleet(workers).all_results(_Rendering(settings, photos, out), tasks):
        done += number
        progress(there + done)
    return done


def write_pair(pair: StereoPair, stem: Path) -> None:
    """Write the files of a pair; the left view last, so that what has one is whole."""
    with atomic(Path(f'{stem}{TRUTH}')) as file:
        np.savez_compressed(
            file,
            left_px=pair.disparity_left.astype(np.float16),
            right_px=pair.disparity_right.astype(np.float16),
            left_seen=np.packbits(pair.visible_left, axis=1),
            right_seen=np.packbits(pair.visible_right, axis=1),
        )
    for ending, image in ((RIGHT, pair.right), (LEFT, pair.left)):
        _, data = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _PNG)
        with atomic(Path(f'{stem}{ending}')) as file:
            file.write(data.tobytes())


def read_truth(path: Path, right: bool = False) -> tuple[Float32Array, BoolArray]:
    """Disparity (H, W) px and where the other camera sees the point, of one view.

    Raises:
        InputError: the file is missing, or not of `write_pair`.
    """
    side = 'right' if right else 'left'
    try:
        with np.load(path, allow_pickle=False) as arrays:
            disparity = arrays[f'{side}_px'].astype(np.float32)
            bits = arrays[f'{side}_seen']
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f'{path}: no truth of a rendered pair ({error})') from error
    seen = np.unpackbits(bits, axis=1, count=disparity.shape[1])
    return disparity, seen.astype(np.bool_)


def _name(world: int, view: int) -> str:
    return f'{world:06d}_{view}'


def _claim(path: Path, settings: RenderSettings) -> None:
    """Write down what the folder holds, or compare."""
    described = json.loads(json.dumps(settings.described()))
    if not path.exists():
        with atomic(path) as file:
            file.write(json.dumps(described, indent=1).encode())
        return
    try:
        before = dict(json.loads(path.read_text(encoding='utf-8')))
    except (ValueError, TypeError) as error:
        raise InputError(f'{path}: is damaged ({error}); give another --out') from error
    for key, value in described.items():
        if before.get(key) != value:
            raise ConfigError(
                f'{path.parent}: was rendered with {key} {before.get(key)}, not {value}; give '
                'another --out'
            )


# Compared by identity: images have no single truth value.
@dataclass(frozen=True, eq=False)
class _Rendering:
    """Work of rendering worlds into a folder."""

    settings: RenderSettings
    photos: list[UInt8Array]
    out: Path

    def open(self, threads: int) -> _Renderer:
        return _Renderer(self)


class _Renderer:
    """Worker with its models open."""

    def __init__(self, work: _Rendering) -> None:
        self._work = work
        settings = work.settings
        self._assets = Assets(Library(settings.assets), work.photos, settings.pairs)

    def do(self, given: tuple[int, int]) -> int:
        """Render so many pairs of a world; returns their number."""
        world, number = given
        rng = np.random.default_rng((self._work.settings.seed, world))
        pairs = render_pairs(rng, self._assets, self._work.settings.size)
        for view in range(number):
            write_pair(next(pairs), self._work.out / _name(world, view))
        return number

    def close(self) -> None:
        pass
