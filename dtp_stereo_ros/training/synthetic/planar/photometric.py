"""Makes two real cameras of two perfect ones: colour, noise, blur, compression, misalignment."""

from __future__ import annotations

import cv2
import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

from ..photometric_batch import HARSH, blur_kernels, draw_tones
from ..sensor import sensed, standard_noise

# Share of the pairs that are read through the mosaic and the processor of a colour camera.
_SENSED = 0.3


def distort_pair(
    rng: np.random.Generator, left: UInt8Array, right: UInt8Array
) -> tuple[UInt8Array, UInt8Array]:
    """Independent photometric change of both views, and a small vertical error of the right.

    Args:
        rng: source of chance.
        left, right: RGB uint8 (H, W, 3).

    Returns:
        The pair as two cheap cameras would have taken it, same shapes.
    """
    if rng.random() < 0.2:
        left, right = (_grey(image) for image in (left, right))
    common = _Tone.draw(rng, 0.15, rng.random() < HARSH)
    # Most rigs are matched; some have clearly different exposure.
    apart = 0.02 if rng.random() < 0.4 else 0.12
    left = _Tone.draw(rng, apart).after(common).apply(left)
    right = _Tone.draw(rng, apart).after(common).apply(right)
    if rng.random() < 0.5:
        right = _misalign(rng, right)
    if rng.random() < 0.45:
        left, right = _blurred(rng, left, right)
    if rng.random() < 0.15:
        left, right = (_vignette(image, rng.uniform(0.1, 0.5)) for image in (left, right))
    if rng.random() < _SENSED:
        left, right = sensed(rng, left, right)
    strength = rng.exponential(3.0) if rng.random() < 0.7 else 0.0
    left, right = (_noisy(rng, image, strength) for image in (left, right))
    if rng.random() < 0.15:
        quality = int(rng.integers(40, 95))
        left, right = (_jpeg(image, quality) for image in (left, right))
    if rng.random() < 0.15:
        right = _erase(rng, right)
    return left, right


class _Tone:
    """Gain, offset and gamma of each channel, applied as one table."""

    def __init__(self, gain: np.ndarray, offset: np.ndarray, gamma: float) -> None:
        self.gain, self.offset, self.gamma = gain, offset, gamma

    @classmethod
    def draw(cls, rng: np.random.Generator, spread: float, harsh: bool = False) -> _Tone:
        gain, offset, gamma = draw_tones(rng, np.array([spread]), float(harsh))
        return cls(gain[0], offset[0], float(gamma[0]))

    def after(self, first: _Tone) -> _Tone:
        return _Tone(self.gain * first.gain, self.offset + first.offset, self.gamma * first.gamma)

    def apply(self, image: UInt8Array) -> UInt8Array:
        ramp = (np.arange(256) / 255.0)[:, None] ** self.gamma
        table = np.clip(ramp * 255 * self.gain + self.offset, 0, 255).astype(np.uint8)
        return cv2.LUT(np.ascontiguousarray(image), np.ascontiguousarray(table[None]))


def _grey(image: UInt8Array) -> UInt8Array:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _misalign(rng: np.random.Generator, image: UInt8Array) -> UInt8Array:
    """Rectification error: the right view is moved and turned by fractions of a pixel."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 0.03), 1.0)
    matrix[1, 2] += np.clip(rng.normal(0, 0.4), -1.2, 1.2)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _blurred(
    rng: np.random.Generator, left: UInt8Array, right: UInt8Array
) -> tuple[UInt8Array, UInt8Array]:
    """Out of focus, each view a little differently; or moving, both alike."""
    sigma = rng.uniform(0.3, 1.1)
    sigmas = sigma, max(0.2, sigma + rng.normal(0, 0.2))
    if rng.random() < 0.7:
        left, right = (
            cv2.GaussianBlur(image, (5, 5), s)
            for image, s in zip((left, right), sigmas, strict=True)
        )
        return left, right
    moving, heading = rng.uniform(0, 7), rng.uniform(0, np.pi)
    kernels = blur_kernels(np.array(sigmas), np.full(2, moving), np.full(2, heading))
    left, right = (
        cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        for image, kernel in zip((left, right), kernels, strict=True)
    )
    return left, right


def _vignette(image: UInt8Array, loss: float) -> UInt8Array:
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return (image * (1 - np.float32(loss) * (x * x + y * y) / 2)).astype(np.uint8)


def _noisy(rng: np.random.Generator, image: UInt8Array, strength: float) -> UInt8Array:
    """Gaussian noise of a standard deviation in grey values, cut from one large field."""
    if strength < 0.3:
        return image
    field = standard_noise(rng, *image.shape[:2])
    return np.clip(image + field * np.float32(min(strength, 15)) + 0.5, 0, 255).astype(np.uint8)


def _jpeg(image: UInt8Array, quality: int) -> UInt8Array:
    _, coded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _erase(rng: np.random.Generator, image: UInt8Array) -> UInt8Array:
    """Hide a part of the right view, as dirt or a reflection does (HSM, Yang et al. 2019)."""
    height, width = image.shape[:2]
    image = image.copy()
    for _ in range(int(rng.integers(1, 3))):
        h, w = int(rng.integers(10, 50)), int(rng.integers(10, 70))
        y, x = int(rng.integers(height)), int(rng.integers(width))
        image[y : y + h, x : x + w] = image.mean(axis=(0, 1)).astype(np.uint8)
    return image
