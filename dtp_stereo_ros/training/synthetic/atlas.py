"""All textures in one tensor, so that any pixel of any scene can fetch from any of them.

A tile is a square texture with its mip levels (coarser copies for surfaces far away). Tiles
repeat mirrored, so that every texture covers a surface of any size without seams.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dtp_stereo_ros.stereo import UInt8Array

from .planar.shapes import draw_fence, draw_leaves, draw_mask
from .planar.textures import TextureBank, load_photos

TILE_PX = 256
LEVELS = 6
MASK_PX = 128
# Tiles drawn by `TextureBank` without photographs: noise, patterns, flat colour.
GENERATED_TILES = 48
MASKS = 64
# The last masks of an atlas are leaves, then fences.
LEAVES, FENCES = 16, 16


@dataclass(frozen=True)
class Atlas:
    """Textures and outlines.

    Attributes:
        tiles: RGB uint8 (K, TILE_PX, TILE_PX, 3).
        masks: coverage uint8 (M, MASK_PX, MASK_PX), 255 opaque.
        photos: tiles 0 .. photos - 1 are photographs, the others generated.
    """

    tiles: UInt8Array
    masks: UInt8Array
    photos: int


def build_atlas(textures: Path | None, seed: int = 0, photo_limit: int = 400) -> Atlas:
    """Tiles from the photographs of a folder (None for none) and from the generators.

    Raises:
        InputError: the folder holds no readable image.
    """
    rng = np.random.default_rng((seed, 77))
    photos = load_photos(textures, photo_limit) if textures else []
    tiles = [_square(rng, photo) for photo in photos]
    bank = TextureBank([])
    tiles += [bank.draw(rng, TILE_PX, TILE_PX) for _ in range(GENERATED_TILES)]
    masks = [draw_mask(rng, MASK_PX, MASK_PX)[0] for _ in range(MASKS)]
    masks += [draw_leaves(rng, MASK_PX, MASK_PX) for _ in range(LEAVES)]
    masks += [draw_fence(rng, MASK_PX, MASK_PX) for _ in range(FENCES)]
    # Some come larger than asked for; bars are solid whatever their shape.
    masks = [cv2.resize(m[:MASK_PX, :MASK_PX], (MASK_PX, MASK_PX)) for m in masks]
    return Atlas(np.stack(tiles), np.stack(masks), len(photos))


def _square(rng: np.random.Generator, photo: UInt8Array) -> UInt8Array:
    """A random square of a photograph, at least half its short side, as a tile."""
    short = min(photo.shape[:2])
    side = int(rng.integers(short // 2, short + 1))
    y, x = (int(rng.integers(extent - side + 1)) for extent in photo.shape[:2])
    how = cv2.INTER_AREA if side > TILE_PX else cv2.INTER_LINEAR
    return cv2.resize(photo[y : y + side, x : x + side], (TILE_PX, TILE_PX), interpolation=how)


def mip_levels(tiles: UInt8Array) -> list[np.ndarray]:
    """Each level float32 (K, side, side, 3), the mean of 2 x 2 texels of the one before."""
    levels = [tiles.astype(np.float32)]
    while len(levels) < LEVELS:
        last = levels[-1]
        count, side = last.shape[:2]
        levels.append(last.reshape(count, side // 2, 2, side // 2, 2, 3).mean(axis=(2, 4)))
    return levels


class DeviceAtlas:
    """An `Atlas` as two images on a device, sampled with `grid_sample`.

    Level 0 of all tiles forms a square grid; the grids of the coarser levels stand to its right,
    one below the other. A replicated texel around every tile keeps neighbours out.
    """

    def __init__(self, atlas: Atlas, device: torch.device | str = 'cpu') -> None:
        self.count = len(atlas.tiles)
        self.columns = int(np.ceil(np.sqrt(self.count)))
        levels = mip_levels(atlas.tiles)
        grids = [_grid(level, self.columns) for level in levels]
        height, first = grids[0].shape[:2]
        sheet = np.zeros((height, first + grids[1].shape[1], 3), np.float32)
        origins, y = [(0.0, 0.0)], 0
        sheet[:, :first] = grids[0]
        for grid in grids[1:]:
            sheet[y : y + grid.shape[0], first : first + grid.shape[1]] = grid
            origins.append((float(first), float(y)))
            y += grid.shape[0]
        self.sheet = torch.from_numpy(sheet.transpose(2, 0, 1).copy()[None]).to(device)
        self.origins = torch.tensor(origins, device=device)
        self.mask_columns = int(np.ceil(np.sqrt(len(atlas.masks))))
        masks = atlas.masks[..., None].astype(np.float32) / 255
        mask_sheet = _grid(masks, self.mask_columns)[..., 0]
        self.mask_sheet = torch.from_numpy(mask_sheet)[None, None].to(device)

    def fetch(self, tile: Tensor, u: Tensor, v: Tensor, lod: Tensor) -> Tensor:
        """Trilinear look-up.

        Args:
            tile: (n,) integer valued, any dtype.
            u, v: (n,) texels of level 0, any range.
            lod: (n,) level of detail, clamped to what there is.

        Returns:
            (3, n) float32, 0..255.
        """
        lod = lod.clamp(0, LEVELS - 1)
        low = lod.floor()
        fine = self._level(tile, u, v, low)
        coarse = self._level(tile, u, v, (low + 1).clamp(max=LEVELS - 1))
        return torch.lerp(fine, coarse, (lod - low)[None])

    def fetch_level(self, tile: Tensor, u: Tensor, v: Tensor, level: int) -> Tensor:
        """Bilinear look-up in one level; see `fetch`."""
        return self._level(tile, u, v, torch.full_like(u, float(level)))

    def _level(self, tile: Tensor, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
        tile = tile.to(u.dtype)
        row = torch.div(tile, self.columns, rounding_mode='floor')
        column = tile - row * self.columns
        shrink = torch.exp2(-level)
        pitch = TILE_PX * shrink + 2
        origin = self.origins[level.long()]
        x = origin[:, 0] + column * pitch + 1 + mirrored(u, TILE_PX) * shrink
        y = origin[:, 1] + row * pitch + 1 + mirrored(v, TILE_PX) * shrink
        return _look_up(self.sheet, x, y)

    def coverage(self, mask: Tensor, s: Tensor, t: Tensor, repeat: Tensor) -> Tensor:
        """Coverage 0..1 of outlines.

        Args:
            mask: index, integer valued float, broadcastable to `s`.
            s, t: -1..1 over the patch.
            repeat: how often the outline (mirrored) repeats along each side.

        Returns:
            like `s`.
        """
        row = torch.div(mask, self.mask_columns, rounding_mode='floor')
        column = mask - row * self.mask_columns
        half = MASK_PX / 2
        x = column * (MASK_PX + 2) + 1 + mirrored((s + 1) * repeat * half, MASK_PX)
        y = row * (MASK_PX + 2) + 1 + mirrored((t + 1) * repeat * half, MASK_PX)
        return _look_up(self.mask_sheet, x.reshape(-1), y.reshape(-1))[0].reshape(s.shape)


def mirrored(u: Tensor, period: float) -> Tensor:
    """Folds any coordinate into 0 .. period, back and forth."""
    return period - (period - torch.remainder(u, 2 * period)).abs()


def _look_up(sheet: Tensor, x: Tensor, y: Tensor) -> Tensor:
    height, width = sheet.shape[2:]
    grid = torch.stack((x * (2 / width) - 1, y * (2 / height) - 1), dim=-1)[None, None]
    found = F.grid_sample(sheet, grid, mode='bilinear', align_corners=False)
    return found[0, :, 0]


def _grid(tiles: np.ndarray, columns: int) -> np.ndarray:
    """(K, s, s, C) to a square grid of tiles, each with its border replicated by one texel."""
    tiles = np.pad(tiles, ((0, columns**2 - len(tiles)), (1, 1), (1, 1), (0, 0)), mode='edge')
    side, channels = tiles.shape[1], tiles.shape[3]
    grid = tiles.reshape(columns, columns, side, side, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(columns * side, columns * side, channels)
