"""Pixels of one view that the other view sees."""

from __future__ import annotations

from typing import Any

import numpy as np

# Two points closer in disparity than this do not hide each other: on a slanted surface the rounded
# column is up to half a pixel off.
OCCLUSION_TOLERANCE_PX = 1.0


def visible(own: Any, other: Any, sign: int) -> Any:
    """Whether the point of each pixel is in the other view and in front there.

    Args:
        own, other: disparities (..., H, W) px, both arrays or both tensors; -inf in `other` where
            nothing is known to be.
        sign: -1 where `own` is of the left view, +1 where it is of the right view.

    Returns:
        (..., H, W) bool, of the same library.
    """
    last = own.shape[-1] - 1
    if isinstance(own, np.ndarray):
        columns = np.arange(last + 1, dtype=np.float32) + sign * own
        nearest = np.rint(columns).astype(np.int64).clip(0, last)
        there = np.take_along_axis(other, nearest, axis=-1)
    else:
        import torch

        columns = torch.arange(last + 1, device=own.device) + sign * own
        there = other.gather(-1, columns.round().long().clamp(0, last))
    return (columns >= 0) & (columns <= last) & (there - own < OCCLUSION_TOLERANCE_PX)
