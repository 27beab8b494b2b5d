"""Textures of surfaces: crops of photographs, noise, patterns, flat colour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.image_io import decoded
from dtp_stereo_ros.stereo import UInt8Array

PHOTO_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp'}
# Photographs are kept this large in memory; a few hundred of them fit every worker process.
PHOTO_SIDE_PX = 512


def load_photos(folder: Path, limit: int = 500) -> list[UInt8Array]:
    """Every photograph below `folder`, RGB uint8, shrunk to `PHOTO_SIDE_PX`.

    Raises:
        InputError: the folder holds no readable image.
    """
    photos = []
    files = sorted(p for p in folder.rglob('*') if p.suffix.lower() in PHOTO_SUFFIXES)
    for path in files[:limit]:
        image = decoded(path, cv2.IMREAD_COLOR)
        if image is None or min(image.shape[:2]) < 32:
            continue
        shrink = min(1.0, PHOTO_SIDE_PX / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        photos.append(np.ascontiguousarray(image[..., ::-1]))
    if not photos:
        raise InputError(
            f'textures: no image of at least 32 px in {folder}; name a folder of photographs'
        )
    return photos


class TextureBank:
    """Draws textures of any size; the same generator state gives the same texture.

    Args:
        photos: photographs, RGB uint8; may be empty (noise and patterns only).
    """

    def __init__(self, photos: list[UInt8Array]) -> None:
        self.photos = photos

    def draw(self, rng: np.random.Generator, height: int, width: int) -> UInt8Array:
        """One RGB uint8 (height, width, 3) texture."""
        kinds: list[tuple[float, Callable[[np.random.Generator, int, int], UInt8Array]]] = [
            (0.68 if self.photos else 0.0, self._photo),
            (0.16, _noise),
            (0.08, _pattern),
            (0.08, _flat),
        ]
        weights = np.array([weight for weight, _ in kinds])
        pick = rng.choice(len(kinds), p=weights / weights.sum())
        return _recolour(rng, kinds[pick][1](rng, height, width))

    def _photo(self, rng: np.random.Generator, height: int, width: int) -> UInt8Array:
        photo = self.photos[rng.integers(len(self.photos))]
        # Between a detail magnified twice and the whole photograph.
        zoom = np.exp(rng.uniform(np.log(0.5), np.log(4.0)))
        crop_h = int(np.clip(height * zoom, 8, photo.shape[0]))
        crop_w = int(np.clip(width * zoom, 8, photo.shape[1]))
        y = int(rng.integers(photo.shape[0] - crop_h + 1))
        x = int(rng.integers(photo.shape[1] - crop_w + 1))
        crop = photo[y : y + crop_h, x : x + crop_w]
        shrinks = crop_h * crop_w > height * width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        crop = cv2.resize(crop, (width, height), interpolation=how)
        return crop[:, ::-1] if rng.random() < 0.5 else crop


def _noise(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    """Octaves of smooth noise between two or three colours."""
    total = np.zeros((height, width), np.float32)
    finest = rng.integers(0, 4)
    for octave in range(finest, 7):
        cell = 2**octave
        shape = (max(2, height // cell + 1), max(2, width // cell + 1))
        coarse = rng.standard_normal(shape, np.float32) * np.float32(cell ** rng.uniform(0.2, 1))
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = np.percentile(total[::4, ::4], (2, 98))
    mix = np.clip((total - low) / (high - low + 1e-6), 0, 1)
    if rng.random() < 0.3:
        mix = (mix > 0.5).astype(np.float32)
    first, second = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    return (first + (second - first) * mix[..., None]).astype(np.uint8)


def _pattern(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    """Repeated stripes, checks or dots, the classic trap of matching."""
    period = np.exp(rng.uniform(np.log(4), np.log(40), 2))
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u = (np.cos(angle) * x + np.sin(angle) * y) / period[0]
    v = (-np.sin(angle) * x + np.cos(angle) * y) / period[1]
    kind = rng.integers(3)
    if kind == 0:
        on = (u % 1) < rng.uniform(0.2, 0.8)
    elif kind == 1:
        on = ((u % 1) < 0.5) ^ ((v % 1) < 0.5)
    else:
        on = ((u % 1) - 0.5) ** 2 + ((v % 1) - 0.5) ** 2 < rng.uniform(0.03, 0.2)
    first, second = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    return np.where(on[..., None], first, second).astype(np.uint8)


def _flat(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    """One colour with a faint gradient: a painted wall."""
    colour = rng.uniform(20, 250, 3)
    corners = colour + rng.normal(0, 8, (2, 2, 1)) + rng.normal(0, 2, (2, 2, 3))
    image = cv2.resize(corners.astype(np.float32), (width, height))
    return np.clip(image, 0, 255).astype(np.uint8)


def _recolour(rng: np.random.Generator, image: UInt8Array) -> UInt8Array:
    """Random contrast, brightness and tint through one table per channel."""
    if rng.random() < 0.3:
        image = image[..., rng.permutation(3)]
    gain = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.12, 3))
    shift = rng.normal(0, 20) + rng.normal(0, 6, 3)
    ramp = np.arange(256, dtype=np.float32)[:, None]
    table = np.clip((ramp - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(image), np.ascontiguousarray(table[None]))
