"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dtp_stereo_ros.network.outputs import Outputs


@dataclass(frozen=True)
class LossWeights:
    """How the terms and the pixels are weighted.

    Attributes:
        distribution: cross-entropy of the aggregated distribution; finds the right surface.
        matching: the same of the raw correlation; trains the features directly.
        full: robust error at full size; trains sub-pixel precision and edges.
        quarter: robust error before upsampling.
        occluded: pixels that the right image hides, relative to visible ones.
        outside: pixels whose match lies outside the right image.
    """

    distribution: float = 1.0
    matching: float = 0.2
    full: float = 1.0
    quarter: float = 0.1
    occluded: float = 1.0
    outside: float = 1.0


@dataclass(frozen=True)
class Truth:
    """Labels of a batch.

    Attributes:
        disparity_px: (B, H, W) float32.
        visible: (B, H, W) bool, seen by both cameras.
        known: (B, H, W) bool, where there is truth; None for everywhere.
    """

    disparity_px: Tensor
    visible: Tensor
    known: Tensor | None = None


def two_hot_cross_entropy(logits: Tensor, disparity_px: Tensor, bin_px: float) -> Tensor:
    """Cross-entropy against a target split linearly over the two bins around the truth.

    Its minimum has the truth as mean, so the peak's mean is sub-bin exact; and unlike the error
    of the mean it pulls a distribution with two peaks to the right one from the first step.

    Args:
        logits: (B, bins, h, w) float32.
        disparity_px: (B, h, w) within 0 .. bin_px * bins.
        bin_px: width of a bin.

    Returns:
        (B, h, w).
    """
    position = (disparity_px / bin_px).clamp(0, logits.shape[1] - 1 - 1e-4)
    low = position.floor()
    share = position - low
    index = low.long().unsqueeze(1)
    log_p = F.log_softmax(logits, dim=1)
    below, above = log_p.gather(1, index).squeeze(1), log_p.gather(1, index + 1).squeeze(1)
    return -((1 - share) * below + share * above)


def robust_error(estimate_px: Tensor, truth_px: Tensor) -> Tensor:
    """``log(1 + smooth_l1)``: precise where it is close, bounded pull where it is far off."""
    return torch.log1p(F.smooth_l1_loss(estimate_px, truth_px, reduction='none', beta=0.5))


def full_error(outputs: Outputs, truth_px: Tensor) -> Tensor:
    """Robust error at full size, (B, H, W).

    At an edge it is what is to be expected of both sides, never the error of a mean of them.

    Args:
        outputs: of the network in training mode.
        truth_px: (B, H, W).
    """
    if outputs.sides is None:
        return robust_error(outputs.disparity_px[:, 0], truth_px)
    nearer, farther, share = (side[:, 0] for side in outputs.sides)
    farther_error = robust_error(farther, truth_px)
    return farther_error + share * (robust_error(nearer, truth_px) - farther_error)


def pixel_weights(truth: Truth, weights: LossWeights) -> Tensor:
    """(B, H, W) weight of each pixel, by whether the right camera sees it; 0 without truth."""
    columns = torch.arange(truth.disparity_px.shape[2], device=truth.disparity_px.device)
    inside = columns - truth.disparity_px >= 0
    hidden = torch.where(inside, weights.occluded, weights.outside)
    weight = torch.where(truth.visible, 1.0, hidden)
    return weight if truth.known is None else weight * truth.known


def supervised_loss(
    outputs: Outputs,
    truth: Truth,
    weights: LossWeights,
    phase: tuple[int, int],
    max_disparity_px: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The whole loss.

    Args:
        outputs: of the network in training mode.
        truth: labels.
        weights: see `LossWeights`.
        phase: (row, column) in 0..3; which pixel of each 4 x 4 block is the quarter-size label.
            Drawn anew each step, the target is in expectation the block's distribution.
        max_disparity_px: of the network; its bins share it evenly.

    Returns:
        the loss, and its unweighted parts by name (detached).
    """
    weight = pixel_weights(truth, weights)
    bin_px = max_disparity_px / outputs.logits.shape[1]
    row, column = phase
    disparity4 = truth.disparity_px[:, row::4, column::4]
    weight4 = weight[:, row::4, column::4]
    visible4 = truth.visible[:, row::4, column::4].float()
    parts = {
        'distribution': mean(two_hot_cross_entropy(outputs.logits, disparity4, bin_px), weight4),
        'full': mean(full_error(outputs, truth.disparity_px), weight),
    }
    if outputs.matching is not None:
        matching = two_hot_cross_entropy(outputs.matching.float(), disparity4, bin_px)
        parts['matching'] = mean(matching, visible4)
    if outputs.quarter_px is not None:
        parts['quarter'] = mean(robust_error(outputs.quarter_px[:, 0], disparity4), weight4)
    total = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()
    return total, {name: part.detach() for name, part in parts.items()}


def mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; 0 where nothing weighs."""
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
