"""Turns scenes into one table of surfaces: what each needs to be hit and shaded, in both views.

Everything that a ray meets is affine in the pixel (x, y): a plane's disparity d and its local
coordinates times d, or a quadric's ray direction in local coordinates. So a surface is three
affine forms, which is what makes the ray casting cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scene import BOX, CYLINDER, ELLIPSOID, QUAD, RELIEF, Scenes

# Classes of surfaces; `VOID` is what no ray meets.
VOID, PLANE, ROUND, PILLAR, CURTAIN = range(5)
# Surfaces a scene may have, so that an index fits the low bits of a depth key.
INDEX_BITS = 9
MAX_SURFACES = (1 << INDEX_BITS) - 1

# Bound, px, of what has none.
EVERYWHERE = 1e6

# Columns of the table: name and length. `forms` and `origin` differ between the views.
COLUMNS: dict[str, int] = {
    'forms': 9,
    'origin': 3,
    'normal': 3,
    'to_local': 9,
    'kind': 1,
    'texture': 4,
    'shift': 2,
    'density': 1,
    'tile': 1,
    'gain': 3,
    'offset': 3,
    'contrast': 3,
    'pattern': 1,
    'period': 2,
    'duty': 2,
    'lit': 1,
    'shine': 1,
    'gloss': 1,
    'mirror': 1,
    'image': 3,
    'waves': 8,
}


@dataclass(frozen=True)
class Surfaces:
    """R surfaces of B scenes, sorted by scene; each scene's first is the void.

    Attributes:
        scene: (R,) int64. index: (R,) int64, place within the scene.
        first: (B,) row of each scene's void.
        kind: (R,) classes.
        mask: (R,) outline or -1. repeat: (R,).
        table: per view (left, right), float32 (columns, R).
        bounds: per view, (R, 4) px (x0, y0, x1, y1), x1 <= x0 where outside.
    """

    scene: np.ndarray
    index: np.ndarray
    first: np.ndarray
    kind: np.ndarray
    mask: np.ndarray
    repeat: np.ndarray
    table: tuple[np.ndarray, np.ndarray]
    bounds: tuple[np.ndarray, np.ndarray]


def column_slices() -> dict[str, slice]:
    """Place of each entry of `COLUMNS` in the table."""
    ends = np.cumsum(list(COLUMNS.values()))
    return {
        name: slice(int(end - size), int(end))
        for (name, size), end in zip(COLUMNS.items(), ends, strict=True)
    }


def flatten(scenes: Scenes) -> Surfaces:
    """The surfaces of a batch.

    Raises:
        ValueError: a scene has more surfaces than `MAX_SURFACES`.
    """
    parts = _pick(scenes)
    order = np.argsort(parts['scene'], kind='stable')
    parts = {name: value[order] for name, value in parts.items()}
    scene = parts['scene']
    first = np.searchsorted(scene, np.arange(len(scenes)))
    index = np.arange(len(scene)) - first[scene]
    if index.max() > MAX_SURFACES:
        raise ValueError(f'a scene has {index.max()} surfaces, more than {MAX_SURFACES}')
    camera = np.stack([getattr(scenes, n)[scene] for n in ('focal', 'cx', 'cy')])
    baseline = np.zeros((len(scene), 3))
    left = _columns(parts, camera, baseline)
    bounds_left = _bounds(parts, camera, baseline)
    baseline[:, 0] = 1 / camera[0]
    right = _columns(parts, camera, baseline)
    bounds_right = _bounds(parts, camera, baseline)
    curtain = parts['kind'] == CURTAIN
    # A relief is defined by the left view; the right one looks its pixels up there.
    right[:, curtain] = left[:, curtain]
    _shift_bounds(parts, left, bounds_left, bounds_right)
    return Surfaces(
        scene,
        index,
        first,
        parts['kind'],
        parts['mask'],
        parts['repeat'],
        (left, right),
        (_clip(scenes, parts, bounds_left), _clip(scenes, parts, bounds_right)),
    )


def _pick(scenes: Scenes) -> dict[str, np.ndarray]:
    """Every surface's own values, (R, ...); boxes become the faces that a camera may see."""
    count = len(scenes)
    fields = scenes.arrays()
    names = [n for n in fields if fields[n].ndim >= 2 and n not in ('lamp', 'kind')]
    chosen = []
    for kind, made in ((QUAD, PLANE), (RELIEF, CURTAIN), (ELLIPSOID, ROUND), (CYLINDER, PILLAR)):
        where = np.nonzero(scenes.kind == kind)
        chosen.append(_gather(fields, names, where, made))
    for axis in range(3):
        for sign in (-1.0, 1.0):
            chosen.append(_faces(scenes, fields, names, axis, sign))
    void = _gather(fields, names, (np.arange(count), np.zeros(count, int)), VOID)
    for name in ('gain', 'offset', 'contrast', 'mirror', 'shine'):
        void[name] = np.zeros_like(void[name])
    for name in ('axes', 'texture'):
        void[name] = np.broadcast_to(np.eye(void[name].shape[-1]), void[name].shape)
    # First, so that a stable sort leaves it at the head of its scene.
    chosen.insert(0, void)
    return {name: np.concatenate([c[name] for c in chosen]) for name in chosen[0]}


def _gather(
    fields: dict[str, np.ndarray], names: list[str], where: tuple[np.ndarray, ...], kind: int
) -> dict[str, np.ndarray]:
    part = {name: fields[name][where] for name in names}
    part['scene'] = where[0]
    part['kind'] = np.full(len(where[0]), kind)
    return part


