"""ONNX Runtime: CUDA, plug-ins and CPU as found, TensorRT for fp16, XNNPACK where it is faster."""

from __future__ import annotations

import contextlib
import io
import logging
from collections import OrderedDict
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime as ort

from ..config import PipelineConfig
from ..errors import BackendError, ModelError, one_line
from ..models import ModelSpec
from ..stereo import Float32Array
from ..system import physical_cores
from . import onnx_plugins
from .base import Image, size_of
from .engine_cache import EngineCache
from .onnx_file import OnnxFile, smallest_size, tried
from .onnx_memory import DeviceMemory
from .onnx_plugins import Comparison
from .ports import AnyArray, Inputs, PortOptions
from .reference import Reference, is_numbers, port_of

_TENSORRT, _CUDA, _XNNPACK, _CPU = (
    'TensorrtExecutionProvider',
    'CUDAExecutionProvider',
    'XnnpackExecutionProvider',
    'CPUExecutionProvider',
)

# That all releases since 1.19 are linked to, those for CUDA 13 among them (looked up in 1.21 to
# 1.31).
_TENSORRT_MAJOR = 10

# Sessions that are kept where each image size has its own.
_KEPT_SIZES = 4

_log = logging.getLogger(__name__)


class OnnxRuntimeBackend:
    """Runs an .onnx file on CUDA where it works, else in a plug-in provider, else on the CPU.

    TensorRT builds an engine for every image size, which takes minutes, so it runs only where
    fp16 is asked for; its engines are kept in the user's cache folder. A plug-in provider builds
    too, and is compared with the CPU at each image size.

    Args:
        config: settings.
        provider: one of `other_providers`, to run in place of the runtime's own.

    Raises:
        ModelError: the model is missing, unreadable or no stereo model.
        BackendError: no provider has the precision, the first run failed, or a plug-in provider
            computes something else.
    """

    name = 'onnx'

    def __init__(self, config: PipelineConfig, provider: str = '') -> None:
        file = OnnxFile.find(config.model)
        self._path = file.path
        self._file, self._config = file, config
        self._sizes: set[tuple[int, int]] = set()  # of images, that have run
        self.compiling = False
        self._cache: EngineCache | None = None
        self._by_size: _XnnpackSessions | None = None
        if provider:
            _check_precision(config, file)
            self._by_size = _XnnpackSessions(config, file)
            session, precision = self._by_size.free, file.spec.precision
        else:
            if _in_tensorrt(config, file):
                self._cache = EngineCache(_cache_key(file))
            session, precision = _start(config, file, self._cache)
        self._use(session)
        ports = [port_of(i) for i in self._session.get_inputs()]
        self._inputs = Inputs.of(file.path, ports, PortOptions.of(config))
        names = [o.name for o in self._session.get_outputs() if is_numbers(o.type)]
        self._spec, self._outputs = tried(file, self._inputs, ports, names, self._run, precision)
        self._comparison: Comparison | None = None
        if plugin := onnx_plugins.plugin_of(self._session):
            reference = Reference(file.path, config.threads)
            self._comparison = Comparison(plugin, file, self._inputs, self._outputs, reference)
            self._compare(smallest_size(self._spec))

    @staticmethod
    def other_providers() -> tuple[str, ...]:
        """Providers for the CPU besides the runtime's own, where this build has them."""
        return (_XNNPACK,) if _XNNPACK in ort.get_available_providers() else ()

    @staticmethod
    def may_use_gpu() -> bool:
        """Whether this build has CUDA; a GPU may still be missing."""
        return _CUDA in ort.get_available_providers()

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        return self._spec

    @property
    def device(self) -> str:
        """Name of the execution provider."""
        return self._device

    def infer(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair; see `Backend.infer`."""
        size = size_of(left)
        self._compare(size)
        found = self._run(self._outputs.names, self._inputs.feed(left, right), size)
        return self._outputs.planes(found, size)

    def close(self) -> None:
        """Free the sessions and their memory."""
        del self._session, self._memory
        self._by_size = None

    def _use(self, session: Any) -> None:
        self._session = session
        self._device = str(session.get_providers()[0])
        self._memory = DeviceMemory(session) if self._device in (_TENSORRT, _CUDA) else None

    def _compare(self, size: tuple[int, int]) -> None:
        """Compare a plug-in provider with the CPU before the first pair of an image size."""
        if self._comparison is None:
            return
        self.compiling = size not in self._comparison.known
        try:
            self._comparison.check(size, self._run_once)
        finally:
            self.compiling = False

    def _run(
        self, names: list[str], feed: dict[str, AnyArray], size: tuple[int, int]
    ) -> list[AnyArray]:
        """The outputs of these names; the first pair of a size may need an engine."""
        if self._by_size is not None:
            return self._run_once(names, feed, self._by_size.of(size))
        if self._cache is None or size in self._sizes:
            return self._run_once(names, feed)
        self.compiling = True
        try:
            outputs = self._run_first(self._cache, names, feed)
        finally:
            self.compiling = False
        self._sizes.add(size)
        return outputs

    def _run_first(
        self, cache: EngineCache, names: list[str], feed: dict[str, AnyArray]
    ) -> list[AnyArray]:
        """The first pair of a size, for which TensorRT loads or builds an engine."""
        try:
            outputs = self._run_once(names, feed)
        except BackendError:
            if not cache.clear():
                raise
            self._use(_start(self._config, self._file, cache)[0])
            outputs = self._run_once(names, feed)
        cache.check()
        return outputs

    def _run_once(
        self, names: list[str], feed: dict[str, AnyArray], session: Any = None
    ) -> list[AnyArray]:
        try:
            if self._memory is not None and session is None:
                return self._memory.run(names, feed)
            return list((session or self._session).run(names, feed))
        except Exception as error:  # the runtime's errors share no narrower base
            raise BackendError(
                f'{self._path}: onnx on {self._device} failed: {one_line(error)}'
            ) from error


class _XnnpackSessions:
    """Sessions of XNNPACK, each for one image size.

    XNNPACK takes the convolutions only whose input has a size that is known when the session
    starts: none of those of a model that takes all sizes.

    Args:
        config, file: of the backend.

    Attributes:
        free: a session that takes all sizes of the model.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
        BackendError: XNNPACK does not start.
    """

    def __init__(self, config: PipelineConfig, file: OnnxFile) -> None:
        self._config, self._file = config, file
        self._by_size: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self.free = self._started({})

    def of(self, size: tuple[int, int]) -> Any:
        """The session of an image size (height, width), started at first use."""
        if size not in self._by_size:
            sides = self._sides(size)
            self._by_size[size] = self._started(sides) if sides else self.free
            if len(self._by_size) > _KEPT_SIZES:
                self._by_size.popitem(last=False)
        self._by_size.move_to_end(size)
        return self._by_size[size]

    def _sides(self, size: tuple[int, int]) -> dict[str, int]:
        """Names of the free dimensions of the images, with their values in px."""
        sides = {}
        for value in self.free.get_inputs():
            axes = port_of(value).axes
            for axis, side in zip('HW', size, strict=True):
                name = value.shape[axes.index(axis)] if axis in axes else None
                if isinstance(name, str):
                    sides[name] = side
        return sides

    def _started(self, sides: Mapping[str, int]) -> Any:
        """A session, as the documentation of XNNPACK recommends.

        XNNPACK has threads of its own, as many as there are cores; the session has one, not to
        stand in their way
        (https://onnxruntime.ai/docs/execution-providers/Xnnpack-ExecutionProvider.html).
        """
        options = _options(threads=1)
        for name, side in sides.items():
            options.add_free_dimension_override_by_name(name, side)
        threads = self._config.threads or physical_cores()
        own = (_XNNPACK, {'intra_op_num_threads': str(threads)})
        session = _session(self._file, options, [own, _CPU])
        if session.get_providers()[0] != _XNNPACK:
            raise BackendError('backend onnx: XNNPACK does not start here; take another backend')
        return session


def _start(
    config: PipelineConfig, file: OnnxFile, cache: EngineCache | None = None
) -> tuple[Any, str]:
    """The session, and the precision that it runs in."""
    own = file.spec.precision
    found = ort.get_available_providers()
    providers: list[Any] = [_CPU]
    expected, precision = _CPU, own
    if _CUDA in found:
        _load_cuda_wheels()
        # With TF32, its own choice, an fp32 convolution has 10 bits of mantissa: what is reported
        # is what runs.
        providers.insert(0, (_CUDA, {'use_tf32': '0'}))
        expected = _CUDA
    if _in_tensorrt(config, file):
        expected, precision = _TENSORRT, 'fp16'
        kept = cache.options() if cache else {}
        providers.insert(0, (_TENSORRT, {'trt_fp16_enable': True, **kept}))
    else:
        _check_precision(config, file)
    session = None
    if expected == _CPU:
        session = onnx_plugins.start(file.path, lambda: _options(config.threads), config.threads)
    if session is None:
        try:
            session = _session(file, _options(config.threads), providers)
        except ModelError:
            if cache is not None and cache.clear():
                return _start(config, file, cache)
            raise
        _check_started(session, expected, precision, own)
    return session, precision


def _check_started(session: Any, expected: str, precision: str, own: str) -> None:
    """Say where another provider started than was expected; refuse it where it has no fp16."""
    started = session.get_providers()[0]
    if started != expected and precision != own:
        raise BackendError(
            f'backend onnx: {expected} does not start, {precision} needs it: ONNX Runtime '
            f'{ort.__version__} loads libnvinfer.so.{_TENSORRT_MAJOR}, found is '
            f'{_installed_tensorrt()}; pip install tensorrt-cu12=={_TENSORRT_MAJOR}.*, take '
            'backend tensorrt, or set precision to auto'
        )
    if started != expected:
        _log.warning('%s does not start here, %s runs instead', expected, started)


def _options(threads: int) -> Any:
    """Options of a session; with 0 threads it takes as many as there are cores.

    Its threads do not spin: for 45 ms after a run each of them kept a core of the robot busy, for
    4 % of the time of a frame.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 4  # an error is raised, and told once
    return options


def _session(file: OnnxFile, options: Any, providers: list[Any]) -> Any:
    """A session of the runtime.

    Raises:
        ModelError: it cannot load the model.
    """
    try:
        session = ort.InferenceSession(str(file.path), options, providers)
        # Or it answers from the CPU for good where a run fails, and says so to nobody.
        session.disable_fallback()
        return session
    except Exception as error:  # the runtime's errors share no narrower base
        raise ModelError(f'{file.path}: ONNX Runtime cannot load it: {one_line(error)}') from error


def _check_precision(config: PipelineConfig, file: OnnxFile) -> None:
    """Refuse a precision that the file does not have.

    Raises:
        BackendError: it is another.
    """
    own = file.spec.precision
    if config.precision not in ('auto', own):
        raise BackendError(
            f'backend onnx runs {file.spec.name} in {own} here, not in {config.precision}; set '
            'precision to auto, or take another backend'
        )


def _load_cuda_wheels() -> None:
    """Load NVIDIA's libraries where pip has installed them: ONNX Runtime does not look there."""
    if not Path(ort.__file__).parents[1].joinpath('nvidia').is_dir():
        return
    if hasattr(ort, 'preload_dlls'):  # since 1.21
        # It prints what it does not find; a provider that does not start is said below.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def _installed_tensorrt() -> str:
    """Package and version of TensorRT, for errors."""
    for package in ('tensorrt-cu12', 'tensorrt-cu13', 'tensorrt'):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f'{package} {metadata.version(package)}'
    return 'no package of TensorRT'


def _in_tensorrt(config: PipelineConfig, file: OnnxFile) -> bool:
    """Whether this is to run in TensorRT: only where fp16 is asked for."""
    wanted = config.precision == 'fp16' != file.spec.precision
    return wanted and _TENSORRT in ort.get_available_providers()


def _cache_key(file: OnnxFile) -> str:
    """Engines fit one model and, by way of TensorRT's version, one ONNX Runtime."""
    return f'{file.spec.sha256[:16]}-fp16-{ort.__version__}'
