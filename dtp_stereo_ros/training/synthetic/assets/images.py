"""Textures of a world in one flat buffer, with their halved copies, sampled by whole arrays."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from dtp_stereo_ros.stereo import Float32Array, UInt8Array

from .mesh import Material

_LEVELS = 8
_KEPT = 400


class Images:
    """Texture samples for many points at once.

    A material without a texture reads one white texel. Level k is the texture halved k times, so
    that far surfaces are averaged and not aliased.

    Args:
        materials: of the world.
        images: RGBA uint8 by name.
    """

    def __init__(self, materials: list[Material], images: dict[str, UInt8Array]) -> None:
        numbers: dict[str, int] = {'': 0}
        levels = [[np.full((1, 1, 4), 255, np.uint8)] * _LEVELS]
        for material in materials:
            if material.texture not in numbers:
                numbers[material.texture] = len(levels)
                levels.append(_halved(images[material.texture], material.cut_out))
        self._of = np.array([numbers[m.texture] for m in materials], np.int32)
        sizes = np.array([[image.shape[:2] for image in group] for group in levels], np.int32)
        self._heights, self._widths = sizes[..., 0].ravel(), sizes[..., 1].ravel()
        areas = self._heights.astype(np.int64) * self._widths
        self._starts = np.concatenate(([0], np.cumsum(areas)[:-1])).astype(np.int32)
        self._texels = np.concatenate(
            [np.ascontiguousarray(image).reshape(-1, 4) for group in levels for image in group]
        )
        self._words = self._texels.view(np.uint32).ravel()

    def texels(self, material: np.ndarray) -> Float32Array:
        """(n,) texels of the whole texture, as a share of one texture coordinate squared."""
        at = self._of[material] * _LEVELS
        return (self._heights[at] * self._widths[at]).astype(np.float32)

    def alpha(self, material: np.ndarray, uv: Float32Array) -> UInt8Array:
        """(n,) alpha of the nearest texel of the full size."""
        at = self._of[material] * _LEVELS
        x, y = self._place(at, uv)
        column = np.minimum(x.astype(np.int32), self._widths[at] - 1)
        row = np.minimum(y.astype(np.int32), self._heights[at] - 1)
        return self._texels[self._starts[at] + row * self._widths[at] + column, 3]

    def colour(self, material: np.ndarray, uv: Float32Array, level: Float32Array) -> Float32Array:
        """(n, 3) RGB float32, bilinear at a level."""
        rounded = np.clip(np.rint(level), 0, _LEVELS - 1).astype(np.int32)
        at = self._of[material] * _LEVELS + rounded
        x, y = self._place(at, uv)
        width, height, start = self._widths[at], self._heights[at], self._starts[at]
        x -= np.float32(0.5)
        y -= np.float32(0.5)
        x0, y0 = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        x0 %= width
        y0 %= height
        x1, y1 = (x0 + 1) % width, (y0 + 1) % height
        y0 *= width
        y1 *= width
        y0 += start
        y1 += start
        top = self._mix(y0 + x0, y0 + x1, fx)
        top += fy * (self._mix(y1 + x0, y1 + x1, fx) - top)
        return top

    def _mix(self, first: np.ndarray, second: np.ndarray, share: Float32Array) -> Float32Array:
        a = self._words[first].view(np.uint8).reshape(-1, 4)[:, :3].astype(np.float32)
        b = self._words[second].view(np.uint8).reshape(-1, 4)[:, :3].astype(np.float32)
        b -= a
        b *= share
        a += b
        return a

    def _place(self, at: np.ndarray, uv: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Columns and rows, textures repeating endlessly and v counted upwards."""
        wrapped = uv - np.floor(uv)
        x = wrapped[:, 0] * self._widths[at]
        y = (1 - wrapped[:, 1]) * self._heights[at]
        return x.astype(np.float32), y.astype(np.float32)


_kept: OrderedDict[tuple[int, bool], tuple[UInt8Array, list[UInt8Array]]] = OrderedDict()


def _halved(image: UInt8Array, cut_out: bool) -> list[UInt8Array]:
    """The image and its copies, each half as large; kept, as worlds share many images."""
    key = id(image), cut_out
    if key not in _kept or _kept[key][0] is not image:
        _kept[key] = image, _levels(image, cut_out)
        if len(_kept) > _KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key][1]


def _levels(image: UInt8Array, cut_out: bool) -> list[UInt8Array]:
    if cut_out:
        image = _bled(image)
    levels = [image]
    while len(levels) < _LEVELS:
        height, width = levels[-1].shape[:2]
        size = max(1, width // 2), max(1, height // 2)
        levels.append(np.asarray(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA)))
    return levels


def _bled(image: UInt8Array) -> UInt8Array:
    """Colours of solid texels spread into holes, so that edges of leaves get no fringe."""
    solid = (image[..., 3:] > 127).astype(np.float32)
    colour = image[..., :3].astype(np.float32)
    share = cv2.blur(solid, (9, 9))[..., None]
    spread = cv2.blur(colour * solid, (9, 9)) / np.maximum(share, 1e-3)
    mean = (colour * solid).sum((0, 1)) / max(float(solid.sum()), 1.0)
    filled = np.where(solid > 0, colour, np.where(share > 0.01, spread, mean))
    return np.dstack((filled.astype(np.uint8), image[..., 3]))
