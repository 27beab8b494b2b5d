"""Memory of a method in a process of its own."""

from __future__ import annotations

import os

import pytest

from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError, ModelError
from dtp_stereo_ros.evaluation.methods import MethodSettings
from dtp_stereo_ros.evaluation.peak_memory import peak_memory

SGBM = MethodSettings('sgbm', PipelineConfig(backend='sgbm', sgbm_mode=1))


class Dying(MethodSettings):
    """A method that takes its process down."""

    def open(self, threads: int) -> None:  # type: ignore[override]
        os._exit(9)


def test_larger_images_take_more() -> None:
    small, large = (peak_memory(SGBM, *size) for size in ((64, 48), (640, 480)))
    # Costs of two bytes of 640x480 pixels and 192 disparities are 112 MiB.
    assert large.method_mib > small.method_mib + 100
    assert large.process_mib > large.method_mib
    assert large.gpu_mib is None


def test_errors_of_the_method_come_back() -> None:
    pytest.importorskip('onnxruntime')
    missing = MethodSettings('x', PipelineConfig(backend='onnx', model='none.onnx'))
    with pytest.raises(ModelError, match='no such model file'):
        peak_memory(missing, 64, 48)


def test_a_process_that_dies_is_named() -> None:
    with pytest.raises(BackendError, match=r'x at 64x48: the process .* died'):
        peak_memory(Dying('x', None), 64, 48)
