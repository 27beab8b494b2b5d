"""Roofline of one core: how near the networks come to what it can multiply and move.

One thread, and its CPU time: with several threads on a busy machine, the wait for a thread that
was interrupted is the longer part, and no clock leaves it out.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", Communications of the ACM 52 (4), 2009.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from openvino import opset13 as ops

from dtp_stereo_ros import backends, models
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.preprocess import fit
from dtp_stereo_ros.timing import in_turn

from .graph_cost import GraphCost, graph_cost

# A convolution that is limited by multiplications alone: 3x3, so many channels in and out.
_CHANNELS, _HEIGHT, _WIDTH = 128, 48, 64
_CONVOLUTION_GMAC = _CHANNELS * _CHANNELS * 9 * _HEIGHT * _WIDTH / 1e9
# Far more than the caches hold.
_COPIED_MB = 64
_WARM_UP = 3
# Runtimes and their precisions here.
_RUNTIMES = (('openvino', 'bf16'), ('openvino', 'fp32'), ('onnx', 'fp32'))


@dataclass(frozen=True)
class Bound:
    """A network under the roofline.

    Attributes:
        cost: of one pair.
        seconds: of one inference.
        peak_gmac_s: 10^9 multiplications per second of the processor, in the same runtime and
            precision.
        copied_mb_s: 10^6 bytes per second of the memory, read and written.
    """

    cost: GraphCost
    seconds: float
    peak_gmac_s: float
    copied_mb_s: float

    @property
    def share_of_peak(self) -> float:
        """Multiplications per second over those of the peak."""
        return self.cost.gmac / self.seconds / self.peak_gmac_s

    @property
    def least_s(self) -> float:
        """Time under the roofline: the longer one of multiplying and of moving all tensors."""
        return max(self.cost.gmac / self.peak_gmac_s, self.cost.moved_mb / self.copied_mb_s)

    @property
    def limit(self) -> str:
        """The longer one."""
        multiplying = self.cost.gmac / self.peak_gmac_s
        return 'multiplying' if multiplying >= self.least_s else 'memory'


def roofline(names: Sequence[str], size: tuple[int, int], rounds: int) -> str:
    """Measure and tell; all calls take turns.

    Args:
        names: of the models.
        size: width and height of the images, px.
        rounds: times that each is timed.
    """
    width_px, height_px = size
    rng = np.random.default_rng(0)
    sizes: dict[str, tuple[int, int]] = {}
    calls: dict[tuple[str, ...], Callable[[], object]] = {('copy',): _copy()}
    opened: list[backends.base.Backend] = []
    for runtime, precision in _RUNTIMES:
        for name in names:
            config = PipelineConfig(backend=runtime, model=name, precision=precision, threads=1)
            try:
                backend = backends.create(config)
            except BackendError as error:
                print(f'left out: {error}', flush=True)
                break
            opened.append(backend)
            # Images are padded to what the model takes.
            sizes[name] = fit(height_px, width_px, backend.spec, 1.0).padded_size
            pair = rng.uniform(0, 255, (2, 1, 3, *sizes[name])).astype(np.float32)
            calls[runtime, precision, name] = functools.partial(backend.infer, *pair)
        else:
            peak = _openvino_peak if runtime == 'openvino' else _onnx_peak
            calls[runtime, precision] = peak(precision)
    times = in_turn(list(calls.values()), rounds, _WARM_UP, time.process_time)
    taken_s = {key: float(np.median(taken)) for key, taken in zip(calls, times, strict=True)}
    for backend in opened:
        backend.close()
    copied_mb_s = 2 * _COPIED_MB / taken_s['copy',]
    rows = []
    for (runtime, precision, name), seconds in (
        (key, value) for key, value in taken_s.items() if len(key) == 3
    ):
        path = models.resolve(name, ('.onnx',))
        padded_height_px, padded_width_px = sizes[name]
        cost = graph_cost(path, padded_width_px, padded_height_px, precision)
        peak_gmac_s = _CONVOLUTION_GMAC / taken_s[runtime, precision]
        rows.append(row(runtime, precision, name, Bound(cost, seconds, peak_gmac_s, copied_mb_s)))
    headings = ['runtime', 'precision', 'model', 'GMAC', 'MB moved', 'CPU ms']
    headings += ['GMAC/s', 'peak GMAC/s', 'share of the peak', 'roofline ms', 'limited by']
    return (
        f'{table(headings, rows)}\n\n'
        'GMAC: of convolutions and of matrix products, as the correlation is; `prune` counts '
        'convolutions alone. '
        f'Pairs of {width_px}x{height_px}, padded to what the model takes, one thread. ms: CPU '
        'time of the process, so that other work of the machine is not in it; medians of '
        f'{rounds} times, all in turns. Peak: a 3x3 convolution of {_CHANNELS} to {_CHANNELS} '
        f'channels at {_WIDTH}x{_HEIGHT} ({_CONVOLUTION_GMAC:.2f} GMAC) in the same runtime and '
        f'precision. Memory: {copied_mb_s / 1000:.1f} GB/s, read and written, by '
        f'copying {_COPIED_MB} MB. MB moved: '
        'inputs, weights and outputs of each node that OpenVINO executes, after it has merged '
        'nodes; what the caches keep does not reach the memory, so a network may be faster than '
        'its roofline. ONNX Runtime merges other nodes; its bytes are those of OpenVINO in fp32.'
    )


def row(runtime: str, precision: str, name: str, bound: Bound) -> list[str]:
    """Cells of a network."""
    cost = bound.cost
    return [
        runtime,
        precision,
        name,
        f'{cost.gmac:.2f}',
        f'{cost.moved_mb:.0f}',
        f'{1e3 * bound.seconds:.1f}',
        f'{cost.gmac / bound.seconds:.0f}',
        f'{bound.peak_gmac_s:.0f}',
        f'{100 * bound.share_of_peak:.0f} %',
        f'{1e3 * bound.least_s:.1f}',
        bound.limit,
    ]


def _copy() -> Callable[[], object]:
    """A call that copies memory."""
    source = np.ones(_COPIED_MB * 1_000_000 // 8)
    return functools.partial(np.copyto, np.zeros_like(source), source)


def _tensors() -> tuple[np.ndarray, np.ndarray]:
    """Image and kernel of the convolution, float32."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, _CHANNELS, _HEIGHT, _WIDTH)).astype(np.float32)
    return image, rng.standard_normal((_CHANNELS, _CHANNELS, 3, 3)).astype(np.float32)


def _openvino_peak(precision: str) -> Callable[[], object]:
    image, kernel = _tensors()
    port = ops.parameter(image.shape, np.float32)
    convolved = ops.convolution(port, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
    hint = {'fp32': 'f32'}.get(precision, precision)
    properties = {'INFERENCE_PRECISION_HINT': hint, 'INFERENCE_NUM_THREADS': 1}
    model = ov.Model([convolved], [port], 'peak')
    request = ov.Core().compile_model(model, 'CPU', properties).create_infer_request()
    return lambda: request.infer([image])


def _onnx_peak(precision: str) -> Callable[[], object]:
    assert precision == 'fp32', 'ONNX Runtime has no convolution in another one on a CPU'
    image, kernel = _tensors()
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node('Conv', ['image', 'kernel'], ['out'], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node],
        'peak',
        [helper.make_tensor_value_info('image', kind, image.shape)],
        [helper.make_tensor_value_info('out', kind, image.shape)],
        [onnx.numpy_helper.from_array(kernel, 'kernel')],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', 13)])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, ['CPUExecutionProvider'])
    return lambda: session.run(None, {'image': image})
