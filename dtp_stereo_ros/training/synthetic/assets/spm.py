"""SuperTuxKart's mesh format SPM, version 1: positions, texture coordinates and texture names.

Layout (little endian): ``SP``, version and kind, flags, bounding box (6 float32), texture names,
then sections of buffers, each with its vertices of a variable size and its indices.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from .mesh import Material, Mesh, merge

_HAS_NORMALS, _HAS_COLOURS, _HAS_TANGENTS = 1, 2, 4
_SKINNED = 1
# A colour is one byte where it is white.
_WHITE = 128


def read_spm(path: Path) -> Mesh:
    """Read a mesh; a texture's name is a file name without its folder.

    Raises:
        ValueError: it is no SPM file, has no triangle, or ends early.
    """
    try:
        return _read(path.read_bytes())
    except (struct.error, IndexError, ValueError) as error:
        raise ValueError(f'{path}: not a mesh that can be read ({error})') from error


def _read(data: bytes) -> Mesh:
    if data[:2] != b'SP':
        raise ValueError('no SPM header')
    kind, flags = data[2] & 7, data[3]
    at = 4 + 24
    (count,) = struct.unpack_from('<H', data, at)
    at += 2
    names: list[tuple[str, str]] = []
    for _ in range(count):
        pair = []
        for _ in range(2):
            size = data[at]
            pair.append(data[at + 1 : at + 1 + size].decode('utf-8', 'replace'))
            at += 1 + size
        names.append((pair[0], pair[1]))
    (sections,) = struct.unpack_from('<H', data, at)
    at += 2
    meshes = []
    for _ in range(sections):
        (buffers,) = struct.unpack_from('<H', data, at)
        at += 2
        for _ in range(buffers):
            vertices, indices, material = struct.unpack_from('<IIH', data, at)
            first, second = names[material] if material < len(names) else ('', '')
            layout = _Layout(kind, flags, bool(first), bool(second))
            points, uv, at = layout.vertices(data, at + 10, vertices)
            width = 1 if vertices <= 255 else 2 if vertices <= 65535 else 4
            faces = np.frombuffer(data, f'<u{width}', indices, at).astype(np.int32)
            at += indices * width
            if indices and faces.max() >= vertices:
                raise ValueError('an index beyond the vertices')
            meshes.append(
                Mesh(
                    points,
                    uv,
                    faces.reshape(-1, 3),
                    np.zeros(indices // 3, np.int32),
                    [Material((255.0, 255.0, 255.0), first) if first else Material()],
                )
            )
    if not any(len(m.faces) for m in meshes):
        raise ValueError('no triangle')
    return merge(meshes)


class _Layout:
    """Size of the parts of a vertex."""

    def __init__(self, kind: int, flags: int, textured: bool, twice: bool) -> None:
        self.before_colour = 12 + (4 if flags & _HAS_NORMALS else 0)
        self.coloured = bool(flags & _HAS_COLOURS)
        self.textured = textured
        self.after = 0
        if textured:
            self.after += 4 + (4 if twice else 0) + (4 if flags & _HAS_TANGENTS else 0)
        if kind == _SKINNED:
            self.after += 16

    def vertices(self, data: bytes, at: int, count: int) -> tuple[np.ndarray, np.ndarray, int]:
        """(V, 3) positions, (V, 2) texture coordinates, and where the indices start."""
        # Before anything of its size is allocated: a broken file can tell any number.
        if at + count * (self.before_colour + self.coloured + self.after) > len(data):
            raise ValueError('ends early')
        raw = np.frombuffer(data, np.uint8)
        if self.coloured:
            starts, colours = np.empty(count, np.int64), np.empty(count, np.int64)
            for k in range(count):
                starts[k] = at
                colour = 1 if data[at + self.before_colour] == _WHITE else 4
                colours[k] = colour
                at += self.before_colour + colour + self.after
        else:
            step = self.before_colour + self.after
            starts = at + np.arange(count, dtype=np.int64) * step
            colours = np.zeros(count, np.int64)
            at += count * step
        if at > len(data):
            raise ValueError('ends early')
        points = raw[starts[:, None] + np.arange(12)].view('<f4').reshape(count, 3)
        uv = np.zeros((count, 2), np.float32)
        if self.textured:
            where = starts + self.before_colour + colours
            uv = raw[where[:, None] + np.arange(4)].view('<f2').astype(np.float32)
            # SPM counts v downwards.
            uv[:, 1] = 1 - uv[:, 1]
        return points.astype(np.float32), uv.reshape(count, 2), at
