"""OpenCV's block matching, the fastest classical method, for comparison only."""

from __future__ import annotations

import time

import cv2
import numpy as np

from ..stereo import StereoFrame, StereoResult, UInt8Array

NAME = 'bm'

_DISPARITIES = 192
_STEPS_PER_PX = 16
# Block, pre-filter, thresholds and speckle filter of stereo_image_proc's defaults.
_BLOCK_PX = 15
_PRE_FILTER_SIZE_PX, _PRE_FILTER_CAP = 9, 31
_TEXTURE_THRESHOLD, _UNIQUENESS_PERCENT = 10, 15
_SPECKLE_SIZE_PX, _SPECKLE_RANGE_PX = 100, 4


class BlockMatcher:
    """StereoBM with 192 disparities and the defaults of stereo_image_proc, on grey images.

    The left border is continued as in `backends.sgbm`, so that its columns get an estimate.
    """

    def __init__(self) -> None:
        matcher = cv2.StereoBM_create(  # type: ignore[attr-defined]
            numDisparities=_DISPARITIES, blockSize=_BLOCK_PX
        )
        matcher.setPreFilterSize(_PRE_FILTER_SIZE_PX)
        matcher.setPreFilterCap(_PRE_FILTER_CAP)
        matcher.setTextureThreshold(_TEXTURE_THRESHOLD)
        matcher.setUniquenessRatio(_UNIQUENESS_PERCENT)
        matcher.setSpeckleWindowSize(_SPECKLE_SIZE_PX)
        matcher.setSpeckleRange(_SPECKLE_RANGE_PX)
        self._matcher = matcher

    def process(self, frame: StereoFrame) -> StereoResult:
        """Match one pair; holes are NaN, there is no confidence."""
        started = time.perf_counter()
        left, right = _grey(frame.left), _grey(frame.right)
        matching = time.perf_counter()
        fixed = self._matcher.compute(left, right)[:, _DISPARITIES:]
        matched = time.perf_counter()
        disparity = fixed.astype(np.float32) / np.float32(_STEPS_PER_PX)
        disparity[fixed <= 0] = np.nan
        latency_s = {
            'preprocess': matching - started,
            'inference': matched - matching,
            'postprocess': time.perf_counter() - matched,
        }
        return StereoResult(disparity, None, 0.0, float(_DISPARITIES), latency_s)

    def close(self) -> None:
        """Nothing is held."""


def _grey(image: UInt8Array) -> UInt8Array:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    padded = cv2.copyMakeBorder(grey, 0, 0, _DISPARITIES, 0, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
