"""The ray-casting generator as a source: workers draw scenes, the training device renders them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import IterableDataset

from dtp_stereo_ros.errors import StereoError

from ..settings import GeneratorConfig
from ..synthetic.atlas import build_atlas
from ..synthetic.materials import Bank
from ..synthetic.planar.render import StereoPair
from ..synthetic.raycast import RayCaster, RenderedBatch
from ..synthetic.sampler import SceneSampler
from ..synthetic.stream import Drawer, Drawn, DrawnBatches, make_batch
from .batches import Batch, MakePairs, PooledBatches

Item = Batch | Drawn

_VALIDATION_SEED = 1_000_003
_VALIDATION_BATCH = 16
_RENDERED_AT_ONCE = 8
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

        A GPU is left to the training process, which renders them; a CPU renders in the workers,
        and as rendering costs it more than a step, it draws each pair several times.
        """
        if self.device.type != 'cuda':
            return RenderedBatches(self, first)
        return self.drawn(first)

    def drawn(
        self, first: int, sizes: tuple[tuple[int, int], ...] | None = None
    ) -> IterableDataset[Item]:
        """An endless stream of scenes that are not rendered yet; `sizes` in place of the run's."""
        drawer = self._drawer(self.config.seed + self.process)
        return DrawnBatches(replace(drawer, sizes=sizes or drawer.sizes), first)

    def batch(self, drawn: Drawn) -> Batch:
        """Render what was drawn; see `batches.collate`."""
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
        """Pairs a second that the device generates when it does nothing else."""
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


class RenderedBatches(PooledBatches):
    """Pairs that the CPU renders in the process that asks for them."""

    # A room, a road or a wood is seen upside down less often than clutter is.
    upside_down = 0.1

    def __init__(self, renderer: Renderer, skip: int) -> None:
        super().__init__(renderer.config, skip, renderer.process)
        self.renderer = renderer

    def maker(self, rng: np.random.Generator) -> MakePairs:
        """See `PooledBatches`."""
        sampler = SceneSampler(self.renderer.bank, self.config.max_disparity_px)

        def make(size: tuple[int, int]) -> list[StereoPair]:
            scenes = sampler.draw(rng, _RENDERED_AT_ONCE, size)
            return stereo_pairs(self.renderer.caster.render(scenes))

        return make


def stereo_pairs(rendered: RenderedBatch) -> list[StereoPair]:
    """A batch, pair by pair in NumPy."""
    left, right = (
        (image + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        for image in (rendered.left, rendered.right)
    )
    truth = (
        t.numpy()
        for t in (
            rendered.disparity_left,
            rendered.disparity_right,
            rendered.visible_left,
            rendered.visible_right,
        )
    )
    return [StereoPair(*fields) for fields in zip(left, right, *truth, strict=True)]


def _drawer(bank: Bank, config: GeneratorConfig, seed: int, device: str) -> Drawer:
    return Drawer(bank, config.sizes, config.batch_size, seed, device, config.max_disparity_px)


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
