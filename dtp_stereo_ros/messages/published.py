"""Published messages back to the result of the pipeline that they were made from."""

from __future__ import annotations

import numpy as np

from ..stereo import Float32Array, StereoCalibration, StereoResult
from .truth import image_values, raw_disparity
from .types import DisparityImage, Image


def stereo_result(
    disparity: DisparityImage,
    calibration: StereoCalibration,
    topic: str,
    depth: Image | None = None,
    confidence: Image | None = None,
    latency_s: float = 0.0,
) -> StereoResult:
    """The result whose messages these are, as far as they tell.

    A DisparityImage has the same value for a hole and for what is beyond max_depth; a depth image
    in metres distinguishes the two (+Inf, REP 117).

    Args:
        disparity, depth, confidence: of one pair.
        calibration: of the pair.
        topic: of the disparity, named in errors.
        latency_s: of the whole, as the stage 'replay'.

    Raises:
        InputError: encoding or size of the data are wrong.
    """
    disparity_px = raw_disparity(disparity, calibration, topic)
    offset_px = calibration.disparity_offset_px
    if depth is not None and depth.encoding == '32FC1':
        beyond = np.isposinf(image_values(depth, topic))
        if beyond.shape == disparity_px.shape:
            disparity_px[beyond & np.isnan(disparity_px)] = np.float32(offset_px)
    known: Float32Array | None = None
    if confidence is not None:
        known = image_values(confidence, topic)
        known = known if known.shape == disparity_px.shape else None
    return StereoResult(
        disparity_px,
        known,
        disparity.min_disparity + offset_px,
        disparity.max_disparity + offset_px,
        {'replay': latency_s},
    )
