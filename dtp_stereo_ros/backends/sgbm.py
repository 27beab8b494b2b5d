"""OpenCV's semi-global block matching: the classical baseline, without a model."""

from __future__ import annotations

import cv2
import numpy as np

from ..config import PipelineConfig
from ..stereo import Float32Array
from .base import ModelSpec

# Grey images, OpenCV's usual penalties (8 and 32 times the block's area), its strongest
# pre-filter. With holes filled, bad-3 on Middlebury v3 quarter size, Middlebury 2001-06, KITTI
# 2015 and FlyingThings3D is 5.0, 4.7, 7.8 and 10.1 %; colour or other blocks trade these, and
# without the padding to the left it is 15.2, 22.8, 11.3 and 18.8 %.
_BLOCK_SIZE = 5
_BLOCK_AREA = _BLOCK_SIZE * _BLOCK_SIZE

_ALL_CORES = -1  # to cv2.setNumThreads, which counts for the whole process


class SgbmBackend:
    """StereoSGBM in 3-way mode with `disparity_range` disparities from 0.

    OpenCV leaves the leftmost `disparity_range` columns without an estimate; both images are
    continued to the left by that much, so that they get one.
    """

    name = 'sgbm'
    compiling = False

    def __init__(self, config: PipelineConfig) -> None:
        disparities = -(-config.disparity_range // 16) * 16
        cv2.setNumThreads(config.threads or _ALL_CORES)
        self._disparities = disparities
        self._spec = ModelSpec(
            name='sgbm',
            padding_multiple=1,
            max_disparity_px=disparities,
            min_width_px=16,
            has_confidence=False,
        )
        # OpenCV 4.5 (Humble) knows only this name, OpenCV's type stubs only the newer one.
        self._matcher = cv2.StereoSGBM_create(  # type: ignore[attr-defined]
            minDisparity=0,
            numDisparities=disparities,
            blockSize=_BLOCK_SIZE,
            P1=8 * _BLOCK_AREA,
            P2=32 * _BLOCK_AREA,
            disp12MaxDiff=1,
            preFilterCap=63,
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
        fixed = self._matcher.compute(self._to_grey(left), self._to_grey(right))
        fixed = fixed[:, self._disparities :]
        disparity = fixed.astype(np.float32) / np.float32(16)
        # 0 is where the search ends, not a match at infinity.
        disparity[fixed <= 0] = np.nan
        return disparity, None

    def close(self) -> None:
        """Nothing is held."""

    def _to_grey(self, planes: Float32Array) -> cv2.typing.MatLike:
        image = cv2.merge([plane.astype(np.uint8) for plane in planes[0]])
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return cv2.copyMakeBorder(grey, 0, 0, self._disparities, 0, cv2.BORDER_REPLICATE)
