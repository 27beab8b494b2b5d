"""Networks as the dependency graph of pruning can follow them.

The graph follows autograd from output to input and understands convolutions, sums and
concatenations. Correlation, peaks, pixel shuffling and splits of the batch mean nothing to it.
Each prunable network has a traced variant beside its `predict`, made of the same calls with those
parts left out; where their result enters a layer, a stand-in of the same width does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Traced(nn.Module):
    """A network for tracing; call it with an image (1, 3, H, W).

    Attributes:
        network: shares its layers; cutting the traced network cuts the network.
        fixed: layers whose output channels are never cut, because their index has a meaning.
    """

    fixed: list[nn.Module]

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def example(self) -> Tensor:
        """An input, (1, 3, H, W)."""
        return torch.zeros(1, 3, 64, 128)
