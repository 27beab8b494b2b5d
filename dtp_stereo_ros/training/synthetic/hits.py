"""Tests rays against surfaces, tile by tile; one function, so that it can be compiled as one."""

from __future__ import annotations

import torch
from torch import Tensor

from .atlas import DeviceAtlas
from .flatten import CURTAIN, INDEX_BITS, PLANE, ROUND, column_slices
from .rays import curtain_disparity, hit_pillar, hit_round

TILE_H, TILE_W = 16, 32
INDEX_MASK = (1 << INDEX_BITS) - 1
_COLUMNS = column_slices()


def depth_keys(
    atlas: DeviceAtlas,
    kind: int,
    masked: bool,
    view: int,
    max_disparity_px: float,
    table: Tensor,
    row: Tensor,
    corner: Tensor,
    index: Tensor,
    outline: Tensor,
) -> Tensor:
    """Keys of P couples of a surface and a tile; the largest of a pixel is the nearest.

    Args:
        atlas: outlines.
        kind: class of all these surfaces. masked: whether some have an outline.
        view: 0 left, 1 right. max_disparity_px: nothing nearer is hit.
        table: (columns, R) of `flatten`. row: (P,) into it.
        corner: (2, P) x and y of each tile's first ray, px.
        index: (P,) int32 of the surface within its scene.
        outline: (2, P) mask or -1, and how often it repeats.

    Returns:
        (P, TILE_H, TILE_W) int32: the disparity's leading bits over the index, 0 for a miss.
    """
    rows = table.index_select(1, row)[:, :, None, None]
    x = torch.arange(TILE_W, device=row.device) + corner[0, :, None, None]
    y = torch.arange(TILE_H, device=row.device)[:, None] + corner[1, :, None, None]
    forms = list(rows[_COLUMNS['forms']])
    if kind in (PLANE, CURTAIN):
        if kind == CURTAIN:
            waves = list(rows[_COLUMNS['waves']])
            plane, disparity, x = curtain_disparity(forms, waves, x, y, view)
        else:
            plane = disparity = forms[0] * x + (forms[1] * y + forms[2])
        s = forms[3] * x + (forms[4] * y + forms[5])
        t = forms[6] * x + (forms[7] * y + forms[8])
        hit = (s.abs() <= plane) & (t.abs() <= plane)
        if masked:
            hit = hit & _inside(atlas, outline[:, :, None, None], s, t, plane)
    else:
        q = [forms[i] * x + (forms[i + 1] * y + forms[i + 2]) for i in (0, 3, 6)]
        cast = hit_round if kind == ROUND else hit_pillar
        depth, hit = cast(q, list(rows[_COLUMNS['origin']]))
        disparity = depth.reciprocal()
    hit = hit & (disparity > 0) & (disparity <= max_disparity_px)
    key = (disparity.contiguous().view(torch.int32) & ~INDEX_MASK) | index[:, None, None]
    return torch.where(hit, key, 0)


def _inside(atlas: DeviceAtlas, outline: Tensor, s: Tensor, t: Tensor, plane: Tensor) -> Tensor:
    safe = plane.clamp(min=1e-6)
    s, t = (s / safe).clamp(-1, 1), (t / safe).clamp(-1, 1)
    mask, repeat = outline
    return (atlas.coverage(mask.clamp(min=0), s, t, repeat) > 0.5) | (mask < 0)
