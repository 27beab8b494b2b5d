"""Cameras in a world: not in a wall, with something to see, by rays on a coarse grid."""

from __future__ import annotations

import numpy as np

from dtp_stereo_ros.stereo import Float32Array

from .camera import StereoCamera, draw_baseline, draw_lens, look_at
from .cast import Caster, Hits
from .world import World

# Pixels between the rays that try a camera.
PROBE_PX = 16
# A picture of something nearer than this is all of one surface.
_NEAREST_M = 0.16
# Share of the cameras outside that look along the road.
_ALONG = 0.4
_TRIES = 24
_CANDIDATES = 6


def draw_camera(
    rng: np.random.Generator,
    world: World,
    caster: Caster,
    size: tuple[int, int],
    max_disparity_px: float,
) -> StereoCamera | None:
    """A camera that looks at an anchor past nothing too near; None after many tries.

    Args:
        rng: source of chance.
        world: what is looked at.
        caster: of that world.
        size: (height, width) px of the pictures.
        max_disparity_px: nearly all of a picture stays below.
    """
    best, most, found = None, 0.0, 0
    for _ in range(_TRIES):
        camera = _aimed(rng, world, size)
        if camera is None:
            continue
        hits = probe(caster, camera)[2]
        camera = _with_baseline(rng, world, caster, camera, hits.depth, max_disparity_px)
        if camera is None:
            continue
        # Of a few cameras the one that sees most: walls fill pictures by themselves.
        seen = _variety(world, camera, hits) * rng.uniform(0.6, 1.0)
        if seen > most:
            best, most = camera, seen
        found += 1
        if found == _CANDIDATES:
            break
    return best


def probe(
    caster: Caster, camera: StereoCamera, right: bool = False
) -> tuple[Float32Array, Float32Array, Hits]:
    """Origins, directions and hits of a coarse grid of pixels of one view."""
    height, width = camera.size
    y, x = np.mgrid[PROBE_PX // 2 : height : PROBE_PX, PROBE_PX // 2 : width : PROBE_PX]
    directions = camera.rays(x.ravel().astype(np.float32), y.ravel().astype(np.float32))
    origins = np.repeat(camera.origin(right)[None], len(directions), axis=0)
    return origins, directions, caster.hits(origins, directions)


def _aimed(rng: np.random.Generator, world: World, size: tuple[int, int]) -> StereoCamera | None:
    """A camera that looks at an anchor; None where it stands in it."""
    weights = np.array([a.weight for a in world.anchors])
    anchor = world.anchors[rng.choice(len(weights), p=weights / weights.sum())]
    if len(world.stands):
        height = float(np.exp(rng.uniform(np.log(0.4), np.log(2.6))))
        above = np.array([rng.normal(0, 1), height, rng.normal(0, 1)])
        position = world.stands[int(rng.integers(len(world.stands)))] + above
    else:
        reach = anchor.radius_m * 1.2 + float(np.exp(rng.uniform(*np.log(anchor.distances_m))))
        heading = rng.uniform(0, 2 * np.pi)
        rise = np.tan(np.clip(rng.normal(0.25, 0.25), -0.3, 1.0))
        towards = np.array([np.sin(heading), rise, np.cos(heading)])
        position = anchor.point + reach * towards / np.linalg.norm(towards)
    position = np.clip(position, world.low, world.high)
    point = anchor.point
    if len(world.stands) and rng.random() < _ALONG:
        point = world.stands[int(rng.integers(len(world.stands)))] + np.array([0, 1.2, 0])
    reach = float(np.linalg.norm(position - point))
    target = point + rng.normal(0, max(0.15 * reach, 0.02), 3)
    if np.linalg.norm(position - target) < 0.25:
        return None
    axes = look_at(position, target, float(rng.normal(0, 0.05)))
    return draw_lens(rng, position, axes, size)


def _with_baseline(
    rng: np.random.Generator,
    world: World,
    caster: Caster,
    camera: StereoCamera,
    depth: Float32Array,
    max_disparity_px: float,
) -> StereoCamera | None:
    """The camera with a baseline; None where a lens is in or behind something."""
    if np.percentile(depth, 1, method='lower') < _NEAREST_M or np.isfinite(depth).mean() < 0.3:
        return None
    camera = draw_baseline(rng, camera, depth, world.baselines_m, max_disparity_px)
    if camera.baseline_m < world.baselines_m[0] * 0.6:
        return None
    # The left view does not see what is right before the right lens.
    there = camera.disparity(probe(caster, camera, right=True)[2].depth)
    return camera if np.percentile(there, 99) < 1.2 * max_disparity_px else None


def _variety(world: World, camera: StereoCamera, hits: Hits) -> float:
    """Number of things in the picture, and a tenth of the share of its depth edges in percent.

    A thing counts fully from two percent of the area.
    """
    height, width = (len(range(PROBE_PX // 2, side, PROBE_PX)) for side in camera.size)
    disparity = camera.disparity(hits.depth).reshape(height, width)
    edges = float((np.abs(np.diff(disparity, axis=1)) > 3).mean())
    faces = hits.face[hits.face >= 0]
    counts = np.bincount(world.thing[faces])
    return float(np.minimum(counts / (0.02 * len(hits.face)), 1).sum()) + 10 * edges
