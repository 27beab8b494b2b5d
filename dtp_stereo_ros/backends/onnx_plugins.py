"""Execution providers of ONNX Runtime that come as packages of their own.

Such a package holds a library that is registered while the program runs. It works with the
`onnxruntime` that is installed, where CUDA needs another build of it. The package's module tells
the path of the library (`get_library_path`); the providers' names are those of their
`get_ep_name`, in onnxruntime-ep-nv-tensorrt-rtx-cu12 0.5.0, -openvino 1.8.1 and -webgpu 0.4.0.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort

from ..errors import BackendError, one_line
from ..parity import Parity, allowed_text
from . import trial
from .onnx_file import OnnxFile
from .ports import AnyArray, Inputs, Outputs
from .reference import Reference

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plugin:
    """A package with a provider.

    Attributes:
        package: for pip.
        provider: its name in ONNX Runtime.
        options: of the provider, for a number of threads (0: all cores).
    """

    package: str
    provider: str
    options: Callable[[int], dict[str, str]]

    @property
    def module(self) -> str:
        """The Python module."""
        return self.package.replace('-', '_')


def _openvino_options(threads: int) -> dict[str, str]:
    """Of their own accord its CPU computes in bf16 and its GPU in fp16."""
    fp32: dict[str, object] = {'INFERENCE_PRECISION_HINT': 'f32'}
    cpu = {**fp32, 'INFERENCE_NUM_THREADS': threads} if threads else fp32
    return {'load_config': json.dumps({'CPU': cpu, 'GPU': fp32})}


# The first that starts is taken. `choice` names their packages too.
PLUGINS = (
    Plugin('onnxruntime-ep-nv-tensorrt-rtx', 'NvTensorRTRTXExecutionProvider', lambda _: {}),
    Plugin('onnxruntime-ep-openvino', 'OpenVINOExecutionProvider', _openvino_options),
    Plugin('onnxruntime-ep-webgpu', 'WebGpuExecutionProvider', lambda _: {}),
)
# NPUs want images of a fixed size.
_HARDWARE = ('GPU', 'CPU')


class Comparison:
    """A plug-in beside the CPU, on a textured pair of each image size that comes.

    A plug-in builds kernels for an image size, and may compute in another precision than it was
    asked for.

    Args:
        plugin: that runs.
        file: of the model.
        inputs, outputs: of the model.
        reference: the model on the CPU.

    Attributes:
        known: why it is refused at a size (height, width); '' where it is not.
    """

    def __init__(
        self,
        plugin: Plugin,
        file: OnnxFile,
        inputs: Inputs,
        outputs: Outputs,
        reference: Reference,
    ) -> None:
        self._plugin = plugin
        self._path, self._precision = file.path, file.spec.precision
        self._inputs, self._outputs, self._reference = inputs, outputs, reference
        self.known: dict[tuple[int, int], str] = {}

    def check(
        self,
        size: tuple[int, int],
        run: Callable[[list[str], dict[str, AnyArray]], list[AnyArray]],
    ) -> None:
        """Compare at a size (height, width), once.

        Args:
            size: of the images.
            run: names of outputs and inputs to outputs, by the plug-in.

        Raises:
            BackendError: it computes another disparity than the precision explains.
        """
        if size not in self.known:
            self.known[size] = self._difference(size, run)
        if self.known[size]:
            raise BackendError(self.known[size])

    def _difference(
        self,
        size: tuple[int, int],
        run: Callable[[list[str], dict[str, AnyArray]], list[AnyArray]],
    ) -> str:
        package, pair = self._plugin.package, trial.pair_of(size)
        feed, names = self._inputs.feed(pair.left, pair.right), self._outputs.names
        found, expected = (
            self._outputs.planes(runs(names, feed), size) for runs in (run, self._reference.run)
        )
        parity = Parity.of(found, expected)
        place = f'{package} beside the CPU on a textured pair of {size[1]}x{size[0]}'
        if parity.fits(self._precision):
            _log.info('%s: %s', place, parity.text())
            return ''
        return (
            f'{self._path}: {place}: {parity.text()}; {allowed_text(self._precision)}; take '
            f'another backend, or: pip uninstall {package}'
        )


def plugin_of(session: Any) -> Plugin | None:
    """The plug-in that a session runs in."""
    started = session.get_providers()[0]
    return next((plugin for plugin in PLUGINS if plugin.provider == started), None)


def start(path: Path, options: Callable[[], Any], threads: int) -> Any | None:
    """A session in the first plug-in that is installed and starts; None where none does.

    Args:
        path: of the model.
        options: makes the SessionOptions.
        threads: on a CPU; 0 uses all cores.
    """
    for plugin in PLUGINS:
        if importlib.util.find_spec(plugin.module) is None:
            continue
        try:
            wanted = options()
            wanted.add_provider_for_devices([_device(plugin)], plugin.options(threads))
            session = ort.InferenceSession(str(path), wanted)
            # Or it answers from the CPU for good where a run fails, and says so to nobody.
            session.disable_fallback()
            started = session.get_providers()[0]
            if started != plugin.provider:
                raise BackendError(f'{started} runs instead')
        except Exception as error:  # the runtime's errors share no narrower base
            _log.warning('%s does not start here: %s', plugin.package, one_line(error))
            continue
        return session
    return None


def _device(plugin: Plugin) -> Any:
    """The device that a provider offers; a GPU where there is one.

    Raises:
        BackendError: none, or ONNX Runtime is too old.
    """
    _register(plugin)
    found = [device for device in ort.get_ep_devices() if device.ep_name == plugin.provider]
    for kind in _HARDWARE:
        for device in found:
            if device.device.type.name == kind:
                return device
    raise BackendError('it finds no device that it runs on')


@functools.cache
def _register(plugin: Plugin) -> None:
    """Once in a process: the same name is refused the second time."""
    if not hasattr(ort, 'register_execution_provider_library'):
        raise BackendError(
            f"ONNX Runtime {ort.__version__} is too old: pip install 'onnxruntime>=1.24.4'"
        )
    library = importlib.import_module(plugin.module).get_library_path()
    ort.register_execution_provider_library(plugin.package, library)
