"""The backend torch on a GPU, by a stand-in that computes on the CPU; see there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from torch_standin import State, standin  # noqa: E402  # needs torch

from dtp_stereo_ros import models  # noqa: E402
from dtp_stereo_ros.backends import create  # noqa: E402
from dtp_stereo_ros.backends import torch as backend_module  # noqa: E402
from dtp_stereo_ros.config import PipelineConfig  # noqa: E402
from dtp_stereo_ros.errors import BackendError  # noqa: E402
from dtp_stereo_ros.network import checkpoint, family  # noqa: E402
from dtp_stereo_ros.parity import Parity  # noqa: E402
from dtp_stereo_ros.preprocess import planes  # noqa: E402
from dtp_stereo_ros.stereo import UInt8Array  # noqa: E402

Start = Callable[..., Any]
Pair = tuple[UInt8Array, UInt8Array]

# The first frames of a size run kernel by kernel, the next one is captured and launched.
_BEFORE = 3
_SMALL = {
    'member': 'light', 'stem': 8, 'quarter': 8, 'eighth': 8, 'sixteenth': 8, 'thirtysecond': 8,
    'head_channels': 8, 'volume': 8, 'depths': (1, 1, 1, 1), 'detail': 4, 'refine': 8,
    'max_disparity_px': 64,
}  # fmt: skip


@pytest.fixture(scope='module')
def checkpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('model') / 'random.pt'
    checkpoint.save(path, family.build(_SMALL), {})
    return path


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> State:
    """A machine with a GPU."""
    state = State()
    load = checkpoint.load

    def loaded(path: Path) -> Any:
        network = load(path)
        network.to = lambda device: network if device.type == 'cuda' else None
        return network

    monkeypatch.setattr(checkpoint, 'load', loaded)
    monkeypatch.setattr(backend_module, 'torch', standin(state))
    return state


@pytest.fixture
def start(checkpoint_file: Path, state: State) -> Iterator[Start]:
    backends = []

    def make(**settings: Any) -> Any:
        config = PipelineConfig(backend='torch', model=str(checkpoint_file), threads=1, **settings)
        backends.append(create(config))
        return backends[-1]

    yield make
    for backend in backends:
        backend.close()
    assert not state.graphs


def pair(size: tuple[int, int], seed: int = 0) -> Pair:
    left, right = np.random.default_rng(seed).integers(0, 256, (2, *size, 3), np.uint8)
    return left, right


def expected(path: Path, images: Pair) -> Any:
    """The network's outputs in fp32."""
    network = checkpoint.load(path)
    with torch.inference_mode():
        views = (torch.from_numpy(planes(image)) for image in images)
        return [o[0, 0].numpy() for o in network(*views)]


def check(backend: Any, path: Path, images: Pair) -> None:
    for found, right in zip(backend.infer(*images), expected(path, images), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)


def test_each_frame_is_that_of_its_images(
    start: Start, state: State, checkpoint_file: Path
) -> None:
    backend = start()
    assert (backend.device, backend.spec.precision) == ('cuda:0', 'fp32')
    for seed in range(_BEFORE + 4):
        check(backend, checkpoint_file, pair((64, 96), seed))
        assert state.launched == max(0, seed + 1 - _BEFORE)
    assert state.captured == 1