def _faces(
    scenes: Scenes, fields: dict[str, np.ndarray], names: list[str], axis: int, sign: float
) -> dict[str, np.ndarray]:
    where = np.nonzero(scenes.kind == BOX)
    part = _gather(fields, names, where, PLANE)
    outward = sign * part['axes'][:, axis]
    part['centre'] = part['centre'] + outward
    # The others in turn: which of them runs along the texture is a matter of taste.
    part['axes'] = part['axes'][:, [(axis + 1) % 3, (axis + 2) % 3, axis]]
    if axis == 0:
        part['axes'] = part['axes'][:, [1, 0, 2]]
    # Each face shows another part of the texture.
    part['shift'] = part['shift'] + 97.0 * (2 * axis + (sign > 0))
    towards_left = -(outward * part['centre']).sum(axis=1)
    towards_right = towards_left + outward[:, 0] / scenes.focal[part['scene']]
    seen = np.maximum(towards_left, towards_right) > 0
    return {name: value[seen] for name, value in part.items()}


def _columns(parts: dict[str, np.ndarray], camera: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """The table (columns, R) float32 of a camera that stands at `eye` (R, 3)."""
    count = len(parts['scene'])
    axes = parts['axes']
    centre = parts['centre'] - eye
    length = np.linalg.norm(axes, axis=2)
    dual = axes / (length**2)[..., None]
    flat = np.isin(parts['kind'], (PLANE, CURTAIN))
    normal = np.cross(axes[:, 0], axes[:, 1])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    ahead = (normal * centre).sum(axis=1)
    ahead = np.where(np.abs(ahead) < 1e-9, 1e-9, ahead)
    disparity = _form(normal, camera) / ahead[:, None]
    local = _form(dual, camera[:, :, None])
    origin = (dual * centre[:, None]).sum(axis=2)
    plane = local[:, :2] - origin[:, :2, None] * disparity[:, None]
    forms = np.where(
        flat[:, None, None], np.concatenate((disparity[:, None], plane), axis=1), local
    )
    forms[parts['kind'] == VOID] = 0
    texture = parts['texture'] * length[:, None, :2]
    density = np.sqrt(np.abs(np.linalg.det(parts['texture'])))
    columns = {
        'forms': forms,
        'origin': origin,
        'normal': normal,
        'to_local': dual,
        'texture': texture,
        'density': density,
    }
    values = [columns.get(n, parts.get(n)) for n in COLUMNS]
    table = np.concatenate([np.asarray(v).reshape(count, -1) for v in values], axis=1)
    return np.ascontiguousarray(table.T, np.float32)


def _form(vector: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Coefficients over (x, y, 1) of ``vector . ray`` with the ray of pixel (x, y)."""
    focal, cx, cy = camera
    x, y = vector[..., 0] / focal, vector[..., 1] / focal
    return np.stack((x, y, vector[..., 2] - x * cx - y * cy), axis=-1)


def _bounds(parts: dict[str, np.ndarray], camera: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Pixel boxes of the projected local cubes; everywhere where one reaches behind the camera."""
    corner = np.array([(s, t, w) for s in (-1, 1) for t in (-1, 1) for w in (-1, 1)], float)
    thick = np.isin(parts['kind'], (ROUND, PILLAR))
    offsets = np.einsum('ks,rsc->rkc', corner, parts['axes'] * [[[1], [1], [0]]])
    offsets += thick[:, None, None] * np.einsum('k,rc->rkc', corner[:, 2], parts['axes'][:, 2])
    points = (parts['centre'] - eye)[:, None] + offsets
    depth = points[..., 2]
    behind = (depth < 1e-4).any(axis=1)
    safe = np.where(depth < 1e-4, 1.0, depth)
    focal, cx, cy = camera[:, :, None]
    x, y = focal * points[..., 0] / safe + cx, focal * points[..., 1] / safe + cy
    bounds = np.stack((x.min(1) - 1, y.min(1) - 1, x.max(1) + 2, y.max(1) + 2), axis=1)
    return np.where(behind[:, None], [-EVERYWHERE, -EVERYWHERE, EVERYWHERE, EVERYWHERE], bounds)


def _clip(scenes: Scenes, parts: dict[str, np.ndarray], bounds: np.ndarray) -> np.ndarray:
    size = (scenes.width, scenes.height)
    clipped = np.clip(np.floor(bounds), 0, [*size, *size]).astype(np.int64)
    empty = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1) | (parts['kind'] == VOID)
    clipped[empty] = 0
    return clipped


def _shift_bounds(
    parts: dict[str, np.ndarray], table: np.ndarray, left: np.ndarray, right: np.ndarray
) -> None:
    """Boxes of reliefs in the right view: the left ones moved by every disparity they may have."""
    rows = np.flatnonzero(parts['kind'] == CURTAIN)
    x0, y0, x1, y1 = left[rows].T
    a, b, c = table[:3, rows]
    at = np.stack([a * x + b * y + c for x in (x0, x1) for y in (y0, y1)])
    swing = np.abs(parts['waves'][rows, :, 0]).sum(axis=1)
    nearest = at.max(axis=0) * (1 + swing)
    farthest = np.maximum(at.min(axis=0), 0) * np.maximum(0, 1 - swing)
    right[rows] = left[rows]
    right[rows, 0] = x0 - nearest - 1
    right[rows, 2] = x1 - farthest + 1
