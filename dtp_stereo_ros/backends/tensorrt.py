"""TensorRT on NVIDIA's GPUs: a native engine for each size of the images."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import OrderedDict
from dataclasses import asdict
from typing import Any

from ..config import PipelineConfig
from ..errors import BackendError, one_line
from ..models import ModelSpec
from ..parity import Parity, allowed_text
from ..stereo import Float32Array
from . import trial
from .base import Image, size_of
from .cuda import Cuda
from .engine import Engine, build, logger_of
from .engine_files import EngineFiles, EngineKey
from .half_onnx import half_model
from .onnx_file import OnnxFile, tried
from .ports import Inputs, PortOptions
from .reference import Reference

# The interface that `engine` is written for: JetPack 6 has 10.3.
_OLDEST, _BEYOND = (10, 3), (12, 0)
_MEND = "pip install 'tensorrt-cu12>=10.3,<11', on a Jetson apt install python3-libnvinfer"
# Engines on the GPU: of the image sizes of a node with several cameras.
_KEPT_SIZES = 4

_log = logging.getLogger(__name__)


class TensorRtBackend:
    """Runs an .onnx file in an engine that is built when an image size is first seen.

    The engine is compared with ONNX Runtime on a textured pair when it is built, and kept in the
    user's cache folder. The model is started in ONNX Runtime, so that no engine has to be built to
    find its outputs. 'auto' precision is that of the file.

    Raises:
        ModelError: the model is missing, unreadable or no stereo model.
        BackendError: a package, the driver, the GPU or the precision is missing.
    """

    name = 'tensorrt'

    def __init__(self, config: PipelineConfig) -> None:
        file = OnnxFile.find(config.model)
        self._path = file.path
        self._trt = _tensorrt()
        self._cuda = Cuda()
        self._precision = _precision(config, file)
        self._half = half_model(file.path) if self._precision != file.spec.precision else None
        self._logger = logger_of(self._trt)
        self._reference = Reference(file.path, config.threads)
        self._inputs = Inputs.of(file.path, self._reference.ports, PortOptions.of(config))
        # On a small pair, in ONNX Runtime.
        ports, names, run = self._reference.ports, self._reference.names, self._reference.run
        self._spec, self._outputs = tried(
            file,
            self._inputs,
            ports,
            names,
            lambda wanted, feed, _: run(wanted, feed),
            self._precision,
        )
        self.compiling = False
        self._engines: OrderedDict[tuple[int, int], Engine] = OrderedDict()
        self._refused: dict[tuple[int, int], str] = {}

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        return self._spec

    @property
    def device(self) -> str:
        """Name of the GPU."""
        return self._cuda.gpu.name

    def infer(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair; see `Backend.infer`."""
        size = size_of(left)
        engine = self._engine(size)
        try:
            found = engine.run(self._outputs.names, self._inputs.feed(left, right))
        except BackendError as error:
            raise BackendError(f'{self._path}: {one_line(error)}') from error
        return self._outputs.planes(found, size)

    def close(self) -> None:
        """Free the engines and their memory."""
        while self._engines:
            self._engines.popitem()[1].close()

    def _engine(self, size: tuple[int, int]) -> Engine:
        """The engine of an image size (height, width), built at first use."""
        if size in self._refused:
            raise BackendError(self._refused[size])
        if size not in self._engines:
            self.compiling = True
            try:
                engine = self._load_or_build(size)
            finally:
                self.compiling = False
            self._engines[size] = engine
            if len(self._engines) > _KEPT_SIZES:
                self._engines.popitem(last=False)[1].close()
        self._engines.move_to_end(size)
        return self._engines[size]

    def _load_or_build(self, size: tuple[int, int]) -> Engine:
        gpu = self._cuda.gpu
        key = EngineKey(
            tensorrt=self._trt.__version__,
            gpu=gpu.name,
            compute_capability=gpu.compute_capability,
            driver=gpu.driver,
            precision=self._precision,
            width_px=size[1],
            height_px=size[0],
            onnx_sha256=hashlib.sha256(self._half).hexdigest()
            if self._half
            else self._spec.sha256,
        )
        files = EngineFiles(key)
        with files.locked():
            plan = files.load()
            if plan is not None:
                try:
                    return self._start(plan, size)
                except BackendError as error:
                    files.refuse(one_line(error))
            return self._build(files, size)

    def _build(self, files: EngineFiles, size: tuple[int, int]) -> Engine:
        what = f'the engine of {self._spec.name} for {size[1]}x{size[0]} in {self._precision}'
        _log.warning(
            'TensorRT %s builds %s on %s, which may take minutes',
            self._trt.__version__, what, self.device,
        )  # fmt: skip
        begun = time.monotonic()
        onnx = self._half or self._path.read_bytes()
        shapes = self._inputs.shapes(size)
        plan = build(self._trt, self._logger, onnx, str(self._path), shapes, what)
        build_s = time.monotonic() - begun
        engine = self._start(plan, size)
        try:
            parity = self._compare(engine, size)
        except BaseException:
            engine.close()
            raise
        if not parity.fits(self._precision):
            engine.close()
            self._refused[size] = (
                f'{self._path}: {what} differs from ONNX Runtime on a textured pair: '
                f'{parity.text()}; {allowed_text(self._precision)}; take '
                + ('precision fp32 or ' * (self._precision != 'fp32'))
                + 'backend onnx, and report it with the output of dtp-stereo selftest'
            )
            raise BackendError(self._refused[size])
        _log.warning('%s is built, in %.0f s; %s', what, build_s, parity.text())
        files.save(plan, {'model': self._spec.name, 'build_s': build_s, **asdict(parity)})
        return engine

    def _start(self, plan: bytes, size: tuple[int, int]) -> Engine:
        return Engine(self._trt, self._logger, self._cuda, plan, self._inputs.shapes(size))

    def _compare(self, engine: Engine, size: tuple[int, int]) -> Parity:
        """The engine beside ONNX Runtime, on a textured pair of its size."""
        pair = trial.pair_of(size)
        feed, names = self._inputs.feed(pair.left, pair.right), self._outputs.names
        return Parity.of(
            self._outputs.planes(engine.run(names, feed), size),
            self._outputs.planes(self._reference.run(names, feed), size),
        )


def _tensorrt() -> Any:
    """The module, of a version that is known here."""
    try:
        import tensorrt
    except Exception as error:  # its libraries are loaded while it is imported
        raise BackendError(
            f'backend tensorrt: the package tensorrt cannot be imported ({one_line(error)}); '
            f'install it with: {_MEND}'
        ) from error
    version = str(tensorrt.__version__)
    numbers = tuple(int(part) for part in re.findall(r'\d+', version)[:2])
    if not _OLDEST <= numbers < _BEYOND:
        raise BackendError(
            f'backend tensorrt: TensorRT {version} is installed, 10.3 or newer and older than 12 '
            f'is needed; {_MEND}'
        )
    return tensorrt


def _precision(config: PipelineConfig, file: OnnxFile) -> str:
    own = file.spec.precision
    if config.precision in ('auto', own):
        return own
    if config.precision == 'fp16' and own == 'fp32':
        return 'fp16'
    raise BackendError(
        f'backend tensorrt runs {file.spec.name} in {own}'
        + (' or fp16' * (own == 'fp32'))
        + f', not in {config.precision}; set precision to one of these'
    )
