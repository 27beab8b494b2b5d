"""The int8 form of an exported model, where its disparities bear it.

The file stays one that any runtime of ONNX reads: 8-bit weights and tensors are marked by
QuantizeLinear and DequantizeLinear around a convolution. What they cost is measured, as they cost
much in few places: each part of the network is given int8 convolutions alone, and the parts whose
disparities change least are given them together. Weights have 7 bits of the 8, so that processors
without 8-bit dot products (AVX2 without VNNI) cannot overflow (ONNX Runtime, "Quantize ONNX
Models", reduce_range).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.stereo import Float32Array

from .data.sources import drawn
from .learning.device import accelerator_for
from .settings import Computing, GeneratorConfig

# Left and right image of a pair, float32 (1, 3, H, W), RGB 0-255.
ImagePair = tuple[Float32Array, Float32Array]

# A part stays in fp32 where int8 in it alone changes the disparities by more: median
# over pixels, as a pixel of two equally likely disparities may go either way.
_BEARABLE_PX = 0.03
# Pairs, from the end of those given, that changes are measured on; the others set the ranges.
_MEASURED_SHARE = 0.25


@dataclass(frozen=True)
class Part:
    """A part of a network, by the module that its convolutions belong to.

    Attributes:
        name: of the module, as 'features.eighth'.
        layers: names of its dense convolutions in the graph.
        change_px: median change of the disparity with these in int8.
    """

    name: str
    layers: tuple[str, ...]
    change_px: float

    @property
    def bears(self) -> bool:
        """Whether its convolutions are given int8."""
        return self.change_px <= _BEARABLE_PX


@dataclass(frozen=True)
class Quantized:
    """The int8 form.

    Attributes:
        model: the .onnx file.
        parts: all of them, in the order of the graph.
        change_px: median change of the disparity.
    """

    model: bytes
    parts: tuple[Part, ...]
    change_px: float

    @property
    def layers(self) -> int:
        """Number of convolutions in int8."""
        return sum(len(part.layers) for part in self.parts if part.bears)

    def text(self) -> str:
        """Description for cards: the convolutions in int8, their effect, and the parts in fp32."""
        kept = ', '.join(f'{p.name} ({p.change_px:.2f} px)' for p in self.parts if not p.bears)
        return (
            f'{self.layers} convolutions in int8, weights of 7 bits, which change the disparity '
            f'by {self.change_px:.3f} px (median); in fp32 as int8 in them changes it by more '
            f'than {_BEARABLE_PX:g} px: {kept or "none"}'
        )


def pairs_of(
    specs: tuple[str, ...], config: GeneratorConfig, count: int, cache: Path
) -> list[ImagePair]:
    """Pairs as a training on some sources begins with.

    Args:
        specs, config, cache: as of `sources.drawn`, of batches of one pair.
        count: of pairs.
    """
    accelerator = accelerator_for(Computing(device='cpu'))
    return [
        (batch['clean_left'].float().numpy(), batch['clean_right'].float().numpy())
        for batch in drawn(specs, config, count, cache, accelerator)
    ]


def quantize(path: Path, pairs: Sequence[ImagePair]) -> Quantized:
    """The int8 form of an .onnx model of two images.

    Args:
        path: of the model, in fp32.
        pairs: at least four, as the camera sees them; all of one size.

    Raises:
        ModelError: there are too few pairs, or no part bears int8.
    """
    import onnx

    if len(pairs) < 4:
        raise ModelError(f'{path.name}: int8 needs four pairs or more, there are {len(pairs)}')
    measured = round(len(pairs) * _MEASURED_SHARE)
    ranging, judging = pairs[:-measured], pairs[-measured:]
    expected = _disparities(path.read_bytes(), judging)
    found = []
    for name, layers_of in _parts(onnx.load(path).graph):
        model = _with_int8(path, layers_of, ranging)
        found.append(Part(name, layers_of, _change_px(model, judging, expected)))
    layers = [layer for part in found if part.bears for layer in part.layers]
    if not layers:
        raise ModelError(f'{path.name}: no part of it bears int8; use the fp32 model')
    model = _with_int8(path, layers, ranging)
    return Quantized(model, tuple(found), _change_px(model, judging, expected))


def _parts(graph: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and layers of each `Part`.

    Depthwise convolutions are no layers of it: int8 saves next to nothing in them.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found: dict[str, list[str]] = {}
    for node in graph.node:
        shape = shapes.get(node.input[1], ()) if node.op_type == 'Conv' else ()
        if len(shape) == 4 and shape[1] > 1:
            # '/features/eighth/eighth.0/Conv' is of features.eighth.
            modules = node.name.strip('/').split('/')[:-1]
            found.setdefault('.'.join(modules[:2]), []).append(node.name)
    for name, layers in found.items():
        yield name or 'top', tuple(layers)


def _with_int8(path: Path, layers: Sequence[str], pairs: Sequence[ImagePair]) -> bytes:
    """The model with these convolutions in int8; the ranges of tensors are those on the pairs."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(pairs)

        def get_next(self) -> dict[str, Float32Array] | None:
            pair = next(self._left, None)
            return None if pair is None else {'left': pair[0], 'right': pair[1]}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder, 'int8.onnx')
        quantization.quantize_static(
            path,
            target,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=['Conv'],
            nodes_to_quantize=list(layers),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return target.read_bytes()


def _disparities(model: bytes, pairs: Sequence[ImagePair]) -> list[Float32Array]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    return [session.run(['disparity'], {'left': left, 'right': right})[0] for left, right in pairs]


def _change_px(
    model: bytes, pairs: Sequence[ImagePair], expected: Sequence[Float32Array]
) -> float:
    found = _disparities(model, pairs)
    differences = [np.abs(a - b).ravel() for a, b in zip(found, expected, strict=True)]
    return float(np.median(np.concatenate(differences)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence of the advice to optimise the graph first, which its runtime does."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
