"""Tools to place primitives in many scenes at once: all arrays are (B, N, ...)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .materials import Bank
from .scene import NONE, WAVES, Scenes, primitives

Array = np.ndarray


class Layout:
    """Scenes in the making: cameras, and groups of primitives added one after another.

    Attributes:
        count: scenes.
        focal, cx, cy: (B, 1) px.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        bank: Bank,
        count: int,
        size: tuple[int, int],
        max_disparity_px: float,
        cy_range: tuple[float, float] = (0.1, 0.9),
    ) -> None:
        self.rng, self.bank, self.count = rng, bank, count
        self.height, self.width = size
        self.max_disparity_px = max_disparity_px
        self.focal = self.width * self.log_uniform(0.6, 2.2, 1)
        self.cx = self.width * rng.uniform(-0.1, 1.1, (count, 1))
        self.cy = self.height * rng.uniform(*cy_range, (count, 1))
        self.groups: list[dict[str, Array]] = []

    def log_uniform(self, low: Any, high: Any, number: int) -> Array:
        """(B, number) values whose logarithms are even between two bounds."""
        low, high = np.log(low), np.log(high)
        return np.exp(low + (high - low) * self.rng.random((self.count, number)))

    def nearness(self, far: Any, near: Any, number: int) -> Array:
        """(B, number) disparities between two bounds: small ones likelier, large ones common."""
        near = np.maximum(near, 1.2 * far)
        even = self.chance(0.35, number)
        return np.where(even, self.uniform(far, near, number), self.log_uniform(far, near, number))

    def uniform(self, low: Any, high: Any, number: int) -> Array:
        """(B, number) values."""
        return low + (np.asarray(high) - low) * self.rng.random((self.count, number))

    def chance(self, share: Any, number: int = 1) -> Array:
        """(B, number) bool."""
        return self.rng.random((self.count, number)) < share

    def some(self, least: int, most: int) -> Array:
        """(B, most) bool: in each scene the first few are there, `least` .. `most` of them."""
        number = self.rng.integers(least, most + 1, (self.count, 1))
        return np.arange(most) < number

    def at(self, x: Any, y: Any, disparity: Any) -> Array:
        """Pixel and disparity to points (B, N, 3)."""
        x, y = (x * self.width - self.cx) / self.focal, (y * self.height - self.cy) / self.focal
        x, y, one = np.broadcast_arrays(x, y, 1.0 + 0 * np.asarray(disparity))
        return np.stack((x, y, one), axis=-1) / np.asarray(disparity)[..., None]

    def pixel(self, disparity: Array) -> Array:
        """Length (B, N) of a pixel at a disparity."""
        return 1 / (self.focal * disparity)

    def reach(self) -> Array:
        """(B, 1): length of the longest ray of the picture whose depth is 1."""
        x = np.maximum(np.abs(self.cx), np.abs(self.width - self.cx)) / self.focal
        y = np.maximum(np.abs(self.cy), np.abs(self.height - self.cy)) / self.focal
        return np.sqrt(1 + x * x + y * y)

    def keep_away(self, centre: Array, normal: Array) -> Array:
        """Moves planes through `centre` outwards along `normal` until none is too near."""
        distance = (normal * centre).sum(axis=-1)
        least = self.reach() / self.max_disparity_px
        return centre + normal * np.maximum(0, least - distance)[..., None]

    def add(self, kind: Any, centre: Array, axes: Array, there: Any = True, **more: Any) -> None:
        """Primitives (B, N); `more` are fields of `Scenes`, by default a drawn material."""
        shape = centre.shape[:2]
        disparity = 1 / np.maximum(centre[..., 2], 1e-2 / self.max_disparity_px)
        material = self.bank.draw(self.rng, shape, self.focal * disparity)
        material.update(more)
        kind = np.where(there, kind, NONE)
        self.groups.append(primitives(shape, kind=kind, centre=centre, axes=axes, **material))

    def waves(self, disparity: Array, strength: float = 0.06) -> Array:
        """Waves (B, N, WAVES, 4) of a relief that is nowhere nearer than `disparity` (B, N)."""
        shape = (*disparity.shape, WAVES)
        length = np.exp(self.rng.uniform(np.log(40), np.log(600), shape))
        heading = self.rng.uniform(0, 2 * np.pi, shape)
        number = 2 * np.pi / length
        # The disparity's slope stays below 1, or the right camera would see a fold.
        amount = np.minimum(strength, 0.15 / (number * np.maximum(disparity, 1e-3)[..., None]))
        amount = amount * self.rng.random(shape)
        phase = self.rng.uniform(0, 2 * np.pi, shape)
        return np.stack(
            (amount, number * np.cos(heading), number * np.sin(heading), phase), axis=-1
        )

    def density(self, disparity: Any) -> Array:
        """Pixels that a unit of length covers at a disparity, (B, N)."""
        return self.focal * disparity

    def finish(self, lamp: Array, tilt: Array | None = None) -> Scenes:
        """The scenes; `tilt` (B, 3, 3) turns the world about the camera."""
        fields = {
            name: np.concatenate([g[name] for g in self.groups], axis=1) for name in self.groups[0]
        }
        if tilt is not None:
            fields['centre'] = np.einsum('bij,bnj->bni', tilt, fields['centre'])
            fields['axes'] = np.einsum('bij,bnkj->bnki', tilt, fields['axes'])
            lamp = np.einsum('bij,bj->bi', tilt, lamp)
        for name in ('kind', 'mask', 'tile', 'pattern'):
            fields[name] = fields[name].astype(np.int64)
        return Scenes(
            self.height,
            self.width,
            focal=self.focal[:, 0],
            cx=self.cx[:, 0],
            cy=self.cy[:, 0],
            lamp=lamp,
            ambient=self.uniform(0.3, 0.95, 1)[:, 0],
            surroundings=self.rng.integers(0, self.bank.tiles, self.count),
            **fields,
        )