def test_planes_have_buffers_of_their_own(
    start: Start, state: State, checkpoint_file: Path
) -> None:
    """The size of the images is the same."""
    backend = start()
    for seed in range(_BEFORE + 2):
        images = pair((64, 96), seed)
        found = backend.infer(*images)
        of_planes = backend.infer(*map(planes, images))
        for one, other in zip(found, of_planes, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert state.captured == 2


def test_a_result_outlives_the_next_frame(
    start: Start, state: State, checkpoint_file: Path
) -> None:
    backend = start()
    images = pair((64, 96))
    for _ in range(_BEFORE + 1):
        disparity, confidence = backend.infer(*images)
    kept = disparity.copy(), confidence.copy()
    backend.infer(*pair((64, 96), 1))
    np.testing.assert_array_equal(disparity, kept[0])
    np.testing.assert_array_equal(confidence, kept[1])


def test_graphs_of_few_sizes_are_kept(start: Start, state: State, checkpoint_file: Path) -> None:
    backend = start()
    sizes = [(64, 64 + 32 * i) for i in range(5)]
    for size in sizes[:4]:
        for seed in range(_BEFORE + 1):
            check(backend, checkpoint_file, pair(size, seed))
    assert (state.captured, len(state.graphs)) == (4, 4)
    # In any order; the first one is used again and is no longer the oldest.
    for size in (sizes[2], sizes[0], sizes[3]):
        check(backend, checkpoint_file, pair(size, 7))
    for seed in range(_BEFORE + 1):
        check(backend, checkpoint_file, pair(sizes[4], seed))
    assert (state.captured, len(state.graphs)) == (5, 4)
    launched = state.launched
    check(backend, checkpoint_file, pair(sizes[0], 8))
    assert state.launched == launched + 1
    # The one that was dropped begins anew.
    check(backend, checkpoint_file, pair(sizes[1], 9))
    assert (state.launched, len(state.graphs)) == (launched + 1, 3)


@pytest.mark.parametrize(
    ('failing', 'reason'),
    [
        ({'capture_fails': 'CUDA error: operation not\n permitted'}, 'operation not permitted'),
        ({'capture_fills_memory': True}, 'out of memory'),
    ],
)
def test_a_size_that_cannot_be_captured_runs_without(
    start: Start,
    state: State,
    checkpoint_file: Path,
    failing: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = start()
    for name, value in failing.items():
        setattr(state, name, value)
    for seed in range(_BEFORE + 3):
        check(backend, checkpoint_file, pair((64, 96), seed))
    assert (state.captured, state.launched) == (0, 0)
    (message,) = caplog.messages  # once
    assert 'no CUDA graph for 96x64' in message and reason in message and '\n' not in message
    # Another size is tried for itself.
    state.capture_fails, state.capture_fills_memory = '', False
    for seed in range(_BEFORE + 1):
        check(backend, checkpoint_file, pair((64, 64), seed))
    assert (state.captured, state.launched) == (1, 1)


def test_a_network_that_waits_for_its_numbers_runs_without(
    start: Start, state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend = start()
    network = backend._model
    forward = network.forward

    def waits(left: Any, right: Any) -> Any:
        return forward(left, right) if left.sum().item() else None

    monkeypatch.setattr(network, 'forward', waits)
    for seed in range(_BEFORE + 1):
        assert np.isfinite(backend.infer(*pair((64, 96), seed))[0]).all()
    assert state.captured == 0
    assert 'not permitted when stream is capturing' in caplog.text


def test_full_memory_and_a_failing_device_are_said(start: Start, state: State) -> None:
    backend = start()
    state.run_fills_memory = True
    with pytest.raises(BackendError, match=r'cuda:0 ran out of memory; lower input_scale'):
        backend.infer(*pair((64, 96)))
    state.run_fills_memory, state.run_fails = False, 'CUDA error: an illegal\naccess'
    with pytest.raises(BackendError, match=r'torch on cuda:0 failed: CUDA error: an illegal acc'):
        backend.infer(*pair((64, 96)))


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'fp16'])
def test_precision_that_is_said_is_that_of_the_convolutions(
    start: Start, state: State, checkpoint_file: Path, precision: str
) -> None:
    backend = start(precision=precision)
    assert backend.spec.precision == precision
    wanted = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}[precision]
    seen = set()
    for module in backend._model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, i, o: seen.add((m.weight.dtype, o.dtype)))
    images = pair((64, 96))
    found = [backend.infer(*images)[0] for _ in range(_BEFORE + 1)]
    assert seen == {(wanted, wanted)}
    assert state.tf32 == {False}  # no TF32 under the name of fp32
    np.testing.assert_array_equal(found[0], found[-1])  # the graph, and kernel by kernel
    difference = np.abs(found[0] - expected(checkpoint_file, images)[0])
    assert np.median(difference) < {'fp32': 1e-4, 'bf16': 0.5, 'fp16': 0.1}[precision]


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_disparity_is_read_and_enlarged_in_fp32(
    start: Start, state: State, precision: str
) -> None:
    """Autocast does not undo it: its parts get and give float32, and finer steps than its own."""
    from dtp_stereo_ros.network import light

    backend = start(precision=precision)
    seen = []

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            result = function(*arguments)
            for value in (*arguments, *(result if isinstance(result, tuple) else (result,))):
                if isinstance(value, torch.Tensor):
                    seen.append(value.dtype)
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ('highest_peak', 'surface_upsample'):
            patch.setattr(light, name, watched(getattr(light, name)))
        disparity, _ = backend.infer(*pair((64, 96)))
    assert len(seen) == 8 and set(seen) == {torch.float32}
    reduced = {'bf16': torch.bfloat16, 'fp16': torch.float16}[precision]
    values = torch.from_numpy(disparity)
    assert (values.to(reduced).float() != values).float().mean() > 0.5


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_the_shipped_model_is_near_fp32_on_a_real_pair(state: State, precision: str) -> None:
    data = pytest.importorskip('skimage.data', reason='brings the real pair')
    left, right = (
        np.ascontiguousarray(image[:480, :736]) for image in data.stereo_motorcycle()[:2]
    )
    backend = create(PipelineConfig(backend='torch', precision=precision, threads=1))
    found = backend.infer(left, right)
    backend.close()
    parity = Parity.of(found, expected(models.resolve('dtpnet', ('.pt',)), (left, right)))
    assert parity.fits(precision), parity.text()


def test_bf16_needs_a_gpu_that_has_it(start: Start, state: State) -> None:
    state.capability = (7, 5)
    with pytest.raises(BackendError, match='Stand-in GPU has no bf16; set precision to auto or'):
        start(precision='bf16')
    assert start(precision='fp16').spec.precision == 'fp16'
