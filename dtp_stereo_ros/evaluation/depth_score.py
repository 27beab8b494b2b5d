"""Depth errors of one image: RMSE in metres and the mean relative error (absRel).

As in Eigen et al. (NIPS 2014): pixels whose true depth is at most 80 m are judged, and estimates
are cut at 80 m, so that a point estimated at infinity has a finite error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..stereo import Float32Array, StereoCalibration

MOST_DEPTH_M = 80.0


@dataclass(frozen=True)
class DepthScore:
    """Depth errors of one image; NaN where no pixel can be judged.

    Attributes:
        depth_rmse_m: root mean square of Z - Z*, m.
        depth_abs_rel: mean of |Z - Z*| / Z*, a share.
    """

    depth_rmse_m: float
    depth_abs_rel: float


def depth_errors_m(
    estimate_px: Float32Array, truth_px: Float32Array, calibration: StereoCalibration
) -> tuple[Float32Array, Float32Array]:
    """Z - Z* and Z*, (H, W) m each; NaN where the truth or the estimate is not judged.

    Args:
        estimate_px: raw disparity (H, W), NaN for a hole.
        truth_px: of the same size, NaN where unknown.
        calibration: of the pair.
    """
    truth_m = calibration.depth_m(truth_px)
    truth_m[~(truth_m <= MOST_DEPTH_M)] = np.nan
    estimate_m = np.minimum(calibration.depth_m(estimate_px), np.float32(MOST_DEPTH_M))
    return estimate_m - truth_m, truth_m


def depth_score(
    estimate_px: Float32Array, truth_px: Float32Array, calibration: StereoCalibration
) -> DepthScore:
    """Depth errors of the pixels with truth and estimate; see `depth_errors_m`."""
    errors, truth_m = depth_errors_m(estimate_px, truth_px, calibration)
    judged = np.isfinite(errors)
    if not judged.any():
        return DepthScore(float('nan'), float('nan'))
    found, true = errors[judged].astype(np.float64), truth_m[judged].astype(np.float64)
    return DepthScore(float(np.sqrt(np.mean(found**2))), float(np.mean(np.abs(found) / true)))
