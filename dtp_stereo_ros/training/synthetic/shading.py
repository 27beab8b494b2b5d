"""Colour of what each pixel sees: texture, pattern, light, highlight and mirror image.

Highlights and mirror images depend on where the camera stands, so they differ between the views
as they do in real pairs, while the truth stays that of the surface.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .atlas import TILE_PX, DeviceAtlas
from .flatten import CURTAIN, PILLAR, PLANE, ROUND, column_slices
from .hits import INDEX_MASK
from .rays import curtain_disparity, curtain_normal, hit_pillar, hit_round
from .scene import BRICKS, CHECKS, GRAZING, GRID, STRIPES, WINDOWS

Values = dict[str, Tensor]
Cast = Callable[..., list[Tensor]]
_COLUMNS = column_slices()
# Mirrors are a little blurred, and need no mip levels for it.
MIRROR_LEVEL = 2


def shade_pixels(
    atlas: DeviceAtlas,
    key: Tensor,
    first: Tensor,
    table: Tensor,
    light: Values,
    offset: Tensor,
    view: int,
    only_disparity: bool,
    sparse: bool,
) -> tuple[Tensor, Tensor]:
    """Colour and disparity of whole pictures.

    Args:
        atlas: textures.
        key: (B, H, W) int32 of the surface that each pixel sees; see `hits.depth_keys`.
        first: (B,) row of each scene's first surface.
        table: (columns, R) of `flatten`.
        light: focal, cx, cy, ambient, surroundings (B,) and lamp (B, 3).
        offset: (2,) of the sample within its pixel, px.
        view: 0 left, 1 right.
        only_disparity: whether the colour may be left 0.
        sparse: whether to pick the pixels of each kind of surface, or compute all for each kind.

    Returns:
        (B, 3, H, W) float32 0..255 and (B, H, W) float32 px.
    """
    count, height, width = key.shape
    row = (key & INDEX_MASK) + first[:, None, None]
    rows = table.index_select(1, row.reshape(-1))
    values = {name: rows[where] for name, where in _COLUMNS.items()}
    values['guess'] = (key & ~INDEX_MASK).view(torch.float32).reshape(1, -1)
    x = torch.arange(width, device=key.device) + offset[0]
    y = torch.arange(height, device=key.device)[:, None] + offset[1]
    x = x.expand(count, height, width).reshape(-1)
    y = y.expand(count, height, width).reshape(-1)
    each = {
        name: value.reshape(count, 1, -1).expand(-1, height * width, -1).reshape(len(x), -1).T
        for name, value in light.items()
    }
    colour, disparity = _shade(atlas, values, each, x, y, view, only_disparity, sparse)
    shape = (count, height, width)
    return colour.reshape(3, *shape).transpose(0, 1), disparity.reshape(shape)


def _shade(
    atlas: DeviceAtlas,
    values: Values,
    light: Values,
    x: Tensor,
    y: Tensor,
    view: int,
    only_disparity: bool,
    sparse: bool,
) -> tuple[Tensor, Tensor]:
    """Colour (3, n) and disparity (n,) of n pixels; all of `values`, `light` are (k, n)."""
    disparity, local, normal = _hit(values, light, x, y, view, sparse)
    if only_disparity:
        return disparity.new_zeros(3, len(x)), disparity
    focal, cx, cy = light['focal'][0], light['cx'][0], light['cy'][0]
    ray = torch.stack(((x - cx) / focal, (y - cy) / focal, torch.ones_like(x)))
    depth = 1 / disparity.clamp(min=1e-3)
    point = ray * depth
    eye = torch.stack((view / focal, torch.zeros_like(x), torch.zeros_like(x)))
    point = point + eye
    look = ray / length(ray)
    normal = normal / length(normal).clamp(min=1e-20)
    facing = (normal * look).sum(dim=0)
    normal = torch.where(facing > 0, -normal, normal)
    facing = facing.abs().clamp(min=0.05)
    albedo = _albedo(atlas, values, local, depth / focal, facing)
    to_lamp = light['lamp'] - point
    to_lamp = to_lamp / length(to_lamp)
    # Half-Lambert: never black, and graded also where the lamp is at the back.
    lambert = (0.5 + 0.5 * (normal * to_lamp).sum(dim=0)) ** 2
    bright = light['ambient'] + (1.3 - light['ambient']) * lambert
    colour = albedo * (1 + values['lit'] * (bright - 1))
    half = to_lamp - look
    half = half / length(half).clamp(min=1e-6)
    spot = (normal * half).sum(dim=0).clamp(min=1e-4) ** values['gloss'][0]
    colour = colour + 255 * values['shine'] * spot
    image = _image(atlas, values, light, (look, ray, normal, facing), disparity * view / focal)
    share = values['mirror'] * (1 + GRAZING * (1 - facing) ** 3)
    colour = torch.lerp(colour, image, share.clamp(max=1))
    return colour.clamp(0, 255), disparity


def _image(
    atlas: DeviceAtlas,
    values: Values,
    light: Values,
    sight: tuple[Tensor, Tensor, Tensor, Tensor],
    parallax: Tensor,
) -> Tensor:
    """Colour (3, n) of what a surface mirrors or lets through.

    Args:
        atlas: textures.
        values, light: see `_shade`.
        sight: unit and unscaled rays, normals (3, n) towards the camera, cosines (n,) of both.
        parallax: (n,) by how much the surface moves between the views, as a tangent.
    """
    look, ray, normal, facing = sight
    straight, share, zoom = values['image']
    shift = values['shift']
    u, v = (torch.lerp(look[k] + 2 * facing * normal[k], ray[k], straight) for k in (0, 1))
    u = (1 + u + share * parallax) * zoom * TILE_PX + shift[0]
    v = (1 + v) * zoom * TILE_PX + shift[1]
    return atlas.fetch_level(light['surroundings'][0], u, v, MIRROR_LEVEL)


def length(vector: Tensor) -> Tensor:
    """Length of each column of (3, n); several times faster than `norm` on a CPU."""
    x, y, z = vector
    return (x * x + y * y + z * z).sqrt()


def _hit(
    values: Values, light: Values, x: Tensor, y: Tensor, view: int, sparse: bool
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Disparity, texture lengths' coordinates (s, t) and normal (3, n) of each pixel."""
    forms, kind = values['forms'], values['kind'][0]
    disparity = forms[0] * x + (forms[1] * y + forms[2])
    safe = disparity.clamp(min=1e-6)
    s = (forms[3] * x + (forms[4] * y + forms[5])) / safe
    t = (forms[6] * x + (forms[7] * y + forms[8])) / safe
    parts = [disparity, s, t, *values['normal']]
    camera = [light[name][0] for name in ('focal', 'cx', 'cy')]
    for which, cast in ((ROUND, _round), (PILLAR, _pillar)):
        inputs = [*forms, *values['origin'], *values['to_local'], x, y]
        _put(parts, kind == which, cast, inputs, sparse)
    waves = list(values['waves'])
    cast = _curtain_left if view == 0 else _curtain_right
    _put(parts, kind == CURTAIN, cast, [*forms, *waves, x, y, *values['guess'], *camera], sparse)
    hit = kind >= PLANE
    return torch.where(hit, parts[0], 0.0), (parts[1], parts[2]), torch.stack(parts[3:])