def turn_y(angle: Array) -> Array:
    """Rotation matrices (..., 3, 3) about the upright axis."""
    cos, sin, zero = np.cos(angle), np.sin(angle), 0 * angle
    rows = ((cos, zero, sin), (zero, zero + 1, zero), (-sin, zero, cos))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def turn_x(angle: Array) -> Array:
    """Rotation matrices (..., 3, 3) about the level axis across."""
    cos, sin, zero = np.cos(angle), np.sin(angle), 0 * angle
    rows = ((zero + 1, zero, zero), (zero, cos, -sin), (zero, sin, cos))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def turn_z(angle: Array) -> Array:
    """Rotation matrices (..., 3, 3) within the picture's plane."""
    cos, sin, zero = np.cos(angle), np.sin(angle), 0 * angle
    rows = ((cos, -sin, zero), (sin, cos, zero), (zero, zero, zero + 1))
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def small_turn(rng: np.random.Generator, count: int, spread: float) -> Array:
    """Rotations (B, 3, 3) of a camera that is not quite level: pitch and roll."""
    pitch, roll = rng.normal(0, spread, (2, count))
    return turn_x(pitch) @ turn_z(roll)


def random_turns(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Rotations (B, N, 3, 3), even over all."""
    q = rng.standard_normal((*shape, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def scaled(turn: Array, sizes: Array) -> Array:
    """Half axes (B, N, 3, 3): rows of the transposed rotation times half sizes (B, N, 3)."""
    return np.swapaxes(turn, -1, -2) * sizes[..., None]


def tilted(rng: np.random.Generator, shape: tuple[int, int], spread: float) -> Array:
    """Rotations (B, N, 3, 3): turned at will in the picture's plane, then tilted about x and y."""
    a, b = np.clip(rng.normal(0, spread, (2, *shape)), -1.1, 1.1)
    flat = (rng.random(shape) < 0.3) * 1.0
    a, b = a * (1 - flat), b * (1 - flat)
    c = rng.uniform(0, 2 * np.pi, shape)
    return turn_y(b) @ turn_x(a) @ turn_z(c)
