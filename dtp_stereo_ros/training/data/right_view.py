"""Disparity of one view from that of the other."""

from __future__ import annotations

import numpy as np

from dtp_stereo_ros.stereo import BoolArray, Float32Array

from ..synthetic.visibility import visible

# Neighbours on one surface differ by less.
_SAME_SURFACE_PX = 1.0


def visible_from_disparity(disparity: Float32Array) -> BoolArray:
    """Known points that the right camera sees, told from the left disparity alone.

    A point is hidden where a nearer one lands on its column of the right image, or where its
    column lies outside.

    Args:
        disparity: (H, W) px, NaN where unknown.
    """
    height, width = disparity.shape
    known = np.isfinite(disparity)
    d = np.where(known, disparity, 0)
    column = np.rint(np.arange(width) - d).astype(np.int64)
    inside = known & (column >= 0) & (column < width)
    rows = np.broadcast_to(np.arange(height)[:, None], d.shape)
    nearest = np.full((height, width), -np.inf, np.float32)
    np.maximum.at(nearest, (rows[inside], column[inside]), d[inside])
    return np.asarray(known & visible(d, nearest, -1))


def right_disparity(disparity: Float32Array, visible: BoolArray) -> Float32Array:
    """The right view's disparity of the points that both cameras see.

    Between two neighbours on one surface it is interpolated at the columns of the right view; a
    point that stands alone (sparse truth) is taken for the column next to it, at most half a
    pixel off. What only the right camera sees stays unknown.

    Args:
        disparity: (H, W) px of the left view, NaN where unknown.
        visible: (H, W), seen by both cameras.

    Returns:
        (H, W) px, NaN where unknown.
    """
    height, width = disparity.shape
    d = np.where(visible, disparity, np.nan).astype(np.float64)
    column = np.arange(width) - d
    first, second = column[:, :-1], column[:, 1:]
    with np.errstate(invalid='ignore'):
        joined = np.abs(d[:, 1:] - d[:, :-1]) < _SAME_SURFACE_PX
    found = np.full((height, width), -np.inf)

    def land(row: np.ndarray, at: np.ndarray, value: np.ndarray) -> None:
        inside = (at >= 0) & (at < width)
        np.maximum.at(found, (row[inside], at[inside].astype(np.int64)), value[inside])

    rows, columns = np.nonzero(joined)
    begin, end, near = first[joined], second[joined], d[:, :-1][joined]
    # Less than two columns lie between neighbours, so that these are all.
    for extra in (0, 1):
        at = np.ceil(begin) + extra
        share = (at - begin) / (end - begin)
        hit = share <= 1
        value = near + share * (d[rows, columns + 1] - near)
        land(rows[hit], at[hit], value[hit])
    alone = np.isfinite(d)
    alone[:, :-1] &= ~joined
    alone[:, 1:] &= ~joined
    land(np.nonzero(alone)[0], np.rint(column[alone]), d[alone])
    return np.where(np.isfinite(found), found, np.nan).astype(np.float32)
