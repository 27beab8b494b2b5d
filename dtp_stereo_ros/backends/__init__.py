"""The table of backends, and the choice among them.

A new backend is one file here and one row in `TABLE`; its module is imported only when it is
asked for, so that one runtime never drags in another.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import cast

from .. import models
from ..config import PipelineConfig
from ..errors import BackendError, ModelError, StereoError
from ..machine import our_command
from ..models import ModelSpec
from ..user_errors import failed_import
from .base import Backend

__all__ = ['AUTO_ORDER', 'TABLE', 'Backend', 'ModelSpec', 'choose', 'create']

# name -> (module:Class, package that pip installs, ending of the models it reads)
TABLE: dict[str, tuple[str, str, str]] = {
    'openvino': ('openvino:OpenVinoBackend', 'openvino', '.onnx'),
    'onnx': ('onnxruntime:OnnxRuntimeBackend', 'onnxruntime', '.onnx'),
    'torch': ('torch:TorchBackend', 'torch', '.pt'),
    'tensorrt': ('tensorrt:TensorRtBackend', 'tensorrt-cu12', '.onnx'),
    'sgbm': ('sgbm:SgbmBackend', 'opencv-python-headless', ''),
}

# Fastest on a CPU first. SGBM is no model: it is never taken in place of one. TensorRT builds
# engines for minutes, and has not been run on a GPU by us: it is taken where it is asked for.
AUTO_ORDER = ('openvino', 'onnx', 'torch')

# Left to themselves ONNX Runtime and OpenVINO report their use to their makers, and keep
# identifiers in the user's home. Here they do not, unless ORT_DISABLE_TELEMETRY is set to 0.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]

_log = logging.getLogger(__name__)


def create(config: PipelineConfig) -> Backend:
    """Build the backend that a config asks for; see `choose`."""
    return choose(config)[0]


def choose(config: PipelineConfig) -> tuple[Backend, str]:
    """Build a backend and say in one line which, and why others were passed over.

    Raises:
        ModelError: the model is missing, unreadable or of another kind.
        BackendError: the backend is unknown or cannot start; with 'auto', none can: all reasons.
    """
    if config.backend != 'auto':
        backend = _build(config.backend, config)
        return backend, f'{config.backend} as asked: {_describe(backend)}'
    found = models.resolve(config.model, ('.onnx', '.pt'))
    passed_over: dict[str, StereoError] = {}
    for name in AUTO_ORDER:
        ending = TABLE[name][2]
        if models.is_path(config.model) and found.suffix != ending:
            continue
        try:
            backend = _build(name, config)
        except (BackendError, ModelError) as error:
            passed_over[name] = error
            continue
        reason = f'auto chose {name}: {_describe(backend)}'
        if passed_over:
            reason += '; passed over ' + _list(passed_over)
        _log.info(reason)
        return backend, reason
    if all(isinstance(error, ModelError) for error in passed_over.values()):
        raise next(iter(passed_over.values()))
    raise BackendError(f'no backend can run model {config.model!r}: {_list(passed_over)}')


def _build(name: str, config: PipelineConfig) -> Backend:
    if name not in TABLE:
        raise BackendError(f'unknown backend {name!r}; choose auto or one of {", ".join(TABLE)}')
    target, package, _ = TABLE[name]
    module_name, class_name = target.split(':')
    try:
        module = importlib.import_module(f'.{module_name}', __name__)
        return cast(Backend, getattr(module, class_name)(config))
    except StereoError:
        raise
    except Exception as error:
        # An import that fails inside this project is a bug, not a missing package.
        failed = failed_import(error)
        if failed is None:
            raise
        # Of those two, pip might replace the NumPy that OpenCV was compiled for.
        safe = name in ('openvino', 'onnx')
        mend = f'{our_command()} setup-backend {name}' if safe else f'pip install {package}'
        raise BackendError(f'backend {name}: {failed[1]}; install it with: {mend}') from error


def _describe(backend: Backend) -> str:
    spec = backend.spec
    return f'{spec.name} in {spec.precision} on {backend.device}'


def _list(reasons: dict[str, StereoError]) -> str:
    return '; '.join(f'{name} ({reason})' for name, reason in reasons.items())
