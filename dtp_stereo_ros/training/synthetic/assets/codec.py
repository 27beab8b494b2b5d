"""Compact bytes of a mesh: positions and texture coordinates in 16 bits, indices by first use."""

from __future__ import annotations

import lzma
import struct

import numpy as np

from .mesh import Material, Mesh, welded

_HEADER = struct.Struct('<III10f')
_FILTERS = [{'id': lzma.FILTER_LZMA2, 'preset': 6}]
_STEPS = 65535


def encode_mesh(mesh: Mesh) -> bytes:
    """Weld a mesh and pack it; materials are kept elsewhere.

    Positions lose at most 1 / 131070 of the mesh's extent along each axis.
    """
    mesh = welded(mesh)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    uv_low, uv_high = mesh.uv.min(axis=0), mesh.uv.max(axis=0)
    points = np.concatenate(
        (_quantised(mesh.vertices, low, high), _quantised(mesh.uv, uv_low, uv_high)), axis=1
    )
    points = np.diff(points, axis=0, prepend=np.zeros((1, 5), np.uint16))
    flat = mesh.faces.ravel().astype(np.int64)
    # Vertices are in the order of their first use: a new one is 0, an old one its distance.
    seen = np.maximum.accumulate(flat)
    before = np.concatenate(([-1], seen[:-1])) + 1
    codes = np.where(flat == before, 0, before - flat).astype(np.uint32)
    runs = np.flatnonzero(np.diff(mesh.material, prepend=-1))
    header = _HEADER.pack(
        len(mesh.vertices), len(mesh.faces), len(runs), *low, *high, *uv_low, *uv_high
    )
    body = (
        _planes(np.ascontiguousarray(points.T))
        + _planes(codes)
        + runs.astype('<u4').tobytes()
        + mesh.material[runs].astype('<u2').tobytes()
    )
    return header + lzma.compress(body, lzma.FORMAT_RAW, filters=_FILTERS)


def decode_mesh(data: bytes, materials: list[Material]) -> Mesh:
    """The mesh of `encode_mesh`."""
    vertices, faces, runs, *box = _HEADER.unpack_from(data)
    body = lzma.decompress(data[_HEADER.size :], lzma.FORMAT_RAW, filters=_FILTERS)
    bounds = np.array(box, np.float32)
    at = vertices * 10
    points = _joined(body[:at], np.uint16).reshape(5, vertices)
    points = np.cumsum(points, axis=1, dtype=np.uint16).T.astype(np.float32) / _STEPS
    codes = _joined(body[at : at + faces * 12], np.uint32)
    at += faces * 12
    new = codes == 0
    indices = np.cumsum(new) - new - codes
    starts = np.frombuffer(body, '<u4', runs, at)
    kinds = np.frombuffer(body, '<u2', runs, at + runs * 4)
    lengths = np.diff(np.append(starts.astype(np.int64), faces))
    return Mesh(
        points[:, :3] * (bounds[3:6] - bounds[:3]) + bounds[:3],
        points[:, 3:] * (bounds[8:] - bounds[6:8]) + bounds[6:8],
        indices.astype(np.int32).reshape(-1, 3),
        np.repeat(kinds, lengths).astype(np.int32),
        materials,
    )


def _quantised(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    extent = np.maximum(high - low, 1e-12)
    return np.rint((values - low) / extent * _STEPS).astype(np.uint16)


def _planes(values: np.ndarray) -> bytes:
    """All low bytes, then all next ones: similar bytes side by side compress better."""
    raw = values.ravel().view(np.uint8).reshape(-1, values.itemsize)
    return np.ascontiguousarray(raw.T).tobytes()


def _joined(data: bytes, kind: type[np.unsignedinteger]) -> np.ndarray:
    size = np.dtype(kind).itemsize
    raw = np.frombuffer(data, np.uint8).reshape(size, -1)
    return np.ascontiguousarray(raw.T).view(kind).ravel()
