"""Ray casting by Embree: the surface that each ray meets, through the holes of foliage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.stereo import BoolArray, Float32Array

from .images import Images
from .world import World

# Surfaces with holes that a ray passes before the next one counts as solid.
_LAYERS = 6
_SHADOW_LAYERS = 3
_STEP_M = 1e-4
_FAR = np.float32(1e9)


@dataclass
class Hits:
    """Hits of n rays.

    Attributes:
        face: (n,) int32, -1 where nothing.
        depth: (n,) float32 along the ray, in lengths of its direction; infinite where nothing.
        across, up: (n,) float32, barycentric coordinates of the second and third corner.
        normal: (n, 3) float32, of the face, as long as twice its area.
    """

    face: np.ndarray
    depth: Float32Array
    across: Float32Array
    up: Float32Array
    normal: Float32Array

    def taken(self, which: np.ndarray) -> Hits:
        """Those of some rays, by number or by truth value."""
        return Hits(*(getattr(self, name)[which] for name in _FIELDS))

    @classmethod
    def joined(cls, parts: list[Hits]) -> Hits:
        """All parts, one after the other."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in _FIELDS))

    @classmethod
    def nothing(cls, count: int) -> Hits:
        """Hits of rays that meet nothing."""
        zeros = np.zeros(count, np.float32)
        depth = np.full(count, np.inf, np.float32)
        return cls(np.full(count, -1), depth, zeros, zeros, np.zeros((count, 3), np.float32))


_FIELDS = ('face', 'depth', 'across', 'up', 'normal')


class Caster:
    """Casts rays into a world.

    Args:
        world: built once; must not change.
        images: its textures, for their holes.

    Raises:
        ConfigError: embreex is not installed.
    """

    def __init__(self, world: World, images: Images) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise ConfigError(
                f'rendering needs the package embreex ({error}); pip install embreex'
            ) from error
        self.world, self.images = world, images
        cut_out = np.array([m.cut_out for m in world.materials])[world.material]
        # Leaves apart from the rest: most rays end at a solid surface, found in one go, and only
        # what lies before it is searched for holes.
        self._solid, self._leaves = (
            _Part(world, np.flatnonzero(which), EmbreeScene, TriangleMesh)
            for which in (~cut_out, cut_out)
        )

    def hits(self, origins: Float32Array, directions: Float32Array) -> Hits:
        """The first solid surface of each ray; (n, 3) float32 each."""
        found = self._solid.first(origins, directions, None)
        todo, leaves = self._leaf_hits(origins, directions, found.depth, _LAYERS)
        for name in _FIELDS:
            getattr(found, name)[todo] = getattr(leaves, name)
        return found

    def shadowed(
        self, origins: Float32Array, directions: Float32Array, reach: Float32Array
    ) -> BoolArray:
        """Whether a solid surface lies within `reach` lengths (n,) of a direction."""
        blocked = self._solid.blocked(origins, directions, reach)
        free = np.flatnonzero(~blocked)
        if len(free):
            ends, _ = self._leaf_hits(origins[free], directions[free], reach[free], _SHADOW_LAYERS)
            blocked[free[ends]] = True
        return blocked

    def _leaf_hits(
        self,
        origins: Float32Array,
        directions: Float32Array,
        reach: Float32Array,
        layers: int,
    ) -> tuple[np.ndarray, Hits]:
        """Numbers (k,) of the rays that a solid part of a leaf stops within reach, and where."""
        todo = np.arange(len(origins))
        passed = np.zeros(len(origins), np.float32)
        ends: list[np.ndarray] = []
        found: list[Hits] = []
        for _ in range(layers if len(self._leaves.faces) else 0):
            starts = origins[todo] + directions[todo] * passed[:, None] if ends else origins
            rest = np.minimum(reach[todo], _FAR) - passed
            hits = self._leaves.first(starts, directions[todo] if ends else directions, rest)
            met = np.flatnonzero(hits.face >= 0)
            hits = hits.taken(met)
            todo, passed = todo[met], passed[met]
            hits.depth += passed
            solid = self._solid_texel(hits)
            ends.append(todo[solid])
            found.append(hits.taken(solid))
            todo, passed = todo[~solid], hits.depth[~solid]
            passed = passed + np.maximum(_STEP_M, passed * np.float32(1e-5))
            if not len(todo):
                break
        if not ends:
            return todo[:0], Hits.nothing(0)
        return np.concatenate(ends), Hits.joined(found)

    def _solid_texel(self, hits: Hits) -> BoolArray:
        """Whether a ray met a leaf and not a hole in its picture."""
        world = self.world
        corners = world.faces[hits.face]
        uv = interpolated(world.uv, corners, hits.across, hits.up)
        return np.asarray(self.images.alpha(world.material[hits.face], uv) >= 128)


class _Part:
    """Some faces of a world in an Embree scene of their own."""

    def __init__(self, world: World, faces: np.ndarray, scene: Any, mesh: Any) -> None:
        self.faces = faces.astype(np.int32)
        if not len(faces):
            return
        self._scene = scene()
        # With the vertices of all: to sort them out takes longer than Embree's own work.
        mesh(
            self._scene,
            np.ascontiguousarray(world.vertices, np.float32),
            np.ascontiguousarray(world.faces[faces], np.int32),
        )

    def first(
        self, origins: Float32Array, directions: Float32Array, reach: Float32Array | None
    ) -> Hits:
        if not len(self.faces):
            return Hits.nothing(len(origins))
        result = self._scene.run(origins, directions, reach, query='INTERSECT', output=True)
        met = result['primID'] >= 0
        face = np.where(met, self.faces[result['primID']], -1)
        depth = np.where(met, result['tfar'], np.float32(np.inf))
        return Hits(face, depth, result['u'], result['v'], result['Ng'])

    def blocked(
        self, origins: Float32Array, directions: Float32Array, reach: Float32Array
    ) -> BoolArray:
        if not len(self.faces):
            return np.zeros(len(origins), np.bool_)
        return np.asarray(self._scene.run(origins, directions, reach, query='OCCLUDED') == 0)


def interpolated(
    values: Float32Array, corners: np.ndarray, across: Float32Array, up: Float32Array
) -> Float32Array:
    """(n, k) values at points in triangles, of (V, k) values at vertices and (n, 3) corners."""
    first = values[corners[:, 0]]
    second = values[corners[:, 1]] - first
    third = values[corners[:, 2]] - first
    second *= across[:, None]
    third *= up[:, None]
    first += second
    first += third
    return first
