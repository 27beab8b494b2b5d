"""The frame pipeline: preprocess, infer, postprocess."""

from __future__ import annotations

import logging
import time

import numpy as np

from . import backends, postprocess, preprocess
from .backends.base import Backend
from .confidence import enlarged
from .config import MODEL_SETTINGS, PipelineConfig, Setting, tunables, validate
from .errors import one_line
from .stereo import Float32Array, StereoCalibration, StereoFrame, StereoResult

_log = logging.getLogger(__name__)

# A backend is built from these; changing any other setting keeps the one that runs.
BACKEND_SETTINGS = ('backend', 'model', 'precision', 'threads', 'torch_compile', *MODEL_SETTINGS)


def backend_settings(config: PipelineConfig) -> dict[str, Setting]:
    """The settings that its backend is built from: where they are equal, it can stay."""
    names: tuple[str, ...] = BACKEND_SETTINGS
    if config.backend == 'sgbm':
        own = (name for name, spec in tunables(PipelineConfig).items() if spec.backend == 'sgbm')
        names = ('backend', 'threads', 'speckle_size', 'speckle_range', *own)
    return {name: getattr(config, name) for name in names}


class StereoPipeline:
    """Runs one backend on stereo pairs. Not thread-safe: one caller at a time.

    Raises:
        ConfigError: a setting is out of range.
        ModelError: the model is missing or unreadable.
        BackendError: the backend, or with 'auto' none of them, can start here.
    """

    def __init__(self, config: PipelineConfig) -> None:
        validate(config)
        self._config = config
        self._backend, self._choice = backends.choose(config)
        self._prepared: preprocess.Prepared | None = None

    @property
    def config(self) -> PipelineConfig:
        """The settings in force."""
        return self._config

    @property
    def backend(self) -> Backend:
        """The backend that runs."""
        return self._backend

    @property
    def choice(self) -> str:
        """Which backend was chosen and why others were passed over: one line for the log."""
        if self._config.confidence_threshold > 0 and not self._backend.spec.has_confidence:
            return f'{self._choice}; it has no confidence, so confidence_threshold drops nothing'
        return self._choice

    def process(self, frame: StereoFrame, confidence: bool = True) -> StereoResult:
        """Match one pair.

        Args:
            frame: the pair.
            confidence: whether the confidence of each pixel is asked for; without it the result
                may have its median only.

        Raises:
            InputError: the images are too narrow for the model.
            ConfigError: the depth limits leave no disparity of those that are searched.
            BackendError: the device or the runtime failed.
        """
        config, calibration = self._config, frame.calibration
        started = time.perf_counter()
        spec = self._backend.spec
        shift_px = preprocess.needed_shift_px(calibration, spec, config.max_depth)
        prepared = preprocess.prepare(frame, spec, config.input_scale, self._prepared, shift_px)
        self._prepared = prepared
        low, high = self._limits(calibration, prepared.geometry)
        postprocess.check_limits(low, high, calibration)
        matching = time.perf_counter()
        raw, raw_confidence = self._infer(prepared, config.left_right_check)
        matched = time.perf_counter()
        disparity = postprocess.restore(raw, prepared.geometry)
        disparity = postprocess.drop_unseen(disparity, frame.seen, np.nan)
        sure, median = None, float('nan')
        if raw_confidence is not None:
            ratio = prepared.geometry.width_ratio
            # What another project's confidence stands for is not known.
            if ratio != 1.0 and not spec.foreign:
                raw_confidence = enlarged(raw_confidence, ratio)
            median = postprocess.median_confidence(raw_confidence, prepared.geometry)
            if confidence or config.confidence_threshold > 0:
                sure = postprocess.restore_confidence(raw_confidence, prepared.geometry)
                sure = postprocess.drop_unseen(sure, frame.seen, 0.0)
        disparity = postprocess.drop_unsure(disparity, sure, config.confidence_threshold)
        disparity = postprocess.drop_flying(disparity, config.flying_pixel_jump)
        disparity = postprocess.drop_speckles(disparity, config.speckle_size, config.speckle_range)
        # Last, as a limit makes edges where there are none, and hides others.
        disparity = postprocess.apply_limits(disparity, calibration, config)
        latency_s = {
            'preprocess': matching - started,
            'inference': matched - matching,
            'postprocess': time.perf_counter() - matched,
        }
        return StereoResult(disparity, sure, low, high, latency_s, median)

    def disparity_limits_px(self, target: StereoFrame | StereoCalibration) -> tuple[float, float]:
        """Smallest and largest raw disparity (input px) that a frame of this size can get.

        Args:
            target: a frame, or the calibration of frames to come.

        Raises:
            InputError: the images are too narrow for the model.
        """
        calibration = target.calibration if isinstance(target, StereoFrame) else target
        config, spec = self._config, self._backend.spec
        shift_px = preprocess.needed_shift_px(calibration, spec, config.max_depth)
        geometry = preprocess.fit(
            target.height_px, target.width_px, spec, config.input_scale, shift_px
        )
        return self._limits(calibration, geometry)

    def reconfigure(
        self, config: PipelineConfig, loaded: tuple[Backend, str] | None = None
    ) -> None:
        """Apply new settings; the backend is replaced only when one of its settings changed.

        Args:
            config: the new settings.
            loaded: what `backends.choose` made of them, where that was done beforehand; it is
                owned by the pipeline from then on.

        Raises:
            StereoError: the new settings do not work; the old ones stay in force.
        """
        validate(config)
        if loaded or backend_settings(config) != backend_settings(self._config):
            backend, choice = loaded or backends.choose(config)
            old, self._backend, self._choice = self._backend, backend, choice
            _free(old)
        self._config = config

    def close(self) -> None:
        """Free the backend. `process` must not be called afterwards."""
        _free(self._backend)

    def _infer(
        self, prepared: preprocess.Prepared, check_px: float
    ) -> tuple[Float32Array, Float32Array | None]:
        """Match, and where `check_px` (input px) is not 0, match from the right image as well."""
        raw, confidence = self._backend.infer(prepared.left, prepared.right)
        if check_px <= 0:
            return raw, confidence
        other, _ = self._backend.infer(*postprocess.mirrored((prepared.left, prepared.right)))
        tolerance_px = check_px / prepared.geometry.width_ratio
        return postprocess.drop_inconsistent(raw, other, tolerance_px), confidence

    def _limits(
        self, calibration: StereoCalibration | None, geometry: preprocess.Geometry
    ) -> tuple[float, float]:
        spec, ratio, shift_px = self._backend.spec, geometry.width_ratio, geometry.shift_px
        # What another project's model searches is not known.
        highest_px = geometry.resized_size[1] if spec.foreign else spec.max_disparity_px
        searched_px = (spec.min_disparity_px * ratio - shift_px, highest_px * ratio - shift_px)
        return postprocess.disparity_limits_px(calibration, searched_px, self._config)


def _free(backend: Backend) -> None:
    """Close a backend; after a fault of its device that may fail, and the next one shall run."""
    try:
        backend.close()
    except Exception as error:
        _log.warning('backend %s does not close: %s', backend.name, one_line(error))
