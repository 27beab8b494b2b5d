"""The ray caster once more, slow and obvious: one surface at a time, in space, in float64.

Nothing is shared with `raycast`, `rays` and `shading` but the description of the scenes, so that
each can be held against the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dtp_stereo_ros.training.synthetic.atlas import LEVELS, MASK_PX, TILE_PX, Atlas, mip_levels
from dtp_stereo_ros.training.synthetic.scene import (
    BOX,
    BRICKS,
    CHECKS,
    CYLINDER,
    ELLIPSOID,
    GRAZING,
    GRID,
    NONE,
    QUAD,
    RELIEF,
    STRIPES,
    WINDOWS,
    Scenes,
)

Array = np.ndarray
# Local axes along the texture of a box's faces, and outwards, by the axis that they face.
FACE_AXES = ([2, 1, 0], [2, 0, 1], [0, 1, 2])


@dataclass
class _Hit:
    """What a surface shows to each ray: depth (inf where missed), (s, t) and normal (H, W, 3)."""

    depth: Array
    s: Array
    t: Array
    normal: Array


@dataclass
class _Prim:
    """One primitive of one scene: its fields as attributes."""

    fields: dict[str, Array]

    def __getattr__(self, name: str) -> Array:
        return self.fields[name]


def render_reference(
    atlas: Atlas, scenes: Scenes, number: int, max_disparity_px: float = 190.0
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Scene `number` of a batch.

    Returns:
        (colour (H, W, 3) 0..255, disparity (H, W) px) of the left view, and of the right one.
    """
    fields = {name: value[number] for name, value in scenes.arrays().items()}
    levels = mip_levels(atlas.tiles)
    left, right = (_view(atlas, levels, scenes, fields, view, max_disparity_px) for view in (0, 1))
    return left, right


def _view(
    atlas: Atlas,
    levels: list[Array],
    scenes: Scenes,
    fields: dict[str, Array],
    view: int,
    max_disparity_px: float,
) -> tuple[Array, Array]:
    focal = fields['focal']
    y, x = np.mgrid[0 : scenes.height, 0 : scenes.width].astype(float)
    ray = np.stack(
        ((x - fields['cx']) / focal, (y - fields['cy']) / focal, np.ones_like(x)), axis=-1
    )
    eye = np.array([view / focal, 0, 0])
    nearest = np.full(x.shape, np.inf)
    colour = np.zeros((*x.shape, 3))
    for i in range(len(fields['kind'])):
        prim = _Prim({n: v[i] for n, v in fields.items() if v.ndim and len(v) and n not in _SCENE})
        for hit, shift in _hits(atlas, prim, ray, eye, fields, x, y, view):
            won = (hit.depth < nearest) & (hit.depth * max_disparity_px >= 1)
            if won.any():
                shown = _colour(levels, prim, shift, hit, ray, eye, fields, won)
                colour[won] = shown
                nearest[won] = hit.depth[won]
    disparity = np.where(np.isfinite(nearest), 1 / nearest, 0)
    return colour, disparity


_SCENE = ('focal', 'cx', 'cy', 'lamp', 'ambient', 'surroundings')


def _hits(
    atlas: Atlas,
    prim: _Prim,
    ray: Array,
    eye: Array,
    scene: dict[str, Array],
    x: Array,
    y: Array,
    view: int,
) -> list[tuple[_Hit, Array]]:
    """Every surface of a primitive, with the shift of its texture."""
    if prim.kind == NONE:
        return []
    if prim.kind == QUAD:
        hit = _plane(prim.centre, prim.axes, ray, eye)
        return [(_cut_out(atlas, prim, hit), prim.shift)]
    if prim.kind == RELIEF:
        hit = _relief(prim, ray, scene, x, y, view)
        return [(_cut_out(atlas, prim, hit), prim.shift)]
    if prim.kind == BOX:
        faces = []
        for axis in range(3):
            for sign in (-1, 1):
                hit = _plane(
                    prim.centre + sign * prim.axes[axis], prim.axes[FACE_AXES[axis]], ray, eye
                )
                faces.append((hit, prim.shift + 97.0 * (2 * axis + (sign > 0))))
        return faces
    return [(_quadric(prim, ray, eye), prim.shift)]


def _plane(centre: Array, axes: Array, ray: Array, eye: Array) -> _Hit:
    normal = np.cross(axes[0], axes[1])
    normal = normal / np.linalg.norm(normal)
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = normal @ (centre - eye) / (ray @ normal)
        point = eye + ray * depth[..., None] - centre
        s, t = (point @ axes[k] / (axes[k] @ axes[k]) for k in (0, 1))
        met = (depth > 0) & (np.abs(s) <= 1) & (np.abs(t) <= 1)
    return _Hit(np.where(met, depth, np.inf), s, t, np.broadcast_to(normal, ray.shape))


