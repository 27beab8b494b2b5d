"""A world to look at: triangles of all things in it, their materials, textures and lights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dtp_stereo_ros.stereo import Float32Array, UInt8Array

from .camera import BASELINES_M
from .library import Library
from .mesh import Material, Mesh


@dataclass(frozen=True)
class Light:
    """A lamp at a point, or the sun.

    Attributes:
        position: (3,) m; towards it where it is endless.
        colour: (3,) RGB strength; 1 lights a white surface that faces it fully (at 2 m).
        endless: whether it is infinitely far away.
    """

    position: np.ndarray
    colour: np.ndarray
    endless: bool = False


@dataclass(frozen=True)
class Anchor:
    """Something worth looking at.

    Attributes:
        point: (3,) m.
        radius_m: of the thing.
        weight: how often it is chosen, relative to others.
        distances_m: nearest and furthest camera, from its radius on.
    """

    point: np.ndarray
    radius_m: float
    weight: float = 1.0
    distances_m: tuple[float, float] = (0.3, 4.0)


@dataclass
class World:
    """All that a picture needs, y up, metres.

    Attributes:
        vertices, normals: (V, 3) float32.
        uv: (V, 2) float32.
        faces: (F, 3) int32.
        material, thing: (F,) int32, of each face.
        materials: (M,) looks.
        images: RGBA uint8 by name, those that the materials name.
        lights: at least one.
        ambient: (3,) light from everywhere.
        sky: RGB uint8 panorama, seen where nothing is hit and in reflections.
        anchors: for the camera.
        low, high: (3,) box that the camera stays in.
        stands: (N, 3) points on the ground that cameras stand over; around anchors where empty.
        baselines_m: shortest and longest baseline.
    """

    vertices: Float32Array
    normals: Float32Array
    uv: Float32Array
    faces: np.ndarray
    material: np.ndarray
    thing: np.ndarray
    materials: list[Material]
    images: dict[str, UInt8Array]
    lights: list[Light]
    ambient: np.ndarray
    sky: UInt8Array
    anchors: list[Anchor]
    low: np.ndarray
    high: np.ndarray
    stands: np.ndarray
    baselines_m: tuple[float, float]


@dataclass
class Builder:
    """Collects meshes for a `World`.

    Attributes:
        library: where models and textures are from.
        photos: RGB uint8 photographs, for walls and swapped materials; may be empty.
    """

    library: Library
    photos: list[UInt8Array]
    anchors: list[Anchor] = field(default_factory=list)
    _images: dict[str, UInt8Array] = field(default_factory=dict)
    _materials: dict[Material, int] = field(default_factory=dict)
    _parts: list[tuple[Mesh, np.ndarray, np.ndarray]] = field(default_factory=list)

    def place(
        self,
        mesh: Mesh,
        turn: np.ndarray,
        position: np.ndarray,
        materials: list[Material] | None = None,
    ) -> None:
        """Add a mesh, turned by (3, 3) and moved by (3,) m."""
        vertices = mesh.vertices @ turn.T.astype(np.float32) + position.astype(np.float32)
        looks = mesh.materials if materials is None else materials
        to = np.array([self._materials.setdefault(m, len(self._materials)) for m in looks])
        self._parts.append(
            (replace(mesh, vertices=vertices), mesh.normals @ turn.T.astype(np.float32), to)
        )

    def photo(self, rng: np.random.Generator) -> str:
        """Name of a random photograph or surface texture, empty where there is none."""
        surfaces = self.library.surfaces
        total = len(self.photos) + len(surfaces)
        if not total:
            return ''
        pick = int(rng.integers(total))
        if pick < len(surfaces):
            return surfaces[pick]
        name = f'photo {pick - len(surfaces)}'
        if name not in self._images:
            image = self.photos[pick - len(surfaces)]
            self._images[name] = np.dstack((image, np.full(image.shape[:2], 255, np.uint8)))
        return name

    def world(
        self,
        lights: list[Light],
        ambient: np.ndarray,
        sky: UInt8Array,
        box: tuple[np.ndarray, np.ndarray],
        stands: np.ndarray | None = None,
        baselines_m: tuple[float, float] = BASELINES_M,
    ) -> World:
        """Everything placed so far, as one; see `World`."""
        counts = np.cumsum([0] + [len(m.vertices) for m, _, _ in self._parts])
        meshes = [m for m, _, _ in self._parts]
        materials = list(self._materials)
        for material in materials:
            name = material.texture
            if name and name not in self._images:
                self._images[name] = self.library.texture(name)
        return World(
            np.concatenate([m.vertices for m in meshes]),
            np.concatenate([n for _, n, _ in self._parts]),
            np.concatenate([m.uv for m in meshes]),
            np.concatenate([m.faces + s for m, s in zip(meshes, counts, strict=False)]).astype(
                np.int32
            ),
            np.concatenate([to[m.material] for m, _, to in self._parts]).astype(np.int32),
            np.repeat(np.arange(len(meshes)), [len(m.faces) for m in meshes]).astype(np.int32),
            materials,
            self._images,
            lights,
            ambient,
            sky,
            self.anchors,
            *box,
            np.zeros((0, 3)) if stands is None else stands,
            baselines_m,
        )


def turned(yaw: float) -> np.ndarray:
    """(3, 3) turn about the vertical axis."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def tumbled(rng: np.random.Generator) -> np.ndarray:
    """(3, 3) random turn, without mirroring."""
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return np.asarray(q * np.sign(np.linalg.det(q)))


def panel(
    corner: np.ndarray, across: np.ndarray, up: np.ndarray, repeats: tuple[float, float]
) -> Mesh:
    """A rectangle whose texture repeats; `across` x `up` is the side that is seen."""
    points = np.array([corner, corner + across, corner + across + up, corner + up], np.float32)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * np.array(repeats, np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Mesh(points, uv.astype(np.float32), faces, np.zeros(2, np.int32))
