"""A backend's raw output to a disparity in pixels of the input image."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .config import PipelineConfig
from .errors import ConfigError
from .preprocess import Geometry
from .row_parts import row_parts
from .stereo import BoolArray, Float32Array, StereoCalibration, UInt8Array

# filterSpeckles takes 16-bit integers; 1/16 px is the resolution of OpenCV's own disparities.
_SPECKLE_STEPS_PER_PX = 16.0
_SPECKLE_INVALID = -32768

# Neighbours that differ by more lie on different surfaces (px of the resized image).
_EDGE_PX = 1.0

# Two computations of one disparity differ by less.
_RANGE_ROUNDING_PX = 0.01

# Flying pixels are looked for in windows of this size: a network's edges are 2 to 4 px wide.
_FLYING_WINDOW_PX = 5
# A pixel flies when it is farther than this share of the jump from both surfaces.
_FLYING_SHARE = 0.25


def restore(disparity: Float32Array, geometry: Geometry) -> Float32Array:
    """Crop the padding, resize to the input size and express disparity in input pixels.

    Args:
        disparity: (H', W') float32 at the padded size, px of that size, NaN unknown.
        geometry: as made by `preprocess.prepare`.

    Returns:
        (H, W) float32 in input pixels.
    """
    disparity = _resize(_crop(disparity, geometry), geometry)
    if geometry.width_ratio != 1.0 or not disparity.flags.c_contiguous:
        disparity = disparity * np.float32(geometry.width_ratio)
    shift_px = geometry.shift_px
    return disparity[:, shift_px:] - np.float32(shift_px) if shift_px else disparity


def restore_confidence(confidence: Float32Array, geometry: Geometry) -> Float32Array:
    """Crop the padding and resize to the input size.

    Args:
        confidence: float32 in 0..1 of the padded size, or of a part of it in both directions.
        geometry: as made by `preprocess.prepare`.

    Returns:
        (H, W) float32 in 0..1.
    """
    confidence = np.clip(confidence, 0.0, 1.0)  # enlarging keeps the range
    if confidence.shape != geometry.padded_size:
        # A network may give one value for several pixels: to enlarge it inside takes longer.
        height, width = geometry.padded_size
        confidence = cv2.resize(confidence, (width, height), interpolation=cv2.INTER_LINEAR)
    return _resize(_crop(confidence, geometry), geometry)[:, geometry.shift_px :]


def median_confidence(confidence: Float32Array, geometry: Geometry) -> float:
    """Median over the image, of about every eighth row and column; NaN where nothing is known.

    The arguments are those of `restore_confidence`.
    """
    share = confidence.shape[0] / geometry.padded_size[0]
    step = max(1, round(8 * share))
    rows = slice(int(geometry.pad_top_px * share), None, step)
    columns = slice(0, math.ceil(geometry.resized_size[1] * share), step)
    looked_at = confidence[rows, columns].ravel()
    known = looked_at[~np.isnan(looked_at)]
    return float(np.median(known.clip(0.0, 1.0))) if known.size else float('nan')


def disparity_limits_px(
    calibration: StereoCalibration | None, searched_px: tuple[float, float], config: PipelineConfig
) -> tuple[float, float]:
    """Raw disparities (input px) that count: depth limits, cut to what the method can see.

    Args:
        calibration: at input size, or None where there is none (then no depth limits).
        searched_px: smallest and largest disparity the method can measure, input pixels.
        config: holds `min_depth` and `max_depth`.

    Returns:
        (min, max); min = max where the depth limits leave nothing that the method can see.
    """
    lowest, highest = searched_px
    if calibration is None:
        return lowest, highest
    far, near = depth_limits_px(calibration, config)
    low = min(max(far, lowest), highest)
    return low, max(min(near, highest), low)


def depth_limits_px(calibration: StereoCalibration, config: PipelineConfig) -> tuple[float, float]:
    """Raw disparities (input px) at `max_depth` and at `min_depth`, which is Inf for 0 m."""
    offset_px, focal_px_m = calibration.disparity_offset_px, calibration.focal_baseline_px_m
    near = offset_px + focal_px_m / config.min_depth if config.min_depth > 0 else math.inf
    return offset_px + focal_px_m / config.max_depth, near


def check_limits(low_px: float, high_px: float, calibration: StereoCalibration | None) -> None:
    """Refuse depth limits between which nothing can be measured.

    All would be unknown or beyond range then, which clears the costmap of a robot.

    Args:
        low_px, high_px: raw disparities that count, see `disparity_limits_px`.
        calibration: at input size, or None where there is none (then no depth limits).

    Raises:
        ConfigError: there is no disparity between them, or none nearer than infinity.
    """
    if calibration is None or high_px > max(low_px, calibration.disparity_offset_px):
        return
    offset_px = calibration.disparity_offset_px
    raise ConfigError(
        f'disparity range {low_px - offset_px:.4g} .. {high_px - offset_px:.4g} px is empty: '
        'nothing between min_depth and max_depth lies in the range that is searched; change '
        'these, or with sgbm min_disparity and disparity_range'
    )


def range_doubt(
    low_px: float, calibration: StereoCalibration | None, config: PipelineConfig
) -> str:
    """One line where the search begins nearer than `max_depth`; '' where it does not.

    What is farther gets a wrong match, or none.

    Args:
        low_px: smallest raw disparity that counts, see `disparity_limits_px`.
        calibration: at input size, or None where there is none.
        config: holds `max_depth`.
    """
    if (
        calibration is None
        or low_px <= depth_limits_px(calibration, config)[0] + _RANGE_ROUNDING_PX
    ):
        return ''
    offset_px = calibration.disparity_offset_px
    return (
        f'nothing beyond {calibration.focal_baseline_px_m / (low_px - offset_px):.3g} m can be '
        f'measured, as the search begins at {low_px:.4g} px of the image; set min_disparity to '
        f'{math.floor(offset_px * config.input_scale)}'
    )


def apply_limits(
    disparity_px: Float32Array, calibration: StereoCalibration | None, config: PipelineConfig
) -> Float32Array:
    """Apply the depth limits: nearer than `min_depth` is unknown, beyond `max_depth` is infinity.

    A far pixel is known to be far, so it gets the raw disparity of infinity
    (`disparity_offset_px`), which `depth_m` turns into +Inf (REP 117), and not NaN.
    """
    if calibration is None:
        return disparity_px
    at_infinity_px = calibration.disparity_offset_px
    farthest, nearest = map(np.float32, depth_limits_px(calibration, config))
    limited = disparity_px
    for rows in row_parts(*disparity_px.shape):
        part = disparity_px[rows]
        for wrong, value in ((part < farthest, at_infinity_px), (part > nearest, np.nan)):
            if wrong.any():
                if limited is disparity_px:
                    limited = disparity_px.copy()
                np.copyto(limited[rows], np.float32(value), where=wrong)
    return limited


def drop_unseen(values: Float32Array, seen: BoolArray | None, unknown: float) -> Float32Array:
    """Pixels of which the camera has no image become `unknown`: a network fills them, too.

    Args:
        values: (H, W), disparity or confidence.
        seen: of the frame; None keeps all.
        unknown: for a pixel that was not seen.
    """
    return values if seen is None else np.where(seen, values, np.float32(unknown))


def drop_unsure(
    disparity_px: Float32Array, confidence: Float32Array | None, threshold: float
) -> Float32Array:
    """Pixels with less confidence than the threshold become NaN; 0 keeps all."""
    if confidence is None or threshold <= 0:
        return disparity_px
    return np.where(confidence >= threshold, disparity_px, np.float32(np.nan))


def drop_speckles(disparity_px: Float32Array, size_px: int, range_px: float) -> Float32Array:
    """Connected regions of fewer than `size_px` pixels become NaN; 0 keeps all.

    Neighbours belong together when their disparities differ by at most `range_px`.
    """
    if size_px <= 1:
        return disparity_px
    known = np.isfinite(disparity_px)
    if not known.any():
        return disparity_px
    largest = float(np.abs(disparity_px[known]).max())
    steps = min(_SPECKLE_STEPS_PER_PX, 32000.0 / max(largest, 1.0))
    quantised = np.full(disparity_px.shape, _SPECKLE_INVALID, np.int16)
    quantised[known] = np.rint(disparity_px[known] * steps).astype(np.int16)
    cv2.filterSpeckles(quantised, _SPECKLE_INVALID, size_px - 1, range_px * steps)
    return np.where(quantised != _SPECKLE_INVALID, disparity_px, np.float32(np.nan))


def drop_flying(disparity_px: Float32Array, jump_px: float) -> Float32Array:
    """Pixels between two surfaces, where there is nothing, become NaN; 0 keeps all.

    Within a window of 5 x 5 px the farthest and the nearest disparity are taken for the two
    surfaces. Where they differ by more than `jump_px`, a pixel that is farther than a quarter of
    the difference from both is dropped. A slope of more than `jump_px` over 5 px looks the same.
    """
    if jump_px <= 0:
        return disparity_px
    known = np.isfinite(disparity_px)
    window = np.ones((_FLYING_WINDOW_PX, _FLYING_WINDOW_PX), np.uint8)
    # OpenCV's default border of both is neutral; unknown pixels are made so.
    low = cv2.erode(np.where(known, disparity_px, np.float32(np.inf)), window)
    high = cv2.dilate(np.where(known, disparity_px, np.float32(-np.inf)), window)
    with np.errstate(invalid='ignore', over='ignore'):  # where nothing is known
        jump = high - low
        margin = np.float32(_FLYING_SHARE) * jump
        between = (disparity_px - low > margin) & (high - disparity_px > margin)
        flying = (jump > jump_px) & between
    return np.where(flying, np.float32(np.nan), disparity_px)


def mirrored(pair: tuple[UInt8Array, UInt8Array]) -> tuple[UInt8Array, UInt8Array]:
    """The pair whose left image is the right one in a mirror; both (H, W, 3).

    Its disparity, mirrored back, is that of the right image: the mirror turns the search around.
    """
    left, right = pair
    return np.ascontiguousarray(right[:, ::-1]), np.ascontiguousarray(left[:, ::-1])


def drop_inconsistent(
    disparity: Float32Array, mirrored_disparity: Float32Array, tolerance_px: float
) -> Float32Array:
    """Left-right check: pixels whose match in the right image does not point back become NaN.

    Args:
        disparity: (H, W) px of the left image, NaN unknown.
        mirrored_disparity: (H, W) px, what the backend makes of the `mirrored` pair.
        tolerance_px: largest difference that is kept.

    Pixels whose match is unknown or outside of the right image are dropped too.
    """
    differences = left_right_differences(disparity, mirrored_disparity[:, ::-1])
    # False for NaN.
    return np.where(differences <= tolerance_px, disparity, np.float32(np.nan))


def left_right_differences(disparity_px: Float32Array, right_px: Float32Array) -> Float32Array:
    """|d - d of the right view| at the match of each pixel, (H, W) px.

    NaN where there is no estimate, the match lies outside of the image, or the right view has no
    estimate there.

    Args:
        disparity_px: of the left view.
        right_px: of the right view, positive, in pixels of the right image.
    """
    height, width = disparity_px.shape
    columns = np.arange(width, dtype=np.float32) - np.nan_to_num(disparity_px)
    nearest = np.rint(columns).astype(np.int64)
    inside = np.isfinite(disparity_px) & (nearest >= 0) & (nearest < width)
    back = right_px[np.arange(height)[:, None], nearest.clip(0, width - 1)]
    with np.errstate(invalid='ignore'):
        found: Float32Array = np.abs(disparity_px - back)
    found[~inside] = np.nan
    return found


def _crop(values: Float32Array, geometry: Geometry) -> Float32Array:
    """Take the padding off: (H', W') to the resized size."""
    return values[geometry.pad_top_px :, : geometry.resized_size[1]]


def _resize(values: Float32Array, geometry: Geometry) -> Float32Array:
    """Back to the input size: linear inside surfaces, nearest at their edges and at unknowns.

    Linear everywhere would put pixels at an edge between two surfaces, where there is nothing.
    """
    height, width = geometry.input_size
    if values.shape == (height, width):
        return values
    linear = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    nearest = cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    inside = np.abs(linear - nearest) < _EDGE_PX  # False where a neighbour is NaN
    return np.where(inside, linear, nearest).astype(np.float32)