def _relief(
    prim: _Prim, ray: Array, scene: dict[str, Array], x: Array, y: Array, view: int
) -> _Hit:
    """The left column of what a right pixel sees is found by halving an interval."""
    focal, cx, cy = scene['focal'], scene['cx'], scene['cy']

    def disparity(column: Array, y: Array = y) -> tuple[Array, _Hit]:
        own = np.stack(((column - cx) / focal, (y - cy) / focal, np.ones_like(y)), axis=-1)
        flat = _plane(prim.centre, prim.axes * [[1e6], [1e6], [1]], own, np.zeros(3))
        plane = np.where(np.isfinite(flat.depth), 1 / flat.depth, 0)
        return plane * _swell(prim.waves, column, y), flat

    column = x
    if view == 1:
        low, high = x - 1.0, x + 400.0
        for _ in range(60):
            middle = (low + high) / 2
            beyond = middle - x > disparity(middle)[0]
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        column = low
    found, flat = disparity(column)
    step = 1e-4
    along_x = (disparity(column + step)[0] - disparity(column - step)[0]) / (2 * step)
    along_y = (disparity(column, y + step)[0] - disparity(column, y - step)[0]) / (2 * step)
    normal = np.stack(
        (
            focal * along_x,
            focal * along_y,
            found - along_x * (column - cx) - along_y * (y - cy),
        ),
        axis=-1,
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-300)
    s, t = flat.s * 1e6, flat.t * 1e6
    met = (found > 0) & (np.abs(s) <= 1) & (np.abs(t) <= 1)
    with np.errstate(divide='ignore'):
        return _Hit(np.where(met, 1 / found, np.inf), s, t, normal)


def _swell(waves: Array, x: Array, y: Array) -> Array:
    return 1 + sum(a * np.sin(kx * x + ky * y + p) for a, kx, ky, p in waves)


def _cut_out(atlas: Atlas, prim: _Prim, hit: _Hit) -> _Hit:
    if prim.mask >= 0:
        mask = atlas.masks[int(prim.mask)].astype(float)[..., None] / 255
        half = MASK_PX / 2
        u, v = ((c.clip(-1, 1) + 1) * prim.repeat * half for c in (hit.s, hit.t))
        hit.depth = np.where(_bilinear(mask, u, v)[..., 0] > 0.5, hit.depth, np.inf)
    return hit


def _quadric(prim: _Prim, ray: Array, eye: Array) -> _Hit:
    """Ellipsoid or cylinder: a unit shape after leaving space for local coordinates."""
    inverse = prim.axes / (prim.axes**2).sum(axis=1, keepdims=True)
    start, way = inverse @ (eye - prim.centre), ray @ inverse.T
    round_axes = [0, 1, 2] if prim.kind == ELLIPSOID else [0, 2]
    a = (way[..., round_axes] ** 2).sum(axis=-1)
    b = way[..., round_axes] @ start[round_axes]
    c = (start[round_axes] ** 2).sum() - 1
    inside = b * b - a * c
    with np.errstate(invalid='ignore', divide='ignore'):
        depth = (-b - np.sqrt(inside)) / a
        met = (inside > 0) & (depth > 0)
        local = start + way * depth[..., None]
        gradient = local.copy()
        s, t = np.arctan2(local[..., 0], -local[..., 2]), np.arcsin(local[..., 1].clip(-1, 1))
        if prim.kind == CYLINDER:
            met &= np.abs(local[..., 1]) <= 1
            gradient[..., 1] = 0
            t = local[..., 1]
        depth = np.where(met, depth, np.inf)
        for end in (-1.0, 1.0) if prim.kind == CYLINDER else ():
            cap = (end - start[1]) / way[..., 1]
            spot = start + way * cap[..., None]
            on = (spot[..., 0] ** 2 + spot[..., 2] ** 2 <= 1) & (cap > 0) & (cap < depth)
            depth, s, t = (
                np.where(on, p, q) for p, q in ((cap, depth), (spot[..., 0], s), (spot[..., 2], t))
            )
            gradient[on] = (0, end, 0)
    normal = gradient @ inverse
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-300)
    return _Hit(depth, s, t, normal)


