"""Inputs and outputs of an ONNX Runtime session in the memory of a GPU.

Given arrays, a session copies outputs to memory of its own and then to arrays, and asks for all
memory anew at each run. Bound to the GPU, inputs stay where they are and are copied once, and so
are the outputs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import onnxruntime as ort

from .ports import AnyArray

# Of the image sizes of a node with several cameras.
_KEPT = 4

_Key = tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]


class DeviceMemory:
    """Runs a session on arrays, by way of memory on its device.

    Args:
        session: in a provider of that device.
        device: as ONNX Runtime names it, 'cuda' or 'cpu'.
    """

    def __init__(self, session: Any, device: str = 'cuda') -> None:
        self._session = session
        self._device = device
        self._bound: OrderedDict[_Key, tuple[Any, dict[str, Any]]] = OrderedDict()

    def run(self, names: list[str], feed: dict[str, AnyArray]) -> list[AnyArray]:
        """The outputs of these names, in arrays of their own, for arrays by input."""
        binding, inputs = self._binding(names, feed)
        for name, value in inputs.items():
            value.update_inplace(np.ascontiguousarray(feed[name]))
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    def _binding(self, names: list[str], feed: dict[str, AnyArray]) -> tuple[Any, dict[str, Any]]:
        """Binding and inputs of these outputs and shapes, made at first use."""
        key = tuple(names), tuple(array.shape for array in feed.values())
        if key not in self._bound:
            binding = self._session.io_binding()
            inputs = {
                name: ort.OrtValue.ortvalue_from_shape_and_type(
                    array.shape, array.dtype.type, self._device, 0
                )
                for name, array in feed.items()
            }
            for name, value in inputs.items():
                binding.bind_ortvalue_input(name, value)
            for name in names:  # their shapes are not known yet
                binding.bind_output(name, self._device, 0)
            self._bound[key] = binding, inputs
            if len(self._bound) > _KEPT:
                self._bound.popitem(last=False)
        self._bound.move_to_end(key)
        return self._bound[key]
