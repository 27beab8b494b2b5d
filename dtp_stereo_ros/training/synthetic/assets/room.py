"""Furnished rooms: large things along walls, small ones on top of others, some in the air."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .library import Library, Model
from .looks import draw_sky, surface_material, swapped
from .thin import draw_thin
from .world import Anchor, Builder, Light, World, panel, tumbled, turned

Item = TypeVar('Item')

# Chance that a model has materials other than its own.
_SWAPPED = 0.25
_FLOATING = 0.15
# Chance of bars and cables in a room, and that cameras look at a desk from nearby.
_BARS = 0.6
_CLOSE = 0.4


@dataclass
class _Top:
    """A plane that things stand on: centre (3,), half extents along its own axes, turn."""

    centre: np.ndarray
    half: tuple[float, float]
    turn: np.ndarray


class RoomMaker:
    """Draws furnished rooms.

    Args:
        library: of models.
        photos: RGB uint8 photographs for walls, floors and pictures; may be empty.
    """

    def __init__(self, library: Library, photos: list[np.ndarray]) -> None:
        self.library, self.photos = library, photos
        self._large = library.of_kind('furniture')
        self._small = library.of_kind('small')
        self._thin = library.of_kind('plant', 'lamp', 'person')
        self._any = [m for m in library.models if max(m.size_m) < 2.5]
        self._openings = library.of_kind('opening')

    def draw(self, rng: np.random.Generator) -> World:
        """A room with everything in it; in some, cameras look at one desk from nearby."""
        builder = Builder(self.library, self.photos)
        size = np.array([rng.uniform(2.6, 6.5), rng.uniform(2.3, 3.2), rng.uniform(2.6, 7)])
        _shell(rng, builder, size)
        tops: list[_Top] = []
        taken: list[tuple[float, float, float]] = []
        for _ in range(int(rng.integers(7, 17))):
            self._stand(rng, builder, size, _pick(rng, self._large), taken, tops)
        for _ in range(int(rng.integers(3, 9))):
            self._stand(rng, builder, size, _pick(rng, self._thin), taken, tops)
        for _ in range(int(rng.integers(1, 8))):
            self._hang(rng, builder, size)
        if rng.random() < _BARS:
            for _ in range(int(rng.integers(1, 6))):
                position = rng.uniform([-0.4, 0, -0.4], [0.4, 0, 0.4]) * size
                self._bars(rng, builder, position, rng.uniform(0.4, 2.2), 1.5)
        if rng.random() < 0.4:
            for _ in range(int(rng.integers(2, 9))):
                self._float(rng, builder, size)
        if tops:
            self._clutter(rng, builder, tops)
        return builder.world(*_lamps(rng, size), draw_sky(rng, self.photos), _inside(size))

    def _clutter(self, rng: np.random.Generator, builder: Builder, tops: list[_Top]) -> None:
        """Small things, most of them on few tops; in close views these alone are looked at."""
        close = rng.random() < _CLOSE
        if close:
            builder.anchors.clear()
        favourites = [tops[i] for i in rng.integers(len(tops), size=1 if close else 2)]
        for _ in range(int(rng.integers(14, 40) if close else rng.integers(8, 30))):
            usual = rng.random() < (0.9 if close else 0.7)
            self._set_down(rng, builder, _pick(rng, favourites if usual else tops), close)

    def _place(
        self,
        rng: np.random.Generator,
        builder: Builder,
        model: Model,
        turn: np.ndarray,
        position: np.ndarray,
    ) -> None:
        mesh = self.library.mesh(model)
        chance = 0.9 if rng.random() < _SWAPPED else 0.0
        stretched = turn * np.exp(rng.normal(0, 0.08, 3))
        looks = swapped(rng, builder, mesh.materials, chance)
        builder.place(mesh, stretched, position, looks)

    def _stand(
        self,
        rng: np.random.Generator,
        builder: Builder,
        size: np.ndarray,
        model: Model,
        taken: list[tuple[float, float, float]],
        tops: list[_Top],
    ) -> None:
        """Stand a model on the floor, by a wall in half of the cases."""
        radius = max(model.size_m[0], model.size_m[2]) / 2
        half = size[[0, 2]] / 2
        for _ in range(10):
            yaw = float(rng.integers(4)) * np.pi / 2
            room = np.maximum(half - radius, 0.05)
            x, z = rng.uniform(-room, room)
            if rng.random() < 0.5:
                depth = model.size_m[2] / 2 + 0.02
                if rng.random() < 0.5:
                    x = (half[0] - depth) * (1 if rng.random() < 0.5 else -1)
                    yaw = -np.pi / 2 * np.sign(x)
                else:
                    z = (half[1] - depth) * (1 if rng.random() < 0.5 else -1)
                    yaw = 0.0 if z < 0 else np.pi
            elif rng.random() < 0.6:
                yaw = float(rng.uniform(0, 2 * np.pi))
            if all((x - p) ** 2 + (z - q) ** 2 > (0.75 * (radius + r)) ** 2 for p, q, r in taken):
                break
        else:
            if rng.random() < 0.6:
                return
        taken.append((x, z, radius))
        height = model.elevation_m if model.elevation_m + model.size_m[1] < size[1] else 0.0
        position = np.array([x, height, z])
        self._place(rng, builder, model, turned(yaw), position)
        thin = 2.5 if model.kind in ('plant', 'lamp') else 1.0
        middle = position + np.array([0, model.size_m[1] * rng.uniform(0.3, 0.8), 0])
        builder.anchors.append(Anchor(middle, max(model.size_m) / 2, thin))
        top = model.top_m if model.top_m > 0 else model.size_m[1]
        if model.kind == 'furniture' and 0.25 < height + top < 1.5 and model.top_m >= 0:
            half_top = model.size_m[0] / 2 * 0.85, model.size_m[2] / 2 * 0.85
            tops.append(_Top(position + np.array([0, top, 0]), half_top, turned(yaw)))

    def _set_down(
        self, rng: np.random.Generator, builder: Builder, top: _Top, close: bool
    ) -> None:
        half = np.minimum(top.half, 0.55) if close else np.array(top.half)
        offset = np.array([rng.uniform(-1, 1) * half[0], 0, rng.uniform(-1, 1) * half[1]])
        position = top.centre + top.turn @ offset
        if rng.random() < _BARS / 4:
            self._bars(rng, builder, position, rng.uniform(0.08, 0.45), 2.0)
            return
        model = _pick(rng, self._small)
        if close and rng.random() < 0.12:
            # On top of something, or held up by nothing.
            position = position + np.array([0, rng.uniform(0.03, 0.3), 0])
        self._place(rng, builder, model, turned(rng.uniform(0, 2 * np.pi)), position)
        distances = (0.2, 0.9) if close else (0.25, 2.5)
        radius = max(0.1, max(model.size_m) / 2)
        builder.anchors.append(Anchor(position, radius, 1.6, distances))

    def _bars(
        self,
        rng: np.random.Generator,
        builder: Builder,
        position: np.ndarray,
        height_m: float,
        weight: float,
    ) -> None:
        """Something thin, made by rule."""
        look = surface_material(rng, builder, 0.8)
        turn = turned(rng.uniform(0, 2 * np.pi))
        if rng.random() < _FLOATING:
            turn = tumbled(rng)
        builder.place(draw_thin(rng, height_m), turn, position, [look])
        middle = position + np.array([0, height_m / 2, 0])
        builder.anchors.append(Anchor(middle, height_m / 3, weight, (0.25, 2.5)))

    def _hang(self, rng: np.random.Generator, builder: Builder, size: np.ndarray) -> None:
        """A door, a window or a picture on a wall."""
        side, sign = int(rng.integers(2)), float(rng.choice((-1, 1)))
        yaw = (-np.pi / 2 * sign) if side == 0 else (0.0 if sign < 0 else np.pi)
        length = size[2] if side == 0 else size[0]
        along = rng.uniform(-0.5, 0.5) * length * 0.8
        if self._openings and rng.random() < 0.4:
            model = _pick(rng, self._openings)
            out = size[0 if side == 0 else 2] / 2 * sign
            position = np.array([out, model.elevation_m, along])
            if side:
                position = position[[2, 1, 0]]
            self._place(rng, builder, model, turned(yaw), position)
            return
        wide, high = rng.uniform(0.2, 1.2, 2)
        picture = panel(
            np.array([-wide / 2, -high / 2, 0]),
            np.array([wide, 0, 0]),
            np.array([0, high, 0]),
            (1, 1),
        )
        out = (size[0 if side == 0 else 2] / 2 - 0.02) * sign
        position = np.array([out, rng.uniform(1.0, 1.8), along])
        if side:
            position = position[[2, 1, 0]]
        look = surface_material(rng, builder, 0.05)
        builder.place(picture, turned(yaw), position, [look])

    def _float(self, rng: np.random.Generator, builder: Builder, size: np.ndarray) -> None:
        model = _pick(rng, self._any)
        position = rng.uniform([-0.4, 0.2, -0.4], [0.4, 0.8, 0.4]) * size
        self._place(rng, builder, model, tumbled(rng), position)
        builder.anchors.append(Anchor(position, max(model.size_m) / 2, 1.2))


def _pick(rng: np.random.Generator, choices: Sequence[Item]) -> Item:
    return choices[int(rng.integers(len(choices)))]


def _shell(rng: np.random.Generator, builder: Builder, size: np.ndarray) -> None:
    """Floor, ceiling and four walls, each with its own texture or two alike."""
    wide, high, deep = size
    walls = surface_material(rng, builder, 0.5)
    sides = (
        ((-1, 0, -1), (0, 0, 1), (1, 0, 0)),
        ((-1, 1, -1), (1, 0, 0), (0, 0, 1)),
        ((-1, 0, 1), (1, 0, 0), (0, 1, 0)),
        ((-1, 0, -1), (1, 0, 0), (0, 1, 0)),
        ((-1, 0, -1), (0, 0, 1), (0, 1, 0)),
        ((1, 0, -1), (0, 0, 1), (0, 1, 0)),
    )
    for number, (corner, across, up) in enumerate(sides):
        tile = float(np.exp(rng.uniform(np.log(0.4), np.log(4))))
        span = np.abs(np.array(across) @ size), np.abs(np.array(up) @ size)
        mesh = panel(
            np.array(corner) * [wide / 2, high, deep / 2],
            np.array(across) * size,
            np.array(up) * size,
            (span[0] / tile, span[1] / tile),
        )
        plain = 0.15 if number == 0 else 0.8 if number == 1 else 0.5
        look = (
            walls if number > 1 and rng.random() < 0.6 else surface_material(rng, builder, plain)
        )
        builder.place(mesh, np.eye(3), np.zeros(3), [look])


def _lamps(rng: np.random.Generator, size: np.ndarray) -> tuple[list[Light], np.ndarray]:
    lights = []
    for _ in range(1 if rng.random() < 0.6 else 2):
        warm = np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.6, 1.0)])
        position = rng.uniform([-0.4, 0.6, -0.4], [0.4, 0.95, 0.4]) * size
        lights.append(Light(position, warm * rng.uniform(0.5, 1.3)))
    ambient = np.array([rng.uniform(0.9, 1), rng.uniform(0.9, 1), 1.0]) * rng.uniform(0.15, 0.55)
    return lights, ambient


def _inside(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    margin = np.array([0.15, 0.0, 0.15])
    low = np.array([-size[0] / 2, 0.25, -size[2] / 2]) + margin
    high = np.array([size[0] / 2, min(2.2, size[1] - 0.2), size[2] / 2]) - margin
    return low, high
