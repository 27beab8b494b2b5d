"""Stand-ins for ONNX Runtime on a GPU and for its plug-in providers, that compute on the CPU.

The memory of the GPU is another array, NaN before it is written: a session reads what was copied
there, and its outputs have to be copied back. Every call is held to the signature that the
installed ONNX Runtime has. They say nothing about the numbers of a GPU.
"""

# Each function makes a whole module.
# ruff: noqa: C901

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort

CUDA, CPU = 'CUDAExecutionProvider', 'CPUExecutionProvider'
_Real = ort.InferenceSession


def held_to(real: Callable[..., object]) -> Callable[..., Any]:
    """A decorator: calls must fit the signature of the real function."""
    signature = inspect.signature(real)

    def decorate(own: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(own)
        def call(*arguments: Any, **named: Any) -> object:
            signature.bind(*arguments, **named)
            return own(*arguments, **named)

        return call

    return decorate


class DeviceValue:
    """onnxruntime.OrtValue in the memory of a GPU."""

    made = 0

    def __init__(self, array: Any) -> None:
        self.array = array

    @staticmethod
    @held_to(ort.OrtValue.ortvalue_from_shape_and_type)
    def ortvalue_from_shape_and_type(
        shape: Any, element_type: Any, device_type: str = 'cpu', device_id: int = 0
    ) -> DeviceValue:
        assert (device_type, device_id) == ('cuda', 0)
        DeviceValue.made += 1
        return DeviceValue(np.full(shape, np.nan, element_type))

    @held_to(ort.OrtValue.update_inplace)
    def update_inplace(self, data: Any) -> None:
        assert data.flags.c_contiguous and data.dtype == self.array.dtype
        assert data.shape == self.array.shape
        self.array[...] = data


class Binding:
    """onnxruntime.IOBinding."""

    def __init__(self) -> None:
        self.inputs: dict[str, DeviceValue] = {}
        self.names: list[str] = []
        self.outputs: list[Any] = []

    @held_to(ort.IOBinding.bind_ortvalue_input)
    def bind_ortvalue_input(self, name: str, ortvalue: DeviceValue) -> None:
        self.inputs[name] = ortvalue

    @held_to(ort.IOBinding.bind_output)
    def bind_output(self, name: str, device_type: str = 'cpu', device_id: int = 0) -> None:
        assert (device_type, device_id) == ('cuda', 0), 'outputs are copied twice'
        self.names.append(name)

    @held_to(ort.IOBinding.copy_outputs_to_cpu)
    def copy_outputs_to_cpu(self) -> list[Any]:
        return [output.copy() for output in self.outputs]


class GpuSession:
    """A session whose outputs are in memory that it writes again: methods for a `run`."""

    run: Callable[..., Any]

    @held_to(_Real.io_binding)
    def io_binding(self) -> Binding:
        return Binding()

    @held_to(_Real.run_with_iobinding)
    def run_with_iobinding(self, iobinding: Binding) -> None:
        feed = {name: value.array for name, value in iobinding.inputs.items()}
        found = self.run(iobinding.names, feed)
        if not iobinding.outputs:
            iobinding.outputs = [np.empty_like(array) for array in found]
        for kept, array in zip(iobinding.outputs, found, strict=True):
            kept[...] = array


class CudaSession(GpuSession):
    """onnxruntime.InferenceSession in the CUDA provider."""

    asked: list[Any]

    def __init__(self, path: str, options: object, providers: list[Any]) -> None:
        CudaSession.asked = providers
        self._session = _Real(path, options, [CPU])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: list[str], feed: dict[str, Any]) -> Any:
        return self._session.run(names, feed)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]


@dataclass
class Plugins:
    """Plug-in packages as they are installed, and what was done with them.

    Attributes:
        devices: (provider, kind of hardware) that each library offers, by package.
        factor: the plug-in's outputs are multiplied by it.
        wrong_from_px: only from this width on.
        starts: whether sessions run in it.
        registered: packages, each time.
        taken: (provider, kind, options) of each session that was asked for.
    """

    devices: dict[str, list[tuple[str, str]]]
    factor: float = 1.0
    wrong_from_px: int = 0
    starts: bool = True
    registered: list[str] = field(default_factory=list)
    taken: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def install(self, monkeypatch: Any, modules: dict[str, ModuleType]) -> None:
        """Put them in the place of ONNX Runtime's functions."""
        plugins = self

        @_called_as(ort.register_execution_provider_library)
        def register(name: str, path: str) -> None:
            assert name not in plugins.registered, 'registered already'
            assert path == f'/lib/{name.replace("-", "_")}.so'
            plugins.registered.append(name)

        @_called_as(ort.get_ep_devices)
        def devices() -> list[Any]:
            found = [(CPU, 'CPU')]
            for package in plugins.registered:
                found += plugins.devices[package]
            return [_device(provider, kind) for provider, kind in found]

        class Options:
            def __init__(self) -> None:
                self.chosen: Any = None

            @_called_as(ort.SessionOptions.add_session_config_entry)
            def add_session_config_entry(self, key: str, value: str) -> None:
                assert isinstance(key, str) and isinstance(value, str)

            @_called_as(ort.SessionOptions.add_provider_for_devices)
            def add_provider_for_devices(self, devices: Any, options: dict[str, str]) -> None:
                (self.chosen,) = devices
                assert all(isinstance(text, str) for pair in options.items() for text in pair)
                plugins.taken.append((self.chosen.ep_name, self.chosen.device.type.name, options))

        class Session:
            def __init__(self, path: str, options: Options, providers: Any = None) -> None:
                chosen = getattr(options, 'chosen', None)
                assert (chosen is None) == bool(providers)
                self._chosen = chosen if plugins.starts else None
                real = ort.capi._pybind_state.SessionOptions()
                self._session = _Real(path, real, [CPU])

            def __getattr__(self, name: str) -> Any:
                return getattr(self._session, name)

            def get_providers(self) -> list[str]:
                return [self._chosen.ep_name, CPU] if self._chosen else [CPU]

            def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
                width = next(iter(feed.values())).shape[3]
                wrong = self._chosen is not None and width >= plugins.wrong_from_px
                found = self._session.run(names, feed)
                return [np.float32(plugins.factor if wrong else 1) * array for array in found]

        for name, own in (
            ('register_execution_provider_library', register),
            ('get_ep_devices', devices),
            ('SessionOptions', Options),
            ('InferenceSession', Session),
        ):
            monkeypatch.setattr(ort, name, own)
        for package in self.devices:
            name = package.replace('-', '_')
            module = ModuleType(name)
            module.__spec__ = SimpleNamespace(name=name)  # type: ignore[assignment]
            module.get_library_path = lambda name=name: f'/lib/{name}.so'  # type: ignore
            modules[name] = module


def _device(provider: str, kind: str) -> Any:
    kinds = ort.OrtHardwareDeviceType
    assert {'ep_name', 'device'} <= set(dir(ort.OrtEpDevice))
    return SimpleNamespace(ep_name=provider, device=SimpleNamespace(type=getattr(kinds, kind)))


def _called_as(real: Any) -> Callable[..., Any]:
    """A decorator: as many arguments as a function of C++ says in its first line."""
    (line,) = re.findall(r'^\w+\((.*)\) ->', real.__doc__.splitlines()[0])
    count = len(re.findall(r'(?:self|arg\d+):', line))

    def decorate(own: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(own)
        def call(*arguments: Any) -> object:
            assert len(arguments) == count, f'{real.__name__} takes {line}'
            return own(*arguments)

        return call

    return decorate
