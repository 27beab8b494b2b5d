"""Multiplications of a model, and the bytes that its tensors move, from its graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino as ov

# Executed nodes that move nothing; a reshape is a view.
_FREE = ('Input', 'Output', 'Reshape')


@dataclass(frozen=True)
class GraphCost:
    """Cost of one pair.

    Attributes:
        gmac: 10^9 multiplications with their additions, of convolutions and matrix products.
        moved_mb: 10^6 bytes that the executed graph reads and writes: after OpenVINO has merged
            nodes, all inputs (weights too) and outputs of each node that is left.
    """

    gmac: float
    moved_mb: float


def graph_cost(path: Path, width_px: int, height_px: int, precision: str) -> GraphCost:
    """Cost of a model at one size of images.

    Args:
        path: .onnx file with two inputs (1, 3, H, W).
        width_px: of the images.
        height_px: of the images.
        precision: 'fp32' or 'bf16', in which it is executed.
    """
    core = ov.Core()
    model = core.read_model(path)
    model.reshape({port.get_any_name(): [1, 3, height_px, width_px] for port in model.inputs})
    gmac = sum(_multiplications(node) for node in model.get_ordered_ops()) / 1e9
    hint = {'fp32': 'f32'}.get(precision, precision)
    compiled = core.compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': hint})
    executed = compiled.get_runtime_model().get_ordered_ops()
    return GraphCost(gmac, _moved_bytes(executed) / 1e6)


def _multiplications(node: Any) -> float:
    """Of one node; 0 where it is neither a convolution nor a matrix product."""
    kind = node.get_type_name()
    if kind not in _CONVOLUTIONS and kind != 'MatMul':
        return 0.0
    source, weights = (list(node.input(index).get_shape()) for index in (0, 1))
    result = math.prod(node.output(0).get_shape())
    if kind == 'MatMul':
        inner = source[-2] if node.get_attributes()['transpose_a'] else source[-1]
        return float(result * inner)
    places, first = _CONVOLUTIONS[kind]
    return float(
        (result if places == 'output' else math.prod(source)) * math.prod(weights[first:])
    )


# Whose places the kernel is applied at, and the first axis of the weights that is multiplied with
# each. Weights are (out, in, ...) or (groups, out, in, ...), transposed (in, out, ...) or
# (groups, in, out, ...).
_CONVOLUTIONS = {
    'Convolution': ('output', 1),
    'GroupConvolution': ('output', 2),
    'ConvolutionBackpropData': ('input', 1),
    'GroupConvolutionBackpropData': ('input', 2),
}


def _moved_bytes(executed: Sequence[Any]) -> int:
    """Of all nodes, in the order of their execution.

    What depends on constants alone was computed when the model was compiled: weights in another
    layout or precision. They are read by their users.
    """
    constant: set[str] = set()
    moved = 0
    for node in executed:
        kind = str(node.get_rt_info()['layerType'].astype(str))
        sources = [node.input_value(index) for index in range(node.get_input_size())]
        if kind == 'Const' or (
            sources and all(s.get_node().get_friendly_name() in constant for s in sources)
        ):
            constant.add(node.get_friendly_name())
        elif kind not in _FREE:
            moved += sum(map(_bytes, [*sources, *node.outputs()]))
    return moved


def _bytes(port: Any) -> int:
    return int(math.prod(port.get_shape())) * int(port.get_element_type().size)
