"""How channels hang together in each member, for the dependency graph of torch-pruning.

The graph follows autograd from output to input and understands convolutions, sums and
concatenations. Correlation, pixel shuffling and splits of the batch mean nothing to it, so each
network is retraced here by its own layers with those parts left out; where their result enters a
layer, a stand-in of the same width does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.network.light import DTPNetLight
from dtp_stereo_ros.network.paper import DTPNetPaper, InterlacedVolume


class Sketch(nn.Module):
    """A network retraced.

    Attributes:
        network: shares its layers; cutting the sketch cuts the network.
        fixed: layers whose output channels are never cut, because their index has a meaning.
    """

    fixed: list[nn.Module]

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def example(self) -> Tensor:
        """An input for tracing, (1, 3, H, W)."""
        return torch.zeros(1, 3, 64, 128)


class _LightSketch(Sketch):
    """Of the light network.

    Fixed: the projections (grouped by heads), the disparities of the distribution, the nine
    neighbours of the upsampling, the descriptors and the correction of the refinement.
    """

    network: DTPNetLight

    def __init__(self, network: DTPNetLight) -> None:
        super().__init__(network)
        c = network.config
        self.volume = nn.Conv2d(3, c.heads * network.bins, 4, 4)
        self.first = nn.Conv2d(3, network.bins, 4, 4)
        self.fixed = [
            self.volume, self.first, network.project_left, network.project_right,
            network.regress, network.upsampling.leave,
        ]  # fmt: skip
        refine = network.refinement
        self.compared = None
        if refine is not None:
            self.compared = nn.Conv2d(3, refine.compared + 1, 4, 4)
            self.fixed += [self.compared, refine.describe, refine.leave]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        n = self.network
        half, quarter, eighth, sixteenth = n.features(n.normalise(image))
        aggregated = n.aggregation(self.volume(image), quarter, eighth, sixteenth)
        context = torch.cat((quarter, aggregated), dim=1)
        outputs = [
            n.project_left(quarter),
            n.project_right(quarter),
            n.regress(torch.cat((aggregated, self.first(image)), dim=1)),
            n.upsampling(half, context),
        ]
        refine = n.refinement
        if refine is not None and self.compared is not None:
            outputs.append(refine.describe(half))
            outputs.append(refine.correction(self.compared(image), context))
        return tuple(outputs)


class _PaperSketch(Sketch):
    """Of the paper's networks.

    Fixed: the disparity channels of the volume, and with them the stream of the hourglass. Setting
    1's interlaced volume counts its channels in eights; all of it is fixed.
    """

    network: DTPNetPaper

    def __init__(self, network: DTPNetPaper) -> None:
        super().__init__(network)
        volume = network.volume
        bins = network.max_disparity_px // 4
        self.stand_in = nn.Conv2d(3, bins, 4, 4)
        self.fixed = [self.stand_in, network.regress]
        if isinstance(volume, InterlacedVolume):
            self.fixed += [m for m in volume.modules() if isinstance(m, nn.Conv2d)]
        else:
            last = [m for m in volume.modules() if isinstance(m, nn.Conv2d)][-1]
            self.fixed.append(last)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        n = self.network
        features = n.features(n.normalise(image))
        if isinstance(n.volume, InterlacedVolume):
            return n.regress(n.aggregation(self.stand_in(image))), n.volume.reduce(features)
        other = n.features(n.normalise(image))
        volume = n.volume(torch.cat((features, other), dim=1))
        return (n.regress(n.aggregation(volume)),)


_SKETCHES: dict[type[nn.Module], Callable[[Any], Sketch]] = {
    DTPNetLight: _LightSketch,
    DTPNetPaper: _PaperSketch,
}


def sketch(network: Network) -> Sketch:
    """The sketch of a network, sharing its layers.

    Raises:
        ModelError: this member cannot be pruned.
    """
    make = _SKETCHES.get(type(network))
    if make is None:
        raise ModelError(f'network {network.name} is a teacher and is not pruned; prune a student')
    return make(network)
