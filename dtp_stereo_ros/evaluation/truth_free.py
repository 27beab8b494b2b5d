"""Measures of a disparity map that need no truth: of the images, the other view, the frame before.

Every function takes disparities as (H, W) float32 px of the left view, NaN where unknown, and
images as RGB uint8 (H, W, 3), and returns NaN where it can judge fewer than `FEWEST_SHARE` of the
pixels. How well each tells good from bad stands in docs/reports/truth_free.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..health.views import Matches
from ..postprocess import left_right_differences
from ..stereo import BoolArray, Float32Array, UInt8Array

FEWEST_SHARE = 0.01
# Left and right disparity of one point differ by at most this (Middlebury, KITTI: 1 px).
CONSISTENT_PX = 1.0
AGREES_PX = 1.0
# Sensor noise moves a pixel of a still scene by about two grey levels once it is smoothed.
STILL_LEVELS = 3.0
# Most of SSIM, a part of L1 (Godard et al., CVPR 2017).
_SSIM_SHARE = 0.85
_SSIM_WINDOW_PX = 7
_MOST_PHOTOMETRIC = 0.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_CENSUS_RADIUS_PX = 2
_STILL_WINDOW_PX = 5
# Of `followed_flicker_px` and `plane_noise_px`; see there.
_SAME_LEVELS = 10.0
_SMOOTH_PX = 15
_COARSE = 0.25
_PATCH_PX = 16

_Grey = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WarpedPair:
    """The left image, and the right one as the left camera would see it by a disparity map.

    Attributes:
        left, right: grey, (H, W) float32, 0..255.
        visible: where both cameras see the point.
    """

    left: _Grey
    right: _Grey
    visible: BoolArray


def warped_pair(left: UInt8Array, right: UInt8Array, disparity_px: Float32Array) -> WarpedPair:
    """Warp the right image by the disparities."""
    height, width = disparity_px.shape
    columns = np.arange(width, dtype=np.float32) - np.nan_to_num(disparity_px)
    rows = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], columns.shape)
    warped = cv2.remap(
        _grey(right),
        columns.astype(np.float32),
        np.ascontiguousarray(rows),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return WarpedPair(_grey(left), np.asarray(warped, np.float32), seen_by_both(disparity_px))


def seen_by_both(disparity_px: Float32Array) -> BoolArray:
    """Pixels whose match lies in the right image and is hidden by nothing nearer, (H, W).

    A pixel is hidden where one to its right is matched further left: the order of points on a row
    is the same in both views but for thin objects, whose background is left out here.
    """
    width = disparity_px.shape[1]
    columns = np.arange(width, dtype=np.float32) - disparity_px
    known = np.isfinite(columns)
    ahead = np.where(known, columns, np.float32(np.inf))
    # Smallest match among the pixels further right.
    least = np.minimum.accumulate(ahead[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros_like(known)
    hidden[:, :-1] = least[:, 1:] < ahead[:, :-1] - 1.0
    with np.errstate(invalid='ignore'):
        return known & ~hidden & (columns >= 0) & (columns <= width - 1)


def inconsistent(disparity_px: Float32Array, right_px: Float32Array) -> float:
    """Share of the pixels, 0..1, whose two disparities differ by more than `CONSISTENT_PX`."""
    differences = left_right_differences(disparity_px, right_px)
    judged = np.isfinite(differences)
    return _share(differences > CONSISTENT_PX, judged)


def photometric(pair: WarpedPair) -> float:
    """Mean of 0.85 (1 - SSIM) / 2 + 0.15 |difference| / 255 where both cameras see the point.

    The exposure of the right image is equalised by mean and standard deviation. Pixels whose
    window holds others are left out; each is cut at 0.5, so that highlights do not decide.
    """
    judged = _whole_windows(pair.visible, _SSIM_WINDOW_PX)
    if judged.mean() < FEWEST_SHARE:
        return float('nan')
    right = _equalised(pair.right, pair.left, judged)
    structure = (1.0 - _ssim(pair.left, right)) / 2.0
    level = np.abs(pair.left - right) / 255.0
    errors = _SSIM_SHARE * structure + (1.0 - _SSIM_SHARE) * level
    return _mean(np.minimum(errors, _MOST_PHOTOMETRIC), judged)


def census(pair: WarpedPair) -> float:
    """Share of census bits, 0..1, that differ where both cameras see the point.

    A bit says whether a neighbour within 2 px is brighter than the pixel (Zabih and Woodfill,
    ECCV 1994), so that a change of exposure does not count.
    """
    radius = _CENSUS_RADIUS_PX
    judged = _whole_windows(pair.visible, 2 * radius + 1)
    first, second = pair.left, pair.right
    padded = [cv2.copyMakeBorder(g, *(radius,) * 4, cv2.BORDER_REPLICATE) for g in (first, second)]
    height, width = judged.shape
    wrong = np.zeros(judged.shape, np.uint8)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            if (dy, dx) == (radius, radius):
                continue
            a, b = (p[dy : dy + height, dx : dx + width] for p in padded)
            wrong += (a > first) != (b > second)
    return _mean(wrong, judged) / ((2 * radius + 1) ** 2 - 1)


def still(image: UInt8Array, before: UInt8Array) -> BoolArray:
    """Pixels that did not change since the frame before, (H, W)."""
    size = (_STILL_WINDOW_PX, _STILL_WINDOW_PX)
    change = np.abs(cv2.blur(_grey(image), size) - cv2.blur(_grey(before), size))
    # What is beside a change may have moved with it.
    moved = (change >= STILL_LEVELS).astype(np.uint8)
    return np.asarray(cv2.dilate(moved, np.ones(size, np.uint8)) == 0)


def flicker_px(
    disparity_px: Float32Array, before_px: Float32Array, still_pixels: BoolArray
) -> float:
    """Mean |d - d of the frame before| where the image did not change, px."""
    change = np.abs(disparity_px - before_px)
    return _mean(change, still_pixels & np.isfinite(change))


@dataclass(frozen=True)
class Motion:
    """Optical flow to the frame before, at a quarter of the size.

    Attributes:
        columns, rows: place in the frame before, (h, w) float32 px of that size.
        sure: pixels whose flow there and back agrees within 1 px and whose grey level is the same
            within 10.
    """

    columns: _Grey
    rows: _Grey
    sure: BoolArray


def motion(image: UInt8Array, before: UInt8Array) -> Motion:
    """Dense optical flow to the frame before (Farneback, SCIA 2003), at a quarter of the size."""
    now, then = (_coarse(_grey(i)) for i in (image, before))
    to_before, to_now = _flow(now, then), _flow(then, now)
    height, width = now.shape
    columns = np.arange(width, dtype=np.float32) + to_before[..., 0]
    rows = np.arange(height, dtype=np.float32)[:, None] + to_before[..., 1]
    back = cv2.remap(to_now, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.remap(then, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sure = np.linalg.norm(to_before + back, axis=2) <= 1.0
    return Motion(columns, rows, sure & (np.abs(seen - now) <= _SAME_LEVELS))


def followed_flicker_px(
    disparity_px: Float32Array, before_px: Float32Array, found: Motion
) -> float:
    """Mean change of the disparity since the frame before along the optical flow, px.

    Motion in depth changes the disparity too, and smoothly: the mean change in a window of 15 px
    at that size is taken off.
    """
    # Not between two surfaces: each pixel takes the nearest disparity.
    moved = cv2.remap(
        _coarse_nearest(before_px), found.columns, found.rows, cv2.INTER_NEAREST,
        borderValue=np.nan,
    )  # fmt: skip
    change = _coarse_nearest(disparity_px) - moved
    judged = found.sure & np.isfinite(change)
    window = (_SMOOTH_PX, _SMOOTH_PX)
    weight = cv2.blur(judged.astype(np.float32), window)
    smooth = cv2.blur(np.where(judged, change, np.float32(0)), window) / np.maximum(weight, 1e-6)
    return _mean(np.abs(change - smooth), judged)


def plane_noise_px(disparity_px: Float32Array) -> float:
    """Deviation of the disparity from planes, px: the median rms of the flattest patches.

    A plane in the world has a disparity that is affine in the pixel. Of the patches of 16 px
    without a hole, the quarter that fits best is taken to be flat.
    """
    side = _PATCH_PX
    height, width = (length // side * side for length in disparity_px.shape)
    blocks = disparity_px[:height, :width].reshape(height // side, side, width // side, side)
    # Each second one in rows and columns: enough for a median.
    patches = blocks.transpose(0, 2, 1, 3)[::2, ::2].reshape(-1, side * side)
    patches = patches[np.isfinite(patches).all(axis=1)].astype(np.float64)
    if len(patches) * side * side < FEWEST_SHARE * disparity_px.size / 4 or len(patches) < 4:
        return float('nan')
    rows, columns = np.divmod(np.arange(side * side), side)
    basis, _ = np.linalg.qr(np.stack((np.ones(side * side), columns, rows), axis=1))
    off = patches - (patches @ basis) @ basis.T
    rms = np.sort(np.sqrt((off**2).mean(axis=1)))
    return float(np.median(rms[: len(rms) // 4]))


def agreement(disparity_px: Float32Array, other_px: Float32Array) -> float:
    """Share of the pixels, 0..1, that both estimate and that differ by at most `AGREES_PX`."""
    difference = np.abs(disparity_px - other_px)
    return _share(difference <= AGREES_PX, np.isfinite(difference))


def row_offsets_px(matches: Matches) -> tuple[float, float]:
    """Mean and rms of the row in the right image less that in the left one, px; (NaN, NaN) of few.

    The tenth of the matches with the largest offsets is left out, as wrong matches are among it.
    """
    if len(matches) < 10:
        return float('nan'), float('nan')
    offsets = matches.right_px[:, 1] - matches.left_px[:, 1]
    distance = np.abs(offsets - np.median(offsets))
    kept = offsets[distance <= np.quantile(distance, 0.9)]
    return float(kept.mean()), float(np.sqrt(np.mean(kept**2)))


def _flow(image: _Grey, other: _Grey) -> npt.NDArray[np.float32]:
    """(h, w, 2) px. OpenCV's DIS is faster and better, and ends the process for some images."""
    none: Any = None
    flow = cv2.calcOpticalFlowFarneback(image, other, none, 0.5, 4, 15, 2, 5, 1.1, 0)
    return np.asarray(flow, np.float32)


