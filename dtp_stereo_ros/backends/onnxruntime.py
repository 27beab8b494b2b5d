"""ONNX Runtime: CPU, CUDA and TensorRT, as found."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from ..config import PipelineConfig
from ..errors import BackendError, ModelError
from ..stereo import Float32Array
from .base import ModelSpec
from .onnx_file import OnnxFile, Ports, complete, to_planes

_TENSORRT, _CUDA, _CPU = (
    'TensorrtExecutionProvider',
    'CUDAExecutionProvider',
    'CPUExecutionProvider',
)

_log = logging.getLogger(__name__)


class OnnxRuntimeBackend:
    """Runs an .onnx file with the first execution provider that works.

    Raises:
        ModelError: the model is missing, unreadable or no stereo model.
        BackendError: the precision is not to be had, or the first run failed.
    """

    name = 'onnx'

    def __init__(self, config: PipelineConfig) -> None:
        file = OnnxFile.find(config.model)
        self._path = file.path
        wanted = [p for p in (_TENSORRT, _CUDA, _CPU) if p in ort.get_available_providers()]
        precision = _precision(config, file.spec, wanted)
        options = ort.SessionOptions()
        options.intra_op_num_threads = config.threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(file.path), options, [_with_options(p, precision) for p in wanted]
            )
        except Exception as error:  # the runtime's errors share no narrower base
            raise ModelError(
                f'{file.path}: ONNX Runtime cannot load it: {_line(error)}'
            ) from error
        self._device = str(self._session.get_providers()[0])
        if self._device != wanted[0]:
            _log.warning('%s does not start here; %s runs instead', wanted[0], self._device)
        inputs = [(i.name, i.shape) for i in self._session.get_inputs()]
        outputs = [o.name for o in self._session.get_outputs()]
        self._ports = Ports.of(file.path, inputs, outputs)
        self._spec = complete(file.spec, inputs[0][1], self._ports, precision)
        self._warm_up()

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        return self._spec

    @property
    def device(self) -> str:
        """Name of the execution provider."""
        return self._device

    def infer(
        self, left: Float32Array, right: Float32Array
    ) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair; see `Backend.infer`."""
        ports = self._ports
        try:
            outputs = self._session.run(ports.outputs, {ports.left: left, ports.right: right})
        except Exception as error:  # the runtime's errors share no narrower base
            raise BackendError(f'onnx on {self._device} failed: {_line(error)}') from error
        return to_planes(outputs, (left.shape[2], left.shape[3]), self._path)

    def close(self) -> None:
        """Free the session."""
        del self._session

    def _warm_up(self) -> None:
        """Run once on a small grey pair: what cannot run fails now, not at the first frame."""
        multiple = self._spec.padding_multiple
        side = -(-self._spec.min_width_px // multiple) * multiple
        height, width = self._spec.fixed_size or (side, side)
        grey = np.full((1, 3, height, width), 128, np.float32)
        self.infer(grey, grey)


def _precision(config: PipelineConfig, spec: ModelSpec, providers: list[str]) -> str:
    """The precision to run in: the model's own, or fp16 by TensorRT."""
    if config.precision in ('auto', spec.precision):
        return spec.precision
    if config.precision == 'fp16' and _TENSORRT in providers:
        return 'fp16'
    raise BackendError(
        f'backend onnx runs {spec.name} in {spec.precision} here, not in {config.precision}; set '
        f'precision to auto, or take backend openvino'
    )


def _with_options(provider: str, precision: str) -> tuple[str, dict[str, Any]]:
    """A provider with its options; TensorRT engines take minutes to build and are kept."""
    if provider != _TENSORRT:
        return provider, {}
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'dtp_stereo', 'ort')
    cache.mkdir(parents=True, exist_ok=True)
    return provider, {
        'trt_engine_cache_enable': True,
        'trt_engine_cache_path': str(cache),
        'trt_fp16_enable': precision == 'fp16',
    }


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())
