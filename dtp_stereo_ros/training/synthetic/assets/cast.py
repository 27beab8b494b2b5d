"""Ray casting by Embree: the surface that each ray meets, through the holes of foliage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.stereo import BoolArray, Float32Array

from .images import Images
from .world import World

# Layers of holes that a ray passes before the next surface counts as solid.
_LAYERS = 5
_SHADOW_LAYERS = 2
_STEP_M = 1e-4


@dataclass
class Hits:
    """What n rays met.

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
        self._scene = EmbreeScene()
        TriangleMesh(
            self._scene,
            np.ascontiguousarray(world.vertices, np.float32),
            np.ascontiguousarray(world.faces, np.int32),
        )
        self._holes = np.array([m.cut_out for m in world.materials])
        self._any_holes = bool(self._holes.any())

    def hits(self, origins: Float32Array, directions: Float32Array) -> Hits:
        """The first solid surface of each ray; (n, 3) float32 each."""
        found = self._first(origins, directions)
        if not self._any_holes:
            return found
        todo = np.flatnonzero(self._through(found))
        passed = found.depth[todo]
        for _ in range(_LAYERS):
            if not len(todo):
                break
            passed = passed + np.maximum(_STEP_M, passed * 1e-5)
            starts = origins[todo] + directions[todo] * passed[:, None]
            more = self._first(starts, directions[todo])
            more.depth += passed
            for name in ('face', 'depth', 'across', 'up', 'normal'):
                getattr(found, name)[todo] = getattr(more, name)
            through = self._through(more)
            todo, passed = todo[through], more.depth[through]
        return found

    def shadowed(
        self, origins: Float32Array, directions: Float32Array, reach: Float32Array
    ) -> BoolArray:
        """Whether a solid surface lies within `reach` lengths (n,) of a direction."""
        if not self._any_holes:
            blocked = self._scene.run(origins, directions, reach, query='OCCLUDED')
            return np.asarray(blocked == 0)
        found = self._first(origins, directions, reach)
        todo = np.flatnonzero(self._through(found))
        passed = found.depth[todo]
        for _ in range(_SHADOW_LAYERS):
            if not len(todo):
                break
            passed = passed + 1e-3
            starts = origins[todo] + directions[todo] * passed[:, None]
            more = self._first(starts, directions[todo], reach[todo] - passed)
            found.face[todo] = more.face
            more.depth += passed
            through = self._through(more)
            todo, passed = todo[through], more.depth[through]
        found.face[todo] = -1
        return np.asarray(found.face >= 0)

    def _first(
        self,
        origins: Float32Array,
        directions: Float32Array,
        reach: Float32Array | None = None,
    ) -> Hits:
        result = self._scene.run(origins, directions, reach, query='INTERSECT', output=True)
        face = result['primID']
        depth = np.where(face >= 0, result['tfar'], np.float32(np.inf))
        return Hits(face, depth, result['u'], result['v'], result['Ng'])

    def _through(self, hits: Hits) -> BoolArray:
        """Whether a ray met a hole."""
        world = self.world
        through = np.zeros(len(hits.face), np.bool_)
        met = np.flatnonzero(hits.face >= 0)
        face = hits.face[met]
        material = world.material[face]
        cut = self._holes[material]
        met, face, material = met[cut], face[cut], material[cut]
        if len(met):
            uv = interpolated(world.uv, world.faces[face], hits.across[met], hits.up[met])
            through[met] = self.images.alpha(material, uv) < 128
        return through


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
