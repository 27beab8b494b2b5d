"""Streets: a road between buildings, with parked cars, people, lamps and trees."""

from __future__ import annotations

import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

from .library import Library
from .looks import draw_sky, surface_material
from .outside import BARS, BASELINES_M, Props, sunlight
from .world import Builder, World, panel, tumbled, turned

_LENGTH_M = 120.0
_FLOATING = 0.15


class StreetMaker:
    """Draws streets along the z axis.

    Args:
        library: of models; without vehicles and buildings the street is bare.
        photos: RGB uint8 photographs for the ground and for walls; may be empty.
    """

    def __init__(self, library: Library, photos: list[UInt8Array]) -> None:
        self.library, self.photos = library, photos
        self._props = Props(library)

    def draw(self, rng: np.random.Generator) -> World:
        """A street with everything in it."""
        builder = Builder(self.library, self.photos)
        half = rng.uniform(2.5, 6.0)
        pavement = rng.uniform(1.0, 5.0)
        _ground(rng, builder, half, half + pavement)
        for side in (-1, 1):
            self._row(rng, builder, side, half + pavement)
            self._parked(rng, builder, side, half)
        for _ in range(int(rng.integers(6, 24))):
            self._loose(rng, builder, half, pavement)
        lights, ambient = sunlight(rng)
        along = rng.uniform(-15, 15, 40)
        stands = np.stack((rng.uniform(-half, half, 40), np.zeros(40), along), axis=1)
        box = np.array([half + pavement, 8.0, 60.0])
        return builder.world(
            lights,
            ambient,
            draw_sky(rng, self.photos),
            (box * [-1, 0, -1] + [0, 0.3, 0], box),
            stands=stands,
            baselines_m=BASELINES_M,
        )

    def _row(self, rng: np.random.Generator, builder: Builder, side: int, out: float) -> None:
        """Buildings, or blocks covered with photographs, one beside the other."""
        z = -_LENGTH_M / 2
        while z < _LENGTH_M / 2:
            z += float(rng.uniform(0, 4) if rng.random() < 0.7 else rng.uniform(4, 20))
            if self._props.buildings and rng.random() < 0.6:
                buildings = self._props.buildings
                model = buildings[int(rng.integers(len(buildings)))]
                yaw = float(rng.integers(4)) * np.pi / 2
                turned_over = int(yaw / (np.pi / 2)) % 2 == 1
                wide, _, deep = model.size_m
                span, thick = (deep, wide) if not turned_over else (wide, deep)
                position = np.array([side * (out + thick / 2), 0, z + span / 2])
                builder.place(self.library.mesh(model), turned(yaw), position)
            else:
                span = float(rng.uniform(4, 20))
                _block(rng, builder, side, out + rng.uniform(0, 2), z, span)
            z += span

    def _parked(self, rng: np.random.Generator, builder: Builder, side: int, half: float) -> None:
        vehicles = self._props.vehicles
        if not vehicles or rng.random() < 0.15:
            return
        z = -float(rng.uniform(20, 45))
        while z < 45:
            model = vehicles[int(rng.integers(len(vehicles)))]
            length, width = max(model.size_m[::2]), min(model.size_m[::2])
            z += length / 2
            position = np.array([side * (half - width / 2 - rng.uniform(0, 0.3)), 0, z])
            yaw = np.pi / 2 if model.size_m[0] >= model.size_m[2] else 0.0
            yaw += (np.pi if rng.random() < 0.5 else 0.0) + rng.normal(0, 0.03)
            self._props.place(rng, builder, model, position, turned(yaw))
            z += length / 2 + float(rng.uniform(0.4, 2) if rng.random() < 0.7 else 12)

    def _loose(
        self, rng: np.random.Generator, builder: Builder, half: float, pavement: float
    ) -> None:
        model = self._props.pick(rng)
        across = (
            half + rng.uniform(0, 1) * pavement if rng.random() < 0.7 else rng.uniform(0, half)
        )
        z = rng.uniform(-25, 25)
        position = np.array([across * rng.choice((-1, 1)), 0, z])
        if model is None or rng.random() < BARS:
            self._props.place_bars(rng, builder, position)
            return
        turn = None
        if rng.random() < _FLOATING:
            position[1] = rng.uniform(0.5, 4)
            turn = tumbled(rng)
        self._props.place(rng, builder, model, position, turn)


def _ground(rng: np.random.Generator, builder: Builder, half: float, wall: float) -> None:
    """Road, kerbs with pavements, and the land behind."""
    kerb = rng.uniform(0.08, 0.2)
    road = surface_material(rng, builder, 0.15)
    path = surface_material(rng, builder, 0.15)
    land = surface_material(rng, builder, 0.1)
    start = -_LENGTH_M
    for x0, x1, y, look in (
        (-half, half, 0.0, road),
        (-wall - 1, -half, kerb, path),
        (half, wall + 1, kerb, path),
        (-90.0, -wall - 1, kerb - 0.02, land),
        (wall + 1, 90.0, kerb - 0.02, land),
    ):
        tile = float(np.exp(rng.uniform(np.log(1.0), np.log(8))))
        corner = np.array([x0, y, start])
        span, length = np.array([x1 - x0, 0, 0]), np.array([0, 0, 2 * _LENGTH_M])
        mesh = panel(corner, span, length, ((x1 - x0) / tile, 2 * _LENGTH_M / tile))
        builder.place(mesh, np.eye(3), np.zeros(3), [look])
    for side in (-half, half):
        edge = panel(
            np.array([side, 0, start]),
            np.array([0, 0, 2 * _LENGTH_M]),
            np.array([0, kerb, 0]),
            (2 * _LENGTH_M, 0.2),
        )
        builder.place(edge, np.eye(3), np.zeros(3), [path])


def _block(
    rng: np.random.Generator, builder: Builder, side: int, out: float, z: float, span: float
) -> None:
    """A building of four walls and a roof, or a garden wall."""
    high = rng.uniform(4, 18) if rng.random() < 0.75 else rng.uniform(0.6, 2.5)
    deep = rng.uniform(5, 15) if high > 3 else 0.25
    look = surface_material(rng, builder, 0.25)
    tile = float(np.exp(rng.uniform(np.log(1.5), np.log(10))))
    near, far = side * out, side * (out + deep)
    up = np.array([0, high, 0])
    for corner, across in (
        ((near, 0, z), (0, 0, span)),
        ((near, 0, z), (far - near, 0, 0)),
        ((near, 0, z + span), (far - near, 0, 0)),
    ):
        length = float(np.abs(across).sum())
        mesh = panel(np.array(corner), np.array(across), up, (length / tile, high / tile))
        builder.place(mesh, np.eye(3), np.zeros(3), [look])
    roof = panel(
        np.array([near, high, z]),
        np.array([far - near, 0, 0]),
        np.array([0, 0, span]),
        (deep / tile, span / tile),
    )
    builder.place(roof, np.eye(3), np.zeros(3), [surface_material(rng, builder, 0.5)])
