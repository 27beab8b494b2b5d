"""OpenCV's semi-global block matching: the classical baseline, without a model."""

from __future__ import annotations

import cv2
import numpy as np

from ..config import PipelineConfig
from ..stereo import Float32Array
from .base import ModelSpec

_BLOCK_SIZE = 3
_CHANNELS = 3


class SgbmBackend:
    """StereoSGBM in 3-way mode with `disparity_range` disparities from 0."""

    def __init__(self, config: PipelineConfig) -> None:
        disparities = -(-config.disparity_range // 16) * 16
        self._disparities = disparities
        self._spec = ModelSpec(
            name='sgbm',
            padding_multiple=1,
            max_disparity_px=disparities,
            min_width_px=16,
            has_confidence=False,
        )
        area = _CHANNELS * _BLOCK_SIZE * _BLOCK_SIZE
        self._matcher = cv2.StereoSGBM.create(
            minDisparity=0,
            numDisparities=disparities,
            blockSize=_BLOCK_SIZE,
            P1=8 * area,
            P2=32 * area,
            disp12MaxDiff=1,
            uniquenessRatio=10,
            speckleWindowSize=100,
            speckleRange=2,
            mode=cv2.StereoSGBM_MODE_SGBM_3WAY,
        )

    @property
    def spec(self) -> ModelSpec:
        """The matcher."""
        return self._spec

    @property
    def device(self) -> str:
        """OpenCV on the CPU."""
        return 'CPU'

    def infer(
        self, left: Float32Array, right: Float32Array
    ) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair, (1, 3, H, W) float32 each, to (H, W) px with NaN holes."""
        fixed = self._matcher.compute(_to_image(left), _to_image(right))
        disparity = fixed.astype(np.float32) / np.float32(16)
        disparity[fixed < 0] = np.nan
        return disparity, None

    def close(self) -> None:
        """Nothing is held."""


def _to_image(planes: Float32Array) -> cv2.typing.MatLike:
    return np.ascontiguousarray(planes[0].transpose(1, 2, 0)).astype(np.uint8)
