"""The table of backends, and the choice among them."""

from __future__ import annotations

import os
import sys

from ..models import ModelSpec
from .base import Backend
from .choice import AUTO_ORDER, Choice, choose, create, decide
from .table import TABLE

__all__ = [
    'AUTO_ORDER',
    'TABLE',
    'Backend',
    'Choice',
    'ModelSpec',
    'choose',
    'create',
    'decide',
]

# Left to themselves ONNX Runtime and OpenVINO report their use to their makers, and keep
# identifiers in the user's home. Here they do not, unless ORT_DISABLE_TELEMETRY is set to 0.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]
