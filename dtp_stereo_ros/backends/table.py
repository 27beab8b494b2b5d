"""The table of backends.

A new backend is one file beside this one and one row in `TABLE`; its module is imported only when
it is asked for, so that one runtime never drags in another.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..config import PipelineConfig
from ..errors import BackendError, StereoError
from ..machine import setup_command
from ..user_errors import failed_import
from .base import Backend

# name -> (module:Class, package that pip installs, ending of the models it reads)
TABLE: dict[str, tuple[str, str, str]] = {
    'openvino': ('openvino:OpenVinoBackend', 'openvino', '.onnx'),
    'onnx': ('onnxruntime:OnnxRuntimeBackend', 'onnxruntime', '.onnx'),
    'torch': ('torch:TorchBackend', 'torch', '.pt'),
    'tensorrt': ('tensorrt:TensorRtBackend', 'tensorrt-cu12', '.onnx'),
    'sgbm': ('sgbm:SgbmBackend', 'opencv-python-headless', ''),
}


_T = TypeVar('_T')


@dataclass(frozen=True)
class Candidate:
    """A way to run a model: a row of the table, and a part of its runtime where it has several.

    Attributes:
        backend: name of the row.
        provider: of ONNX Runtime; '' is the one that it takes by itself.
    """

    backend: str
    provider: str = ''

    @property
    def label(self) -> str:
        """Its name among others, as 'onnx' or 'onnx with Xnnpack'."""
        part = self.provider.removesuffix('ExecutionProvider')
        return f'{self.backend} with {part}' if part else self.backend

    def build(self, config: PipelineConfig) -> Backend:
        """The backend, started.

        Raises:
            ModelError: the model is missing, unreadable or of another kind.
            BackendError: the backend is unknown, not installed or cannot start.
        """
        given = {'provider': self.provider} if self.provider else {}
        return of_class(self.backend, lambda found: cast(Backend, found(config, **given)))


def of_class(name: str, use: Callable[[Any], _T]) -> _T:
    """The value of `use` for the class of a row; imports its runtime.

    Raises:
        StereoError: as `use` raises it.
        BackendError: the backend is unknown or its runtime is not installed, with the mend.
    """
    if name not in TABLE:
        raise BackendError(f'unknown backend {name!r}; choose auto or one of {", ".join(TABLE)}')
    target, package, _ = TABLE[name]
    module_name, class_name = target.split(':')
    try:
        module = importlib.import_module(f'{__package__}.{module_name}')
        return use(getattr(module, class_name))
    except StereoError:
        raise
    except Exception as error:
        # An import that fails inside this project is a bug, not a missing package.
        failed = failed_import(error)
        if failed is None:
            raise
        # Of those two, pip might replace the NumPy that OpenCV was compiled for.
        safe = name in ('openvino', 'onnx')
        mend = setup_command(name) if safe else f'pip install {package}'
        raise BackendError(f'backend {name}: {failed[1]}; install it with: {mend}') from error
