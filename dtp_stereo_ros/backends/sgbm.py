"""OpenCV's semi-global block matching: the classical baseline, without a model."""

from __future__ import annotations

import cv2
import numpy as np

from ..config import PipelineConfig
from ..models import ModelSpec
from ..stereo import Float32Array
from .base import Image

# Grey images. With the default settings (OpenCV's usual penalties, 8 and 32 times the block's
# area, and its strongest pre-filter) and holes filled, bad-3 on Middlebury v3 quarter size,
# Middlebury 2001-06, KITTI 2015 and FlyingThings3D is 5.0, 4.7, 7.8 and 10.1 %; colour or other
# blocks trade these, and without the padding to the left it is 15.2, 22.8, 11.3 and 18.8 %.

_STEPS_PER_PX = 16
# Of OpenCV's own speckle filter, where `speckle_size` leaves it to the backend.
_SPECKLE_SIZE_PX = 100

# OpenCV's own choice; a number set later counts for the whole process.
_ALL_CORES = cv2.getNumThreads()


class SgbmBackend:
    """StereoSGBM with `disparity_range` disparities from `min_disparity`.

    OpenCV leaves the columns without an estimate whose match may lie beyond the right image: the
    leftmost, and with a negative `min_disparity` the rightmost. Both images are continued by that
    much, so that they get one.
    """

    name = 'sgbm'
    compiling = False

    def __init__(self, config: PipelineConfig) -> None:
        disparities = -(-config.disparity_range // 16) * 16
        self._threads = config.threads or _ALL_CORES
        self._config = config
        self._left_px = max(0, config.min_disparity + disparities)
        self._right_px = max(0, -config.min_disparity)
        self._spec = ModelSpec(
            name='sgbm',
            padding_multiple=1,
            max_disparity_px=config.min_disparity + disparities,
            min_disparity_px=config.min_disparity,
            min_width_px=16,
            has_confidence=False,
            chosen_range=True,
        )
        # OpenCV 4.5 (Humble) knows only this name, OpenCV's type stubs only the newer one.
        self._matcher = cv2.StereoSGBM_create(  # type: ignore[attr-defined]
            minDisparity=config.min_disparity,
            numDisparities=disparities,
            blockSize=config.correlation_window_size,
            P1=int(config.P1),
            P2=int(config.P2),
            disp12MaxDiff=config.disp12_max_diff,
            preFilterCap=config.prefilter_cap,
            uniquenessRatio=int(config.uniqueness_ratio),
            # Else the pipeline removes them, as those of every backend.
            speckleWindowSize=_SPECKLE_SIZE_PX if config.speckle_size < 0 else 0,
            speckleRange=config.speckle_range,
            mode=config.sgbm_mode,
        )

    @property
    def spec(self) -> ModelSpec:
        """The matcher."""
        return self._spec

    @property
    def device(self) -> str:
        """OpenCV on the CPU."""
        return 'CPU'

    def infer(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair to (H, W) px with NaN holes; see `Backend.infer`."""
        if cv2.getNumThreads() != self._threads:
            cv2.setNumThreads(self._threads)
        grey = self._to_grey(left)
        fixed = self._matcher.compute(grey, self._to_grey(right))
        disparity = fixed.astype(np.float32) / np.float32(_STEPS_PER_PX)
        # The smallest is where the search ends, not a match: at 0, one at infinity.
        disparity[fixed <= _STEPS_PER_PX * self._config.min_disparity] = np.nan
        if self._config.texture_threshold > 0:
            disparity[self._texture(grey) < self._config.texture_threshold] = np.nan
        return disparity[:, self._left_px : disparity.shape[1] - self._right_px], None

    def close(self) -> None:
        """Give the threads back to what else uses OpenCV."""
        cv2.setNumThreads(_ALL_CORES)

    def _to_grey(self, image: Image) -> cv2.typing.MatLike:
        pixels = image if image.ndim == 3 else image[0].transpose(1, 2, 0)
        grey = cv2.cvtColor(np.ascontiguousarray(pixels, np.uint8), cv2.COLOR_RGB2GRAY)
        return cv2.copyMakeBorder(grey, 0, 0, self._left_px, self._right_px, cv2.BORDER_REPLICATE)

    def _texture(self, grey: cv2.typing.MatLike) -> Float32Array:
        """Sum of the slopes within the block, as OpenCV's block matching has it; (H, W)."""
        cap, size = self._config.prefilter_cap, self._config.correlation_window_size
        slopes = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)).clip(max=cap)
        return cv2.boxFilter(slopes, cv2.CV_32F, (size, size), normalize=False)
