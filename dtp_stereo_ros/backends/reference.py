"""ONNX Runtime on the CPU: describes a model, and is what an engine is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import BackendError, ModelError, one_line
from .ports import AnyArray, Port

# Names of ONNX Runtime for types that NumPy calls otherwise.
_TYPES = {'float': 'float32', 'double': 'float64'}


class Reference:
    """A model in the precision of its file.

    Attributes:
        ports: its inputs.
        names: of the outputs that are arrays of numbers.

    Raises:
        BackendError: ONNX Runtime is missing.
        ModelError: ONNX Runtime cannot load the model.
    """

    def __init__(self, path: Path, threads: int) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise BackendError(
                f'backend tensorrt compares its engines with ONNX Runtime ({one_line(error)}); '
                'install it with: pip install onnxruntime'
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # an error is raised, and told once
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider']
            )
        except Exception as error:  # the runtime's errors share no narrower base
            raise ModelError(f'{path}: ONNX Runtime cannot load it: {one_line(error)}') from error
        self._path = path
        self.ports = [port_of(value) for value in self._session.get_inputs()]
        self.names = [v.name for v in self._session.get_outputs() if is_numbers(v.type)]

    def run(self, names: list[str], feed: dict[str, AnyArray]) -> list[AnyArray]:
        """The outputs of these names."""
        try:
            return list(self._session.run(names, feed))
        except Exception as error:  # the runtime's errors share no narrower base
            raise BackendError(
                f'{self._path}: ONNX Runtime on the CPU failed: {one_line(error)}'
            ) from error


def port_of(value: Any) -> Port:
    """An input as ONNX Runtime describes it, 'tensor(float)'; free dimensions are names."""
    kind = value.type.removeprefix('tensor(').removesuffix(')')
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Port(value.name, _TYPES.get(kind, kind), shape)


def is_numbers(kind: str) -> bool:
    """Whether an output is an array that NumPy has numbers for; no sequence, map or text."""
    return kind.startswith('tensor(') and kind[7:-1] not in ('bfloat16', 'bool', 'string')
