"""The ray-casting generator as a source: workers draw scenes, the training device renders them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch.utils.data import IterableDataset

from dtp_stereo_ros.errors import StereoError

from .data import Batch, GeneratorConfig
from .synthetic.atlas import build_atlas
from .synthetic.materials import Bank
from .synthetic.raycast import RayCaster
from .synthetic.stream import Drawer, Drawn, DrawnBatches, make_batch

RAYCAST = 'raycast'
Item = Batch | Drawn

_VALIDATION_SEED = 1_000_003
_VALIDATION_BATCH = 16
# Share of pixels at edges that two devices may round to different surfaces.
_MOST_OFF = 0.005


class Renderer:
    """One run's generator.

    Args:
        config: textures, sizes, batch size, seed and the largest disparity.
        device: where to render.
        process: number of the training process, where several train together.
    """

    def __init__(self, config: GeneratorConfig, device: torch.device, process: int = 0) -> None:
        self.atlas = build_atlas(config.textures, config.seed, config.photos)
        self.bank = Bank.of(self.atlas)
        self.config = config
        self.device = device
        self.process = process
        self.caster = RayCaster(
            self.atlas, device, config.max_disparity_px, config.samples, config.compiled
        )

    def stream(self, first: int) -> IterableDataset[Item]:
        """An endless stream of scenes from batch number `first` on.

        A GPU is left to the training process, which renders them; a CPU renders in the workers.
        """
        drawn = DrawnBatches(self._drawer(self.config.seed + self.process), first)
        return drawn if self.device.type == 'cuda' else Rendered(self, drawn)

    def batch(self, drawn: Drawn) -> Batch:
        """Render what was drawn; see `data.collate`."""
        return make_batch(self.caster, drawn)

    def validation(self, count: int) -> list[Batch]:
        """A fixed set on the CPU, of a seed of its own."""
        drawer = self._drawer(_VALIDATION_SEED + self.config.seed, _VALIDATION_BATCH)
        batches = [self.batch(drawer.draw(number)) for number in range(count)]
        return [{k: v.cpu() for k, v in batch.items()} for batch in batches]

    def check(self) -> float:
        """Share of pixels that the device renders otherwise than the CPU.

        Raises:
            StereoError: so many that it would teach nonsense.
        """
        config = replace(self.config, sizes=((64, 128),), batch_size=4)
        scenes = _drawer(self.bank, config, _VALIDATION_SEED, 'cpu').draw(0).scenes
        limit = config.max_disparity_px
        here, there = (
            torch.cat([caster.render([part]).disparity_left.cpu() for part in scenes])
            for caster in (RayCaster(self.atlas, 'cpu', limit), self.caster)
        )
        off = float(((here - there).abs() > 1e-3 * here + 1e-3).float().mean())
        if off > _MOST_OFF:
            raise StereoError(
                f'{self.device} renders {100 * off:.1f} % of pixels otherwise than the CPU; '
                'do not train on it with this version of PyTorch'
            )
        return off

    def pairs_per_second(self) -> float:
        """How fast the device generates when it does nothing else."""
        drawn = [self._drawer(self.config.seed).draw(number) for number in range(2)]
        self.batch(drawn[0])
        _wait(self.device)
        begun, rounds = time.perf_counter(), 3
        for item in drawn * rounds:
            self.batch(item)
        _wait(self.device)
        return len(drawn) * rounds * self.config.batch_size / (time.perf_counter() - begun)

    def _drawer(self, seed: int, most: int | None = None) -> Drawer:
        size = self.config.batch_size if most is None else min(most, self.config.batch_size)
        config = replace(self.config, batch_size=size)
        return _drawer(self.bank, config, seed, self.device.type)


class Rendered(IterableDataset[Item]):
    """Batches of an endless stream of scenes, rendered by the process that asks for them."""

    def __init__(self, renderer: Renderer, drawn: DrawnBatches) -> None:
        self.renderer, self.drawn = renderer, drawn

    def __iter__(self) -> Iterator[Item]:
        for scenes in self.drawn:
            yield self.renderer.batch(scenes)


def _drawer(bank: Bank, config: GeneratorConfig, seed: int, device: str) -> Drawer:
    return Drawer(bank, config.sizes, config.batch_size, seed, device, config.max_disparity_px)


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
