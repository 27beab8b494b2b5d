"""Filling the holes of a disparity map, so that sparse and dense methods can be compared."""

from __future__ import annotations

import cv2
import numpy as np

from ..stereo import BoolArray, Float32Array


def fill_holes(disparity_px: Float32Array) -> Float32Array:
    """Give every pixel a disparity, as the KITTI 2015 development kit does before scoring.

    A hole between two estimates of its row takes the lower one (most holes are occlusions, and
    what is occluded is the background); at the ends of a row the nearest estimate goes on; a row
    without any takes the nearest row that has some, the upper of two equally near.

    Args:
        disparity_px: (H, W) float32, NaN where unknown.

    Returns:
        (H, W) float32 without NaN; all NaN where there was no estimate at all.
    """
    known = np.isfinite(disparity_px)
    if not known.any():
        return np.full_like(disparity_px, np.nan)
    filled: Float32Array = np.minimum(_previous(disparity_px, known), _next(disparity_px, known))
    rows = np.flatnonzero(known.any(axis=1))
    distance = np.abs(np.arange(len(disparity_px))[:, None] - rows[None, :])
    nearest = rows[distance.argmin(axis=1)]
    return np.asarray(filled[nearest], np.float32)


def fill_sparse(disparity_px: Float32Array, gap_px: int) -> Float32Array:
    """Give every pixel a disparity as sparse ground truth suggests it.

    A short hole between two values of its row takes the lower one: it is what a nearer surface
    hides beside itself. Everything else takes the value of the nearest pixel that has one then.
    A laser's truth has long stretches of rows without a value, which along the row would take the
    disparity of another surface.

    Args:
        disparity_px: (H, W) float32, NaN where unknown.
        gap_px: longest hole that is filled along the row.

    Returns:
        (H, W) float32 without NaN; all NaN where nothing is known.
    """
    known = np.isfinite(disparity_px)
    if known.all() or not known.any():
        return disparity_px
    columns = np.arange(known.shape[1], dtype=np.float32)
    at = np.where(known, columns, np.float32(np.nan))
    # Infinite where there is no value on one side.
    length = _next(at, known) + _previous(-at, known) - 1
    lower = np.minimum(_previous(disparity_px, known), _next(disparity_px, known))
    filled = np.where(known, disparity_px, np.where(length <= gap_px, lower, np.float32(np.nan)))
    return _nearest(filled.astype(np.float32))


def _nearest(values: Float32Array) -> Float32Array:
    """Known value that is nearest in the image, for each pixel."""
    known = np.isfinite(values)
    if known.all():
        return values
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(int(labels.max()) + 1, np.float32)
    by_label[labels[known]] = values[known]
    return np.asarray(by_label[labels], np.float32)


def _previous(values: Float32Array, known: BoolArray) -> Float32Array:
    """Last known value at or left of each pixel in its row, +Inf where none is."""
    columns = np.where(known, np.arange(values.shape[1]), -1)
    last = np.maximum.accumulate(columns, axis=1)
    found: Float32Array = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, found, np.float32(np.inf))


def _next(values: Float32Array, known: BoolArray) -> Float32Array:
    """First known value at or right of each pixel in its row, +Inf where none is."""
    return _previous(values[:, ::-1], known[:, ::-1])[:, ::-1]
