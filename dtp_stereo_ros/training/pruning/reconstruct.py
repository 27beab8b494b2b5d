"""Layers that read channels which are cut, fitted anew to what is left.

A layer that loses an input channel can be told most of it by the channels that stay. Its weights
are fitted by least squares to what it reads in pairs, and those channels go that the others tell
best (He, Zhang & Sun, "Channel pruning for accelerating very deep neural networks", ICCV 2017).
Both follow channel by channel from second moments, as the optimal brain surgeon removes single
weights (Hassibi & Stork, NIPS 1992). Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtp_stereo_ros.network.family import Network

from ..data.batches import Batch

# Output positions of a layer that are read of each batch.
_POSITIONS = 8192
# Added to the squares, as a share of their mean: what hardly occurs keeps its weight.
_RIDGE = 1e-4

# Mean products of what a layer reads, by its name: C channels of T taps each, channel by channel,
# and a 1 for its bias; (C T + 1, C T + 1) float64.
MomentsOf = dict[str, Tensor]


def read_moments(network: Network, pairs: Iterable[Batch]) -> MomentsOf:
    """Mean products of what every convolution without groups reads in pairs.

    Args:
        network: on the CPU; it is left in `eval` mode.
        pairs: images (B, 3, H, W) of some batches.
    """
    sums: MomentsOf = {}
    counts: dict[str, int] = {}
    generator = torch.Generator().manual_seed(0)

    def listen(name: str, layer: nn.Conv2d) -> Any:
        def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            read = _read(layer, inputs[0], output, generator)
            sums[name] = sums.get(name, torch.zeros(())) + read @ read.T
            counts[name] = counts.get(name, 0) + read.shape[1]

        return layer.register_forward_hook(add)

    handles = [
        listen(name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == 1
    ]
    network.eval()
    try:
        with torch.no_grad():
            for batch in pairs:
                network.predict(batch['left'].float(), batch['right'].float())
    finally:
        for handle in handles:
            handle.remove()
    return {name: total / counts[name] for name, total in sums.items()}


def _read(layer: nn.Conv2d, x: Tensor, output: Tensor, generator: torch.Generator) -> Tensor:
    """Inputs (B, C, H, W) of some output positions, and 1, as (C T + 1, positions) float64."""
    height, width = output.shape[2:]
    count = min(_POSITIONS, len(x) * height * width)
    image, row, column = (
        torch.randint(size, (count,), generator=generator) for size in (len(x), height, width)
    )
    (pad_y, pad_x), (step_y, step_x), (gap_y, gap_x) = (
        (int(pair[0]), int(pair[1])) for pair in (layer.padding, layer.stride, layer.dilation)
    )
    around = F.pad(x, (pad_x, pad_x, pad_y, pad_y))
    taps = [
        around[image, :, row * step_y + i * gap_y, column * step_x + j * gap_x]
        for i in range(layer.kernel_size[0])
        for j in range(layer.kernel_size[1])
    ]
    read = torch.stack(taps, dim=2).flatten(1).T.double()
    return F.pad(read, (0, 0, 0, 1), value=1.0)


class _Reader:
    """A layer that reads the channels of a group.

    Attributes:
        places: its input channels for each channel of the group; it may read one more than once.
        taps: T of the layer.
        weight: (out, C T + 1) float64, the bias last.
        inverse: of the moments.
        whole: variance of its output.
    """

    def __init__(self, layer: nn.Conv2d, places: dict[int, list[int]], moments: Tensor) -> None:
        self.layer, self.places = layer, places
        kernel = layer.weight.detach().double().flatten(2)
        self.taps = kernel.shape[2]
        offset = torch.zeros(len(kernel)) if layer.bias is None else layer.bias.detach()
        self.weight = torch.cat([kernel.flatten(1), offset.double().unsqueeze(1)], dim=1)
        mean = moments[-1, :-1]
        spread = moments[:-1, :-1] - mean.outer(mean)
        used = self.weight[:, :-1]
        self.whole = ((used @ spread) * used).sum().clamp(min=1e-12)
        moments = moments.clone()
        if layer.bias is None:  # nothing can take a mean over
            moments[-1, :-1] = moments[:-1, -1] = 0
        squares = moments.diagonal()[:-1]
        squares += _RIDGE * squares.mean() + 1e-12
        self.inverse = torch.linalg.inv(moments)

    def loss(self, channels: Sequence[int]) -> Tensor:
        """Share of the output's variance that goes with each channel, in the best fit."""
        at = self._at(channels)
        blocks = torch.linalg.inv(self.inverse[at.unsqueeze(2), at.unsqueeze(1)])
        used = self.weight[:, at]  # (out, channels, taps of each)
        return torch.einsum('ons,nst,ont->n', used, blocks, used) / self.whole

    def lose(self, channel: int) -> None:
        """Let the other channels take one over."""
        at = self._at([channel])[0]
        gain = self.inverse[:, at] @ torch.linalg.inv(self.inverse[at][:, at])
        self.weight = self.weight - self.weight[:, at] @ gain.T
        self.inverse = self.inverse - gain @ self.inverse[at]
        self.weight[:, at] = 0.0

    def write(self, lost: Sequence[int]) -> Tensor:
        """Give the layer its weights; which of what it reads are left, as (C T + 1) bool."""
        kernel = self.layer.weight
        with torch.no_grad():
            kernel.copy_(self.weight[:, :-1].reshape(kernel.shape))
            if self.layer.bias is not None:
                self.layer.bias.copy_(self.weight[:, -1])
        left = torch.ones(self.weight.shape[1], dtype=torch.bool)
        left[self._at(lost)] = False
        return left

    def _at(self, channels: Sequence[int]) -> Tensor:
        """Columns of the weight that read each channel, (channels, taps of each)."""
        first = torch.tensor([self.places[channel] for channel in channels]) * self.taps
        return (first.unsqueeze(2) + torch.arange(self.taps)).flatten(1)


def least_missed(group: Any, moments: dict[nn.Module, Tensor], count: int) -> list[int] | None:
    """Channels of a group that are missed least; what reads them gets its new weights.

    Args:
        group: of all its channels, from the dependency graph.
        moments: as of `read_moments`, by layer; those of the readers lose the channels.
        count: number of channels.

    Returns:
        channels of the group's root layer, rising; None where the moments of no reader are known.
    """
    read: dict[nn.Conv2d, dict[int, list[int]]] = {}
    for item in group:
        if item.dep.handler.__name__ == 'prune_in_channels' and item.dep.layer in moments:
            places = read.setdefault(item.dep.layer, {})
            for channel, place in zip(item.root_idxs, item.idxs, strict=True):
                places.setdefault(channel, []).append(place)
    if not read:
        return None
    readers = [_Reader(layer, places, moments[layer]) for layer, places in read.items()]
    left = list(group[0].idxs)
    lost: list[int] = []
    for _ in range(count):
        # All readers count alike.
        losses = torch.stack([reader.loss(left) for reader in readers]).sum(dim=0)
        lost.append(left.pop(int(losses.argmin())))
        for reader in readers:
            reader.lose(lost[-1])
    for reader in readers:
        keep = reader.write(lost)
        moments[reader.layer] = moments[reader.layer][keep][:, keep]
    return sorted(lost)
