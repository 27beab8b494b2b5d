"""Effects of a colour sensor and its processor: shot noise, mosaic, sharpening halos."""

from __future__ import annotations

import cv2
import numpy as np

from dtp_stereo_ros.stereo import Float32Array, UInt8Array

_NOISE_SIDE = 1024
_noise_field: Float32Array | None = None


def standard_noise(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """(height, width, 3) normal noise of deviation 1, cut from one large field."""
    global _noise_field
    if _noise_field is None:
        shape = (_NOISE_SIDE, _NOISE_SIDE, 3)
        _noise_field = np.random.default_rng(0).standard_normal(shape, np.float32)
    # Repeated where the picture is larger.
    repeats = -(-height // _NOISE_SIDE), -(-width // _NOISE_SIDE)
    room = (_NOISE_SIDE * repeats[0] - height + 1, _NOISE_SIDE * repeats[1] - width + 1)
    y, x = (int(v) for v in rng.integers(0, room))
    field = np.tile(_noise_field, (*repeats, 1)) if max(repeats) > 1 else _noise_field
    return field[y : y + height, x : x + width]


def sensed(
    rng: np.random.Generator, left: UInt8Array, right: UInt8Array
) -> tuple[UInt8Array, UInt8Array]:
    """Both views as one make of camera reads and processes them, each with its own noise.

    Args:
        rng: source of chance.
        left, right: RGB uint8 (H, W, 3).

    Returns:
        Same shapes.
    """
    noise = rng.exponential(3.0) if rng.random() < 0.7 else 0.0
    mosaic = rng.random() < 0.6
    edge_aware = rng.random() < 0.5
    amount = rng.uniform(0.2, 1.6) if rng.random() < 0.5 else 0.0
    radius = rng.uniform(0.6, 1.6)
    views = []
    for image in (left, right):
        if noise > 0.3:
            image = shot_noise(rng, image, min(noise, 12.0))
        if mosaic:
            image = mosaicked(image, edge_aware)
        if amount:
            image = sharpened(image, amount, radius)
        views.append(image)
    return views[0], views[1]


def shot_noise(rng: np.random.Generator, image: UInt8Array, strength: float) -> UInt8Array:
    """Noise whose variance grows with the light: `strength` grey values at white."""
    deviation = np.sqrt(image.astype(np.float32) * np.float32(1 / 255)) * np.float32(strength)
    noisy = image + deviation * standard_noise(rng, *image.shape[:2])
    return np.clip(noisy + 0.5, 0, 255).astype(np.uint8)


def mosaicked(image: UInt8Array, edge_aware: bool) -> UInt8Array:
    """The picture through a Bayer mosaic (RGGB) and back: false colours along fine edges."""
    raw = image[..., 1].copy()
    raw[0::2, 0::2] = image[0::2, 0::2, 0]
    raw[1::2, 1::2] = image[1::2, 1::2, 2]
    # OpenCV names the pattern by its second row and column.
    code = cv2.COLOR_BayerBG2RGB_EA if edge_aware else cv2.COLOR_BayerBG2RGB
    return np.asarray(cv2.cvtColor(raw, code), np.uint8)


def sharpened(image: UInt8Array, amount: float, radius_px: float) -> UInt8Array:
    """Unsharp masking, as processors of cameras do it: bright and dark halos along edges."""
    soft = cv2.GaussianBlur(image, (0, 0), radius_px)
    return np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), np.uint8)
