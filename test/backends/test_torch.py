"""The PyTorch reference, and its agreement with the exported model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.backends import create
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError, ModelError
from dtp_stereo_ros.stereo import Float32Array

torch = pytest.importorskip('torch')

from dtp_stereo_ros.backends.torch import TorchBackend  # noqa: E402  # needs torch
from dtp_stereo_ros.network import checkpoint, family  # noqa: E402  # needs torch


@pytest.fixture
def checkpoint_file(tmp_path: Path) -> Path:
    """A network with random weights."""
    torch.manual_seed(0)
    path = tmp_path / 'random.pt'
    checkpoint.save(path, family.build({'member': 'light'}), {})
    return path


def _small(folder: Path) -> str:
    """File of a network that compiles in seconds, with random weights."""
    torch.manual_seed(0)
    sizes = {'stem': 8, 'quarter': 16, 'eighth': 16, 'sixteenth': 16, 'thirtysecond': 16}
    rest = {'max_disparity_px': 64, 'heads': 1, 'volume': 16, 'depths': (1, 1, 1, 1)}
    path = folder / 'small.pt'
    checkpoint.save(path, family.build({'member': 'light', **sizes, **rest}), {})
    return str(path)


def _images(height: int, width: int) -> tuple[Float32Array, Float32Array]:
    values = np.random.default_rng(0).integers(0, 256, (2, 1, 3, height, width))
    return values[0].astype(np.float32), values[1].astype(np.float32)


def test_threads_set_in_another_thread_count_where_it_runs(checkpoint_file: Path) -> None:
    """The node loads a backend beside the thread that has run the one before."""
    config = PipelineConfig(backend='torch', model=str(checkpoint_file))
    images = _images(64, 128)
    all_cores = torch.get_num_threads()

    def used(backend: TorchBackend) -> int:
        backend.infer(*images)
        return int(torch.get_num_threads())

    with ThreadPoolExecutor(1) as worker:
        for threads, expected in ((2, 2), (1, 1), (3, 3), (0, all_cores)):
            backend = create(replace(config, threads=threads))
            assert worker.submit(used, backend).result() == expected
    torch.set_num_threads(all_cores)


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


def test_a_compiled_network_answers_the_same(tmp_path: Path) -> None:
    if shutil.which('g++') is None:
        pytest.skip('has no C++ compiler')
    small = _small(tmp_path)
    pair = _images(32, 128)
    disparity, confidence = create(PipelineConfig(backend='torch', model=small)).infer(*pair)
    assert confidence is not None
    backend = create(PipelineConfig(backend='torch', model=small, torch_compile=True))
    for _ in range(2):
        found, sure = backend.infer(*pair)
        assert sure is not None
        np.testing.assert_allclose(found, disparity, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(sure, confidence, rtol=1e-3, atol=1e-3)


Compiled = Callable[[Any, Any, Any], Any]


@pytest.fixture
def compiled_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Compiled], TorchBackend]:
    """A backend whose network is compiled to a call of (network, left, right)."""

    def made(compiled: Compiled) -> TorchBackend:
        monkeypatch.setattr(
            torch, 'compile', lambda network, dynamic: lambda *pair: compiled(network, *pair)
        )
        return TorchBackend(
            PipelineConfig(backend='torch', model=_small(tmp_path), torch_compile=True)
        )

    return made


def test_it_is_said_while_a_size_is_compiled(
    compiled_as: Callable[[Compiled], TorchBackend],
) -> None:
    said: list[bool] = []

    def compiled(network: Any, left: Any, right: Any) -> Any:
        said.append(backend.compiling)
        return network(left, right)

    backend = compiled_as(compiled)
    for columns, expected in ((128, [True, False]), (128, [False]), (192, [True, False])):
        said.clear()
        backend.infer(*_images(64, columns))
        assert said == expected
    assert not backend.compiling


def test_the_mend_is_named_where_nothing_compiles(
    compiled_as: Callable[[Compiled], TorchBackend],
) -> None:
    def compiled(network: Any, left: Any, right: Any) -> Any:
        raise RuntimeError('No working C++ compiler\n\nSet TORCHDYNAMO_VERBOSE=1 for the stack')

    backend = compiled_as(compiled)
    message = r'cannot compile the network: No working C\+\+ compiler; set torch_compile to false$'
    with pytest.raises(BackendError, match=message):
        backend.infer(*_images(64, 128))
    assert not backend.compiling


def test_a_network_that_compiles_wrongly_is_run_as_it_is(
    compiled_as: Callable[[Compiled], TorchBackend],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def compiled(network: Any, left: Any, right: Any) -> Any:
        disparity, confidence = network(left, right)
        return disparity + 0.5, confidence

    backend, pair = compiled_as(compiled), _images(64, 128)
    plain = TorchBackend(PipelineConfig(backend='torch', model=_small(tmp_path)))
    for _ in range(2):
        np.testing.assert_array_equal(backend.infer(*pair)[0], plain.infer(*pair)[0])
    assert caplog.text.count('differs from the plain one (median 0.5') == 1


def test_fp16_needs_cuda(checkpoint_file: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip('has CUDA')
    with pytest.raises(BackendError, match='fp16 on CUDA only'):
        create(PipelineConfig(backend='torch', model=str(checkpoint_file), precision='fp16'))


def test_an_onnx_file_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'some.onnx: \.pt is read here'):
        create(PipelineConfig(backend='torch', model=str(tmp_path / 'some.onnx')))
