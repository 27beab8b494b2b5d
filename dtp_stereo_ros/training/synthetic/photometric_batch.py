"""Makes real cameras of perfect ones for a whole batch on a device.

The same changes as in `photometric`, and motion blur. Chance is drawn beforehand in NumPy, so
that the device never waits for a decision and worker threads can draw ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Array = np.ndarray
KERNEL = 9
# Share of pairs in harsh light.
HARSH = 0.2
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Distortion:
    """Photometric distortion of 2 B images: the left ones, then the right ones.

    Attributes:
        grey: (2B,) share of the colour that is lost; 1 for grey cameras.
        gain, offset: (2B, 3). gamma: (2B,).
        vignette: (2B,) loss of light in the corners.
        noise, shot: (2B,) standard deviation in grey values: constant, and of white by light.
        blurred: (k,) indices of images that are blurred. kernels: (k, KERNEL, KERNEL).
        moved: (m,) indices of right images, B .. 2B - 1, that are misaligned.
        motion: (m, 2, 3) affine maps from pixels to pixels.
        coded: (c,) indices of images with compression artefacts. coarse: (c,) their strength.
        hidden: (B, 2, 4) rectangles (x0, y0, x1, y1) px of right images, empty for none.
    """

    grey: Array
    gain: Array
    offset: Array
    gamma: Array
    vignette: Array
    noise: Array
    shot: Array
    blurred: Array
    kernels: Array
    moved: Array
    motion: Array
    coded: Array
    coarse: Array
    hidden: Array


def draw_distortion(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Distortion:
    """Chance for `count` pairs of (height, width)."""
    both = 2 * count
    twice = (2, 1)
    # Most rigs are matched; some have clearly different exposure.
    apart = np.tile(np.where(rng.random(count) < 0.4, 0.02, 0.12), 2)
    harsh = rng.random(count) < HARSH
    shared, own = draw_tones(rng, np.full(count, 0.15), harsh), draw_tones(rng, apart)
    noisy = np.tile((rng.random(count) < 0.7) * np.minimum(rng.exponential(3, count), 15), 2)
    blurred, kernels = _kernels(rng, count)
    moved = np.flatnonzero(rng.random(count) < 0.5)
    coded = np.flatnonzero(rng.random(count) < 0.15)
    coded = np.concatenate((coded, coded + count))
    return Distortion(
        grey=np.tile(_greyness(rng, count), 2),
        gain=own[0] * np.tile(shared[0], twice),
        offset=own[1] + np.tile(shared[1], twice),
        gamma=own[2] * np.tile(shared[2], 2),
        vignette=np.tile(rng.random(count) < 0.2, 2) * rng.uniform(0.1, 0.5, both),
        noise=noisy,
        shot=noisy * rng.uniform(0, 1, both),
        blurred=blurred,
        kernels=kernels,
        moved=moved + count,
        motion=_misalignments(rng, len(moved), size),
        coded=coded,
        coarse=np.tile(np.exp(rng.uniform(np.log(1), np.log(6), len(coded) // 2)), 2),
        hidden=_rectangles(rng, count, size),
    )


def _greyness(rng: np.random.Generator, count: int) -> Array:
    """Grey cameras, pale ones, and as many that keep their colours."""
    pale = (rng.random(count) < 0.5) * rng.uniform(0, 0.7, count)
    return np.where(rng.random(count) < 0.2, 1.0, pale)


def draw_tones(
    rng: np.random.Generator, spread: Array, harsh: Array | float = 0.0
) -> tuple[Array, Array, Array]:
    """Gain (n, 3), offset (n, 3) in grey values and gamma (n,) of n images.

    Args:
        rng: source of chance.
        spread: (n,) standard deviation of the logarithms.
        harsh: (n,) 1 for low sun: burnt lights, blocked shadows, or one of them.
    """
    shape = (len(spread), 3)
    wide = spread[:, None]
    gain = np.exp(wide * rng.normal(0, 1, (len(spread), 1)) + wide * rng.normal(0, 1 / 3, shape))
    offset = wide * (rng.normal(0, 40, (len(spread), 1)) + rng.normal(0, 10, shape))
    gamma = np.exp(spread * rng.normal(0, 1, len(spread)))
    bright, steep, dark = rng.normal((0.3, 0.3, -15), (0.4, 0.3, 15), (len(spread), 3)).T * harsh
    return gain * np.exp(bright)[:, None], offset + dark[:, None], gamma * np.exp(steep)


def _kernels(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Images out of focus or moving; the views of a pair mostly alike."""
    chosen = np.flatnonzero(rng.random(count) < 0.6)
    number = len(chosen)
    sigma = rng.uniform(0.3, 1.1, number)
    moving = (rng.random(number) < 0.3) * rng.uniform(0, 7, number)
    heading = rng.uniform(0, np.pi, number)
    kernels = [
        blur_kernels(np.maximum(0.2, sigma + rng.normal(0, 0.15, number)), moving, heading)
        for _ in range(2)
    ]
    return np.concatenate((chosen, chosen + count)), np.concatenate(kernels)


