"""ONNX Runtime: CPU and CUDA as found, TensorRT for fp16."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from ..config import PipelineConfig
from ..errors import BackendError, ModelError, one_line
from ..stereo import Float32Array
from .base import ModelSpec
from .onnx_file import OnnxFile, Ports, complete, smallest_size, to_planes

_TENSORRT, _CUDA, _CPU = (
    'TensorrtExecutionProvider',
    'CUDAExecutionProvider',
    'CPUExecutionProvider',
)

_log = logging.getLogger(__name__)


class OnnxRuntimeBackend:
    """Runs an .onnx file on CUDA where it works, else on the CPU.

    TensorRT builds an engine for every image size, which takes minutes, so it runs only where
    fp16 is asked for; its engines are kept in the user's cache folder.

    Raises:
        ModelError: the model is missing, unreadable or no stereo model.
        BackendError: no provider has the precision, or the first run failed.
    """

    name = 'onnx'

    def __init__(self, config: PipelineConfig) -> None:
        file = OnnxFile.find(config.model)
        self._path = file.path
        self._session, precision = _start(config, file)
        self._device = str(self._session.get_providers()[0])
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
            raise BackendError(f'onnx on {self._device} failed: {one_line(error)}') from error
        return to_planes(outputs, (left.shape[2], left.shape[3]), self._path)

    def close(self) -> None:
        """Free the session."""
        del self._session

    def _warm_up(self) -> None:
        """Run once on a small grey pair: what cannot run fails now, not at the first frame."""
        grey = np.full((1, 3, *smallest_size(self._spec)), 128, np.float32)
        self.infer(grey, grey)


def _start(config: PipelineConfig, file: OnnxFile) -> tuple[Any, str]:
    """The session, and the precision that it runs in."""
    own = file.spec.precision
    found = ort.get_available_providers()
    providers: list[Any] = [provider for provider in (_CUDA, _CPU) if provider in found]
    expected, precision = providers[0], own
    if config.precision == 'fp16' != own and _TENSORRT in found:
        expected, precision = _TENSORRT, 'fp16'
        providers.insert(0, (_TENSORRT, _tensorrt_options()))
    elif config.precision not in ('auto', own):
        raise BackendError(
            f'backend onnx runs {file.spec.name} in {own} here, not in {config.precision}; set '
            'precision to auto, or take another backend'
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(file.path), options, providers)
    except Exception as error:  # the runtime's errors share no narrower base
        raise ModelError(f'{file.path}: ONNX Runtime cannot load it: {one_line(error)}') from error
    started = session.get_providers()[0]
    if started != expected and precision != own:
        raise BackendError(
            f'backend onnx: {expected} does not start, {precision} needs it; install TensorRT '
            'or set precision to auto'
        )
    if started != expected:
        _log.warning('%s does not start here, %s runs instead', expected, started)
    return session, precision


def _tensorrt_options() -> dict[str, Any]:
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'dtp_stereo', 'ort')
    cache.mkdir(parents=True, exist_ok=True)
    return {
        'trt_engine_cache_enable': True,
        'trt_engine_cache_path': str(cache),
        'trt_fp16_enable': True,
    }
