"""A batch of ray-cast scenes as plain arrays.

Space is the left camera's (x right, y down, z ahead), measured so that focal length times
baseline is 1 px: depth Z has disparity 1 / Z, and the right camera stands at x = 1 / focal.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

# Kinds of primitives.
NONE, QUAD, BOX, ELLIPSOID, CYLINDER, RELIEF = range(6)
# Kinds of patterns laid over a texture.
PLAIN, STRIPES, CHECKS, WINDOWS, GRID, BRICKS = range(6)
WAVES = 2
# A mirror's share grows by this factor, cubed in 1 - cosine, towards grazing sight.
GRAZING = 3.0


@dataclass
class Scenes:
    """B scenes of up to N primitives.

    A primitive's local coordinates (s, t, w) are -1..1 within it: a point is ``centre + s *
    axes[0] + t * axes[1] + w * axes[2]``. A quad is w = 0, a box all of -1..1, an ellipsoid
    ``s^2 + t^2 + w^2 = 1``, a cylinder ``s^2 + w^2 = 1`` between t = -1 and 1 with its caps. A
    relief is a quad whose disparity is multiplied by ``1 + sum(a sin(kx x + ky y + p))``, with
    x, y the pixel of the left image: a height field along the left camera's rays.

    Attributes:
        height, width: picture size, px.
        focal, cx, cy: (B,) px.
        lamp: (B, 3) position of the light.
        ambient: (B,) share of the light that comes from everywhere.
        surroundings: (B,) tile that mirrors show.
        kind: (B, N), see above.
        centre: (B, N, 3). axes: (B, N, 3, 3), orthogonal rows.
        mask: (B, N) outline of a quad, -1 for none. repeat: (B, N) of the outline.
        waves: (B, N, WAVES, 4) of (a, kx, ky, p).
        tile: (B, N) texture.
        texture: (B, N, 2, 2) from lengths along (s, t) to texels.
        shift: (B, N, 2) texels.
        gain, offset, contrast: (B, N, 3) colour ``offset + gain * tile + contrast * pattern``.
        pattern: (B, N). period: (B, N, 2) texels. duty: (B, N, 2), 0..1.
        lit: (B, N) how much shading matters; 0 for the sky.
        shine, gloss: (B, N) strength and exponent of the highlight.
        mirror: (B, N) share of the surroundings' image; times ``1 + GRAZING (1 - c)^3`` at
            cosine c between sight and normal.
        image: (B, N, 3) of that image: 0 where it is reflected, 1 where it is seen straight on,
            as through glass; its disparity as a share of the surface's; its magnification.
    """

    height: int
    width: int
    focal: np.ndarray
    cx: np.ndarray
    cy: np.ndarray
    lamp: np.ndarray
    ambient: np.ndarray
    surroundings: np.ndarray
    kind: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    mask: np.ndarray
    repeat: np.ndarray
    waves: np.ndarray
    tile: np.ndarray
    texture: np.ndarray
    shift: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    contrast: np.ndarray
    pattern: np.ndarray
    period: np.ndarray
    duty: np.ndarray
    lit: np.ndarray
    shine: np.ndarray
    gloss: np.ndarray
    mirror: np.ndarray
    image: np.ndarray

    def __len__(self) -> int:
        return len(self.focal)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every field but the picture size."""
        names = [f.name for f in dataclasses.fields(self)][2:]
        return {name: getattr(self, name) for name in names}


SCENE_FIELDS = ('focal', 'cx', 'cy', 'lamp', 'ambient', 'surroundings')

# What a primitive has unless told otherwise: shape behind (B, N), and value.
DEFAULTS: dict[str, tuple[tuple[int, ...], Any]] = {
    'kind': ((), 0),
    'centre': ((3,), 0),
    'axes': ((3, 3), np.eye(3)),
    'mask': ((), -1),
    'repeat': ((), 1),
    'waves': ((WAVES, 4), 0),
    'tile': ((), 0),
    'texture': ((2, 2), np.eye(2)),
    'shift': ((2,), 0),
    'gain': ((3,), 1),
    'offset': ((3,), 0),
    'contrast': ((3,), 0),
    'pattern': ((), 0),
    'period': ((2,), 16),
    'duty': ((2,), 0.5),
    'lit': ((), 1),
    'shine': ((), 0),
    'gloss': ((), 20),
    'mirror': ((), 0),
    'image': ((3,), (0, 0, 1)),
}


def primitives(shape: tuple[int, int], **given: Any) -> dict[str, np.ndarray]:
    """Arrays (B, N, ...) of primitives, each given value broadcast, the rest as in `DEFAULTS`."""
    unknown = set(given) - set(DEFAULTS)
    if unknown:
        raise KeyError(f'primitives have no {sorted(unknown)[0]}')
    made = {}
    for name, (tail, default) in DEFAULTS.items():
        value = np.asarray(given.get(name, default), np.float64)
        made[name] = np.broadcast_to(value, (*shape, *tail))
    return made


def merge(scenes: list[Scenes]) -> Scenes:
    """One batch of several of the same picture size; shorter ones are padded with nothing."""
    most = max(s.kind.shape[1] for s in scenes)
    fields: dict[str, np.ndarray] = {}
    for name in scenes[0].arrays():
        parts = [getattr(s, name) for s in scenes]
        if name not in SCENE_FIELDS:
            parts = [
                np.pad(p, [(0, 0), (0, most - p.shape[1])] + [(0, 0)] * (p.ndim - 2))
                for p in parts
            ]
        fields[name] = np.concatenate(parts)
    return Scenes(scenes[0].height, scenes[0].width, **fields)


def pick(scenes: Scenes, index: Any) -> Scenes:
    """The scenes of an index array or slice."""
    fields = {name: value[index] for name, value in scenes.arrays().items()}
    return Scenes(scenes.height, scenes.width, **fields)
