"""The ray-casting generator as a source: workers draw scenes, the training device renders them."""

from __future__ import annotations

import torch

from .data import Batch, GeneratorConfig
from .synthetic.atlas import build_atlas
from .synthetic.materials import Bank
from .synthetic.photometric_batch import distort_batch
from .synthetic.raycast import RayCaster
from .synthetic.stream import Drawer, Drawn, DrawnBatches

RAYCAST = 'raycast'
Item = Batch | Drawn

_VALIDATION_SEED = 1_000_003


class Renderer:
    """One run's generator.

    Args:
        config: textures, sizes, batch size, seed and the largest disparity.
        device: where to render.
        process: number of the training process, where several train together.
    """

    def __init__(self, config: GeneratorConfig, device: torch.device, process: int = 0) -> None:
        atlas = build_atlas(config.textures, config.seed)
        self.bank = Bank.of(atlas)
        self.config = config
        self.device = device
        self.process = process
        self.caster = RayCaster(atlas, device, config.max_disparity_px)

    def drawn(self, first: int) -> DrawnBatches:
        """An endless stream of scenes from batch number `first` on."""
        return DrawnBatches(self._drawer(self.config.seed + self.process), first)

    def batch(self, drawn: Drawn) -> Batch:
        """Render what was drawn; see `data.collate`."""
        rendered = self.caster.render(drawn.scenes)
        generator = torch.Generator(self.device).manual_seed(drawn.seed)
        left, right = distort_batch(drawn.change, rendered.left, rendered.right, generator)
        clean_left, clean_right = (
            (image + 0.5).clamp(0, 255).to(torch.uint8)
            for image in (rendered.left, rendered.right)
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

    def validation(self, count: int) -> list[Batch]:
        """A fixed set on the CPU, of a seed of its own."""
        drawer = self._drawer(_VALIDATION_SEED + self.config.seed)
        batches = [self.batch(drawer.draw(number)) for number in range(count)]
        return [{k: v.cpu() for k, v in batch.items()} for batch in batches]

    def _drawer(self, seed: int) -> Drawer:
        config = self.config
        return Drawer(
            self.bank,
            config.sizes,
            config.batch_size,
            seed,
            self.device.type,
            config.max_disparity_px,
        )
