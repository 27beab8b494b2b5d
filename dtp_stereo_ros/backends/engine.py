"""TensorRT: an engine built from an .onnx file, and the frames that run in it.

Written once for TensorRT 10.3 (JetPack 6) to 11: both have strongly typed networks, in which the
precision is that of the tensors in the file; 11 has nothing else. The names and types of the calls
were taken from the bindings of 10.3, 10.13 and 11.4.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BackendError, ModelError
from .cuda import Buffer, Cuda
from .ports import AnyArray

# NumPy's names of the types that it has; trt.nptype raises for the others.
_TYPES = {
    'FLOAT': 'float32',
    'HALF': 'float16',
    'INT8': 'int8',
    'INT32': 'int32',
    'INT64': 'int64',
    'BOOL': 'bool',
    'UINT8': 'uint8',
}
# Frames of a size that run as they are; TensorRT prepares some work in the first ones.
_BEFORE_GRAPH = 2
_PROGRESS_S = 30.0

_log = logging.getLogger(__name__)


def logger_of(trt: Any) -> Any:
    """A logger that keeps the last error in `last_error`, for our own, and logs the rest."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ''

        def log(self, severity: Any, msg: str) -> None:
            if severity.name in ('INTERNAL_ERROR', 'ERROR'):
                self.last_error = ' '.join(msg.split())[:300]
                _log.info('TensorRT: %s', msg)
            elif severity.name == 'WARNING':
                _log.debug('TensorRT: %s', msg)

    return Logger()


def build(
    trt: Any, logger: Any, onnx: bytes, path: str, shapes: Mapping[str, list[int]], what: str
) -> bytes:
    """Build an engine for one size of the images; takes seconds to many minutes.

    Args:
        trt: the module tensorrt.
        logger: of `logger_of`.
        onnx: the model, whose tensors have the types to compute in.
        path: of its file, for weights beside it and for errors.
        shapes: of each input.
        what: is built, for the log.

    Raises:
        ModelError: TensorRT cannot read the model.
        BackendError: it cannot build an engine.
    """
    builder = trt.Builder(logger)
    # An index of a bit: 1 in TensorRT 10, 0 in 11.
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx, path):
        why = parser.get_error(0).desc() if parser.num_errors else logger.last_error
        raise ModelError(f'{path}: TensorRT cannot read it: {" ".join(str(why).split())}')
    config = builder.create_builder_config()
    # With TF32 an fp32 convolution has 10 bits of mantissa: what is reported is what runs.
    config.clear_flag(trt.BuilderFlag.TF32)
    monitor = _monitor(trt, what)  # a name of its own: it lives as long as the build
    config.progress_monitor = monitor
    profile = builder.create_optimization_profile()
    free = False
    for index in range(network.num_inputs):
        port = network.get_input(index)
        if -1 in tuple(port.shape):
            shape = tuple(shapes[port.name])
            profile.set_shape(port.name, shape, shape, shape)
            free = True
    if free:
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f'{path}: TensorRT cannot build {what}: {logger.last_error}')
    return bytes(plan)


class Engine:
    """An engine on the GPU with its buffers: page-locked on the host, and on the device.

    Args:
        trt: the module tensorrt.
        logger: of `logger_of`.
        cuda: the runtime.
        plan: serialised engine.
        shapes: of each input.

    Raises:
        BackendError: the engine does not load, or the memory of the GPU does not suffice.
    """

    def __init__(
        self, trt: Any, logger: Any, cuda: Cuda, plan: bytes, shapes: Mapping[str, list[int]]
    ) -> None:
        self._cuda = cuda
        self._logger = logger
        self._runtime = trt.Runtime(logger)  # lives as long as its engines
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BackendError(f'TensorRT cannot load the engine: {logger.last_error}')
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError(
                f'TensorRT has no memory for the engine ({logger.last_error}); lower input_scale'
            )
        self._inputs: dict[str, Buffer] = {}
        self._outputs: dict[str, Buffer] = {}
        self._stream: Any = None
        self._graph: Any = None
        self._frames = 0
        try:
            self._stream = cuda.stream()
            self._bind(trt, shapes)
        except BaseException:
            self.close()
            raise

    def run(self, names: list[str], feed: Mapping[str, AnyArray]) -> list[AnyArray]:
        """The outputs of these names, for arrays by input."""
        for name, buffer in self._inputs.items():
            np.copyto(buffer.host, feed[name], casting='no')
        if self._frames == _BEFORE_GRAPH and self._graph is None:
            self._capture()
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.call('cudaGraphLaunch', self._graph, self._stream)
        self._frames += 1
        self._cuda.call('cudaStreamSynchronize', self._stream)
        # Copies: the next frame writes the same memory.
        return [self._outputs[name].host.copy() for name in names]

    def close(self) -> None:
        """Free the memory; `run` must not be called afterwards."""
        if self._graph is not None:
            self._cuda.call('cudaGraphExecDestroy', self._graph)
            self._graph = None
        self._context = self._engine = None
        for buffer in (*self._inputs.values(), *self._outputs.values()):
            buffer.close()
        self._inputs, self._outputs = {}, {}
        if self._stream is not None:
            self._cuda.call('cudaStreamDestroy', self._stream)
            self._stream = None

    def _bind(self, trt: Any, shapes: Mapping[str, list[int]]) -> None:
        engine, context = self._engine, self._context
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        for name in inputs:
            if not context.set_input_shape(name, tuple(shapes[name])):
                raise BackendError(
                    f'TensorRT refuses input {name} of {shapes[name]}: {self._logger.last_error}'
                )
        for name in names:
            kind = engine.get_tensor_dtype(name).name
            # Known for outputs once the inputs are.
            shape = tuple(context.get_tensor_shape(name))
            if kind not in _TYPES or min(shape, default=1) < 0:
                raise BackendError(f'TensorRT: {name} of type {kind} and shape {shape} is not run')
            buffer = Buffer(self._cuda, shape, np.dtype(_TYPES[kind]))
            (self._inputs if name in inputs else self._outputs)[name] = buffer
            context.set_tensor_address(name, buffer.device)

    def _enqueue(self) -> None:
        """Put one frame into the stream: to the device, through the network, and back."""
        for buffer in self._inputs.values():
            buffer.upload(self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise BackendError(f'TensorRT failed: {self._logger.last_error}')
        for buffer in self._outputs.values():
            buffer.download(self._stream)

    def _capture(self) -> None:
        """Frames are launched as one graph from now on, where the network can be captured."""
        try:
            self._graph = self._cuda.captured(self._stream, self._enqueue)
        except BackendError as error:
            _log.info('no CUDA graph (%s); each frame is put into the stream anew', error)


def _monitor(trt: Any, what: str) -> Any:
    """Logs every 30 s how far a build is: as a warning, as the node passes on no less."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._begun = self._told = time.monotonic()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            now = time.monotonic()
            if now - self._told >= _PROGRESS_S:
                self._told = now
                total = self._steps.get(phase_name, 0)
                _log.warning(
                    '%s: %s, step %d of %d, %.0f s', what, phase_name, step + 1, total,
                    now - self._begun,
                )  # fmt: skip
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
