"""Stereo pairs of any size whose disparity is known, for measurements without data."""

from __future__ import annotations

import cv2
import numpy as np

from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

_DISPARITIES_PX = (8, 16, 24, 40)


def textured_walls(width: int, height: int) -> list[StereoFrame]:
    """Textured walls at some distances."""
    calibration = StereoCalibration(
        width / 1.2, width / 1.2, width / 2, width / 2, height / 2, 0.1, width, height
    )
    made = []
    for disparity_px in _DISPARITIES_PX:
        shape = (height, width + disparity_px, 3)
        noise = np.random.default_rng(disparity_px).integers(0, 256, shape, np.uint8)
        smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
        pixels = cv2.normalize(smooth, smooth, 0, 255, cv2.NORM_MINMAX)
        left, right = pixels[:, :width], pixels[:, disparity_px:]
        made.append(
            StereoFrame(
                np.ascontiguousarray(left), np.ascontiguousarray(right), calibration=calibration
            )
        )
    return made
