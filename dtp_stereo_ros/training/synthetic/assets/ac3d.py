"""AC3D meshes (``.ac``) and TORCS's variant (``.acc``, with triangle strips and four textures)."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from .mesh import Material, Mesh, merge

# Lowest bits of a surface's type.
_POLYGON, _STRIP = 0, 4
# Type, material, and corners: index, u and v.
Surface = tuple[int, int, list[list[float]]]


def read_ac3d(path: Path) -> Mesh:
    """Read a mesh; texture names are as in the file.

    Raises:
        ValueError: it is no AC3D file, has no polygon, ends early, or an index leads nowhere.
    """
    lines = path.read_text(encoding='latin-1').splitlines()
    try:
        if not lines or not lines[0].startswith('AC3D'):
            raise ValueError('no AC3D header')
        return merge(_Reader(lines).meshes())
    except (ValueError, IndexError) as error:
        raise ValueError(f'{path}: not a mesh that can be read ({error})') from error


class _Reader:
    """Lines of a file and the place reached in them."""

    def __init__(self, lines: list[str]) -> None:
        self.lines, self.at = lines, 1
        self.materials: list[Material] = []

    def meshes(self) -> list[Mesh]:
        found: list[Mesh] = []
        while self.at < len(self.lines):
            words = self._next()
            if words and words[0] == 'MATERIAL':
                self.materials.append(_material(words))
            elif words and words[0] == 'OBJECT':
                self._object(found, np.eye(3), np.zeros(3))
        if not found:
            raise ValueError('no polygon')
        return found

    def _next(self) -> list[str]:
        line = self.lines[self.at]
        self.at += 1
        return shlex.split(line) if '"' in line else line.split()

    def _object(self, found: list[Mesh], turn: np.ndarray, place: np.ndarray) -> None:
        """One object with its children, which follow it."""
        head: dict[str, list[str]] = {}
        points = np.zeros((0, 3), np.float32)
        surfaces: list[Surface] = []
        while 'kids' not in head:
            words = self._next() or ['']
            head.setdefault(words[0], words[1:])
            if words[0] == 'data':
                self.at += 1
            elif words[0] == 'numvert':
                rows = [self._next()[:3] for _ in range(int(words[1]))]
                points = np.array(rows, np.float32).reshape(-1, 3)
            elif words[0] == 'numsurf':
                surfaces = [self._surface(len(points)) for _ in range(int(words[1]))]
        place = place + turn @ np.array(head.get('loc', [0, 0, 0]), float)
        turn = turn @ np.array(head.get('rot', np.eye(3).ravel()), float).reshape(3, 3).T
        texture = head.get('texture', [''])[0]
        repeat = np.array(head.get('texrep', [1, 1]), float)
        mesh = self._mesh(points @ turn.T + place, surfaces, texture, repeat)
        if mesh is not None:
            found.append(mesh)
        for _ in range(int(head['kids'][0])):
            while self._next()[:1] != ['OBJECT']:
                pass
            self._object(found, turn, place)

    def _surface(self, points: int) -> Surface:
        """Type, material, and corners: index, u and v."""
        kind, material = 0, 0
        while True:
            words = self._next()
            if words[0] == 'SURF':
                kind = int(words[1], 16) & 15
            elif words[0] == 'mat':
                material = int(words[1])
            elif words[0] == 'refs':
                corners = [[float(x) for x in self._next()[:3]] for _ in range(int(words[1]))]
                if any(not 0 <= c[0] < points or len(c) < 3 for c in corners):
                    raise ValueError('a corner leads nowhere')
                return kind, material, corners

    def _mesh(
        self,
        points: np.ndarray,
        surfaces: list[Surface],
        texture: str,
        repeat: np.ndarray,
    ) -> Mesh | None:
        corners: list[list[float]] = []
        triangles: list[tuple[int, int, int]] = []
        material: list[int] = []
        for kind, number, refs in surfaces:
            start = len(corners)
            new = _strip(start, len(refs)) if kind == _STRIP else _fan(start, len(refs))
            if kind not in (_POLYGON, _STRIP) or not new:
                continue
            corners += refs
            triangles += new
            material += [number] * len(new)
        if not triangles:
            return None
        table = np.array(corners)
        looks = [
            Material(m.colour, texture, opacity=m.opacity, gloss=m.gloss)
            for m in self.materials or [Material()]
        ]
        return Mesh(
            points[table[:, 0].astype(np.int64)].astype(np.float32),
            (table[:, 1:] * repeat).astype(np.float32),
            np.array(triangles, np.int32),
            np.minimum(np.array(material, np.int32), len(looks) - 1),
            looks,
        )


def _fan(start: int, count: int) -> list[tuple[int, int, int]]:
    return [(start, start + k, start + k + 1) for k in range(1, count - 1)]


def _strip(start: int, count: int) -> list[tuple[int, int, int]]:
    return [
        (start + k, start + k + 1, start + k + 2)
        if k % 2 == 0
        else (start + k + 1, start + k, start + k + 2)
        for k in range(count - 2)
    ]


def _material(words: list[str]) -> Material:
    """Material of ``MATERIAL "name" rgb r g b ... spec r g b shi n trans t``."""
    at = {name: words.index(name) for name in ('rgb', 'spec', 'trans') if name in words}
    rgb = words[at['rgb'] + 1 : at['rgb'] + 4] if 'rgb' in at else ['1'] * 3
    red, green, blue = (float(x) * 255 for x in rgb)
    clear = float(words[at['trans'] + 1]) if 'trans' in at else 0.0
    gloss = float(words[at['spec'] + 1]) if 'spec' in at else 0.0
    return Material((red, green, blue), opacity=1 - clear, gloss=min(1.0, max(0.0, gloss)))
