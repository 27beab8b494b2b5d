"""The runtimes neither report to their makers nor write into the user's home."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
_PROGRAM = """
import os, sys
import numpy as np
from dtp_stereo_ros import backends
from dtp_stereo_ros.config import PipelineConfig
backend = backends.create(PipelineConfig(backend=sys.argv[1], model=sys.argv[2]))
image = np.full((1, 3, 32, 32), 40, np.float32)
print(backend.infer(image, image)[0][0, 0], 'openvino_telemetry.main' in sys.modules)
"""


@pytest.mark.parametrize(('name', 'package'), [('onnx', 'onnxruntime'), ('openvino', 'openvino')])
def test_nothing_is_reported(
    name: str, package: str, make_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip(package)
    model, home = make_onnx(), tmp_path / 'home'
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(('XDG_', 'ORT_'))}
    # In CI both are silent by themselves.
    for variable in ('CI', 'TF_BUILD', 'JENKINS_URL'):
        kept.pop(variable, None)
    done = subprocess.run(
        [sys.executable, '-c', _PROGRAM, name, str(model)],
        env={**kept, 'HOME': str(home), 'PYTHONPATH': str(_REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == '10.0 False', done.stderr
    assert list(home.rglob('*')) == []
