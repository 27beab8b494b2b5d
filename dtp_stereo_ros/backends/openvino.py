"""OpenVINO on the CPU, in fp32 or bf16."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

from ..config import PipelineConfig
from ..errors import BackendError, ModelError, one_line
from ..models import ModelSpec
from ..stereo import Float32Array
from ..timing import undisturbed
from .base import Image, size_of
from .onnx_file import OnnxFile, tried
from .ports import AnyArray, Inputs, Port, PortOptions

_DEVICE = 'CPU'
# NumPy's names of the types that it has.
_TYPES = {
    'f16': 'float16',
    'f32': 'float32',
    'f64': 'float64',
    **{f'i{bits}': f'int{bits}' for bits in (8, 16, 32, 64)},
    **{f'u{bits}': f'uint{bits}' for bits in (8, 16, 32, 64)},
}
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
        except Exception as error:  # UnicodeDecodeError as well
            raise ModelError(f'{file.path}: OpenVINO cannot load it: {one_line(error)}') from error
        options = PortOptions.of(config)
        ports = [_port(port) for port in self._model.inputs]
        self._inputs = Inputs.of(file.path, ports, options)
        # The trial of another project's model gives it values of other ranges, no whole numbers.
        if self._inputs.plain and not file.spec.foreign:
            self._model = _of_bytes(self._model)
            ports = [_port(port) for port in self._model.inputs]
            self._inputs = Inputs.of(file.path, ports, options)
        names = [
            port.get_any_name()
            for port in self._model.outputs
            if port.get_element_type().get_type_name() in _TYPES
        ]
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._spec, self._outputs = tried(file, self._inputs, ports, names, self._run, precision)

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        return self._spec

    @property
    def device(self) -> str:
        """Name of the OpenVINO device."""
        return _DEVICE

    def infer(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair; see `Backend.infer`."""
        size = size_of(left)
        found = self._run(self._outputs.names, self._inputs.feed(left, right), size)
        return self._outputs.planes(found, size)

    def close(self) -> None:
        """Free the compiled models."""
        self._requests.clear()

    def _run(
        self, names: list[str], feed: dict[str, AnyArray], size: tuple[int, int]
    ) -> list[AnyArray]:
        """The outputs of these names."""
        request = self._request(size)
        try:
            request.infer(feed, share_inputs=True)
        except Exception as error:  # UnicodeDecodeError as well
            raise BackendError(
                f'{self._path}: openvino on {_DEVICE} failed: {one_line(error)}'
            ) from error
        # Copies: the request's buffers are written again by the next frame.
        return [request.get_tensor(name).data.copy() for name in names]

    def _request(self, size: tuple[int, int]) -> Any:
        """The inference request of an image size (height, width), compiled at first use."""
        request = self._requests.get(size)
        if request is None:
            model = self._model.clone()
            try:
                model.reshape(self._inputs.shapes(size))
                compiled = self._core.compile_model(model, _DEVICE, self._properties)
            except Exception as error:  # UnicodeDecodeError as well
                raise BackendError(
                    f'openvino cannot compile {self._path} for {size[1]}x{size[0]}: '
                    f'{one_line(error)}'
                ) from error
            request = self._requests[size] = compiled.create_infer_request()
            if len(self._requests) > _KEPT_SIZES:
                self._requests.popitem(last=False)
        self._requests.move_to_end(size)
        return request


def _of_bytes(model: Any) -> Any:
    """The model with inputs of uint8 in place of float32.

    A quarter of the memory is written for them, and all threads convert them in the graph: a frame
    of dtpnet at 640x480 takes 0.97 of the time in bf16 and 0.98 in fp32, what fills them included.
    """
    prepared = PrePostProcessor(model)
    for index in range(len(model.inputs)):
        prepared.input(index).tensor().set_element_type(ov.Type.u8)
    return prepared.build()


@functools.cache
def _core() -> Any:
    """The one of this process, never freed.

    With its last user the CPU plugin is unloaded. On processors with AMX that frees the signal
    stack which it had given to the thread that loaded it; when another thread unloads it, the next
    signal to the former, Ctrl-C, ends the process by SIGSEGV.
    """
    try:
        return ov.Core()
    except Exception as error:  # its plugins are shared libraries
        raise BackendError(
            f'backend openvino does not start: {one_line(error)}; reinstall it with: '
            'pip install --force-reinstall openvino'
        ) from error


def _precision(config: PipelineConfig, core: Any) -> str:
    """Precision on this processor: as asked, or with 'auto' bf16 where that is faster."""
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


def _port(port: Any) -> Port:
    """An input as OpenVINO describes it."""
    kind = port.get_element_type().get_type_name()
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return Port(port.get_any_name(), _TYPES.get(kind, kind), None)
    sizes = tuple(d.get_length() if d.is_static else None for d in shape)
    return Port(port.get_any_name(), _TYPES.get(kind, kind), sizes)
