"""Endless ray-cast batches: drawn in NumPy by any process, rendered on any device.

A `Drawer` needs no device and no pixels, so that worker processes can draw scenes ahead while a
GPU renders and trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from .materials import Bank
from .photometric_batch import Distortion, distort_batch, draw_distortion
from .raycast import Prepared, RayCaster, prepare
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
        what `data.collate` does, on the caster's device.
    """
    rendered = caster.render(drawn.scenes)
    generator = torch.Generator(caster.device).manual_seed(drawn.seed)
    left, right = distort_batch(drawn.change, rendered.left, rendered.right, generator)
    clean_left, clean_right = (
        (image + 0.5).clamp(0, 255).to(torch.uint8) for image in (rendered.left, rendered.right)
    )
    return {
        'left': left,
        'right': right,
        'clean_left': clean_left,
        'clean_right': clean_right,
        'disparity': rendered.disparity_left,
        'visible': rendered.visible_left,
        'known': torch.ones_like(rendered.visible_left),
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
