"""Outputs of every network of the family in training."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Sides(NamedTuple):
    """The two surfaces that a pixel at an edge may lie on.

    Of a network that chooses between two sizes of a pair, the estimates of the coarser and of the
    finer one.

    Attributes:
        nearer_px, farther_px: (B, 1, H, W), full size; where there is no edge, the farther
            one is the disparity.
        nearer_share: (B, 1, H, W), 0..1, how likely the nearer one is.
    """

    nearer_px: Tensor
    farther_px: Tensor
    nearer_share: Tensor


class Hypotheses(NamedTuple):
    """The nearest and the farthest surface of each cell of 4 x 4 px.

    Attributes:
        nearer_logits, farther_logits: (B, bins, H4, W4), as `Outputs.logits`.
        nearer_px, farther_px: (B, 1, H4, W4), in full-size pixels.
    """

    nearer_logits: Tensor
    farther_logits: Tensor
    nearer_px: Tensor
    farther_px: Tensor


class Outputs(NamedTuple):
    """Outputs that training supervises.

    Attributes:
        disparity_px: (B, 1, H, W), full size.
        confidence: (B, 1, H, W), or smaller by one factor, 0..1.
        logits: (B, bins, H4, W4), distribution over disparity at quarter size, disparity 0
            first; the bins share 0 .. max_disparity evenly (4 px each in the light network, 1 px
            in the paper's).
        quarter_px: (B, 1, H4, W4) before upsampling, in full-size pixels, or None.
        matching: (B, bins, H4, W4) scaled correlation before aggregation, or None.
        sides: what `disparity_px` is chosen from, or None.
        hypotheses: of a bimodal network, or None.
        log_error: (B, 1, H, W), logarithm of the expected absolute error in px, or None.
    """

    disparity_px: Tensor
    confidence: Tensor
    logits: Tensor
    quarter_px: Tensor | None = None
    matching: Tensor | None = None
    sides: Sides | None = None
    hypotheses: Hypotheses | None = None
    log_error: Tensor | None = None
