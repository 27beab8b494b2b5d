"""Stand-ins for the packages tensorrt and cuda-bindings, that compute with ONNX Runtime.

Every call is held to the signatures of the real packages in tensorrt_names.json, of all versions
there, and to the order that the real ones ask for: work put into a stream runs when the stream is
waited for, what is captured runs when its graph is launched, shapes are known once the inputs are,
and only strongly typed networks are built. They say nothing about the numbers of a real engine.
"""

# The names are those of CUDA; each function makes a whole module.
# ruff: noqa: C901, N802

from __future__ import annotations

import ctypes
import enum
import functools
import json
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

TABLE: dict[str, dict[str, dict[str, Any]]] = json.loads(
    Path(__file__).with_name('tensorrt_names.json').read_text()
)
VERSIONS = sorted(TABLE['tensorrt'])

_INTEGERS = ('int', 'typing.SupportsInt', 'size_t', 'unsigned')
_BYTES = ('buffer', 'typing_extensions.Buffer')


@dataclass
class State:
    """What the stand-ins are told to do, and what was done.

    Attributes:
        version: of TensorRT.
        gpu, capability: of the only one.
        driver: CUDA of the driver, as 12080; 0 where there is none.
        factor: outputs are multiplied by it: an engine that computes something else.
        build_s: time that a build takes.
        build_log: a line is added for each build.
        unbuildable, unloadable, capture_fails: what fails.
        no_library: libcuda.so.1 is missing, as cuda-bindings 12 says it.
        memory_bytes: of the device.
        built, launched, enqueued, captured: how often.
        memory: address to buffer of what is not freed.
        alive: streams and graphs that are not destroyed.
        plans: what was built, in order: the .onnx of each.
    """

    version: str = VERSIONS[0]
    gpu: str = 'NVIDIA Stand-in'
    capability: tuple[int, int] = (8, 7)
    driver: int = 12080
    factor: float = 1.0
    build_s: float = 0.0
    build_log: Path | None = None
    unbuildable: bool = False
    unloadable: bool = False
    capture_fails: bool = False
    no_library: bool = False
    memory_bytes: int = 2**30
    built: int = 0
    launched: int = 0
    enqueued: int = 0
    captured: int = 0
    memory: dict[int, Any] = field(default_factory=dict)
    device_bytes: dict[int, int] = field(default_factory=dict)
    alive: set[Any] = field(default_factory=set)
    plans: list[bytes] = field(default_factory=list)


def install(state: State, modules: Any = None) -> None:
    """Make them importable; `modules` is sys.modules or what undoes changes of it."""
    place = sys.modules if modules is None else modules
    bindings, cuda = ModuleType('cuda.bindings'), ModuleType('cuda')
    runtime = _cuda(state)
    bindings.runtime, cuda.bindings = runtime, bindings
    place['tensorrt'] = _tensorrt(state)
    place['cuda'], place['cuda.bindings'] = cuda, bindings
    place['cuda.bindings.runtime'] = runtime


