"""Thin structures made by rule: poles, cables, lattices, fences, bundles of sticks, bare twigs.

They are what networks at a quarter of the size lose first, and packages hold few of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from .mesh import Mesh

_SIDES = 7
Segment = tuple[np.ndarray, np.ndarray, float, float]


def draw_thin(rng: np.random.Generator, height_m: float) -> Mesh:
    """A thin thing of about that height that stands on y = 0, with one plain material.

    Bars are 3 to 25 mm wide for a thing of one metre, and grow with its height.
    """
    kinds: tuple[Callable[[np.random.Generator, float, float], list[Segment]], ...] = (
        _pole,
        _cables,
        _lattice,
        _fence,
        _sticks,
        _twigs,
    )
    width = height_m**0.6 * float(np.exp(rng.uniform(np.log(0.003), np.log(0.025))))
    kind = kinds[int(rng.integers(len(kinds)))]
    return tubes(kind(rng, height_m, width))


def tubes(segments: list[Segment]) -> Mesh:
    """Round bars between points: start (3,), end (3,), radius at either; open at their ends."""
    starts = np.array([s[0] for s in segments], float)
    ends = np.array([s[1] for s in segments], float)
    radii = np.array([s[2:] for s in segments], float)
    along = ends - starts
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    along /= length
    helper = np.where(np.abs(along[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angle = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    ring = first[:, None] * np.cos(angle)[:, None] + second[:, None] * np.sin(angle)[:, None]
    low = starts[:, None] + ring * radii[:, :1, None]
    high = ends[:, None] + ring * radii[:, 1:, None]
    points = np.concatenate((low, high), axis=1).reshape(-1, 3)
    k = np.arange(_SIDES)
    after = (k + 1) % _SIDES
    one = np.concatenate(
        (
            np.stack((k, after, after + _SIDES), axis=1),
            np.stack((k, after + _SIDES, k + _SIDES), axis=1),
        )
    )
    faces = one[None] + (np.arange(len(segments)) * 2 * _SIDES)[:, None, None]
    uv = np.stack(
        (
            np.tile(k / _SIDES, 2 * len(segments)),
            np.repeat(np.stack((0 * length[:, 0], length[:, 0] * 4), axis=1).ravel(), _SIDES),
        ),
        axis=1,
    )
    faces = faces.reshape(-1, 3).astype(np.int32)
    return Mesh(
        points.astype(np.float32),
        uv.astype(np.float32),
        faces,
        np.zeros(len(faces), np.int32),
    )


def _at(x: float, y: float, z: float = 0.0) -> np.ndarray:
    return np.array([x, y, z])


def _pole(rng: np.random.Generator, height: float, width: float) -> list[Segment]:
    """A pole, in half of the cases with an arm; leaning a little."""
    lean = rng.normal(0, 0.08, 2) * height
    top = _at(lean[0], height, lean[1])
    radius = width
    segments: list[Segment] = [(_at(0, 0), top, radius, radius * 0.8)]
    for _ in range(int(rng.integers(0, 3))):
        share = rng.uniform(0.5, 1.0)
        out = rng.normal(0, 0.3, 3) * height
        segments.append((top * share, top * share + out, radius * 0.6, radius * 0.5))
    return segments


def _cables(rng: np.random.Generator, height: float, width: float) -> list[Segment]:
    """Cables that sag between two ends."""
    span = height * rng.uniform(0.8, 2.5)
    segments: list[Segment] = []
    for _ in range(int(rng.integers(1, 5))):
        offset = rng.normal(0, 0.08, 3) * height
        sag = rng.uniform(0, 0.4) * height
        share = np.linspace(-1, 1, 14)
        points = (
            np.stack((share * span / 2, height - sag * (1 - share**2), 0 * share), axis=1) + offset
        )
        radius = width * 0.4
        segments += [(a, b, radius, radius) for a, b in pairwise(points)]
    return segments


def _lattice(rng: np.random.Generator, height: float, width: float) -> list[Segment]:
    """Crossing bars in a plane, as of a rack, a grid or a pavilion."""
    span = height * rng.uniform(0.5, 1.5)
    gap = max(height * float(np.exp(rng.uniform(np.log(0.05), np.log(0.3)))), 4 * width)
    slope = 0.0 if rng.random() < 0.6 else 1.0
    segments: list[Segment] = []
    radius = width * 0.5
    for x in np.arange(-span / 2, span / 2 + 1e-6, gap):
        shift = slope * height * 0.5
        segments.append((_at(x - shift, 0), _at(x + shift, height), radius, radius))
        if slope:
            segments.append((_at(x + shift, 0), _at(x - shift, height), radius, radius))
    if not slope:
        for y in np.arange(0, height + 1e-6, gap):
            segments.append((_at(-span / 2, y), _at(span / 2, y), radius, radius))
    return segments


def _fence(rng: np.random.Generator, height: float, width: float) -> list[Segment]:
    """Upright bars between two rails."""
    span = height * rng.uniform(0.8, 2.5)
    gap = max(height * float(np.exp(rng.uniform(np.log(0.04), np.log(0.2)))), 3 * width)
    radius = width * 0.6
    bars: list[Segment] = [
        (_at(x, 0), _at(x, height), radius, radius)
        for x in np.arange(-span / 2, span / 2 + 1e-6, gap)
    ]
    rails = (0.1 * height, height * rng.uniform(0.85, 1.0))
    return bars + [(_at(-span / 2, y), _at(span / 2, y), radius, radius) for y in rails]


def _sticks(rng: np.random.Generator, height: float, width: float) -> list[Segment]:
    """Sticks that spread from one place, as brushes in a jar or reeds."""
    segments: list[Segment] = []
    spread = rng.uniform(0.1, 0.5)
    for _ in range(int(rng.integers(5, 30))):
        foot = rng.normal(0, 0.03, 3) * height * [1, 0, 1]
        tip = foot + height * rng.uniform(0.5, 1) * np.array(
            [rng.normal(0, spread), 1, rng.normal(0, spread)]
        )
        segments.append((foot, tip, width * 0.5, width * rng.uniform(0.1, 0.6)))
    return segments


def _twigs(rng: np.random.Generator, height: float, width: float) -> list[Segment]:
    """A bare plant that forks four times."""
    segments: list[Segment] = []
    ends = [(_at(0, 0), _at(0, 1), 0.4 * height, width * 1.5)]
    for _ in range(4):
        further = []
        for foot, heading, length, radius in ends:
            tip = foot + heading * length
            segments.append((foot, tip, radius, radius * 0.7))
            for _ in range(int(rng.integers(2, 4))):
                turned = heading + rng.normal(0, 0.45, 3)
                turned /= np.linalg.norm(turned)
                further.append((tip, turned, length * rng.uniform(0.5, 0.8), radius * 0.65))
        ends = further[:80]
    return segments
