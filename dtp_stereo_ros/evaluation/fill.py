"""Filling the holes of a disparity map, so that sparse and dense methods can be compared."""

from __future__ import annotations

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


def _previous(values: Float32Array, known: BoolArray) -> Float32Array:
    """Of each pixel, the last known value at or left of it in its row, +Inf where none is."""
    columns = np.where(known, np.arange(values.shape[1]), -1)
    last = np.maximum.accumulate(columns, axis=1)
    found: Float32Array = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, found, np.float32(np.inf))


def _next(values: Float32Array, known: BoolArray) -> Float32Array:
    """Of each pixel, the first known value at or right of it in its row, +Inf where none is."""
    return _previous(values[:, ::-1], known[:, ::-1])[:, ::-1]
