"""Triangle meshes with materials, as all readers return them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dtp_stereo_ros.stereo import Float32Array

# A corner keeps a normal of its own where its face turns by more than this from the average.
_CREASE_COS = 0.64


@dataclass(frozen=True)
class Material:
    """Look of a part of a mesh.

    Attributes:
        colour: RGB, 0 to 255; the texture is multiplied by it where `tinted`.
        texture: name of an image, or empty.
        cut_out: whether texels of low alpha are holes.
        opacity: 0 to 1.
        gloss: strength of highlights and of reflections at a flat angle, 0 to 1.
        mirror: share of the light that is reflected at any angle, 0 to 1.
        grain: contrast of a fine unevenness of the surface, 0 for a flawless one.
        grain_m: size of the spots of that unevenness.
    """

    colour: tuple[float, float, float] = (180.0, 180.0, 180.0)
    texture: str = ''
    cut_out: bool = False
    opacity: float = 1.0
    gloss: float = 0.0
    mirror: float = 0.0
    grain: float = 0.0
    grain_m: float = 0.01


@dataclass(frozen=True)
class Mesh:
    """Triangles, y up, in metres.

    Attributes:
        vertices: (V, 3) float32.
        uv: (V, 2) float32, v upwards.
        faces: (F, 3) int32 into the vertices.
        material: (F,) int32 into the materials.
        materials: at least one.
    """

    vertices: Float32Array
    uv: Float32Array
    faces: np.ndarray
    material: np.ndarray
    materials: list[Material] = field(default_factory=lambda: [Material()])

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, (3,) each, of the vertices that faces use."""
        used = self.vertices[self.faces.ravel()]
        return used.min(axis=0), used.max(axis=0)

    @cached_property
    def normals(self) -> Float32Array:
        """(V, 3) unit normals; see `vertex_normals`."""
        return vertex_normals(self.vertices, self.faces)

    def fitted(self, size_m: tuple[float, float, float]) -> Mesh:
        """Scaled to (width, height, depth), centred, standing on y = 0."""
        low, high = self.bounds
        extent = np.maximum(high - low, 1e-6)
        scale = np.asarray(size_m, np.float32) / extent
        moved = (self.vertices - (low + high) / 2) * scale
        moved[:, 1] += size_m[1] / 2
        return Mesh(moved.astype(np.float32), self.uv, self.faces, self.material, self.materials)


def merge(meshes: list[Mesh]) -> Mesh:
    """All meshes as one; equal materials become one, unused ones are left out."""
    materials: dict[Material, int] = {}
    vertices, uv, faces, material = [], [], [], []
    start = 0
    for mesh in meshes:
        vertices.append(mesh.vertices)
        uv.append(mesh.uv)
        faces.append(mesh.faces + start)
        used, number = np.unique(mesh.material, return_inverse=True)
        to = [materials.setdefault(mesh.materials[k], len(materials)) for k in used]
        material.append(np.array(to)[number.ravel()])
        start += len(mesh.vertices)
    return Mesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(uv).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(material).astype(np.int32),
        list(materials),
    )


def face_normals(vertices: Float32Array, faces: np.ndarray) -> Float32Array:
    """(F, 3) normals, as long as twice the area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.asarray(np.cross(b - a, c - a), np.float32)


def vertex_normals(vertices: Float32Array, faces: np.ndarray) -> Float32Array:
    """(V, 3) unit normals, each the mean of its faces by area; zero where there are none."""
    of_face = face_normals(vertices, faces)
    flat = faces.ravel()
    total = np.stack(
        [np.bincount(flat, np.repeat(of_face[:, k], 3), len(vertices)) for k in range(3)],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-12)).astype(np.float32)


def welded(mesh: Mesh) -> Mesh:
    """Equal corners become one vertex, and vertices at creases are split.

    After it `vertex_normals` are smooth over round parts and sharp over edges. Vertices are in the
    order of their first use; faces without area are left out.
    """
    of_face = face_normals(mesh.vertices, mesh.faces)
    area = np.linalg.norm(of_face, axis=1)
    kept = area > 1e-12
    faces, material = mesh.faces[kept], mesh.material[kept]
    of_face = of_face[kept] / area[kept, None]
    # Positions first: a mesh may list the same point several times.
    low, high = mesh.bounds
    grid = np.round((mesh.vertices - low) / max(float((high - low).max()), 1e-9) * 1e5)
    grid = np.clip(grid, -1, 1e5 + 1).astype(np.int32)
    _, point = np.unique(grid, axis=0, return_inverse=True)
    corner_point = point.ravel()[faces.ravel()]
    corner_normal = np.repeat(of_face * area[kept, None], 3, axis=0)
    mean = np.stack(
        [np.bincount(corner_point, corner_normal[:, k], point.max() + 1) for k in range(3)], 1
    )
    mean = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    unit = np.repeat(of_face, 3, axis=0)
    turned = (unit * mean[corner_point]).sum(axis=1) < _CREASE_COS
    axis = np.abs(unit).argmax(axis=1)
    side = 1 + 2 * axis + (np.take_along_axis(unit, axis[:, None], 1)[:, 0] > 0)
    uv = np.round(mesh.uv[faces.ravel()] * 8192).astype(np.int64)
    key = np.stack((corner_point, np.where(turned, side, 0), uv[:, 0], uv[:, 1]), axis=1)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    corners = faces.ravel()[first[order]]
    return Mesh(
        mesh.vertices[corners],
        mesh.uv[corners],
        rank[inverse.ravel()].reshape(-1, 3).astype(np.int32),
        material.astype(np.int32),
        mesh.materials,
    )