def _put(
    parts: list[Tensor], where: Tensor, cast: Cast, inputs: list[Tensor], sparse: bool
) -> None:
    """Overwrite `parts` by what `cast` computes, where asked for."""
    if not sparse:
        for i, value in enumerate(cast(*inputs)):
            parts[i] = torch.where(where, value, parts[i])
        return
    (found,) = where.nonzero(as_tuple=True)
    if len(found):
        for i, value in enumerate(cast(*(v[found] for v in inputs))):
            parts[i] = parts[i].index_copy(0, found, value)


def _quadric(
    cast: Callable[[list[Tensor], list[Tensor]], tuple[Tensor, Tensor]],
    inputs: tuple[Tensor, ...],
) -> tuple[Tensor, list[Tensor]]:
    f, m, x, y = inputs[:9], inputs[9:12], inputs[21], inputs[22]
    q = [f[i] * x + (f[i + 1] * y + f[i + 2]) for i in (0, 3, 6)]
    depth, _ = cast(q, list(m))
    return depth, [depth * a - b for a, b in zip(q, m, strict=True)]


def _to_space(inputs: tuple[Tensor, ...], local: list[Tensor]) -> list[Tensor]:
    """Normal in space of a local one: the transposed inverse of the axes' matrix."""
    m = inputs[12:21]
    return [m[i] * local[0] + m[3 + i] * local[1] + m[6 + i] * local[2] for i in range(3)]


