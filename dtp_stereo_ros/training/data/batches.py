"""Batches of procedural pairs, made in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from dtp_stereo_ros.stereo import BoolArray, Float32Array, UInt8Array

from ..settings import GeneratorConfig
from ..synthetic.planar.photometric import distort_pair
from ..synthetic.planar.render import StereoPair, render
from ..synthetic.planar.scenes import SceneMaker
from ..synthetic.planar.textures import TextureBank, load_photos

Batch = dict[str, Tensor]
# Fresh pairs of (height, width) px.
MakePairs = Callable[[tuple[int, int]], list[StereoPair]]


def make_pair(maker: SceneMaker, rng: np.random.Generator, size: tuple[int, int]) -> StereoPair:
    """One clean pair of (height, width)."""
    camera, surfaces = maker.draw(rng, *size)
    return render(camera, surfaces, maker.max_disparity_px)


def flip_pair(rng: np.random.Generator, pair: StereoPair, upside_down: float = 0.5) -> StereoPair:
    """Upside down by that chance, or mirrored with the views exchanged by chance.

    Both keep the geometry true.
    """
    if rng.random() < upside_down:
        pair = StereoPair(*(a[::-1] for a in _fields(pair)))
    if rng.random() < 0.5:
        left, right, d_left, d_right, v_left, v_right = (a[:, ::-1] for a in _fields(pair))
        pair = StereoPair(right, left, d_right, d_left, v_right, v_left)
    return pair


def _fields(pair: StereoPair) -> tuple[np.ndarray, ...]:
    return (
        pair.left,
        pair.right,
        pair.disparity_left,
        pair.disparity_right,
        pair.visible_left,
        pair.visible_right,
    )


@dataclass(frozen=True)
class Sample:
    """One training example.

    Attributes:
        left, right: RGB uint8 (H, W, 3) as the student sees them, distorted.
        clean_left, clean_right: the same before distortion, as a teacher sees them.
        disparity: (H, W) float32 px, 0 where unknown.
        visible: (H, W) bool, seen by both cameras as far as it is known.
        known: (H, W) bool, where there is truth.
        taught: what a cached teacher says of this crop, by name, or empty.
    """

    left: UInt8Array
    right: UInt8Array
    clean_left: UInt8Array
    clean_right: UInt8Array
    disparity: Float32Array
    visible: BoolArray
    known: BoolArray
    taught: dict[str, np.ndarray] = field(default_factory=dict)


def collate(samples: list[Sample]) -> Batch:
    """Samples to a batch, images (B, 3, H, W) uint8 in channels-last memory."""
    batch = {
        name: torch.from_numpy(np.stack([getattr(s, name) for s in samples]))
        for name in ('left', 'right', 'clean_left', 'clean_right', 'disparity', 'visible', 'known')
    }
    for name in ('left', 'right', 'clean_left', 'clean_right'):
        batch[name] = batch[name].permute(0, 3, 1, 2)
    for name in samples[0].taught:
        batch[name] = torch.from_numpy(np.stack([s.taught[name] for s in samples]))
    return batch


class PooledBatches(IterableDataset[Batch]):
    """An endless stream of batches; give it to a DataLoader with ``batch_size=None``.

    Each worker keeps a pool of pairs, renews one in every `reuse` draws, and distorts, flips and
    batches what it draws: making a pair costs about as much as training on it on a CPU.

    Args:
        config: what is generated.
        skip: where a run that goes on starts, so that it sees other pairs.
        process: number of the training process, where several train together.
    """

    # Share of the pairs that are turned upside down.
    upside_down = 0.5

    def __init__(self, config: GeneratorConfig, skip: int = 0, process: int = 0) -> None:
        self.config = config
        self.seed: tuple[int, ...] = (skip, process) if process else (skip,)

    def maker(self, rng: np.random.Generator) -> MakePairs:
        """Factory of fresh pairs of a size, called once in each worker."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        config = self.config
        worker = get_worker_info()
        number = worker.id if worker else 0
        # Every process draws in one thread; the training step needs the cores.
        cv2.setNumThreads(1)
        rng = np.random.default_rng((config.seed, number, *self.seed))
        make = self.maker(rng)
        pools = [_Pool(size, make, config) for size in config.sizes]
        turn = number
        while True:
            turn += 1
            pool = pools[turn % len(pools)]
            yield collate([self._draw(rng, pool) for _ in range(config.batch_size)])

    def _draw(self, rng: np.random.Generator, pool: _Pool) -> Sample:
        pair = flip_pair(rng, pool.draw(rng), self.upside_down)
        left, right = distort_pair(rng, pair.left, pair.right)
        # What is nearer than the network searches is no lesson.
        known = pair.disparity_left <= self.config.max_disparity_px
        visible = pair.visible_left & known
        return Sample(left, right, pair.left, pair.right, pair.disparity_left, visible, known)


class _Pool:
    """Pairs of one size, each drawn `reuse` times on average."""

    def __init__(self, size: tuple[int, int], make: MakePairs, config: GeneratorConfig) -> None:
        self.size, self.make, self.config = size, make, config
        self.kept: list[StereoPair] = []
        self.fresh: list[StereoPair] = []

    def draw(self, rng: np.random.Generator) -> StereoPair:
        kept = self.kept
        if len(kept) >= 16 and rng.random() >= 1 / self.config.reuse:
            return kept[rng.integers(len(kept))]
        if not self.fresh:
            self.fresh = self.make(self.size)
        pair = self.fresh.pop()
        if len(kept) < self.config.pool:
            kept.append(pair)
        else:
            kept[rng.integers(len(kept))] = pair
        return pair


def scene_maker(config: GeneratorConfig) -> SceneMaker:
    """The procedural generator, with the photographs of the settings.

    Raises:
        InputError: there are no photographs where they should be.
    """
    photos = load_photos(config.textures) if config.textures else []
    return SceneMaker(TextureBank(photos), config.max_disparity_px)


class SyntheticBatches(PooledBatches):
    """Pairs of the procedural generator, one at a time."""

    def maker(self, rng: np.random.Generator) -> MakePairs:
        """See `PooledBatches`."""
        maker = scene_maker(self.config)
        return lambda size: [make_pair(maker, rng, size)]


def validation_batches(config: GeneratorConfig, count: int) -> list[Batch]:
    """A fixed set for choosing between checkpoints: `count` batches of a seed of their own."""
    stream = iter(SyntheticBatches(config, skip=2**31))
    return [next(stream) for _ in range(count)]
