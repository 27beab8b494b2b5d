"""A backend's raw output to a disparity in pixels of the input image."""

from __future__ import annotations

import cv2
import numpy as np

from .config import PipelineConfig
from .preprocess import Geometry
from .stereo import Float32Array, StereoCalibration

# filterSpeckles wants 16-bit integers; 1/16 px is the resolution of OpenCV's own disparities.
_SPECKLE_STEPS_PER_PX = 16.0
_SPECKLE_INVALID = -32768

# Neighbours that differ by more lie on different surfaces (px of the resized image).
_EDGE_PX = 1.0


def restore(
    disparity: Float32Array,
    confidence: Float32Array | None,
    geometry: Geometry,
) -> tuple[Float32Array, Float32Array | None]:
    """Crop the padding, resize to the input size and express disparity in input pixels.

    Args:
        disparity: (H', W') float32 at the padded size, px of that size, NaN unknown.
        confidence: (H', W') float32 in 0..1, or None.
        geometry: as made by `preprocess.prepare`.

    Returns:
        disparity (H, W) float32 in input pixels, and confidence (H, W) or None.
    """
    disparity = _resize(_crop(disparity, geometry), geometry)
    disparity = (disparity * np.float32(geometry.width_ratio)).astype(np.float32)
    if confidence is None:
        return disparity, None
    return disparity, np.clip(_resize(_crop(confidence, geometry), geometry), 0.0, 1.0)


def disparity_limits_px(
    calibration: StereoCalibration | None, searched_px: float, config: PipelineConfig
) -> tuple[float, float]:
    """Raw disparities (input px) that count: depth limits, cut to what the method can see.

    Args:
        calibration: at input size, or None where there is none (then no depth limits).
        searched_px: largest disparity the method can measure, input pixels.
        config: holds `min_depth` and `max_depth`.

    Returns:
        (min, max); min = max where the depth limits leave nothing that the method can see.
    """
    if calibration is None:
        return 0.0, searched_px
    far = calibration.disparity_offset_px + calibration.focal_baseline_px_m / config.max_depth
    low = min(max(far, 0.0), searched_px)
    if config.min_depth <= 0:
        return low, searched_px
    near = calibration.disparity_offset_px + calibration.focal_baseline_px_m / config.min_depth
    return low, max(min(near, searched_px), low)


def apply_limits(
    disparity_px: Float32Array, calibration: StereoCalibration | None, config: PipelineConfig
) -> Float32Array:
    """Apply the depth limits: nearer than `min_depth` is unknown, beyond `max_depth` is infinity.

    A far pixel is known to be far, so it gets the raw disparity of infinity
    (`disparity_offset_px`), which `depth_m` turns into +Inf (REP 117), and not NaN.
    """
    if calibration is None:
        return disparity_px
    published = calibration.published_disparity(disparity_px)
    limited = disparity_px.copy()
    limited[published < calibration.focal_baseline_px_m / config.max_depth] = (
        calibration.disparity_offset_px
    )
    if config.min_depth > 0:
        limited[published > calibration.focal_baseline_px_m / config.min_depth] = np.nan
    return limited


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
    if size_px <= 1 or not np.isfinite(disparity_px).any():
        return disparity_px
    largest = float(np.nanmax(np.abs(disparity_px)))
    steps = min(_SPECKLE_STEPS_PER_PX, 32000.0 / max(largest, 1.0))
    known = np.isfinite(disparity_px)
    quantised = np.full(disparity_px.shape, _SPECKLE_INVALID, np.int16)
    quantised[known] = np.rint(disparity_px[known] * steps).astype(np.int16)
    cv2.filterSpeckles(quantised, _SPECKLE_INVALID, size_px - 1, range_px * steps)
    return np.where(quantised != _SPECKLE_INVALID, disparity_px, np.float32(np.nan))


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