def _round(*inputs: Tensor) -> list[Tensor]:
    depth, local = _quadric(hit_round, inputs)
    s = torch.atan2(local[0], -local[2])
    t = torch.asin(local[1].clamp(-1, 1))
    return [1 / depth, s, t, *_to_space(inputs, local)]


def _pillar(*inputs: Tensor) -> list[Tensor]:
    depth, local = _quadric(hit_pillar, inputs)
    cap = local[1].abs() > 1 - 1e-4
    s = torch.where(cap, local[0], torch.atan2(local[0], -local[2]))
    t = torch.where(cap, local[2], local[1])
    zero = torch.zeros_like(s)
    side = [torch.where(cap, zero, local[0]), torch.where(cap, local[1], zero)]
    return [1 / depth, s, t, *_to_space(inputs, [*side, torch.where(cap, zero, local[2])])]


def _curtain(view: int, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    forms, waves, (x, y, guess), camera = inputs[:9], inputs[9:17], inputs[17:20], inputs[20:]
    plane, disparity, column = curtain_disparity(forms, waves, x, y, view, guess)
    safe = plane.clamp(min=1e-6)
    s = (forms[3] * column + (forms[4] * y + forms[5])) / safe
    t = (forms[6] * column + (forms[7] * y + forms[8])) / safe
    return [disparity, s, t, *curtain_normal(forms, waves, column, y, camera)]


def _curtain_left(*inputs: Tensor) -> list[Tensor]:
    return _curtain(0, inputs)


def _curtain_right(*inputs: Tensor) -> list[Tensor]:
    return _curtain(1, inputs)


def _albedo(
    atlas: DeviceAtlas,
    values: Values,
    local: tuple[Tensor, Tensor],
    pixel: Tensor,
    facing: Tensor,
) -> Tensor:
    """Colour (3, n) of the bare surface, filtered to the size (n,) of a pixel at its distance."""
    s, t = local
    m = values['texture']
    u = m[0] * s + m[1] * t + values['shift'][0]
    v = m[2] * s + m[3] * t + values['shift'][1]
    # Texels a pixel covers: between its short side and its long one on a slanted surface.
    lod = (values['density'][0] * pixel).clamp(min=1e-6).log2() - 0.75 * facing.log2()
    tile = atlas.fetch(values['tile'][0], u, v, lod)
    weight = pattern(values, u, v, lod.exp2())
    return values['offset'] + values['gain'] * tile + values['contrast'] * weight


def pattern(values: Values, u: Tensor, v: Tensor, texels: Tensor) -> Tensor:
    """Weight 0..1 of the pattern at texel (u, v), smoothed over a pixel's `texels`."""
    kind = values['pattern'][0]
    across, down = u / values['period'][0], v / values['period'][1]
    across = across + torch.where(kind == BRICKS, 0.5 * torch.remainder(down.floor(), 2), 0.0)
    a = _band(across, values['duty'][0], texels / values['period'][0])
    b = _band(down, values['duty'][1], texels / values['period'][1])
    weight = torch.where(kind == STRIPES, a, torch.zeros_like(a))
    weight = torch.where(kind == CHECKS, a + b - 2 * a * b, weight)
    weight = torch.where(kind == WINDOWS, a * b, weight)
    return torch.where((kind == GRID) | (kind == BRICKS), a + b - a * b, weight)


def _band(position: Tensor, duty: Tensor, width: Tensor) -> Tensor:
    """1 within the middle `duty` of every period, with an edge of the given width."""
    away = (torch.remainder(position, 1) - 0.5).abs()
    edge = width.clamp(1e-3, 1.0)
    sharp = ((0.5 * duty - away) / edge + 0.5).clamp(0, 1)
    # Where a pixel covers whole periods, only their mean is left.
    return torch.lerp(sharp, duty.expand_as(sharp), (1.5 * width - 0.5).clamp(0, 1))