def _held(package: str, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hold the calls of a function to the signatures of every version of the package."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:  # no keywords: their names differ between versions
            for version, names in TABLE[package].items():
                assert name in names, f'{name} is not in {package} {version}'
                fits = [_fits(signature, args) for signature in names[name]]
                assert any(fits), f'{name}{args} fits none of {names[name]} in {version}'
            return function(*args)

        return call

    return decorate


def _fits(signature: str, args: tuple[Any, ...]) -> bool:
    inner = signature[signature.index('(') + 1 : signature.rindex(')')]
    parameters = [part for part in inner.split(', ') if part]
    needed = sum(' = ' not in part for part in parameters)
    return needed <= len(args) <= len(parameters) and all(
        _is(_kind(part), value) for part, value in zip(parameters, args, strict=False)
    )


def _kind(parameter: str) -> str:
    """'name: kind = default' of pybind11, 'kind name' or 'name' of Cython."""
    plain = parameter.split(' = ')[0]
    if ': ' in plain:
        return plain.split(': ')[1]
    return plain.split(' ')[0] if ' ' in plain else ''


def _is(kind: str, value: Any) -> bool:
    if not kind:
        return True
    if kind in _INTEGERS:
        return hasattr(value, '__int__') and not isinstance(value, float)
    if kind in _BYTES:
        return isinstance(value, bytes)
    if kind in ('str', 'tuple', 'list'):
        return type(value).__name__ == kind
    if kind == 'Dims':
        return isinstance(value, (tuple, list)) and all(isinstance(v, int) for v in value)
    return kind.rpartition('.')[2] in {base.__name__ for base in type(value).__mro__}


class _Enum(enum.Enum):
    def __int__(self) -> int:
        return int(self.value)


def _tensorrt(state: State) -> ModuleType:
    names = TABLE['tensorrt'].get(state.version) or TABLE['tensorrt'][VERSIONS[0]]
    held = functools.partial(_held, 'tensorrt')
    module: Any = ModuleType('tensorrt')
    module.__version__ = state.version

    severity = _Enum('Severity', ['INTERNAL_ERROR', 'ERROR', 'WARNING', 'INFO', 'VERBOSE'])
    mode = _Enum('TensorIOMode', {'NONE': 0, 'INPUT': names['TensorIOMode.INPUT'], 'OUTPUT': 2})
    kinds = _Enum('DataType', {'FLOAT': 0, 'HALF': 1, 'INT32': 3})
    flags = _Enum('BuilderFlag', {'TF32': names['BuilderFlag.TF32']})
    typed = names['NetworkDefinitionCreationFlag.STRONGLY_TYPED']
    creation = _Enum('NetworkDefinitionCreationFlag', {'STRONGLY_TYPED': typed})

    class ILogger:
        Severity = severity

        @held('ILogger.__init__')
        def __init__(self) -> None:
            self.ready = True

    class IProgressMonitor:
        @held('IProgressMonitor.__init__')
        def __init__(self) -> None:
            self.ready = True

    def tell(logger: Any, text: str) -> None:
        assert logger.ready  # pybind11 fails where __init__ of the base was not called
        logger.log(severity['ERROR'], text)

    class ITensor:
        def __init__(self, value: Any) -> None:
            dims = value.type.tensor_type.shape.dim
            self.name = value.name
            self.shape = tuple(d.dim_value if d.HasField('dim_value') else -1 for d in dims)
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT

    class INetworkDefinition:
        def __init__(self) -> None:
            self.model = b''
            self.inputs: list[ITensor] = []

        @property
        def num_inputs(self) -> int:
            return len(self.inputs)

        @held('INetworkDefinition.get_input')
        def get_input(self, index: int) -> ITensor:
            return self.inputs[index]

    class ParserError:
        @held('ParserError.desc')
        def desc(self) -> str:
            return 'no such\noperator'

    class OnnxParser:
        @held('OnnxParser.__init__')
        def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
            self.network, self.num_errors = network, 0

        @held('OnnxParser.parse')
        def parse(self, model: bytes, path: str) -> bool:
            try:
                graph = onnx.load_model_from_string(model).graph
            except Exception:
                self.num_errors = 1
                return False
            self.network.model = model
            self.network.inputs = [ITensor(value) for value in graph.input]
            return True

        @held('OnnxParser.get_error')
        def get_error(self, index: int) -> ParserError:
            return ParserError()

    class IOptimizationProfile:
        def __init__(self) -> None:
            self.shapes: dict[str, tuple[int, ...]] = {}

        @held('IOptimizationProfile.set_shape')
        def set_shape(self, name: str, least: Any, best: Any, most: Any) -> None:
            assert least == best == most
            self.shapes[name] = tuple(best)

    class IBuilderConfig:
        def __init__(self) -> None:
            self.progress_monitor: Any = None
            self.profiles: list[IOptimizationProfile] = []
            self.flags = {flags['TF32']}

        @held('IBuilderConfig.clear_flag')
        def clear_flag(self, flag: Any) -> None:
            self.flags.discard(flag)

        @held('IBuilderConfig.add_optimization_profile')
        def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
            self.profiles.append(profile)
            return len(self.profiles) - 1

    class IHostMemory:
        def __init__(self, content: bytes) -> None:
            self.content = content

        def __bytes__(self) -> bytes:
            return self.content

    class Builder:
        @held('Builder.__init__')
        def __init__(self, logger: ILogger) -> None:
            assert state.driver, 'the real one cannot be made without a GPU'
            self.logger = logger

        @held('Builder.create_network')
        def create_network(self, flag_bits: int) -> INetworkDefinition:
            assert flag_bits == 1 << typed
            return INetworkDefinition()

        @held('Builder.create_builder_config')
        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        @held('Builder.create_optimization_profile')
        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        @held('Builder.build_serialized_network')
        def build_serialized_network(
            self, network: INetworkDefinition, config: IBuilderConfig
        ) -> IHostMemory | None:
            assert network.model, 'nothing was parsed'
            assert not config.flags, 'TF32 is not fp32'
            state.built += 1
            if state.build_log:
                with state.build_log.open('a') as file:
                    file.write('built\n')
            monitor = config.progress_monitor
            assert monitor.ready
            monitor.phase_start('Building', None, 2)
            time.sleep(state.build_s)
            assert monitor.step_complete('Building', 0)
            monitor.phase_finish('Building')
            if state.unbuildable:
                tell(self.logger, 'no\ntactic')
                return None
            shapes = {port.name: port.shape for port in network.inputs}
            for name, shape in shapes.items():
                if -1 in shape:
                    shapes[name] = config.profiles[0].shapes[name]
            state.plans.append(network.model)
            return IHostMemory(pickle.dumps((state.version, state.gpu, shapes, network.model)))

    class ICudaEngine:
        def __init__(self, shapes: dict[str, tuple[int, ...]], model: bytes) -> None:
            self.shapes = shapes
            self.session = ort.InferenceSession(model, providers=['CPUExecutionProvider'])
            self.inputs = [value.name for value in self.session.get_inputs()]
            self.outputs = [value.name for value in self.session.get_outputs()]

        @property
        def num_io_tensors(self) -> int:
            return len(self.inputs) + len(self.outputs)

        @held('ICudaEngine.get_tensor_name')
        def get_tensor_name(self, index: int) -> str:
            return [*self.inputs, *self.outputs][index]

        @held('ICudaEngine.get_tensor_mode')
        def get_tensor_mode(self, name: str) -> Any:
            return mode['INPUT' if name in self.inputs else 'OUTPUT']

        @held('ICudaEngine.get_tensor_dtype')
        def get_tensor_dtype(self, name: str) -> Any:
            assert name in [*self.inputs, *self.outputs]
            return kinds['FLOAT']

        @held('ICudaEngine.create_execution_context')
        def create_execution_context(self) -> IExecutionContext:
            return IExecutionContext(self)

    class IExecutionContext:
        def __init__(self, engine: ICudaEngine) -> None:
            self.engine = engine
            self.set: dict[str, tuple[int, ...]] = {}
            self.addresses: dict[str, int] = {}

        @held('IExecutionContext.set_input_shape')
        def set_input_shape(self, name: str, shape: Any) -> bool:
            self.set[name] = tuple(shape)
            return tuple(shape) == self.engine.shapes[name]

        @held('IExecutionContext.get_tensor_shape')
        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            if name in self.engine.inputs:
                return self.set.get(name, (-1,))
            if len(self.set) < len(self.engine.inputs):
                return (-1,)
            zeros = {n: np.zeros(shape, np.float32) for n, shape in self.set.items()}
            return tuple(self.engine.session.run([name], zeros)[0].shape)

        @held('IExecutionContext.set_tensor_address')
        def set_tensor_address(self, name: str, memory: int) -> bool:
            assert memory in state.device_bytes, 'no memory of the device'
            self.addresses[name] = memory
            return True

        @held('IExecutionContext.execute_async_v3')
        def execute_async_v3(self, stream: int) -> bool:
            if len(self.addresses) < self.engine.num_io_tensors:
                return False
            _stream_of(state, stream).put(self.compute)
            state.enqueued += 1
            return True

        def compute(self) -> None:
            feed = {n: _at(self.addresses[n], self.set[n]) for n in self.engine.inputs}
            for name, value in zip(
                self.engine.outputs, self.engine.session.run(None, feed), strict=True
            ):
                target = _at(self.addresses[name], value.shape)
                target[...] = value * np.float32(state.factor)

    class Runtime:
        @held('Runtime.__init__')
        def __init__(self, logger: ILogger) -> None:
            self.logger = logger

        @held('Runtime.deserialize_cuda_engine')
        def deserialize_cuda_engine(self, content: bytes) -> ICudaEngine | None:
            version, gpu, shapes, model = pickle.loads(content)
            if (version, gpu) != (state.version, state.gpu) or state.unloadable:
                tell(self.logger, 'magicTag\ndoes not match')
                return None
            return ICudaEngine(shapes, model)

    for part in (
        ILogger, IProgressMonitor, INetworkDefinition, OnnxParser, IOptimizationProfile,
        IBuilderConfig, Builder, Runtime, ICudaEngine, IExecutionContext,
    ):  # fmt: skip
        setattr(module, part.__name__, part)
    module.TensorIOMode, module.DataType, module.BuilderFlag = mode, kinds, flags
    module.NetworkDefinitionCreationFlag = creation
    return module


def _at(address: int, shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)


class _Stream:
    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []
        self.capture: list[Callable[[], object]] | None = None

    def __int__(self) -> int:
        return id(self)

    def put(self, work: Callable[[], object]) -> None:
        (self.waiting if self.capture is None else self.capture).append(work)


def _stream_of(state: State, handle: int) -> _Stream:
    return next(s for s in state.alive if isinstance(s, _Stream) and int(s) == handle)


class _Graph(list[Callable[[], object]]):
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def _cuda(state: State) -> ModuleType:
    names = next(iter(TABLE['cuda-bindings'].values()))
    module: Any = ModuleType('cuda.bindings.runtime')

    def members(kind: str) -> Any:
        found = {n.partition('.')[2]: v for n, v in names.items() if n.startswith(f'{kind}.')}
        return _Enum(kind, found)

    errors, kinds = members('cudaError_t'), members('cudaMemcpyKind')
    modes = members('cudaStreamCaptureMode')
    module.cudaError_t, module.cudaMemcpyKind, module.cudaStreamCaptureMode = errors, kinds, modes
    module.cudaStreamNonBlocking = names['cudaStreamNonBlocking']
    success = errors['cudaSuccess']

    def function(work: Callable[..., Any]) -> Callable[..., Any]:
        name = work.__name__
        held = _held('cuda-bindings', name)(work)
        setattr(module, name, held)
        return held

    @function
    def cudaGetDeviceCount() -> Any:
        if state.no_library:
            raise RuntimeError('Failed to dlopen libcuda.so.1')
        if not state.driver:
            return errors['cudaErrorInsufficientDriver'], None
        return success, 1 if state.gpu else 0

    @function
    def cudaDriverGetVersion() -> Any:
        return success, state.driver

    @function
    def cudaGetDeviceProperties(device: int) -> Any:
        class Properties:
            name = state.gpu.encode()
            major, minor = state.capability

        return success, Properties()

    def allocate(count: int) -> int:
        buffer = ctypes.create_string_buffer(count)
        address = ctypes.addressof(buffer)
        state.memory[address] = buffer
        return address

    @function
    def cudaMalloc(count: int) -> Any:
        if sum(state.device_bytes.values()) + count > state.memory_bytes:
            return errors['cudaErrorMemoryAllocation'], None
        address = allocate(count)
        state.device_bytes[address] = count
        return success, address

    @function
    def cudaMallocHost(count: int) -> Any:
        return success, allocate(count)

    @function
    def cudaFree(address: int) -> Any:
        del state.memory[address], state.device_bytes[address]
        return (success,)

    @function
    def cudaFreeHost(address: int) -> Any:
        assert address not in state.device_bytes
        del state.memory[address]
        return (success,)

    @function
    def cudaMemcpyAsync(target: int, source: int, count: int, kind: Any, stream: _Stream) -> Any:
        on_device = target if kind == kinds['cudaMemcpyHostToDevice'] else source
        on_host = source if on_device == target else target
        assert on_device in state.device_bytes and on_host not in state.device_bytes
        assert on_host in state.memory, 'copied at once where it is not page-locked'
        stream.put(lambda: ctypes.memmove(target, source, count))
        return (success,)

    @function
    def cudaStreamCreateWithFlags(flags: int) -> Any:
        stream = _Stream()
        state.alive.add(stream)
        return success, stream

    @function
    def cudaStreamDestroy(stream: _Stream) -> Any:
        state.alive.remove(stream)
        return (success,)

    @function
    def cudaStreamSynchronize(stream: _Stream) -> Any:
        assert stream.capture is None
        waiting, stream.waiting = stream.waiting, []
        for work in waiting:
            work()
        return (success,)

    @function
    def cudaStreamBeginCapture(stream: _Stream, mode: Any) -> Any:
        if state.capture_fails:
            return (errors['cudaErrorInsufficientDriver'],)
        stream.capture = []
        return (success,)

    @function
    def cudaStreamEndCapture(stream: _Stream) -> Any:
        assert stream.capture is not None
        graph, stream.capture = _Graph(stream.capture), None
        state.alive.add(graph)
        state.captured += 1
        return success, graph

    @function
    def cudaGraphInstantiate(graph: _Graph, flags: int) -> Any:
        executable = _Graph(graph)
        state.alive.add(executable)
        return success, executable

    @function
    def cudaGraphLaunch(graph: _Graph, stream: _Stream) -> Any:
        for work in graph:
            stream.put(work)
        state.launched += 1
        return (success,)

    @function
    def cudaGraphDestroy(graph: _Graph) -> Any:
        state.alive.remove(graph)
        return (success,)

    @function
    def cudaGraphExecDestroy(graph: _Graph) -> Any:
        state.alive.remove(graph)
        return (success,)

    return module
