"""Wavefront OBJ and MTL: positions, texture coordinates, faces, and some material values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .mesh import Material, Mesh


def read_obj(path: Path) -> Mesh:
    """Read a mesh; texture names are paths relative to the folder of the file.

    Polygons become fans of triangles. Lines, normals and smoothing groups are passed over.

    Raises:
        ValueError: the file has no face, or a number in it is none, or an index leads nowhere.
    """
    text = _ObjText(path.parent)
    try:
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            words = line.split()
            if words:
                text.take(words[0], words[1:])
        return text.mesh()
    except (ValueError, IndexError) as error:
        raise ValueError(f'{path}: not a mesh that can be read ({error})') from error


class _ObjText:
    """The lines of a file so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.points: list[list[str]] = []
        self.coordinates: list[list[str]] = []
        self.corners: list[tuple[int, int]] = []
        self.triangles: list[tuple[int, int, int]] = []
        self.material: list[int] = []
        self.names: dict[str, int] = {}
        self.known: dict[str, Material] = {}
        self.current = ''

    def take(self, kind: str, words: list[str]) -> None:
        if kind == 'v':
            self.points.append(words[:3])
        elif kind == 'vt':
            self.coordinates.append(words[:2])
        elif kind == 'f':
            self._polygon(words)
        elif kind == 'usemtl':
            self.current = ' '.join(words)
        elif kind == 'mtllib' and (self.folder / ' '.join(words)).is_file():
            self.known |= read_mtl(self.folder / ' '.join(words))

    def _polygon(self, words: list[str]) -> None:
        material = self.names.setdefault(self.current, len(self.names))
        start = len(self.corners)
        self.corners += [self._corner(word) for word in words]
        for k in range(start + 1, len(self.corners) - 1):
            self.triangles.append((start, k, k + 1))
            self.material.append(material)

    def _corner(self, word: str) -> tuple[int, int]:
        """Zero-based indices of position and texture coordinate, -1 without the latter."""
        parts = word.split('/')
        v = int(parts[0])
        t = int(parts[1]) if len(parts) > 1 and parts[1] else 0
        point = v - 1 if v > 0 else len(self.points) + v
        if not 0 <= point < len(self.points):
            raise ValueError(f'no position {v}')
        return point, t - 1 if t > 0 else (len(self.coordinates) + t if t else -1)

    def mesh(self) -> Mesh:
        if not self.triangles:
            raise ValueError('no face')
        index = np.array(self.corners, np.int64)
        uv = np.zeros((len(index), 2), np.float32)
        if self.coordinates:
            has = (index[:, 1] >= 0) & (index[:, 1] < len(self.coordinates))
            uv[has] = np.array(self.coordinates, np.float32)[index[has, 1]]
        return Mesh(
            np.array(self.points, np.float32)[index[:, 0]],
            uv,
            np.array(self.triangles, np.int32),
            np.array(self.material, np.int32),
            [self.known.get(name, Material()) for name in self.names],
        )


def read_mtl(path: Path) -> dict[str, Material]:
    """Materials of a library by name."""
    values: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == 'newmtl':
            current = values.setdefault(' '.join(words[1:]), {})
        else:
            current[words[0]] = words[1:]
    return {name: _material(v) for name, v in values.items()}


def _material(values: dict[str, list[str]]) -> Material:
    red, green, blue = ([float(x) for x in values.get('Kd', [])] + [0.7] * 3)[:3]
    texture = values.get('map_Kd', [''])[-1].replace('\\', '/')
    return Material(
        (red * 255, green * 255, blue * 255),
        texture,
        opacity=float(values.get('d', ['1'])[0]),
        gloss=min(1.0, float(values.get('Ks', ['0'])[0])),
    )
