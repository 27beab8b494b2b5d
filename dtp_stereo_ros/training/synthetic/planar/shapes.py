"""Outlines of objects: from solid blobs to wires, fences and leaves."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

# Vertices are given to OpenCV in 1/16 px, so that outlines do not snap to the pixel grid.
SUBPIXEL_BITS = 4


def draw_mask(rng: np.random.Generator, height: int, width: int) -> tuple[UInt8Array, bool]:
    """A random outline.

    Returns:
        coverage uint8 (about (height, width)), 255 inside with anti-aliased edges, and whether
        the shape is thin (wires, fences, leaves), which bulging would tear.
    """
    kinds: list[tuple[float, Callable[[np.random.Generator, int, int], UInt8Array], bool]] = [
        (0.34, _blob, False),
        (0.20, _rectangle, False),
        (0.16, _ellipse, False),
        (0.12, _bar, True),
        (0.06, _ring, True),
        (0.06, draw_fence, True),
        (0.06, draw_leaves, True),
    ]
    pick = rng.choice(len(kinds), p=[weight for weight, _, _ in kinds])
    _, make, thin = kinds[pick]
    return make(rng, height, width), thin


def _fill(mask: UInt8Array, outline: np.ndarray, value: int = 255) -> None:
    points = np.rint(outline * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [points], value, lineType=cv2.LINE_AA, shift=SUBPIXEL_BITS)


def _round(height: int, width: int, radii: np.ndarray) -> np.ndarray:
    """Closed outline at relative `radii` (1 touches the border) around the middle."""
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    x = (width - 1) / 2 * (1 + radii * np.cos(angle))
    y = (height - 1) / 2 * (1 + radii * np.sin(angle))
    return np.column_stack((x, y))


def _blob(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    corners = int(rng.integers(3, 12))
    radii = rng.uniform(0.35, 1.0, corners)
    if rng.random() < 0.5:
        steps = np.arange(0, corners, 0.125)
        wrapped = np.append(radii, radii[0])
        radii = np.interp(steps, np.arange(corners + 1), wrapped)
        kernel = np.ones(9) / 9
        radii = np.convolve(np.concatenate((radii[-4:], radii, radii[:4])), kernel, 'valid')
    mask = np.zeros((height, width), np.uint8)
    _fill(mask, _round(height, width, radii))
    return mask


def _rectangle(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    mask = np.full((height, width), 255, np.uint8)
    if min(height, width) > 24 and rng.random() < 0.2:
        edge = int(min(height, width) * rng.uniform(0.06, 0.2))
        mask[edge:-edge, edge:-edge] = 0
    return mask


def _ellipse(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    mask = np.zeros((height, width), np.uint8)
    _fill(mask, _round(height, width, np.ones(40)))
    return mask


def _bar(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    long_side = int(max(height, width) * rng.uniform(1.0, 3.0))
    return np.full((max(2, int(rng.integers(2, 9))), long_side), 255, np.uint8)


def _ring(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    mask = np.zeros((height, width), np.uint8)
    _fill(mask, _round(height, width, np.ones(40)))
    _fill(mask, _round(height, width, np.full(40, rng.uniform(0.5, 0.9))), 0)
    return mask


def draw_fence(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    """Upright bars, half the time with crossing ones, twice as large as asked for."""
    period = int(rng.integers(6, 28))
    on = max(2, int(period * rng.uniform(0.12, 0.4)))
    mask = np.zeros((2 * height, 2 * width), np.uint8)
    mask[:, np.arange(2 * width) % period < on] = 255
    if rng.random() < 0.5:
        mask[np.arange(2 * height) % period < on] = 255
    return mask


def draw_leaves(rng: np.random.Generator, height: int, width: int) -> UInt8Array:
    """An ellipse of leaf-sized flecks."""
    cell = int(rng.integers(2, 7))
    shape = (height // cell + 2, width // cell + 2)
    noise = cv2.resize(
        rng.random(shape, np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    leaf = np.clip((noise - rng.uniform(0.35, 0.6)) * 6 + 0.5, 0, 1)
    return (leaf * _ellipse(rng, height, width)).astype(np.uint8)