def _coarse(image: _Grey) -> _Grey:
    return np.asarray(
        cv2.resize(image, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_AREA)
    )


def _coarse_nearest(plane: Float32Array) -> Float32Array:
    height, width = (round(length * _COARSE) for length in plane.shape)
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST))


def _grey(image: UInt8Array) -> _Grey:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def _whole_windows(pixels: BoolArray, size_px: int) -> BoolArray:
    """Pixels whose square window holds such pixels alone."""
    window = np.ones((size_px, size_px), np.uint8)
    return np.asarray(cv2.erode(pixels.astype(np.uint8), window) == 1)


def _equalised(image: _Grey, like: _Grey, where: BoolArray) -> _Grey:
    """Gain and offset that make mean and standard deviation equal."""
    values, wanted = image[where], like[where]
    gain = float(wanted.std()) / max(float(values.std()), 1e-3)
    return ((image - values.mean()) * np.float32(gain) + wanted.mean()).astype(np.float32)


def _ssim(first: _Grey, second: _Grey) -> _Grey:
    """Structural similarity over a window (Wang et al., IEEE TIP 2004), -1..1."""
    size = (_SSIM_WINDOW_PX, _SSIM_WINDOW_PX)
    mean_a, mean_b = cv2.blur(first, size), cv2.blur(second, size)
    variance_a = cv2.blur(first * first, size) - mean_a**2
    variance_b = cv2.blur(second * second, size) - mean_b**2
    covariance = cv2.blur(first * second, size) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (np.maximum(variance_a + variance_b, 0) + _C2)
    return np.clip(luminance * structure, -1.0, 1.0).astype(np.float32)


def _mean(values: npt.NDArray[Any], judged: BoolArray) -> float:
    if judged.mean() < FEWEST_SHARE:
        return float('nan')
    return float(values[judged].mean(dtype=np.float64))


def _share(holds: BoolArray, judged: BoolArray) -> float:
    if judged.mean() < FEWEST_SHARE:
        return float('nan')
    return float(holds[judged].mean())
