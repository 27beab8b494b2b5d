"""The PyTorch reference, and its agreement with the exported model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.backends import create
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError, ModelError
from dtp_stereo_ros.stereo import Float32Array

torch = pytest.importorskip('torch')

from dtp_stereo_ros.network import checkpoint, family  # noqa: E402  # needs torch


@pytest.fixture
def checkpoint_file(tmp_path: Path) -> Path:
    """A network with random weights."""
    torch.manual_seed(0)
    path = tmp_path / 'random.pt'
    checkpoint.save(path, family.build({'member': 'light'}), {})
    return path


def _images(height: int, width: int) -> tuple[Float32Array, Float32Array]:
    values = np.random.default_rng(0).integers(0, 256, (2, 1, 3, height, width))
    return values[0].astype(np.float32), values[1].astype(np.float32)


def test_it_runs_what_the_checkpoint_holds(checkpoint_file: Path) -> None:
    backend = create(PipelineConfig(backend='torch', model=str(checkpoint_file)))
    network = checkpoint.load(checkpoint_file)
    spec = backend.spec
    assert spec.padding_multiple == network.padding_multiple
    assert spec.max_disparity_px == network.max_disparity_px
    assert (spec.name, spec.min_width_px) == (checkpoint_file.stem, network.min_width_px)
    assert (spec.precision, spec.sha256) == ('fp32', models.sha256(checkpoint_file))
    multiple = spec.padding_multiple
    for rows, columns in ((2, 6), (3, 5)):
        left, right = _images(rows * multiple, columns * multiple)
        disparity, confidence = backend.infer(left, right)
        with torch.inference_mode():
            expected, sure = network(torch.from_numpy(left), torch.from_numpy(right))
        np.testing.assert_allclose(disparity, expected[0, 0].numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(confidence, sure[0, 0].numpy(), rtol=1e-4, atol=1e-4)
        assert disparity.shape == left.shape[2:]


def test_bf16_is_near_fp32_and_is_said(checkpoint_file: Path) -> None:
    left, right = _images(64, 192)
    found = {}
    for precision in ('fp32', 'bf16'):
        backend = create(
            PipelineConfig(backend='torch', model=str(checkpoint_file), precision=precision)
        )
        assert backend.spec.precision == precision
        found[precision], _ = backend.infer(left, right)
        assert found[precision].dtype == np.float32
    difference = np.abs(found['fp32'] - found['bf16'])
    assert 0 < np.median(difference) < 2


def test_fp16_needs_cuda(checkpoint_file: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip('has CUDA')
    with pytest.raises(BackendError, match='fp16 on CUDA only'):
        create(PipelineConfig(backend='torch', model=str(checkpoint_file), precision='fp16'))


def test_an_onnx_file_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'some.onnx: \.pt is read here'):
        create(PipelineConfig(backend='torch', model=str(tmp_path / 'some.onnx')))