def _colour(
    levels: list[Array],
    prim: _Prim,
    shift: Array,
    hit: _Hit,
    ray: Array,
    eye: Array,
    scene: dict[str, Array],
    won: Array,
) -> Array:
    """Colour (k, 3) of the k pixels where `won`."""
    ray, normal, depth = ray[won], hit.normal[won], hit.depth[won]
    look = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    facing = (normal * look).sum(axis=1)
    normal = np.where(facing[:, None] > 0, -normal, normal)
    facing = np.maximum(np.abs(facing), 0.05)
    sizes = np.linalg.norm(prim.axes, axis=1)
    if prim.kind == BOX:
        # Which face it is shows in the normal.
        axis = np.argmax(np.abs(normal @ (prim.axes / sizes[:, None]).T), axis=1)[0]
        sizes = sizes[FACE_AXES[axis]]
    lengths = np.stack((hit.s[won] * sizes[0], hit.t[won] * sizes[1]), axis=1)
    u, v = (lengths @ prim.texture.T + shift).T
    texels = np.sqrt(np.abs(np.linalg.det(prim.texture))) * depth / scene['focal']
    lod = np.log2(np.maximum(texels, 1e-6)) - 0.75 * np.log2(facing)
    albedo = (
        prim.offset
        + prim.gain * _trilinear(levels, int(prim.tile), u, v, lod)
        + prim.contrast * _pattern(prim, u, v, 2 ** lod.clip(None, 60))[:, None]
    )
    point = eye + ray * depth[:, None]
    to_lamp = scene['lamp'] - point
    to_lamp /= np.linalg.norm(to_lamp, axis=1, keepdims=True)
    lambert = (0.5 + 0.5 * (normal * to_lamp).sum(axis=1)) ** 2
    bright = scene['ambient'] + (1.3 - scene['ambient']) * lambert
    colour = albedo * (1 + prim.lit * (bright - 1))[:, None]
    half = to_lamp - look
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    spot = (normal * half).sum(axis=1).clip(1e-4) ** prim.gloss
    colour = colour + 255 * prim.shine * spot[:, None]
    straight, behind, zoom = prim.image
    way = (1 - straight) * (look + 2 * facing[:, None] * normal) + straight * ray
    way[:, 0] += behind / depth * eye[0]
    u, v = ((1 + way[:, k]) * zoom * TILE_PX + shift[k] for k in (0, 1))
    image = _bilinear(levels[2][int(scene['surroundings'])], u / 4, v / 4)
    share = np.minimum(1, prim.mirror * (1 + GRAZING * (1 - facing) ** 3))[:, None]
    return (colour + share * (image - colour)).clip(0, 255)


def _pattern(prim: _Prim, u: Array, v: Array, texels: Array) -> Array:
    def band(position: Array, k: int) -> Array:
        width = texels / prim.period[k]
        away = np.abs(position % 1 - 0.5)
        sharp = ((prim.duty[k] / 2 - away) / width.clip(1e-3, 1) + 0.5).clip(0, 1)
        return sharp + (1.5 * width - 0.5).clip(0, 1) * (prim.duty[k] - sharp)

    across, down = u / prim.period[0], v / prim.period[1]
    if prim.pattern == BRICKS:
        across = across + 0.5 * (np.floor(down) % 2)
    a, b = band(across, 0), band(down, 1)
    mixed = {
        STRIPES: a,
        CHECKS: a + b - 2 * a * b,
        WINDOWS: a * b,
        GRID: a + b - a * b,
        BRICKS: a + b - a * b,
    }
    return mixed.get(int(prim.pattern), np.zeros_like(u))


def _trilinear(levels: list[Array], tile: int, u: Array, v: Array, lod: Array) -> Array:
    lod = lod.clip(0, LEVELS - 1)
    mixed = np.zeros((len(u), 3))
    for level, images in enumerate(levels):
        weight = (1 - np.abs(lod - level)).clip(0)
        mixed += weight[:, None] * _bilinear(images[tile], u / 2**level, v / 2**level)
    return mixed


def _bilinear(image: Array, u: Array, v: Array) -> Array:
    """Colour at texel positions (0 is the border of the first texel) of a mirrored image."""
    side = len(image)
    found = 0
    column, row = np.floor(u - 0.5), np.floor(v - 0.5)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - np.abs(u - 0.5 - column - dx)) * (1 - np.abs(v - 0.5 - row - dy))
            texel = image[_mirror(row + dy, side), _mirror(column + dx, side)]
            found = found + weight[..., None] * texel
    return np.asarray(found)


def _mirror(index: Array, side: int) -> Array:
    index = index % (2 * side)
    return np.where(index < side, index, 2 * side - 1 - index).astype(int)
