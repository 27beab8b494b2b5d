"""`StereoResult` to the messages that the node publishes (the cloud is in `point_cloud`).

Every message carries the header of the left image it was computed from.
"""

from __future__ import annotations

import copy

import numpy as np

from ..row_parts import row_parts
from ..stereo import Float32Array, StereoCalibration, StereoResult, depth_mm
from .images import new_image, to_image
from .types import CameraInfo, DisparityImage, Header, Image, MessageTypes

# Sub-pixel resolution that is stated in DisparityImage: that of OpenCV's SGBM, and about the best
# that a quarter-resolution network reaches.
_DELTA_D_PX = 1.0 / 16.0


def disparity_image(
    types: MessageTypes, result: StereoResult, calibration: StereoCalibration, header: Header
) -> DisparityImage:
    """`stereo_msgs/DisparityImage`: `Z = f T / d` holds for every valid pixel.

    d is the raw disparity less the principal-point offset. Pixels without an estimate, or beyond
    the range `min_disparity .. max_disparity`, are `min_disparity - 1`; there is never a NaN.
    """
    offset = calibration.disparity_offset_px
    low = result.min_disparity_px - offset
    high = result.max_disparity_px - offset
    msg = types.disparity_image()
    msg.header = header
    msg.image, published = new_image(types, result.disparity_px.shape, np.float32, '32FC1', header)
    for rows in row_parts(*published.shape):
        part = published[rows]
        np.subtract(result.disparity_px[rows], np.float32(offset), out=part)
        valid = part >= np.float32(low)  # False for NaN
        valid &= part <= np.float32(high)
        np.copyto(part, np.float32(low - 1.0), where=~valid)
    msg.f = calibration.fx_px
    msg.t = calibration.baseline_m
    msg.min_disparity = low
    msg.max_disparity = high
    msg.delta_d = _DELTA_D_PX
    # A pixel whose match lies outside the right image for every disparity cannot be valid.
    left_border = int(np.clip(result.min_disparity_px, 0, calibration.width_px))
    msg.valid_window.x_offset = left_border
    msg.valid_window.width = calibration.width_px - left_border
    msg.valid_window.height = calibration.height_px
    return msg


def depth_image(
    types: MessageTypes, depth_m: Float32Array, encoding: str, header: Header
) -> Image:
    """Depth as REP 117 / 118 have it.

    Args:
        types: of the message.
        depth_m: (H, W) metres, NaN unknown, +Inf beyond range.
        encoding: '32FC1' keeps that; '16UC1' is millimetres, see `stereo.depth_mm`.
        header: of the left image.
    """
    if encoding == '32FC1':
        return to_image(types, depth_m, encoding, header)
    return to_image(types, depth_mm(depth_m), encoding, header)


def confidence_image(types: MessageTypes, confidence: Float32Array, header: Header) -> Image:
    """Confidence 0..1 as 32FC1."""
    return to_image(types, confidence, '32FC1', header)


def depth_camera_info(left: CameraInfo, header: Header) -> CameraInfo:
    """The left camera's info with the stamp and frame of the depth image it goes with."""
    info = copy.copy(left)
    info.header = header
    return info
