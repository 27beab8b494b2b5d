"""Pictures of thin structures: crops around the thinnest ones of the truth, with each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..image_io import colorize, colour_range
from ..stereo import BoolArray, Float32Array, StereoFrame, UInt8Array
from . import anatomy
from .datasets import Truth
from .pictures import labelled
from .scene_score import Estimate

# Of each set, one crop of each of the scenes whose structures are thinnest.
CROPS = 4
_CROP_WIDTH_PX, _CROP_HEIGHT_PX = 160, 120
_MAGNIFY = 2
# Smaller regions are noise of the truth; rounder ones are bumps and corners.
_LEAST_PIXELS = 40
_LEAST_LENGTH_PX = 24


@dataclass(frozen=True)
class Structure:
    """A connected region of the truth that is narrower than 13 px.

    Attributes:
        row, column: of its pixel that is nearest to the middle of its box.
        length_px: diagonal of its box.
        width_px: its pixels over its length.
    """

    row: int
    column: int
    length_px: float
    width_px: float

    @property
    def thinness(self) -> float:
        """Length over width: what structures are ordered by."""
        return self.length_px / self.width_px


@dataclass(frozen=True)
class Crop:
    """Picture of one structure: a row of tiles, and the key by which crops are ordered."""

    thinness: float
    picture: UInt8Array


class ThinStructures:
    """Keeps the crops around the thinnest structures of the scenes of one set.

    The truth alone chooses them, so that the pictures of two runs show the same places.
    """

    def __init__(self) -> None:
        self._crops: list[Crop] = []

    def see(
        self, name: str, frame: StereoFrame, truth: Truth | None, estimates: Sequence[Estimate]
    ) -> None:
        """Look at what all methods made of a scene; one without truth is passed over."""
        if truth is None:
            return
        mask = thin_mask(truth.disparity_px)
        found = thinnest(mask)
        if found is None:
            return
        if len(self._crops) == CROPS and found.thinness <= self._crops[-1].thinness:
            return
        picture = _row(name, found, mask, frame, truth.disparity_px, estimates)
        self._keep([Crop(found.thinness, picture)])

    def merge(self, other: ThinStructures) -> None:
        """Take what another one has seen, after all that was seen here."""
        self._keep(other._crops)

    def _keep(self, crops: Sequence[Crop]) -> None:
        self._crops += crops
        self._crops.sort(key=lambda crop: -crop.thinness)
        del self._crops[CROPS:]

    def picture(self) -> UInt8Array | None:
        """RGB: a row for each crop, thinnest first; None where there was none."""
        if not self._crops:
            return None
        width = max(crop.picture.shape[1] for crop in self._crops)
        return np.vstack(
            [
                np.pad(crop.picture, ((0, 0), (0, width - crop.picture.shape[1]), (0, 0)))
                for crop in self._crops
            ]
        )


def thin_mask(truth_px: Float32Array) -> BoolArray:
    """Pixels with a truth on structures that are narrower than 13 px; (H, W)."""
    known = np.isfinite(truth_px)
    if not known.any():
        return known
    return known & anatomy.thin(anatomy.dense_truth(truth_px))


def thinnest(mask: BoolArray) -> Structure | None:
    """The region of a mask (H, W) that is longest for its width, or None."""
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    best: Structure | None = None
    for label, (left, top, width, height, pixels) in enumerate(boxes[1:].tolist(), 1):
        length_px = float(np.hypot(width, height))
        if pixels < _LEAST_PIXELS or length_px < _LEAST_LENGTH_PX:
            continue
        found = Structure(top + height // 2, left + width // 2, length_px, pixels / length_px)
        if best is None or found.thinness > best.thinness:
            # The middle of a ring or of a bow is none of it.
            rows, columns = np.nonzero(labels[top : top + height, left : left + width] == label)
            nearest = np.hypot(rows - height // 2, columns - width // 2).argmin()
            row, column = top + int(rows[nearest]), left + int(columns[nearest])
            best = replace(found, row=row, column=column)
    return best


def _row(
    name: str,
    place: Structure,
    mask: BoolArray,
    frame: StereoFrame,
    truth_px: Float32Array,
    estimates: Sequence[Estimate],
) -> UInt8Array:
    """Left image, truth and each disparity around a structure, in one colour scale."""
    rows = _window(place.row, _CROP_HEIGHT_PX, truth_px.shape[0])
    columns = _window(place.column, _CROP_WIDTH_PX, truth_px.shape[1])
    truth, thin = truth_px[rows, columns], mask[rows, columns]
    low, high = colour_range(truth)
    tiles = [
        labelled(_tile(frame.left[rows, columns]), name),
        labelled(_tile(colorize(truth, low, high)), f'truth, {low:.0f} to {high:.0f} px'),
    ]
    for estimate in estimates:
        disparity = estimate.disparity_px[rows, columns]
        wrong = ~(np.abs(disparity - truth)[thin] <= anatomy.WRONG_PX)
        method = ' '.join(estimate.method.split()[:1])
        text = f'{method}: {100 * wrong.mean():.0f} % of thin wrong'
        tiles.append(labelled(_tile(colorize(disparity, low, high)), text))
    return np.hstack(tiles)


def _window(middle: int, size: int, length: int) -> slice:
    start = max(0, min(middle - size // 2, length - size))
    return slice(start, min(start + size, length))


def _tile(image: UInt8Array) -> UInt8Array:
    size = (_CROP_WIDTH_PX * _MAGNIFY, _CROP_HEIGHT_PX * _MAGNIFY)
    shown = (image.shape[1] * _MAGNIFY, image.shape[0] * _MAGNIFY)
    # Without interpolation: colours between two disparities would be a third.
    tile = np.asarray(cv2.resize(image, shown, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    # An image smaller than a crop is continued in black.
    return np.pad(tile, ((0, size[1] - shown[1]), (0, size[0] - shown[0]), (0, 0)))
