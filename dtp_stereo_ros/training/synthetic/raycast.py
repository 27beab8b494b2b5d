"""Casts one ray per pixel of both views against all surfaces: batched tensors on any device.

The picture is cut into tiles. Every surface is tested only in the tiles that its projection
touches, all (surface, tile) couples of the batch at once, and the nearest hit of a pixel is found
with one integer maximum: a key holds the disparity's leading bits over the surface's index.
The winners are then hit again exactly, and shaded, once per pixel.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .atlas import Atlas, DeviceAtlas
from .flatten import CURTAIN, PILLAR, PLANE, ROUND, Surfaces, flatten
from .hits import TILE_H, TILE_W, depth_keys
from .scene import Scenes, pick
from .shading import shade_pixels
from .visibility import visible

# PyTorch announces that its interface may change; the tests would show it.
warnings.filterwarnings('ignore', 'index_reduce', UserWarning)

# Rays tested at once; bounds the memory (about 20 float tensors of this size).
RAYS_AT_ONCE = {'cpu': 1 << 17, 'device': 1 << 25}
# Pixels rendered at once (about 100 float tensors of this size).
PIXELS_AT_ONCE = {'cpu': 1 << 17, 'device': 1 << 24}
# Where in a pixel the colour is sampled, px from its centre, by number of samples.
SAMPLES = {
    1: ((0.0, 0.0),),
    2: ((-0.25, -0.25), (0.25, 0.25)),
    4: ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375)),
}


@dataclass(frozen=True)
class RenderedBatch:
    """A batch of pairs with its truth.

    Attributes:
        left, right: RGB float32 (B, 3, H, W), 0..255.
        disparity_left, disparity_right: (B, H, W) float32 px; 0 where no surface is.
        visible_left, visible_right: (B, H, W) bool, whether the other view sees the same point.
    """

    left: Tensor
    right: Tensor
    disparity_left: Tensor
    disparity_right: Tensor
    visible_left: Tensor
    visible_right: Tensor


@dataclass(frozen=True)
class _Tests:
    """P couples of a surface and a tile, of one class; see `depth_keys`."""

    kind: int
    masked: bool
    row: Tensor
    tile: Tensor
    corner: Tensor
    index: Tensor
    outline: Tensor


Prepared = tuple[Scenes, Surfaces]


def prepare(scenes: Scenes, device: torch.device | str) -> list[Prepared]:
    """Arrays for rendering on a device, in parts that fit its memory."""
    most = max(1, PIXELS_AT_ONCE[_sort(device)] // (scenes.height * scenes.width))
    # Parts of the same size, rather than a rest that costs as many calls as a full one.
    each = -(-len(scenes) // -(-len(scenes) // most))
    parts = [pick(scenes, slice(i, i + each)) for i in range(0, len(scenes), each)]
    return [(part, flatten(part)) for part in parts]


class RayCaster:
    """Renders `Scenes`.

    Args:
        atlas: textures that the scenes refer to.
        device: where to.
        max_disparity_px: surfaces nearer than this are cut away where they are.
        samples: colour samples a pixel, a key of `SAMPLES`; disparity is always the centre's.
        compiled: run hits and shading through `torch.compile`: a minute or two to begin with,
            several times faster on a GPU afterwards.
    """

    def __init__(
        self,
        atlas: Atlas,
        device: torch.device | str = 'cpu',
        max_disparity_px: float = 190.0,
        samples: int = 1,
        compiled: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.atlas = DeviceAtlas(atlas, self.device)
        self.max_disparity_px = max_disparity_px
        self.offsets = SAMPLES[samples]
        # To compute only the pixels of a kind saves time on a CPU; elsewhere the device would
        # have to tell how many there are.
        self.sparse = self.device.type == 'cpu' and not compiled
        self.keys, self.pixels = depth_keys, shade_pixels
        if compiled:
            self.keys = torch.compile(depth_keys, dynamic=True)
            self.pixels = torch.compile(shade_pixels, dynamic=True)

    @torch.no_grad()
    def render(self, scenes: Scenes | list[Prepared]) -> RenderedBatch:
        """Both views of all scenes; `prepare` may have been called elsewhere before."""
        prepared = prepare(scenes, self.device) if isinstance(scenes, Scenes) else scenes
        parts = [self._render(part, surfaces) for part, surfaces in prepared]
        if len(parts) == 1:
            return parts[0]
        fields = [[getattr(p, name) for p in parts] for name in RenderedBatch.__annotations__]
        return RenderedBatch(*(torch.cat(tensors) for tensors in fields))

    def _render(self, scenes: Scenes, surfaces: Surfaces) -> RenderedBatch:
        views = [self._view(scenes, surfaces, view) for view in (0, 1)]
        (left, d_left), (right, d_right) = views
        seen_left, seen_right = visible(d_left, d_right, -1), visible(d_right, d_left, +1)
        return RenderedBatch(left, right, d_left, d_right, seen_left, seen_right)

    def _view(self, scenes: Scenes, surfaces: Surfaces, view: int) -> tuple[Tensor, Tensor]:
        """Colour (B, 3, H, W) and disparity (B, H, W) of one view (0 left, 1 right)."""
        table = self._upload(surfaces.table[view])
        first = self._upload(surfaces.first)
        light = {
            name: self._upload(getattr(scenes, name)).float()
            for name in ('focal', 'cx', 'cy', 'lamp', 'ambient', 'surroundings')
        }
        tests = self._tests(scenes, surfaces, view)

        def cast(place: tuple[float, float], only_disparity: bool) -> tuple[Tensor, Tensor]:
            offset = self._upload(np.array(place, np.float32))
            key = self._nearest(scenes, table, tests, view, offset)
            return self.pixels(
                self.atlas, key, first, table, light, offset, view, only_disparity, self.sparse
            )

        shown = [cast(place, False) for place in self.offsets]
        disparity = shown[0][1] if len(shown) == 1 else cast((0.0, 0.0), True)[1]
        return torch.stack([colour for colour, _ in shown]).mean(dim=0), disparity

    def _upload(self, array: object) -> Tensor:
        tensor = torch.as_tensor(array)
        if self.device.type == 'cuda':
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _tests(self, scenes: Scenes, surfaces: Surfaces, view: int) -> list[_Tests]:
        """Surfaces to be tested in each tile, by class of surface."""
        flat = surfaces.kind == PLANE
        masked = surfaces.mask >= 0
        classes = [(PLANE, False, flat & ~masked), (PLANE, True, flat & masked)]
        classes += [(k, k == CURTAIN, surfaces.kind == k) for k in (ROUND, PILLAR, CURTAIN)]
        tests = []
        for kind, may_be_masked, chosen in classes:
            (rows,) = (chosen & (surfaces.bounds[view][:, 2] > 0)).nonzero()
            if len(rows):
                tests.append(self._couples(scenes, surfaces, view, kind, may_be_masked, rows))
        return tests

    def _couples(
        self,
        scenes: Scenes,
        surfaces: Surfaces,
        view: int,
        kind: int,
        masked: bool,
        rows: np.ndarray,
    ) -> _Tests:
        columns, tiles = _tiling(scenes)
        bounds = surfaces.bounds[view][rows]
        x0, y0 = bounds[:, 0] // TILE_W, bounds[:, 1] // TILE_H
        across = -(-bounds[:, 2] // TILE_W) - x0
        counts = across * (-(-bounds[:, 3] // TILE_H) - y0)
        total = int(counts.sum())
        starts = counts.cumsum() - counts
        first = surfaces.scene[rows] * tiles
        mask, repeat = surfaces.mask[rows], surfaces.repeat[rows]
        facts = np.stack((rows, surfaces.index[rows], mask, starts, across, x0, y0, first)).astype(
            np.int64
        )
        couple = torch.repeat_interleave(
            self._upload(facts), self._upload(counts), dim=1, output_size=total
        )
        row, index, mask, start, across, x0, y0, first = couple
        place = torch.arange(total, device=self.device) - start
        down = torch.div(place, across, rounding_mode='floor')
        tile_y, tile_x = y0 + down, x0 + place - down * across
        repeat = torch.repeat_interleave(
            self._upload(repeat.astype(np.float32)), self._upload(counts), output_size=total
        )
        tile = first + tile_y * columns + tile_x
        corner = torch.stack((tile_x * TILE_W, tile_y * TILE_H)).float()
        outline = torch.stack((mask.float(), repeat))
        return _Tests(kind, masked, row, tile, corner, index.int(), outline)

    def _nearest(
        self,
        scenes: Scenes,
        table: Tensor,
        tests: list[_Tests],
        view: int,
        offset: Tensor,
    ) -> Tensor:
        """Largest key (B, H, W) int32 of each pixel; see `depth_keys`."""
        columns, tiles = _tiling(scenes)
        rays = TILE_H * TILE_W
        best = torch.zeros((len(scenes) * tiles, rays), dtype=torch.int32, device=self.device)
        each = max(1, RAYS_AT_ONCE[_sort(self.device)] // rays)
        for test in tests:
            for i in range(0, len(test.row), each):
                part = slice(i, i + each)
                key = self.keys(
                    self.atlas,
                    test.kind,
                    test.masked,
                    view if test.kind == CURTAIN else 0,
                    self.max_disparity_px,
                    table,
                    test.row[part],
                    test.corner[:, part] + offset[:, None],
                    test.index[part],
                    test.outline[:, part],
                )
                best.index_reduce_(0, test.tile[part], key.reshape(-1, rays), 'amax')
        grid = (len(scenes), tiles // columns, columns, TILE_H, TILE_W)
        best = best.reshape(grid).transpose(2, 3)
        best = best.reshape(len(scenes), grid[1] * TILE_H, columns * TILE_W)
        return best[:, : scenes.height, : scenes.width].contiguous()


def _sort(device: torch.device | str) -> str:
    return 'cpu' if torch.device(device).type == 'cpu' else 'device'


def _tiling(scenes: Scenes) -> tuple[int, int]:
    """Columns of tiles, and tiles, of a picture; the last ones reach over its border."""
    columns = -(-scenes.width // TILE_W)
    return columns, columns * -(-scenes.height // TILE_H)
