"""Objective of a run, and the truth's part of it."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dtp_stereo_ros.network.family import Network, trained_range_px
from dtp_stereo_ros.network.outputs import Outputs
from dtp_stereo_ros.network.psmnet import PSMNet, regress

from ..data.batches import Batch
from ..settings import LossWeights
from .losses import Truth, supervised_loss

Parts = dict[str, Tensor]


class Objective(Protocol):
    """Objective of a run.

    Attributes:
        learned: layers of its own that are trained with the network; often empty.
    """

    learned: nn.Module

    def __call__(
        self, outputs: Outputs, batch: Batch, phase: tuple[int, int], progress: float
    ) -> tuple[Tensor, Parts]:
        """The loss of a batch, and its unweighted parts by name (detached).

        Args:
            outputs: of the network in training mode.
            batch: see `batches.collate`, on the network's device.
            phase: (row, column) in 0..3, see `losses.supervised_loss`.
            progress: share of the run that is done, 0..1.
        """
        ...


class Supervised:
    """The truth alone."""

    def __init__(self, network: Network, weights: LossWeights) -> None:
        self.learned: nn.Module = nn.Identity()
        self.weights = weights
        self.max_disparity_px = trained_range_px(network)

    def __call__(
        self, outputs: Outputs, batch: Batch, phase: tuple[int, int], progress: float
    ) -> tuple[Tensor, Parts]:
        """See `Objective`."""
        truth = Truth(batch['disparity'], batch['visible'], batch['known'])
        return supervised_loss(outputs, truth, self.weights, phase, self.max_disparity_px)


class StackedSupervised:
    """The truth at each of PSMNet's three outputs, weighted as in its paper (Sec. 3.6).

    The earlier outputs are the first sums of the classifiers' scores, all of which
    `PSMNet.predict` adds up; hooks keep them while the network is trained.
    """

    weights = (0.5, 0.7, 1.0)

    def __init__(self, network: PSMNet, weights: LossWeights) -> None:
        self.learned: nn.Module = nn.Identity()
        self.last = Supervised(network, weights)
        self._scores: list[Tensor] = []
        for classifier in (network.classif1, network.classif2, network.classif3):
            classifier.register_forward_hook(self._keep)

    def __call__(
        self, outputs: Outputs, batch: Batch, phase: tuple[int, int], progress: float
    ) -> tuple[Tensor, Parts]:
        """See `Objective`; the parts are those of the last output."""
        first, second, _ = self._scores
        self._scores = []
        total, parts = self.last(outputs, batch, phase, progress)
        total = self.weights[2] * total
        for weight, scores in zip(self.weights, (first, first + second), strict=False):
            early = outputs_of(scores, outputs.disparity_px.shape)
            loss, _ = self.last(early, batch, phase, progress)
            total = total + weight * loss
        return total, parts

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if module.training:
            self._scores = [*self._scores, output][-3:]


def outputs_of(scores: Tensor, shape: torch.Size) -> Outputs:
    """Outputs of `PSMNet.predict` from scores, without the confidence, which is not trained.

    Args:
        scores: (B, 1, max_disparity / 4, H4, W4).
        shape: (B, 1, H, W) of the pair.
    """
    disparity, logits = regress(scores, (4 * scores.shape[2], *shape[-2:]))
    return Outputs(disparity, torch.zeros_like(disparity), logits)


def supervised(network: Network, weights: LossWeights) -> Objective:
    """The truth's loss for a network."""
    if isinstance(network, PSMNet):
        return StackedSupervised(network, weights)
    return Supervised(network, weights)
