"""Worlds to render: flying clutter, rooms, roads."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

from .shapes import draw_mask
from .surface import Bump, Camera, Surface, Vector, patch, tilted_axes
from .textures import TextureBank

Scene = tuple[Camera, list[Surface]]


class SceneMaker:
    """Draws random scenes; the same generator state gives the same scene.

    Args:
        bank: textures of the surfaces.
        max_disparity_px: no object is placed nearer than this.
    """

    def __init__(self, bank: TextureBank, max_disparity_px: float = 190.0) -> None:
        self.bank = bank
        self.max_disparity_px = max_disparity_px

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Scene:
        """One camera and its surfaces for a picture of (height, width)."""
        kinds: list[Callable[[np.random.Generator, Camera], list[Surface]]] = [
            self.clutter,
            self.room,
            self.road,
        ]
        make = kinds[rng.choice(3, p=(0.4, 0.33, 0.27))]
        camera = Camera(
            focal_px=width * float(np.exp(rng.uniform(np.log(0.6), np.log(2.2)))),
            cx_px=width * rng.uniform(-0.2, 1.2),
            cy_px=height * rng.uniform(-0.3, 1.3),
            width_px=width,
            height_px=height,
        )
        return camera, make(rng, camera)

    def clutter(self, rng: np.random.Generator, camera: Camera) -> list[Surface]:
        """Objects of every size and tilt floating before a slanted or curved background."""
        far = float(np.exp(rng.uniform(np.log(1.5), np.log(45))))
        surfaces = [self._backdrop(rng, camera, far)]
        near = min(
            self.max_disparity_px, far + float(np.exp(rng.uniform(np.log(10), np.log(180))))
        )
        count = int(rng.integers(8, 45))
        surfaces += [self._object(rng, camera, far, near) for _ in range(count)]
        return surfaces

    def room(self, rng: np.random.Generator, camera: Camera) -> list[Surface]:
        """Floor, walls and ceiling with boxes, furniture-like planks and small things."""
        back = float(np.exp(rng.uniform(np.log(4), np.log(60))))
        depth = 1.0 / back
        tilt = rng.normal(0, 0.3)
        middle = camera.point(camera.width_px / 2, camera.height_px / 2, back)
        across = np.array([1.0, 0, tilt]) * camera.pixel_size(back)
        down = np.array([0, 1.0, 0]) * camera.pixel_size(back)
        surfaces = [self._endless(rng, camera, middle, across, down)]
        into = np.array([-tilt, 0, 1.0]) * camera.pixel_size(back)
        side = np.array([1.0, 0, tilt]) * camera.pixel_size(back)
        span = np.array([camera.width_px, camera.height_px]) / camera.focal_px * depth
        if rng.random() < 0.85:
            drop = np.array([0, span[1] * rng.uniform(0.1, 0.7), 0])
            surfaces.append(self._endless(rng, camera, middle + drop, side, -into))
        if rng.random() < 0.3:
            rise = np.array([0, -span[1] * rng.uniform(0.3, 0.8), 0])
            surfaces.append(self._endless(rng, camera, middle + rise, side, into))
        for sign in (-1, 1):
            if rng.random() < 0.4:
                offset = sign * span[0] * rng.uniform(0.15, 0.6) * np.array([1.0, 0, tilt])
                surfaces.append(self._endless(rng, camera, middle + offset, into, down))
        near = min(self.max_disparity_px, back * float(np.exp(rng.uniform(0.4, 2.4))))
        for _ in range(int(rng.integers(3, 12))):
            surfaces += self._box(rng, camera, back, near)
        count = int(rng.integers(4, 24))
        surfaces += [self._object(rng, camera, back, near, tilt=0.5) for _ in range(count)]
        return surfaces

    def road(self, rng: np.random.Generator, camera: Camera) -> list[Surface]:
        """A ground plane up to the horizon, facades, a sky, cars as boxes, poles and bushes."""
        low = camera.height_px * rng.uniform(0.15, 0.6)
        camera = Camera(camera.focal_px, camera.cx_px, low, camera.width_px, camera.height_px)
        surfaces = [self._sky(rng, camera)]
        # Disparity grows linearly from the horizon to the lower border.
        border = float(np.exp(rng.uniform(np.log(20), np.log(120))))
        foot = camera.point(camera.width_px / 2, camera.height_px, border)
        unit = camera.pixel_size(border / 4)
        right, ahead = np.array([1.0, 0, 0]) * unit, np.array([0, 0, 1.0]) * unit
        surfaces.append(self._endless(rng, camera, foot, right, -ahead))
        up = np.array([0, -1.0, 0]) * unit
        for sign in (-1, 1):
            if rng.random() < 0.6:
                away = sign * foot[1] * rng.uniform(1.0, 8.0) * np.array([1.0, 0, 0])
                surfaces.append(self._facade(rng, camera, foot + away, ahead, up))
        for _ in range(int(rng.integers(3, 12))):
            surfaces += self._box(rng, camera, 1.5, border, floor_y=float(foot[1]))
        count = int(rng.integers(3, 16))
        surfaces += [self._object(rng, camera, 1.0, border, tilt=0.3) for _ in range(count)]
        return surfaces

    def _backdrop(self, rng: np.random.Generator, camera: Camera, far: float) -> Surface:
        x, y = camera.width_px / 2, camera.height_px / 2
        spread = rng.choice((0.05, 0.4, 1.0))
        slopes = rng.normal(0, spread, 2)
        axes = tilted_axes(camera, far, slopes[0], slopes[1], rng.uniform(0, 2 * np.pi), 1.5)
        bump = None
        if rng.random() < 0.4:
            radius = rng.uniform(0.5, 1.5, 2) * camera.width_px
            bump = Bump(far * rng.uniform(-0.3, 0.3), x, y, radius[0], radius[1])
        return self._endless(rng, camera, camera.point(x, y, far), *axes, bump=bump)

    def _sky(self, rng: np.random.Generator, camera: Camera) -> Surface:
        distance = rng.uniform(0.02, 0.6)
        axes = tilted_axes(camera, distance, 0, 0, 0, 2.0)
        if rng.random() < 0.5:
            pale = rng.uniform(120, 255, (2, 2, 3)).astype(np.float32)
            texture = cv2.resize(pale, (160, 160)).astype(np.uint8)
        else:
            texture = self.bank.draw(rng, 160, 256)
        middle = camera.point(camera.width_px / 2, camera.height_px / 2, distance)
        return patch(camera, middle, *axes, texture, endless=True)

    def _endless(
        self,
        rng: np.random.Generator,
        camera: Camera,
        origin: Vector,
        along_u: Vector,
        along_v: Vector,
        bump: Bump | None = None,
    ) -> Surface:
        stretch = float(np.exp(rng.uniform(-0.5, 0.9)))
        texture = self.bank.draw(rng, 384, 384)
        return patch(
            camera, origin, along_u * stretch, along_v * stretch, texture, endless=True, bump=bump
        )

    def _facade(
        self, rng: np.random.Generator, camera: Camera, foot: Vector, ahead: Vector, up: Vector
    ) -> Surface:
        rows, columns = int(rng.integers(60, 260)), 512
        texture = self.bank.draw(rng, rows, columns)
        ahead = ahead * rng.uniform(0.5, 2.0)
        near_end = foot + ahead * columns / 2
        near_end[2] = max(near_end[2], 1.2 * columns / 2 * ahead[2])
        return patch(camera, near_end + up * rows / 2, ahead, -up, texture)

    def _box(
        self,
        rng: np.random.Generator,
        camera: Camera,
        far: float,
        near: float,
        floor_y: float | None = None,
    ) -> list[Surface]:
        """Front and one side of an upright box; with `floor_y` it stands on that height."""
        disparity = float(np.exp(rng.uniform(np.log(far * 1.02), np.log(max(near, far * 1.1)))))
        x = rng.uniform(-0.1, 1.1) * camera.width_px
        height_px, width_px = np.exp(rng.uniform(np.log(16), np.log(220), 2))
        foot = camera.point(x, rng.uniform(0.2, 1.2) * camera.height_px, disparity)
        if floor_y is not None:
            foot[1] = floor_y
            height_px, width_px = 1.7 * disparity * rng.uniform(0.3, 1.2, 2) + 6
        size = camera.pixel_size(disparity)
        yaw = rng.normal(0, 0.25)
        across = np.array([np.cos(yaw), 0, np.sin(yaw)]) * size
        into = np.array([-np.sin(yaw), 0, np.cos(yaw)]) * size
        down = np.array([0, 1.0, 0]) * size
        rows, columns = max(4, int(height_px)), max(4, int(width_px))
        depth = max(4, int(width_px * rng.uniform(0.3, 2.0)))
        centre = foot - down * rows / 2
        # The side that faces the camera: towards the principal point.
        side = -1.0 if foot[0] > 0 else 1.0
        flank = centre + side * across * columns / 2 + into * depth / 2
        return [
            patch(camera, flank, into, down, self.bank.draw(rng, rows, depth)),
            patch(camera, centre, across, down, self.bank.draw(rng, rows, columns)),
        ]

    def _object(
        self,
        rng: np.random.Generator,
        camera: Camera,
        far: float,
        near: float,
        tilt: float = 1.0,
    ) -> Surface:
        """One patch of random outline, tilt and disparity; nearer ones tend to be larger."""
        low, high = np.log(far * 1.02), np.log(max(near, far * 1.1))
        disparity = float(np.exp(rng.uniform(low, high)))
        side = float(np.exp(rng.uniform(np.log(8), np.log(150)))) * (0.6 + disparity / 80)
        aspect = float(np.exp(rng.normal(0, 0.5)))
        rows = int(np.clip(side / aspect, 5, 360))
        columns = int(np.clip(side * aspect, 5, 360))
        mask, thin = draw_mask(rng, rows, columns)
        x = rng.uniform(-0.05, 1.15) * camera.width_px
        y = rng.uniform(-0.1, 1.1) * camera.height_px
        slopes = rng.normal(0, 0.6 * tilt, 2) * (rng.random() < 0.7)
        axes = tilted_axes(camera, disparity, slopes[0], slopes[1], rng.uniform(0, 2 * np.pi))
        bump = None
        if not thin and rng.random() < 0.25:
            radius = max(rows, columns) * 0.7
            bump = Bump(radius * rng.uniform(-0.12, 0.16), x, y, radius, radius)
        texture: UInt8Array = self.bank.draw(rng, *mask.shape)
        return patch(camera, camera.point(x, y, disparity), *axes, texture, mask, bump=bump)
