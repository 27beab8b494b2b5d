"""Endless ray-cast batches: drawn in NumPy by any process, rendered on any device.

A `Drawer` needs no device and no pixels, so that worker processes can draw scenes ahead while a
GPU renders and trains. Where there is no GPU, `RaycastBatches` does both in the worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from .atlas import Atlas
from .materials import Bank
from .photometric_batch import Distortion, distort_batch, draw_distortion
from .raycast import Prepared, RayCaster, RenderedBatch, prepare
from .render import StereoPair
from .sampler import SceneSampler

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Drawn:
    """A batch before it is rendered.

    Attributes:
        scenes: for `RayCaster.render`.
        change: of the cameras.
        seed: of the noise.
    """

    scenes: list[Prepared]
    change: Distortion
    seed: int


@dataclass(frozen=True)
class Drawer:
    """The CPU's part: the same seed and number give the same batch.

    Attributes:
        bank: materials; see `Bank.of`.
        sizes: (height, width) px; batches take them in turn.
        batch_size: pairs a batch.
        seed: of everything.
        device: type of the device that will render, which sets the size of the parts.
        max_disparity_px: nothing is nearer.
    """

    bank: Bank
    sizes: tuple[tuple[int, int], ...]
    batch_size: int
    seed: int = 0
    device: str = 'cpu'
    max_disparity_px: float = 190.0

    def draw(self, number: int) -> Drawn:
        """Batch `number` of the stream."""
        rng = np.random.default_rng((self.seed, number))
        size = self.sizes[number % len(self.sizes)]
        scenes = SceneSampler(self.bank, self.max_disparity_px).draw(rng, self.batch_size, size)
        change = draw_distortion(rng, self.batch_size, size)
        return Drawn(prepare(scenes, self.device), change, int(rng.integers(2**62)))


def make_batch(caster: RayCaster, drawn: Drawn) -> Batch:
    """The device's part.

    Returns:
        ``left``, ``right`` (B, 3, H, W) uint8, ``disparity`` (B, H, W) float32 px and
        ``visible`` bool, of the left view, on the caster's device.
    """
    rendered = caster.render(drawn.scenes)
    generator = torch.Generator(caster.device).manual_seed(drawn.seed)
    left, right = distort_batch(drawn.change, rendered.left, rendered.right, generator)
    return {
        'left': left,
        'right': right,
        'disparity': rendered.disparity_left,
        'visible': rendered.visible_left,
    }


class DrawnBatches(IterableDataset[Drawn]):
    """An endless stream for a DataLoader with ``batch_size=None``, whatever its workers.

    Args:
        drawer: draws them.
        first: number of the first batch.
    """

    def __init__(self, drawer: Drawer, first: int = 0) -> None:
        self.drawer, self.first = drawer, first

    def __iter__(self) -> Iterator[Drawn]:
        worker = get_worker_info()
        place, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        number = self.first + place
        while True:
            yield self.drawer.draw(number)
            number += stride


class RaycastBatches(IterableDataset[Batch]):
    """The same, rendered on the CPU by the worker.

    Args:
        drawer: draws the scenes.
        atlas: textures.
        first: number of the first batch.
        samples: colour samples a pixel.
    """

    def __init__(self, drawer: Drawer, atlas: Atlas, first: int = 0, samples: int = 1) -> None:
        self.drawn = DrawnBatches(drawer, first)
        self.atlas, self.samples = atlas, samples

    def __iter__(self) -> Iterator[Batch]:
        limit = self.drawn.drawer.max_disparity_px
        caster = RayCaster(self.atlas, 'cpu', limit, self.samples)
        for drawn in self.drawn:
            yield make_batch(caster, drawn)


def draw_pairs(
    caster: RayCaster,
    sampler: SceneSampler,
    rng: np.random.Generator,
    count: int,
    size: tuple[int, int],
) -> list[StereoPair]:
    """`count` clean pairs of (height, width), for a worker's pool; a few at a time are fastest."""
    return pairs_of(caster.render(sampler.draw(rng, count, size)))


def pairs_of(rendered: RenderedBatch) -> list[StereoPair]:
    """A batch as single pairs, for code that keeps and distorts them one by one."""
    colour = [
        (image + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        for image in (rendered.left, rendered.right)
    ]
    rest = [
        getattr(rendered, name).cpu().numpy()
        for name in ('disparity_left', 'disparity_right', 'visible_left', 'visible_right')
    ]
    return [StereoPair(*fields) for fields in zip(*colour, *rest, strict=True)]
