"""Draws surfaces into both views with depth test; disparity is computed, never matched."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dtp_stereo_ros.stereo import BoolArray, Float32Array, UInt8Array

from ..visibility import visible
from .surface import Bump, Camera, Matrix, Surface


@dataclass(frozen=True)
class StereoPair:
    """A rendered pair with its truth.

    Attributes:
        left, right: RGB uint8 (H, W, 3).
        disparity_left, disparity_right: (H, W) float32 px, of each view's own pixels, >= 0.
        visible_left, visible_right: (H, W) bool, whether the other view sees the same point
            (False when occluded or outside of it).
    """

    left: UInt8Array
    right: UInt8Array
    disparity_left: Float32Array
    disparity_right: Float32Array
    visible_left: BoolArray
    visible_right: BoolArray


@dataclass
class _View:
    colour: UInt8Array
    disparity: Float32Array


def render(camera: Camera, surfaces: list[Surface], max_disparity_px: float) -> StereoPair:
    """Draw all surfaces, later ones over equal depth; pixels that none covers stay at 0.

    Args:
        camera: left camera and picture size.
        surfaces: in any order; the depth test decides.
        max_disparity_px: surfaces nearer than this are cut away where they are.
    """
    shape = (camera.height_px, camera.width_px)
    views = []
    for right in (False, True):
        view = _View(np.zeros((*shape, 3), np.uint8), np.full(shape, -1, np.float32))
        for surface in surfaces:
            _draw(view, surface, right, max_disparity_px)
        views.append(view)
    left, right_view = views
    np.maximum(left.disparity, 0, out=left.disparity)
    np.maximum(right_view.disparity, 0, out=right_view.disparity)
    return StereoPair(
        left.colour,
        right_view.colour,
        left.disparity,
        right_view.disparity,
        visible(left.disparity, right_view.disparity, -1),
        visible(right_view.disparity, left.disparity, +1),
    )


def _draw(view: _View, surface: Surface, right: bool, max_disparity_px: float) -> None:
    height, width = view.disparity.shape
    to_view = surface.left_to_right @ surface.to_left if right else surface.to_left
    box = (0, 0, width, height) if surface.endless else _bounds(surface, to_view, width, height)
    if box is None:
        return
    x0, y0, x1, y1 = box
    disparity, to_texture = _geometry(surface, to_view, right, box)
    drawn = (disparity > view.disparity[y0:y1, x0:x1]) & (disparity <= max_disparity_px)
    if surface.endless:
        drawn &= disparity > 0
    # Towards a horizon texture coordinates grow without bound: OpenCV reflects them in a loop,
    # but wraps them in one step, so the mirrored texture is wrapped.
    texture = _mirrored(surface.texture) if surface.endless else surface.texture
    outside = cv2.BORDER_WRAP if surface.endless else cv2.BORDER_REPLICATE
    border = cv2.BORDER_WRAP if surface.endless else cv2.BORDER_CONSTANT
    colour = _sample(texture, to_texture, (x1 - x0, y1 - y0), outside)
    target = view.colour[y0:y1, x0:x1]
    if surface.mask is None and surface.endless:
        target[drawn] = colour[drawn]
    else:
        mask = surface.mask
        if mask is None:
            mask = np.full(surface.texture.shape[:2], 255, np.uint8)
        cover = _sample(mask, to_texture, (x1 - x0, y1 - y0), border)
        # Soft edges in colour, a hard decision in disparity, as a camera and a label have it.
        weight = (np.where(drawn, cover, 0).astype(np.float32) / 255)[..., None]
        target[:] = (target + weight * (colour.astype(np.float32) - target) + 0.5).astype(np.uint8)
        drawn &= cover > 127
    np.copyto(view.disparity[y0:y1, x0:x1], disparity, where=drawn)


def _mirrored(texture: UInt8Array) -> UInt8Array:
    """The texture with its mirror images to the right, below and across."""
    height, width = texture.shape[:2]
    return cv2.copyMakeBorder(texture, 0, height, 0, width, cv2.BORDER_REFLECT)


def _bounds(
    surface: Surface, to_view: Matrix, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Box of the patch in the view, or None where it is outside or behind the camera."""
    tall, wide = surface.texture.shape[:2]
    corners = np.array([[0, wide, wide, 0], [0, 0, tall, tall], [1, 1, 1, 1]], float)
    corners = to_view @ corners
    if (corners[2] <= 0).any():
        return None
    x, y = corners[:2] / corners[2]
    bulge = abs(surface.bump.height_px) if surface.bump else 0.0
    x0, x1 = max(0, int(x.min() - bulge) - 1), min(width, int(x.max() + bulge) + 2)
    y0, y1 = max(0, int(y.min()) - 1), min(height, int(y.max()) + 2)
    return (x0, y0, x1, y1) if x1 - x0 > 0 and y1 - y0 > 0 else None


def _geometry(
    surface: Surface, to_view: Matrix, right: bool, box: tuple[int, int, int, int]
) -> tuple[Float32Array, Matrix | tuple[Float32Array, Float32Array]]:
    """Disparity over the box, and how to get from its pixels to the texture."""
    x0, y0, x1, y1 = box
    x = np.arange(x0, x1, dtype=np.float32)[None, :]
    y = np.arange(y0, y1, dtype=np.float32)[:, None]
    if surface.bump is None:
        shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1.0]])
        return _plane_disparity(surface, x, y, right), np.asarray(
            np.linalg.inv(shift @ to_view), np.float64
        )
    x_left, disparity = _bumpy_disparity(surface, surface.bump, x, y, right)
    u, v, w = (
        row[0] * x_left + row[1] * y + row[2]
        for row in np.linalg.inv(surface.to_left).astype(np.float32)
    )
    return disparity, ((u / w).astype(np.float32), (v / w).astype(np.float32))


def _plane_disparity(
    surface: Surface, x: Float32Array, y: Float32Array, right: bool
) -> Float32Array:
    a, b, c = surface.plane.astype(np.float32)
    # In the right view x_left = (x_right + b y + c) / (1 - a).
    x_left = (x + b * y + c) / (1 - a) if right else x + 0 * y
    return np.asarray(a * x_left + b * y + c, np.float32)


def _bumpy_disparity(
    surface: Surface, bump: Bump, x: Float32Array, y: Float32Array, right: bool
) -> tuple[Float32Array, Float32Array]:
    """Left-image column and disparity of what is seen at (x, y) of a view."""
    a, b, c = surface.plane.astype(np.float32)
    x_left = x + 0 * y
    disparity = a * x_left + b * y + c + _bulge(bump, x_left, y)
    if right:
        # x_left = x_right + d(x_left, y): a contraction while the disparity gradient is < 1.
        for _ in range(8):
            x_left = x + disparity
            disparity = a * x_left + b * y + c + _bulge(bump, x_left, y)
    return np.asarray(x_left, np.float32), np.asarray(disparity, np.float32)


def _bulge(bump: Bump, x: Float32Array, y: Float32Array) -> Float32Array:
    u = (x - bump.x_px) / bump.radius_x_px
    v = (y - bump.y_px) / bump.radius_y_px
    return np.float32(bump.height_px) * (1 - np.minimum(u * u, 4) - np.minimum(v * v, 4))


def _sample(
    image: UInt8Array,
    to_texture: Matrix | tuple[Float32Array, Float32Array],
    size: tuple[int, int],
    border: int,
) -> UInt8Array:
    if isinstance(to_texture, tuple):
        return cv2.remap(image, *to_texture, cv2.INTER_LINEAR, borderMode=border)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(image, to_texture, size, flags=flags, borderMode=border)
