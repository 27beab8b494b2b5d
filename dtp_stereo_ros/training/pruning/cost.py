"""Multiplications of a network's convolutions, and how long it takes in each backend."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dtp_stereo_ros import backends
from dtp_stereo_ros.backends.base import Backend
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.network.widths import CONVOLUTIONS
from dtp_stereo_ros.timing import in_turn

# The size that costs are told for, and the part of it that they are traced at: such a size, made
# larger where the network asks for that.
_WIDTH_PX, _HEIGHT_PX = 640, 480
_SHRINK = 5
_WARM_UP = 2


@dataclass(frozen=True)
class ConvolutionCost:
    """Number of times that the kernel of each convolution is applied to one 640x480 pair.

    Pruning changes no picture size, so that one trace serves all widths. The correlation is no
    convolution and is not counted: it costs the same before and after.

    Attributes:
        places: positions (of the output, or of the input where transposed) by layer name.
    """

    places: dict[str, float]

    @classmethod
    def of(cls, network: Network) -> ConvolutionCost:
        """Trace a network."""
        places: dict[str, float] = {}
        handles = []
        for name, module in network.named_modules():
            if not isinstance(module, CONVOLUTIONS):
                continue

            def count(
                layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name
            ) -> None:
                transposed = isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d))
                shape = inputs[0].shape if transposed else output.shape
                places[name] = places.get(name, 0.0) + shape[0] * float(np.prod(shape[2:]))

            handles.append(module.register_forward_hook(count))
        multiple = network.padding_multiple
        height, width = (
            multiple * math.ceil(side / _SHRINK / multiple) for side in (_HEIGHT_PX, _WIDTH_PX)
        )
        pair = torch.zeros(2, 1, 3, height, width)
        try:
            with torch.no_grad():
                network.predict(*pair)
        finally:
            for handle in handles:
                handle.remove()
        larger = _HEIGHT_PX * _WIDTH_PX / (height * width)
        return cls({name: count * larger for name, count in places.items()})

    def multiplications(self, network: nn.Module, multiple: int = 1) -> float:
        """Multiplications of all convolutions, for one 640x480 pair.

        Args:
            network: of the layers that were traced.
            multiple: widths are counted as the next multiple of this. A processor with vectors of
                16 numbers computes 56 channels in the time of 64.
        """
        layers = dict(network.named_modules())
        return sum(
            count * _kernel_multiplications(layers[name], multiple)
            for name, count in self.places.items()
        )


def _kernel_multiplications(layer: Any, multiple: int) -> float:
    per_output = layer.in_channels / layer.groups
    # Colours and the channels of a group are not padded.
    if per_output >= multiple:
        per_output = _rounded_up(per_output, multiple)
    return float(
        per_output * _rounded_up(layer.out_channels, multiple) * np.prod(layer.kernel_size)
    )


def _rounded_up(channels: float, multiple: int) -> int:
    return math.ceil(channels / multiple) * multiple


def latencies_ms(
    models: dict[str, dict[str, Path]],
    size: tuple[int, int],
    runs: int,
    threads: int,
) -> dict[str, dict[str, float]]:
    """Median inference time of models in backends; all take turns, so that a load hits all alike.

    Args:
        models: name to {backend: file}.
        size: (height, width) px of the images, padded to what each model takes.
        runs: timed inferences of each.
        threads: CPU threads; 0 for all.

    Returns:
        name to {backend: ms}; backends that do not work here are left out.
    """
    entrants: dict[tuple[str, str], Backend] = {}
    for name, files in models.items():
        for backend, path in files.items():
            config = PipelineConfig(backend=backend, model=str(path), threads=threads)
            try:
                entrants[name, backend] = backends.create(config)
            except BackendError:
                continue
    calls = []
    for entrant in entrants.values():
        multiple = entrant.spec.padding_multiple
        height, width = (-(-side // multiple) * multiple for side in size)
        image = np.random.default_rng(0).uniform(0, 255, (1, 3, height, width)).astype(np.float32)
        calls.append(functools.partial(entrant.infer, image, np.roll(image, -8, axis=3)))
    times = dict(zip(entrants, in_turn(calls, runs, _WARM_UP), strict=True))
    for entrant in entrants.values():
        entrant.close()
    return {
        name: {
            backend: round(1e3 * _median(times[name, backend]), 2)
            for backend in files
            if (name, backend) in entrants
        }
        for name, files in models.items()
    }


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
