"""Error anatomy: which kind of place in the image the wrong pixels lie in.

Each pixel with a truth belongs to exactly one class, the first of these that holds:

* ``left_border``: its match lies beyond the left border of the right image;
* ``hidden``: something nearer hides it from the right camera;
* ``thin``: on a structure that is nearer than its surroundings and narrower than 13 px;
* ``edge``: within 4 px of a depth edge;
* ``plain``: the mean squared horizontal gradient around it is below 4 grey levels squared, the
  textureless regions of Scharstein and Szeliski (IJCV 2002, section 5), in a window of 9 px;
* ``textured``: everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..stereo import BoolArray, Float32Array, UInt8Array
from .datasets import Truth
from .fill import fill_sparse

# In the order of the table; the values of `classify` are indices into it.
CLASSES: dict[str, str] = {
    'textured': 'flat, textured',
    'plain': 'flat, plain',
    'edge': 'within 4 px of a depth edge',
    'thin': 'thinner than 13 px',
    'hidden': 'hidden from the right camera',
    'left_border': 'beyond the left border',
}
NO_CLASS = 255

WRONG_PX = 3.0
THIN_PX = 13

_EDGE_REACH_PX = 4
# Smaller steps between neighbours are slopes: a road seen from a car has 0.3 px.
_STEP_PX = 2.0
# A pixel is hidden where its match is covered by one that is nearer by more than this.
_COVER_PX = 1.0
_TEXTURE_WINDOW_PX = 9
_LEAST_SQUARED_GRADIENT = 4.0
# Of KITTI's truth: with 13 px poles whose surroundings are unknown are not told from walls, with
# 32 px rough hedges and facades are taken for thin structures.
_GAP_PX = 20

UInt8Map = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Anatomy:
    """Pixels and wrong pixels of one image by class, in the order of `CLASSES`.

    Attributes:
        pixels: (6,) pixels with a truth.
        wrong: (6,) those of them with |d - d*| > 3 px.
    """

    pixels: Int64Array
    wrong: Int64Array


def classify(left: UInt8Array, truth: Truth) -> UInt8Map:
    """The class of each pixel.

    Args:
        left: RGB (H, W, 3).
        truth: of the same size. Where it does not tell which pixels are occluded, they are found
            by the truth's own disparities, as far as these are dense.

    Returns:
        (H, W) index into `CLASSES`, `NO_CLASS` where there is no truth.
    """
    known = np.isfinite(truth.disparity_px)
    classes = np.full(known.shape, NO_CLASS, np.uint8)
    if not known.any():
        return classes
    dense = dense_truth(truth.disparity_px)
    # From the last to the first, so that the first that holds remains.
    masks = {
        'textured': known,
        'plain': plain(left),
        'edge': near_edge(dense),
        'thin': thin(dense),
        'hidden': _hidden(truth),
        'left_border': np.arange(known.shape[1])[None, :] - dense < 0,
    }
    for index, name in enumerate(CLASSES):
        classes[known & masks[name]] = index
    return classes


def dissect(classes: UInt8Map, estimate_px: Float32Array, truth_px: Float32Array) -> Anatomy:
    """Count the wrong pixels of an estimate by class.

    Args:
        classes: (H, W) as made by `classify`.
        estimate_px: (H, W) px without holes; where there is NaN, it counts as wrong.
        truth_px: (H, W) px, NaN where unknown.
    """
    known = classes != NO_CLASS
    right = np.abs(estimate_px - truth_px) <= WRONG_PX
    return Anatomy(_count(classes[known]), _count(classes[known & ~right]))


def dense_truth(truth_px: Float32Array) -> Float32Array:
    """Truth (H, W) with its unknown pixels filled in, so that edges can be looked for."""
    return fill_sparse(truth_px, _GAP_PX)


def plain(left: UInt8Array) -> BoolArray:
    """Pixels of an RGB image (H, W, 3) without texture along the row."""
    grey = cv2.cvtColor(left, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = cv2.filter2D(grey, cv2.CV_32F, np.array([[-0.5, 0.0, 0.5]], np.float32))
    window = (_TEXTURE_WINDOW_PX, _TEXTURE_WINDOW_PX)
    return np.asarray(cv2.blur(gradient * gradient, window) < _LEAST_SQUARED_GRADIENT)


def near_edge(dense_px: Float32Array) -> BoolArray:
    """Pixels within 4 px of a step of more than 2 px between neighbours; (H, W) without NaN."""
    edge = np.zeros(dense_px.shape, np.uint8)
    across = np.abs(np.diff(dense_px, axis=1)) > _STEP_PX
    down = np.abs(np.diff(dense_px, axis=0)) > _STEP_PX
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return np.asarray(cv2.dilate(edge, _disc(2 * _EDGE_REACH_PX - 1)) > 0)


def thin(dense_px: Float32Array) -> BoolArray:
    """Structures nearer than their surroundings into which no disc of 13 px fits.

    A grey opening removes them; they stand out by more than 2 px. (H, W) without NaN.
    """
    # Continued at its borders, so that a slope that ends there is none of them.
    padded = cv2.copyMakeBorder(dense_px, *(THIN_PX,) * 4, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, _disc(THIN_PX))
    return np.asarray(dense_px - opened[THIN_PX:-THIN_PX, THIN_PX:-THIN_PX] > _STEP_PX)


def covered(disparity_px: Float32Array) -> BoolArray:
    """Pixels whose match is covered by a nearer one, by the disparities themselves.

    Args:
        disparity_px: (H, W) px of the left view, NaN where unknown.
    """
    height, width = disparity_px.shape
    rows, columns = np.nonzero(np.isfinite(disparity_px))
    values = disparity_px[rows, columns]
    matches = np.rint(columns - values).astype(np.intp)
    inside = (matches >= 0) & (matches < width)
    rows, columns, values, matches = (a[inside] for a in (rows, columns, values, matches))
    nearest = np.full((height, width), -np.inf, np.float32)
    np.maximum.at(nearest, (rows, matches), values)
    # A nearer slanted surface is stretched in the right view, with gaps of a pixel between.
    nearest = np.asarray(cv2.morphologyEx(nearest, cv2.MORPH_CLOSE, np.ones((1, 3), np.uint8)))
    found = np.zeros((height, width), bool)
    found[rows, columns] = nearest[rows, matches] - values > _COVER_PX
    return found


def _hidden(truth: Truth) -> BoolArray:
    if not truth.has_occluded:
        return np.zeros(truth.disparity_px.shape, bool)
    if truth.non_occluded is not None:
        return ~truth.non_occluded
    return covered(truth.disparity_px)


def _disc(diameter_px: int) -> UInt8Map:
    radius = diameter_px // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * (radius + 1)).astype(np.uint8)


def _count(classes: UInt8Map) -> Int64Array:
    return np.bincount(classes, minlength=len(CLASSES)).astype(np.int64)
