"""The Motorcycle pair of Middlebury v3 (2014) that ships in scikit-image, with its truth."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..stereo import Float32Array, StereoCalibration, StereoFrame

# skimage.data.stereo_motorcycle documents these; the principal points differ by 31 px.
CALIBRATION = StereoCalibration(
    fx_px=994.978,
    fy_px=994.978,
    cx_left_px=311.193,
    cx_right_px=342.279,
    cy_px=254.877,
    baseline_m=0.193001,
    width_px=741,
    height_px=500,
)


def load() -> tuple[StereoFrame, Float32Array]:
    """Load the pair.

    Returns:
        The frame with its calibration, and the true raw disparity (500, 741) px, NaN unknown.

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage.data import stereo_motorcycle
    except ImportError as error:
        raise InputError(
            f'the Motorcycle pair comes with scikit-image, which is an extra ({error}): '
            'pip install scikit-image'
        ) from error
    left, right, truth = stereo_motorcycle()
    truth_px = np.where(np.isfinite(truth), truth, np.nan).astype(np.float32)
    return StereoFrame(left, right, calibration=CALIBRATION), truth_px
