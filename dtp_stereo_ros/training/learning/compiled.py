"""`torch.compile`, held against the network as it is before anything is learned with it.

PyTorch 2.13 compiles some backward passes on a CPU to wrong ones without a word: the loss stays
right, half of the layers get a gradient that has nothing to do with theirs, and a run only seems
to learn.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Of a layer's gradient, as a share of it. Rounding to bfloat16 alone makes 0.2 in most layers.
_OFF = 0.7
# Share of layers; where a gradient is 0 but for rounding, it is always off.
_MOST_OFF = 0.1


def compiled(
    network: nn.Module, gradients: Callable[[nn.Module], list[Tensor]]
) -> tuple[nn.Module, float]:
    """The compiled network, or the network itself where the compiled one would learn other things.

    Args:
        network: to compile; one graph for each size of image, as those are few.
        gradients: those of all layers for the same pairs, computed with the network it is given.

    Returns:
        what to train, and the share of layers whose gradient is off.
    """
    candidate: nn.Module = torch.compile(network, dynamic=False)  # type: ignore[assignment]
    pairs = zip(gradients(network), gradients(candidate), strict=True)
    off = [float((b - a).norm() / a.norm().clamp(min=1e-12)) > _OFF for a, b in pairs]
    share = sum(off) / len(off)
    return (network if share > _MOST_OFF else candidate), share
