"""Views that are exchanged, or raw: shown by points that both images of a pair show.

Corners of the left image are searched in the right one, to both sides and some rows up and down,
on small copies. In a rectified pair every point lies further left in the right image, in the same
row. In exchanged views all points lie further right. In raw images the rows differ, and they agree
once the points are rectified by the calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..stereo import UInt8Array

Points = npt.NDArray[np.float64]
_Grey = npt.NDArray[np.uint8]

# The search runs on a copy of this width, and its result is refined on one of the other.
_SEARCH_WIDTH_PX = 240
_REFINE_WIDTH_PX = 640
_CORNERS = 150
_CORNER_DISTANCE_PX = 6.0
# Half of a patch; reach of the search as shares of the width.
_PATCH_PX = 5
_REACH_X, _REACH_Y = 0.3, 0.035
_REFINE_REACH_PX = 4
# A match correlates at least so well, and better by the margin than the second best place.
_LEAST_CORRELATION = 0.8
_MARGIN = 0.06
_PEAK_PX = 3
_THERE_AND_BACK_PX = 1.5


# Fewer points prove nothing. Of those that are off zero by more than this share of the width, all
# but a tenth lie on one side.
_FEWEST = 10
_OFF_ZERO = 0.005
_ONE_SIDE = 0.9
# Rows of rectified pairs differ by up to 0.52 px (median of a pair), those of raw ones by over
# 2 px: docs/reports/health.md. Measured at 640 px, coarser on wider images.
_ROWS_PX = 1.5


@dataclass(frozen=True)
class Matches:
    """Points that both images show.

    Attributes:
        left_px, right_px: (N, 2) float64, x and y in pixels of the images.
        width_px: of the images.
    """

    left_px: Points
    right_px: Points
    width_px: int

    def __len__(self) -> int:
        return len(self.left_px)

    def rows_px(self) -> float:
        """Median difference of the rows of left and right, absolute, in px."""
        return float(np.median(np.abs(self.right_px[:, 1] - self.left_px[:, 1])))


def sparse_matches(left: UInt8Array, right: UInt8Array) -> Matches:
    """Up to 150 points of the left image, found in the right one. Takes about 20 ms on one core.

    Args:
        left, right: RGB uint8 (H, W, 3) of one size.
    """
    width_px = left.shape[1]
    small = [_grey(image, _SEARCH_WIDTH_PX) for image in (left, right)]
    fine = [_grey(image, _REFINE_WIDTH_PX) for image in (left, right)]
    ratio = fine[0].shape[1] / small[0].shape[1]
    corners = cv2.goodFeaturesToTrack(small[0], _CORNERS, 0.01, _CORNER_DISTANCE_PX)
    found = []
    for x, y in corners.reshape(-1, 2) if corners is not None else ():
        place = _search(small, (round(x), round(y)))
        if place is None:
            continue
        back = _search(small[::-1], place)
        if back is None or max(abs(back[0] - x), abs(back[1] - y)) > _THERE_AND_BACK_PX:
            continue
        start = (round(x * ratio), round(y * ratio))
        refined = _refine(fine, start, (round(place[0] * ratio), round(place[1] * ratio)))
        if refined is not None:
            found.append((*start, *refined))
    points = np.asarray(found, np.float64).reshape(-1, 4) * (width_px / fine[0].shape[1])
    return Matches(points[:, :2], points[:, 2:], width_px)


def exchanged(matches: Matches, offset_px: float = 0.0) -> bool | None:
    """Whether the left image is the right camera's; None where the points do not tell.

    Args:
        matches: of the rectified pair.
        offset_px: cx of the left camera - cx of the right one, the disparity of a point at
            infinity.
    """
    shift_px = matches.left_px[:, 0] - matches.right_px[:, 0]
    least_px = _OFF_ZERO * matches.width_px
    # Points that lie behind the cameras as they are named, and with the names exchanged.
    behind = int((shift_px - offset_px < -least_px).sum())
    behind_exchanged = int((-shift_px - offset_px < -least_px).sum())
    both = behind + behind_exchanged
    if both < _FEWEST or max(behind, behind_exchanged) < _ONE_SIDE * both:
        return None
    return behind > behind_exchanged


@dataclass(frozen=True)
class Rectification:
    """The state of the rows of a pair.

    Attributes:
        kind: 'raw' (rectifying aligns the rows), 'rectified' (it would misalign them),
            'misaligned' (they are aligned neither way), 'aligned' (both ways) or 'unknown'.
        given_px, rectified_px: median difference of rows, of the images as they come and once
            they are rectified.
        shift_px: by how much rectifying moves a point, at most.
    """

    kind: str
    given_px: float = 0.0
    rectified_px: float = 0.0
    shift_px: float = 0.0


def rectification(given: Matches, rectified: Matches) -> Rectification:
    """Judge whether images come raw or rectified.

    Args:
        given: points of the images as they come.
        rectified: the same points after rectification by the calibration.
    """
    if len(given) < _FEWEST:
        return Rectification('unknown')
    moved = np.concatenate(
        (rectified.left_px - given.left_px, rectified.right_px - given.right_px)
    )
    before_px, after_px = given.rows_px(), rectified.rows_px()
    least_px = _ROWS_PX * max(1.0, given.width_px / _REFINE_WIDTH_PX)
    kinds = {
        (True, True): 'aligned',
        (True, False): 'rectified',
        (False, True): 'raw',
        (False, False): 'misaligned',
    }
    kind = kinds[before_px < least_px, after_px < least_px]
    # Where one way is not clearly better, nothing is proven but that rows differ.
    if kind == 'raw' and 2 * after_px > before_px:
        kind = 'misaligned'
    elif kind == 'rectified' and 2 * before_px > after_px:
        kind = 'unknown'
    shift_px = float(np.hypot(*moved.T).max())
    return Rectification(kind, before_px, after_px, shift_px)


def _grey(image: UInt8Array, width_px: int) -> _Grey:
    """Grey copy of at most that width."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = width_px / grey.shape[1]
    if scale >= 1:
        return np.asarray(grey, np.uint8)
    size = (width_px, max(1, round(grey.shape[0] * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _patch(image: _Grey, place: tuple[int, int]) -> _Grey | None:
    """Square around a place, None at the border."""
    (x, y), half = place, _PATCH_PX
    if not (half <= x < image.shape[1] - half and half <= y < image.shape[0] - half):
        return None
    return image[y - half : y + half + 1, x - half : x + half + 1]


def _scores(
    image: _Grey, patch: _Grey, centre: tuple[int, int], reach: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], int, int]:
    """Correlation with a patch around a place, and the place (x, y) of its first value."""
    x0 = max(0, centre[0] - reach[0] - _PATCH_PX)
    y0 = max(0, centre[1] - reach[1] - _PATCH_PX)
    x1 = centre[0] + reach[0] + _PATCH_PX + 1
    y1 = centre[1] + reach[1] + _PATCH_PX + 1
    scores = cv2.matchTemplate(image[y0:y1, x0:x1], patch, cv2.TM_CCOEFF_NORMED)
    return np.asarray(scores, np.float32), x0 + _PATCH_PX, y0 + _PATCH_PX


def _search(views: Sequence[_Grey], place: tuple[int, int]) -> tuple[int, int] | None:
    """The one place in the second view that looks like that of the first."""
    source, target = views
    patch = _patch(source, place)
    if patch is None:
        return None
    width = source.shape[1]
    reach = (round(_REACH_X * width), max(2, round(_REACH_Y * width)))
    scores, x0, y0 = _scores(target, patch, place, reach)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    if not best >= _LEAST_CORRELATION:
        return None
    top, near = max(0, y - _PEAK_PX), max(0, x - _PEAK_PX)
    scores[top : y + _PEAK_PX + 1, near : x + _PEAK_PX + 1] = -1
    if scores.max() > best - _MARGIN:
        return None
    return x0 + x, y0 + y


def _refine(
    views: Sequence[_Grey], start: tuple[int, int], place: tuple[int, int]
) -> tuple[float, float] | None:
    """The place to a fraction of a pixel, near where it was found on the smaller copy."""
    source, target = views
    patch, around = _patch(source, start), _patch(target, place)
    if patch is None or around is None:
        return None
    scores, x0, y0 = _scores(target, patch, place, (_REFINE_REACH_PX, _REFINE_REACH_PX))
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    inside = 0 < x < scores.shape[1] - 1 and 0 < y < scores.shape[0] - 1
    if not (inside and best >= _LEAST_CORRELATION):
        return None
    dx = _vertex(*scores[y, x - 1 : x + 2])
    dy = _vertex(*scores[y - 1 : y + 2, x])
    return x0 + x + dx, y0 + y + dy


def _vertex(before: float, at: float, after: float) -> float:
    """Offset of the top of a parabola through three values, -0.5 .. 0.5."""
    curvature = before - 2 * at + after
    return float(0.5 * (before - after) / curvature) if curvature < 0 else 0.0
