"""Cars of TORCS and buildings of FlightGear for the packed file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .ac3d import read_ac3d
from .library import Model
from .mesh import Material, Mesh, merge
from .packages import BUILDINGS, CARS
from .packing import Found, PackLimits, packed_textures, solid

_BUILDINGS = ('Buildings', 'Commercial', 'Residential', 'Industrial', 'Agriculture', 'Transport')
_TALLEST_M = 40.0
_WHEEL_M = 0.33
# The body's lowest point is this far above the road.
_SUNK_M = 0.16


def cars(assets: Path) -> Iterator[Path]:
    """Mesh files of cars and buildings below a folder."""
    for file in sorted(assets.rglob('cars/*/*.acc')):
        if file.stem == file.parent.name:
            yield file
    for file in sorted(assets.rglob('Models/*/*.ac')):
        if file.parent.name in _BUILDINGS:
            yield file


def pack_car(file: Path, limits: PackLimits) -> Found | None:
    """A car or a building as it is packed; None where it has too many triangles."""
    mesh = solid(read_ac3d(file))
    building = file.suffix == '.ac'
    if len(mesh.faces) > limits.triangles:
        return None
    low, high = mesh.bounds
    wide, tall, deep = (float(x) for x in high - low)
    if building and (tall > _TALLEST_M or max(wide, deep) > 2 * _TALLEST_M or tall < 1):
        return None
    torcs = file.suffix == '.acc'
    source = CARS if torcs else BUILDINGS
    key = f'{source}/{file.parent.name}'
    materials, textures = packed_textures(mesh.materials, file.parent, key, limits)
    mesh = replace(mesh.fitted((wide, tall, deep)), materials=materials)
    if torcs:
        # Varnish: painted cars reflect the sky.
        shiny = [replace(m, gloss=max(m.gloss, 0.7)) for m in materials]
        mesh = merge([replace(mesh, materials=shiny), *_wheels(wide, deep)])
    vehicle = torcs or file.parent.name == 'Transport'
    model = Model(
        f'{key}/{file.stem}',
        'vehicle' if vehicle else 'building',
        source,
        (wide, tall, deep),
        triangles=len(mesh.faces),
        materials=tuple(mesh.materials),
    )
    return Found(model, mesh, textures)


def _wheels(wide: float, deep: float) -> list[Mesh]:
    """Four wheels under a car of that length along x, which TORCS keeps apart from its body."""
    wheels = []
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    rim = np.stack((np.cos(angle), np.sin(angle)), axis=1) * _WHEEL_M
    after = np.roll(np.arange(20), -1)
    for x in (-0.29 * wide, 0.29 * wide):
        for z in (-0.41 * deep, 0.41 * deep):
            ends = [
                np.column_stack((rim[:, 0] + x, rim[:, 1] + _WHEEL_M - _SUNK_M, np.full(20, at)))
                for at in (z - 0.1, z + 0.1)
            ]
            hubs = [end.mean(axis=0, keepdims=True) for end in ends]
            near, far = np.arange(20), np.arange(20, 40)
            faces = [
                np.column_stack((near, near[after], far[after])),
                np.column_stack((near, far[after], far)),
                np.column_stack((np.full(20, 40), near[after], near)),
                np.column_stack((np.full(20, 41), far, far[after])),
            ]
            points = np.concatenate((*ends, *hubs)).astype(np.float32)
            index = np.concatenate(faces).astype(np.int32)
            uv = np.zeros((len(points), 2), np.float32)
            look = Material((28.0, 28.0, 30.0), gloss=0.1)
            wheels.append(Mesh(points, uv, index, np.zeros(len(index), np.int32), [look]))
    return wheels
