"""Pieces of tracks: the surroundings of a place on the road, with cars and things on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

from .library import Library, Model
from .looks import draw_sky, swapped
from .mesh import Mesh
from .outside import BARS, BASELINES_M, Props, sunlight
from .world import Anchor, Builder, World, tumbled, turned

# What lies further from the place than this is left out.
_REACH_M = 110.0
_NEAR_M = 25.0
_FLOATING = 0.15


class TrackMaker:
    """Draws pieces of tracks.

    Args:
        library: of models; at least one track.
        photos: RGB uint8 photographs for swapped materials and skies; may be empty.
    """

    def __init__(self, library: Library, photos: list[UInt8Array]) -> None:
        self.library, self.photos = library, photos
        self._tracks = library.of_kind('track')
        self._props = Props(library)

    def draw(self, rng: np.random.Generator) -> World:
        """The surroundings of a random place on a random track."""
        track = self._tracks[int(rng.integers(len(self._tracks)))]
        road = np.array(track.road)
        here = road[int(rng.integers(len(road)))]
        builder = Builder(self.library, self.photos)
        self._scenery(rng, builder, track, here)
        distance = np.linalg.norm(road - here, axis=1)
        near = np.flatnonzero(distance < _NEAR_M)
        for _ in range(int(rng.integers(3, 12))):
            self._stand(rng, builder, road, int(rng.choice(near)))
        lights, ambient = sunlight(rng)
        return builder.world(
            lights,
            ambient,
            draw_sky(rng, self.photos),
            (here - _REACH_M, here + _REACH_M),
            stands=road[near],
            baselines_m=BASELINES_M,
        )

    def _scenery(
        self, rng: np.random.Generator, builder: Builder, track: Model, here: np.ndarray
    ) -> None:
        changed = 0.5 if rng.random() < 0.3 else 0.0
        for name, numbers in track.parts:
            model = self.library.by_name[name]
            matrix = np.array(numbers).reshape(3, 4)
            scale = float(np.abs(matrix[:, :3]).sum(axis=0).max())
            size = float(np.linalg.norm(model.size_m)) * scale
            offset = float(np.linalg.norm(matrix[:, 3] - here))
            # Small things far away are not worth their triangles.
            if size < 30 and offset > min(_REACH_M, 15 + 25 * size):
                continue
            mesh = _cut(self.library.mesh(model), matrix, here)
            if mesh is None:
                continue
            looks = swapped(rng, builder, mesh.materials, changed)
            builder.place(mesh, np.eye(3), np.zeros(3), looks)
            if size < 20 and offset < _NEAR_M:
                builder.anchors.append(Anchor(matrix[:, 3] + [0, 0.3 * size, 0], size / 2))

    def _stand(
        self, rng: np.random.Generator, builder: Builder, road: np.ndarray, at: int
    ) -> None:
        """Stand a thing on the road or beside it; some hang in the air."""
        model = self._props.pick(rng)
        ahead = road[(at + 1) % len(road)] - road[at]
        yaw = np.arctan2(ahead[0], ahead[2])
        across = np.array([np.cos(yaw), 0, -np.sin(yaw)])
        position = road[at] + across * rng.normal(0, 3) + ahead * rng.uniform(0, 1)
        turn = turned(yaw + np.pi / 2 + rng.normal(0, 0.3))
        if model is None or rng.random() < BARS:
            self._props.place_bars(rng, builder, position)
            return
        if rng.random() < _FLOATING:
            position = position + np.array([0, rng.uniform(0.5, 4), 0])
            turn = tumbled(rng)
        self._props.place(rng, builder, model, position, turn)


def _cut(mesh: Mesh, matrix: np.ndarray, here: np.ndarray) -> Mesh | None:
    """The mesh in its place, without the faces that are far away."""
    turn, move = matrix[:, :3].astype(np.float32), matrix[:, 3].astype(np.float32)
    vertices = mesh.vertices @ turn.T + move
    far = np.abs(vertices - here.astype(np.float32)).max(axis=1) > _REACH_M
    kept = ~far[mesh.faces].all(axis=1)
    if not kept.any():
        return None
    if kept.all():
        return replace(mesh, vertices=vertices)
    used = np.zeros(len(vertices), np.bool_)
    used[mesh.faces[kept]] = True
    numbers = np.cumsum(used) - 1
    return replace(
        mesh,
        vertices=vertices[used],
        uv=mesh.uv[used],
        faces=numbers[mesh.faces[kept]].astype(np.int32),
        material=mesh.material[kept],
    )
