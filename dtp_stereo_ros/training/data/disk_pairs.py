"""Batches from pairs on disk: random crops, scales and flips that keep the geometry true."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from dtp_stereo_ros.evaluation.datasets import Scene
from dtp_stereo_ros.stereo import BoolArray, Float32Array, UInt8Array

from ..settings import GeneratorConfig
from ..synthetic.planar.photometric import distort_pair
from .batches import Batch, Sample, collate
from .right_view import right_disparity, visible_from_disparity
from .teacher_cache import TaughtCache

# Pairs are resized by a factor drawn from this range; both axes differ a little from each other,
# which no camera does, but which makes other slants of the same surfaces.
_SCALES = (0.6, 1.5)
_STRETCH = 0.08
# Of less dense truth it cannot be told which points hide others, unless the data set says so.
_DENSE = 0.8
# Cached teacher distributions are at a quarter of the size: crops start at multiples of this.
CACHE_GRID = 4
_KEPT_IN_MEMORY = 24


@dataclass(frozen=True)
class Pair:
    """A pair with what is known of it.

    Attributes:
        left, right: RGB uint8 (H, W, 3).
        disparity: (H, W) float32 px, NaN where unknown.
        visible: (H, W) bool, seen by both cameras.
        taught: what a cached teacher says, arrays (..., H / s, W / s), or empty.
        right_px: (H, W) float32 px, disparity of the right view, NaN where unknown; None where
            nothing can be told of it.
    """

    left: UInt8Array
    right: UInt8Array
    disparity: Float32Array
    visible: BoolArray
    taught: dict[str, np.ndarray]
    right_px: Float32Array | None = None

    @property
    def mirrors(self) -> bool:
        """Whether the views can be exchanged: both disparities are known, or neither."""
        if self.taught:
            return False
        return self.right_px is not None or not np.isfinite(self.disparity).any()


def load_pair(scene: Scene, cache: TaughtCache | None = None) -> Pair:
    """Read a pair whole.

    Raises:
        InputError: a file is missing or unreadable, or the sizes differ.
    """
    frame, truth = scene.load()
    taught = cache.read(scene, frame) if cache else {}
    if truth is None:
        disparity = np.full(frame.left.shape[:2], np.nan, np.float32)
        visible = np.zeros(disparity.shape, np.bool_)
        return Pair(frame.left, frame.right, disparity, visible, taught)
    disparity, told = truth.disparity_px, truth.non_occluded
    visible = visible_from_disparity(disparity) if told is None else told
    right_px = scene.load_right(frame)
    if right_px is None and (told is not None or np.isfinite(disparity).mean() > _DENSE):
        right_px = right_disparity(disparity, visible)
    return Pair(frame.left, frame.right, disparity, visible, taught, right_px)


def resized(pair: Pair, factor_x: float, factor_y: float) -> Pair:
    """The pair at another size; disparity is a length along x and scales with it."""
    height, width = pair.disparity.shape
    size = max(1, round(width * factor_x)), max(1, round(height * factor_y))
    how = cv2.INTER_AREA if factor_x < 1 else cv2.INTER_LINEAR
    left, right = (cv2.resize(i, size, interpolation=how) for i in (pair.left, pair.right))
    stretch = np.float32(size[0] / width)

    def longer(disparity: Float32Array) -> Float32Array:
        scaled = cv2.resize(disparity, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(scaled * stretch, np.float32)

    visible = cv2.resize(
        pair.visible.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT
    )
    return Pair(
        np.asarray(left, np.uint8),
        np.asarray(right, np.uint8),
        longer(pair.disparity),
        np.asarray(visible, np.bool_),
        {},
        None if pair.right_px is None else longer(pair.right_px),
    )


def cropped(pair: Pair, y: int, x: int, size: tuple[int, int]) -> Pair:
    """The same window of both views: disparities stay, matches beyond the border get lost."""
    height, width = size
    rows, columns = slice(y, y + height), slice(x, x + width)
    disparity = pair.disparity[rows, columns]
    with np.errstate(invalid='ignore'):
        inside = np.arange(width) - disparity >= 0
    full_height = pair.disparity.shape[0]
    taught = {}
    for name, values in pair.taught.items():
        step = full_height // values.shape[-2]
        taught[name] = values[
            ..., y // step : (y + height) // step, x // step : (x + width) // step
        ]
    return Pair(
        pair.left[rows, columns],
        pair.right[rows, columns],
        disparity,
        pair.visible[rows, columns] & inside,
        taught,
        None if pair.right_px is None else pair.right_px[rows, columns],
    )


def flipped(pair: Pair, upside_down: bool, mirror: bool) -> Pair:
    """Upside down; mirrored with the views exchanged, only for pairs that `Pair.mirrors`."""
    if mirror:
        pair = _mirrored(pair)
    if not upside_down:
        return pair
    return Pair(
        pair.left[::-1],
        pair.right[::-1],
        pair.disparity[::-1],
        pair.visible[::-1],
        {name: values[..., ::-1, :] for name, values in pair.taught.items()},
        None if pair.right_px is None else pair.right_px[::-1],
    )


def _mirrored(pair: Pair) -> Pair:
    """The right view, mirrored, is a left one with the same disparities."""
    left, right = pair.right[:, ::-1], pair.left[:, ::-1]
    if pair.right_px is None:
        return replace(pair, left=left, right=right)
    disparity = np.ascontiguousarray(pair.right_px[:, ::-1])
    return Pair(
        left,
        right,
        disparity,
        visible_from_disparity(disparity),
        {},
        np.ascontiguousarray(pair.disparity[:, ::-1]),
    )


class PairBatches(IterableDataset[Batch]):
    """An endless stream of augmented crops; give it to a DataLoader with ``batch_size=None``.

    Args:
        scenes: at least one.
        config: sizes, batch size and seed of the batches; the largest disparity that counts.
        skip: where a run that goes on starts, so that it sees other crops.
        process: number of the training process, where several train together.
        cache: of a teacher. With it pairs keep their size, so that what it says stays exact.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        config: GeneratorConfig,
        skip: int = 0,
        process: int = 0,
        cache: TaughtCache | None = None,
    ) -> None:
        self.scenes = list(scenes)
        self.config = config
        self.seed = (skip, process)
        self.cache = cache

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number = worker.id if worker else 0
        cv2.setNumThreads(1)
        rng = np.random.default_rng((self.config.seed, number, *self.seed))
        load = functools.lru_cache(_KEPT_IN_MEMORY)(
            lambda i: load_pair(self.scenes[i], self.cache)
        )
        turn = number
        while True:
            turn += 1
            size = self.config.sizes[turn % len(self.config.sizes)]
            chosen = rng.integers(len(self.scenes), size=self.config.batch_size)
            yield collate([self.draw(rng, load(int(i)), size) for i in chosen])

    def draw(self, rng: np.random.Generator, pair: Pair, size: tuple[int, int]) -> Sample:
        """One augmented crop of (height, width)."""
        grid = CACHE_GRID if self.cache else 1
        if not self.cache:
            scale = float(np.exp(rng.uniform(*np.log(_SCALES))))
            pair = resized(pair, *scale * np.exp(rng.uniform(-_STRETCH, _STRETCH, 2)))
        pair = _at_least(pair, size)
        room = np.array(pair.disparity.shape) - size
        y, x = (int(rng.integers(r // grid + 1)) * grid for r in room)
        pair = cropped(pair, y, x, size)
        pair = flipped(pair, rng.random() < 0.3, pair.mirrors and rng.random() < 0.5)
        return to_sample(pair, self.config.max_disparity_px, rng)


def to_sample(pair: Pair, max_disparity_px: float, rng: np.random.Generator | None) -> Sample:
    """A pair as a sample, distorted where a source of chance is given.

    `distort_pair` also tilts and moves the right view vertically by fractions of a pixel, as a
    rig that was knocked does.
    """
    left, right = np.ascontiguousarray(pair.left), np.ascontiguousarray(pair.right)
    seen = distort_pair(rng, left, right) if rng else (left, right)
    with np.errstate(invalid='ignore'):
        known = np.isfinite(pair.disparity) & (pair.disparity <= max_disparity_px)
    return Sample(
        *seen,
        left,
        right,
        np.where(known, pair.disparity, 0).astype(np.float32),
        pair.visible & known,
        known,
        {name: np.ascontiguousarray(values) for name, values in pair.taught.items()},
    )


def held_out_batches(scenes: Sequence[Scene], config: GeneratorConfig, count: int) -> list[Batch]:
    """Middle crops of the first size from at most `count` batches of scenes, undistorted.

    Of more scenes those are taken that lie evenly apart.
    """
    size = config.sizes[0]
    samples = []
    wanted = min(len(scenes), count * config.batch_size)
    for scene in (scenes[index * len(scenes) // wanted] for index in range(wanted)):
        pair = _at_least(load_pair(scene), size)
        y, x = (int(r) // 2 for r in np.array(pair.disparity.shape) - size)
        samples.append(to_sample(cropped(pair, y, x, size), config.max_disparity_px, None))
    step = config.batch_size
    return [collate(samples[i : i + step]) for i in range(0, len(samples), step)]


def _at_least(pair: Pair, size: tuple[int, int]) -> Pair:
    """Enlarged where it is smaller than a crop; both axes alike.

    With a cached teacher, the pair is mirrored at the border instead, as enlarging would break
    what the cache says; nothing is known there.
    """
    height, width = pair.disparity.shape
    factor = max(size[0] / height, size[1] / width)
    if factor <= 1:
        return pair
    if not pair.taught:
        return resized(pair, factor * 1.001, factor * 1.001)
    low, side = max(0, size[0] - height), max(0, size[1] - width)
    left, right = (
        np.asarray(cv2.copyMakeBorder(i, 0, low, 0, side, cv2.BORDER_REFLECT_101), np.uint8)
        for i in (pair.left, pair.right)
    )
    taught = {}
    for name, values in pair.taught.items():
        step = height // values.shape[-2]
        short = [max(0, size[i] // step - values.shape[-2 + i]) for i in (0, 1)]
        taught[name] = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(0, n) for n in short])
    if 'taught_logits' in pair.taught:
        # The last rows and columns have no distribution where they are no whole cell.
        rows, columns = pair.taught['taught_logits'].shape[-2:]
        taught['taught_valid'][CACHE_GRID * rows :] = False
        taught['taught_valid'][:, CACHE_GRID * columns :] = False
    pad = ((0, low), (0, side))
    disparity = np.pad(pair.disparity, pad, constant_values=np.nan)
    return Pair(left, right, disparity, np.pad(pair.visible, pad), taught)
