"""Disparity as a coloured `sensor_msgs/CompressedImage`.

RViz, rqt_image_view, Foxglove and Rerun show no `stereo_msgs/DisparityImage`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..image_io import colorize
from ..stereo import StereoCalibration, StereoResult, UInt8Array
from .images import zeros_of
from .types import CompressedImage, Header, MessageTypes

_JPEG_QUALITY = 90


def colored_disparity(result: StereoResult, calibration: StereoCalibration | None) -> UInt8Array:
    """RGB uint8 (H, W, 3): infinity is blue, the largest disparity red, unknown pixels are black.

    The range is that of the search, 0 to the largest disparity, and not of the image, so that one
    colour is one distance as long as neither camera nor settings change. Colours go by the square
    root: scenes of EuRoC and KITTI lie below 60 of 192 px, in the blue third of a linear map.

    Args:
        result: of the pipeline.
        calibration: at the size of the image; without, infinity is at 0 px.
    """
    offset_px = calibration.disparity_offset_px if calibration else 0.0
    published_px = np.maximum(result.disparity_px - np.float32(offset_px), 0)  # NaN stays
    largest_px = max(result.max_disparity_px - offset_px, 0.0)
    return colorize(np.sqrt(published_px), 0.0, math.sqrt(largest_px))


def disparity_picture(
    types: MessageTypes,
    result: StereoResult,
    calibration: StereoCalibration | None,
    header: Header,
) -> CompressedImage:
    """JPEG of `colored_disparity`.

    Args:
        types: of the message.
        result, calibration: see `colored_disparity`.
        header: of the left image.
    """
    bgr = cv2.cvtColor(colored_disparity(result, calibration), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    msg = types.compressed_image()
    msg.header = header
    msg.format = 'jpeg'
    zeros_of(msg, encoded.size)[...] = encoded.reshape(-1)
    return msg
