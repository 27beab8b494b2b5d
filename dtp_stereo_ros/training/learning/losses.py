"""Terms of the training loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dtp_stereo_ros.network.outputs import Outputs

from ..settings import LossWeights

# Widest structure or gap that counts as thin.
THIN_PX = 13
# Neighbouring pixels that are further apart lie on two surfaces, if the slope does not say so.
STEP_PX = 1.0
# Pixels on either side of a step that belong to the edge.
EDGE_PX = 4
# The nearest and the farthest surface of a cell are those within this distance of it, too: an
# edge that is estimated a little to one side still finds both.
BESIDE_PX = 1
# Errors beyond are as bad as this one when an expected error is learned.
MOST_ERROR_PX = 32.0


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
    if weights.edge != 1.0 or weights.thin != 1.0:
        edge, thin = edges_and_thin(truth.disparity_px)
        extra = torch.where(thin, weights.thin, torch.where(edge, weights.edge, 1.0))
        if truth.known is not None:
            # Points of a LiDAR are no edges.
            whole = -dilated(-truth.known.unsqueeze(1).float(), THIN_PX)[:, 0]
            extra = 1 + (extra - 1) * whole
        weight = weight * extra
    return weight if truth.known is None else weight * truth.known


def edges_and_thin(disparity_px: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (B, H, W) of pixels near a step of disparity and of thin structures and gaps.

    A step is a difference of neighbours beyond `STEP_PX` and three times that of the pixels
    before and after it. A structure is thin where an opening by a square of `THIN_PX` removes
    it, a gap where a closing fills it.

    Args:
        disparity_px: (B, H, W), dense.
    """
    d = disparity_px.unsqueeze(1)
    step = torch.zeros_like(d, dtype=torch.bool)
    for dim in (2, 3):
        size = d.shape[dim]
        rise = (d.narrow(dim, 1, size - 1) - d.narrow(dim, 0, size - 1)).abs()
        inner = size - 3
        around = torch.minimum(rise.narrow(dim, 0, inner), rise.narrow(dim, 2, inner))
        jump = rise.narrow(dim, 1, inner)
        jump = (jump > STEP_PX) & (jump > 3 * around)
        step.narrow(dim, 1, inner).logical_or_(jump)
        step.narrow(dim, 2, inner).logical_or_(jump)
    reach = 2 * EDGE_PX + 1
    near_step = F.max_pool2d(step.to(d.dtype), reach, 1, EDGE_PX) > 0
    opened = dilated(-dilated(-d, THIN_PX), THIN_PX)
    closed = -dilated(-dilated(d, THIN_PX), THIN_PX)
    thin = ((d - opened > STEP_PX) | (closed - d > STEP_PX)) & near_step
    return near_step[:, 0], thin[:, 0]


def dilated(plane: Tensor, size: int) -> Tensor:
    """Maximum over a square of `size` px around each pixel of (B, 1, H, W); `size` is odd."""
    wide = F.max_pool2d(plane, (1, size), 1, (0, size // 2))
    return F.max_pool2d(wide, (size, 1), 1, (size // 2, 0))


def surfaces_of_cells(
    disparity_px: Tensor, known: Tensor | None = None, beside_px: int = BESIDE_PX
) -> tuple[Tensor, Tensor]:
    """Largest and smallest disparity (B, H/4, W/4) of each cell of 4 x 4 px and its border.

    Args:
        disparity_px: (B, H, W).
        known: (B, H, W) bool, None for everywhere.
        beside_px: width of the border.

    Returns:
        both; 0 where nothing is known.
    """
    near = far = disparity_px.unsqueeze(1)
    if known is not None:
        near = near.masked_fill(~known.unsqueeze(1), 0.0)
        far = far.masked_fill(~known.unsqueeze(1), 1e4)
    window = 4 + 2 * beside_px
    nearest = F.max_pool2d(near, window, 4, beside_px)
    farthest = -F.max_pool2d(-far, window, 4, beside_px)
    return nearest[:, 0], torch.minimum(farthest, nearest)[:, 0]


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
    if outputs.hypotheses is not None:
        del parts['distribution']
        parts.update(hypothesis_losses(outputs, truth, weight, bin_px))
    if outputs.log_error is not None:
        likelihood = error_likelihood(
            outputs.disparity_px[:, 0], outputs.log_error[:, 0], truth.disparity_px
        )
        parts['error'] = mean(likelihood, weight)
    total = torch.stack(
        [getattr(weights, _WEIGHT_OF.get(name, name)) * part for name, part in parts.items()]
    ).sum()
    return total, {name: part.detach() for name, part in parts.items()}


def hypothesis_losses(
    outputs: Outputs, truth: Truth, weight: Tensor, bin_px: float
) -> dict[str, Tensor]:
    """Parts of the loss of a bimodal network: both distributions and their peaks.

    Args:
        outputs: of a bimodal network in training mode.
        truth: labels.
        weight: (B, H, W) of the pixels.
        bin_px: width of a bin.
    """
    hypotheses = outputs.hypotheses
    assert hypotheses is not None
    # A cell weighs as much as its heaviest pixel: a pole is a few pixels of its cells.
    heaviest = F.max_pool2d(weight.unsqueeze(1), 4, 4)[:, 0]
    sides = surfaces_of_cells(truth.disparity_px, truth.known)
    pairs = (
        (hypotheses.nearer_logits, hypotheses.nearer_px, sides[0]),
        (hypotheses.farther_logits, hypotheses.farther_px, sides[1]),
    )
    scores = [
        mean(two_hot_cross_entropy(logits, side, bin_px), heaviest) for logits, _, side in pairs
    ]
    peaks = [mean(robust_error(px[:, 0], side), heaviest) for _, px, side in pairs]
    return {'nearer': scores[0], 'farther': scores[1], 'peaks': peaks[0] + peaks[1]}


def error_likelihood(disparity_px: Tensor, log_error: Tensor, truth_px: Tensor) -> Tensor:
    """Negative log-likelihood of an error, of which the expected one is predicted.

    That of a Laplace distribution without its constant: its minimum has the mean absolute error
    as expected error. Only the expected error learns from it.

    Args:
        disparity_px: estimate, of any shape.
        log_error: logarithm of the expected absolute error in px, same shape.
        truth_px: a shape that broadcasts to it.

    Returns:
        same shape.
    """
    error = (disparity_px.detach() - truth_px).abs().clamp(max=MOST_ERROR_PX)
    return error * torch.exp(-log_error) + log_error


# Weights of the parts of a bimodal network's loss that have none of their own.
_WEIGHT_OF = {'nearer': 'distribution', 'farther': 'distribution', 'peaks': 'quarter'}


def mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; 0 where nothing weighs."""
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