def blur_kernels(sigma: Array, moving: Array, heading: Array) -> Array:
    """Gaussians drawn along a line of the given length, px, (n, KERNEL, KERNEL)."""
    y, x = np.mgrid[0:KERNEL, 0:KERNEL] - KERNEL // 2
    kernel = np.zeros((len(sigma), KERNEL, KERNEL))
    for place in np.linspace(-0.5, 0.5, 9):
        along = place * moving
        dx = x - (along * np.cos(heading))[:, None, None]
        dy = y - (along * np.sin(heading))[:, None, None]
        kernel += np.exp(-(dx**2 + dy**2) / (2 * sigma[:, None, None] ** 2))
    return kernel / kernel.sum(axis=(1, 2), keepdims=True)


def _misalignments(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Array:
    """Rectification errors: turns about the middle and vertical shifts, fractions of a pixel."""
    height, width = size
    turn = np.deg2rad(rng.normal(0, 0.03, count))
    cos, sin = np.cos(turn), np.sin(turn)
    shift = np.clip(rng.normal(0, 0.4, count), -1.2, 1.2)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    rows = (
        (cos, sin, cx - cos * cx - sin * cy),
        (-sin, cos, cy + sin * cx - cos * cy + shift),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _rectangles(rng: np.random.Generator, count: int, size: tuple[int, int]) -> Array:
    """Up to two hidden parts of a right image, as dirt or a reflection (HSM, Yang et al. 2019)."""
    height, width = size
    shape = (count, 2)
    there = (rng.random((count, 1)) < 0.15) & (rng.random(shape) < [1, 0.5])
    x, y = rng.integers(0, width, shape), rng.integers(0, height, shape)
    w, h = rng.integers(10, 70, shape) * there, rng.integers(10, 50, shape) * there
    return np.stack((x, y, x + w, y + h), axis=-1)


@torch.no_grad()
def distort_batch(
    change: Distortion, left: Tensor, right: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The batch as two cheap cameras would have taken it.

    Args:
        change: drawn for this batch.
        left, right: RGB float32 (B, 3, H, W), 0..255.
        generator: of the noise, on the images' device.

    Returns:
        uint8 of the same shapes.
    """
    images = torch.cat((left, right))
    height, width = images.shape[2:]

    def upload(array: Array) -> Tensor:
        value = torch.as_tensor(array, dtype=torch.int64 if array.dtype.kind == 'i' else None)
        value = value if value.dtype == torch.int64 else value.float()
        if images.device.type == 'cuda':
            return value.pin_memory().to(images.device, non_blocking=True)
        return value.to(images.device)

    def each(array: Array) -> Tensor:
        return upload(array).reshape(len(array), -1, 1, 1)

    images = (images / 255).clamp(min=1e-4) ** each(change.gamma) * 255
    images = (images * each(change.gain) + each(change.offset)).clamp(0, 255)
    if len(change.moved):
        index = upload(change.moved)
        images = images.index_copy(0, index, _move(images[index], upload(change.motion)))
    if len(change.blurred):
        index = upload(change.blurred)
        images = images.index_copy(0, index, _blur(images[index], upload(change.kernels)))
    x = torch.linspace(-1, 1, width, device=images.device)
    y = torch.linspace(-1, 1, height, device=images.device)[:, None]
    images = images * (1 - each(change.vignette) * (x * x + y * y) / 2)
    noise = torch.randn(images.shape, device=images.device, generator=generator)
    images = images + noise * (each(change.noise) + each(change.shot) * (images / 255).sqrt())
    luma = (images * upload(np.array(LUMA)).reshape(3, 1, 1)).sum(dim=1, keepdim=True)
    images = torch.lerp(images, luma.expand_as(images), each(change.grey))
    images = images.clamp(0, 255)
    if len(change.coded):
        index = upload(change.coded)
        images = images.index_copy(0, index, _code(images[index], each(change.coarse)))
    images = (images.clamp(0, 255) + 0.5).to(torch.uint8)
    left, right = images.chunk(2)
    return left, _hide(right, upload(change.hidden))


def _move(images: Tensor, motion: Tensor) -> Tensor:
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device, dtype=torch.float32)
    y = torch.arange(height, device=images.device, dtype=torch.float32)[:, None]
    m = motion[:, :, :, None, None]
    at = [m[:, k, 0] * x + m[:, k, 1] * y + m[:, k, 2] for k in (0, 1)]
    grid = torch.stack(
        [(2 * p + 1) / extent - 1 for p, extent in zip(at, (width, height), strict=True)], -1
    )
    return F.grid_sample(images, grid, padding_mode='border', align_corners=False)


def _blur(images: Tensor, kernels: Tensor) -> Tensor:
    count, channels, height, width = images.shape
    margin = KERNEL // 2
    padded = F.pad(images, (margin,) * 4, mode='replicate')
    # Every image has a kernel of its own: images become the groups of one convolution.
    flat = padded.reshape(1, count * channels, height + 2 * margin, width + 2 * margin)
    weight = kernels.repeat_interleave(channels, dim=0)[:, None]
    return F.conv2d(flat, weight, groups=count * channels).reshape(images.shape)


def _code(images: Tensor, coarse: Tensor) -> Tensor:
    """Rounds the 8 x 8 cosine coefficients, higher frequencies more coarsely, as JPEG does."""
    count, channels, height, width = images.shape
    k = torch.arange(8, device=images.device, dtype=torch.float32)
    basis = torch.cos(torch.pi / 8 * (k[None] + 0.5) * k[:, None]) / 2
    basis[0] /= 2**0.5
    rows, columns = height // 8, width // 8
    blocks = images[..., : rows * 8, : columns * 8].reshape(count, channels, rows, 8, columns, 8)
    blocks = blocks.transpose(3, 4)
    step = (coarse * (2 + 2 * (k[None] + k[:, None])))[:, None, None]
    coefficients = basis @ blocks @ basis.T
    blocks = basis.T @ ((coefficients / step).round() * step) @ basis
    coded = images.clone()
    coded[..., : rows * 8, : columns * 8] = blocks.transpose(3, 4).reshape(
        count, channels, rows * 8, columns * 8
    )
    return coded


def _hide(images: Tensor, rectangles: Tensor) -> Tensor:
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device)
    y = torch.arange(height, device=images.device)[:, None]
    x0, y0, x1, y1 = rectangles[..., None, None].unbind(dim=2)
    inside = ((x >= x0) & (x < x1) & (y >= y0) & (y < y1)).any(dim=1, keepdim=True)
    # Of a thinned image: its mean needs no more.
    mean = images[..., ::8, ::8].float().mean(dim=(2, 3), keepdim=True).to(torch.uint8)
    return torch.where(inside, mean, images)
