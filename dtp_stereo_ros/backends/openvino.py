"""OpenVINO on the CPU, in fp32 or bf16."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from ..config import PipelineConfig
from ..errors import BackendError, ModelError, one_line
from ..stereo import Float32Array
from ..timing import undisturbed
from .base import ModelSpec
from .onnx_file import OnnxFile, Ports, complete, smallest_size, to_planes

_DEVICE = 'CPU'
_PRECISIONS = {'fp32': 'f32', 'bf16': 'bf16', 'fp16': 'f16'}

# Convolutions may take so much longer in bf16 before the rest no longer makes up for it.
_BF16_MARGIN = 1.1
# For finding that out; a few milliseconds where nothing else runs.
_PROBE_BUDGET_S = 3.0

# Compiled models that are kept: of the image sizes of a node with several cameras.
_KEPT_SIZES = 8


class OpenVinoBackend:
    """Runs an .onnx file, compiled for each image size when that size is first seen.

    Static shapes are markedly faster than dynamic ones in this runtime.

    Raises:
        ModelError: the model is missing, unreadable or no stereo model.
        BackendError: the processor lacks the precision, or the model does not compile.
    """

    name = 'openvino'
    compiling = False  # takes seconds

    def __init__(self, config: PipelineConfig) -> None:
        file = OnnxFile.find(config.model)
        self._path = file.path
        self._core = _core()
        precision = _precision(config, self._core)
        self._properties: dict[str, Any] = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': _PRECISIONS[precision],
        }
        if config.threads:
            self._properties['INFERENCE_NUM_THREADS'] = config.threads
        try:
            self._model = self._core.read_model(str(file.path))
        except RuntimeError as error:
            raise ModelError(f'{file.path}: OpenVINO cannot load it: {one_line(error)}') from error
        inputs = [(port.get_any_name(), _shape(port)) for port in self._model.inputs]
        outputs = [port.get_any_name() for port in self._model.outputs]
        self._ports = Ports.of(file.path, inputs, outputs)
        self._spec = complete(file.spec, inputs[0][1], self._ports, precision)
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()
        # What does not compile is to fail now, not at the first frame.
        self._request(smallest_size(self._spec))

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        return self._spec

    @property
    def device(self) -> str:
        """Name of the OpenVINO device."""
        return _DEVICE

    def infer(
        self, left: Float32Array, right: Float32Array
    ) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair; see `Backend.infer`."""
        ports, size = self._ports, (left.shape[2], left.shape[3])
        request = self._request(size)
        try:
            request.infer({ports.left: left, ports.right: right}, share_inputs=True)
        except RuntimeError as error:
            raise BackendError(f'openvino on {_DEVICE} failed: {one_line(error)}') from error
        # Copies: the request's buffers are written again by the next frame.
        outputs = [request.get_tensor(name).data.copy() for name in ports.outputs]
        return to_planes(outputs, size, self._path)

    def close(self) -> None:
        """Free the compiled models."""
        self._requests.clear()

    def _request(self, size: tuple[int, int]) -> Any:
        """The inference request of an image size (height, width), compiled at first use."""
        request = self._requests.get(size)
        if request is None:
            model = self._model.clone()
            try:
                model.reshape({port: [1, 3, *size] for port in model.inputs})
                compiled = self._core.compile_model(model, _DEVICE, self._properties)
            except RuntimeError as error:
                raise BackendError(
                    f'openvino cannot compile {self._path} for {size[1]}x{size[0]}: '
                    f'{one_line(error)}'
                ) from error
            request = self._requests[size] = compiled.create_infer_request()
            if len(self._requests) > _KEPT_SIZES:
                self._requests.popitem(last=False)
        self._requests.move_to_end(size)
        return request


@functools.cache
def _core() -> Any:
    """The one of this process, never freed.

    With its last user the CPU plugin is unloaded. On processors with AMX that frees the signal
    stack which it had given to the thread that loaded it; when another thread unloads it, the next
    signal to the former, Ctrl-C, ends the process by SIGSEGV.
    """
    return ov.Core()


def _precision(config: PipelineConfig, core: Any) -> str:
    """What the processor computes in: as asked, or with 'auto' bf16 where that is faster."""
    capabilities = core.get_property(_DEVICE, 'OPTIMIZATION_CAPABILITIES')
    if config.precision == 'auto':
        return 'bf16' if 'BF16' in capabilities and _bf16_pays() else 'fp32'
    if config.precision.upper() not in capabilities:
        raise BackendError(
            f'backend openvino: this processor has no {config.precision}; set precision to auto'
        )
    return config.precision


@functools.cache
def _bf16_pays() -> bool:
    """Whether this processor multiplies about as fast in bf16 as in fp32, measured.

    It then wins as all else moves half the memory. Some processors have the instructions, but
    only their matrix unit, which a virtual machine may hide, is fast in them.
    """
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((64, 64, 3, 3)).astype(np.float32)
    # Takes about half a millisecond.
    image = rng.standard_normal((1, 64, 24, 32)).astype(np.float32)
    port = ops.parameter(image.shape, np.float32)
    convolved = ops.convolution(port, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
    model = ov.Model([convolved], [port], 'probe')

    def inference(hint: str) -> Callable[[], object]:
        properties = {'INFERENCE_PRECISION_HINT': hint, 'INFERENCE_NUM_THREADS': 1}
        request = _core().compile_model(model, _DEVICE, properties).create_infer_request()
        return lambda: request.infer([image])

    bf16_s, fp32_s = undisturbed([inference('bf16'), inference('f32')], _PROBE_BUDGET_S)
    return bf16_s <= _BF16_MARGIN * fp32_s


def _shape(port: Any) -> list[int | None]:
    return [d.get_length() if d.is_static else None for d in port.get_partial_shape()]
