"""Sub-pixel refinement: the estimate at 1/4 is compared again with detail of the right image.

A bin of the distribution is 4 px wide, so that a tenth of a pixel is a fortieth of a bin; features
at 1/4 no longer tell where inside a bin the match is. Here small descriptors are taken from the
half-size features, one for every 2 px of the right image, and only those around the estimate are
compared: a gather instead of a finer volume. What HITNet (Tankovich et al., CVPR 2021) does by
warping at full size is done at 1/4, where a surface is nearly a plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import InvertedBlock, joined, summed

# Descriptors on either side of the estimate, 2 px apart.
REACH = 3
# Descriptors that are compared.
_WINDOW = 2 * REACH + 1


class Views(NamedTuple):
    """Descriptors of both views, as `Refinement.differences` reads them.

    Attributes:
        left: of the even columns, (B, h, w, channels).
        windows: of the right view, those of 2 REACH + 1 columns beside each other, (N, C).
        columns: a row of the right view has so many, those beyond its ends included.
    """

    left: Tensor
    windows: Tensor
    columns: int


class Refinement(nn.Module):
    """A correction of the peak, from descriptors around it.

    Args:
        half: channels of the half-size features.
        context: channels of what else is known at 1/4.
        channels: of a descriptor.
        hidden: of the correction's layers.
    """

    def __init__(self, half: int, context: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.describe = nn.Conv2d(half, channels, (2, 3), (2, 1), (0, 1), bias=False)
        self.normalise = nn.BatchNorm2d(channels)
        self.compared = channels * _WINDOW
        # Two layers on two inputs: joined to one, they would be copied.
        self.compare = nn.Conv2d(self.compared + 1, hidden, 1, bias=False)
        self.context = nn.Conv2d(context, hidden, 1, bias=False)
        self.join = nn.BatchNorm2d(hidden)
        self.mix = InvertedBlock(hidden)
        self.leave = nn.Conv2d(hidden, 1, 1)
        # The correction starts from none.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]  # there is a bias

    def described(self, half: Tensor) -> Tensor:
        """Half-size features (B, C, 2 h, 2 w) to descriptors (B, channels, h, 2 w)."""
        described: Tensor = self.normalise(self.describe(half))
        return described

    def views(self, half: Tensor) -> Views:
        """Half-size features of both views (2 B, C, 2 h, 2 w), the left ones first.

        One window is read for each cell, not seven descriptors, for which OpenVINO takes several
        times as long. Windows overlap, so that the right view is written once for each place that
        a window may begin at: column c begins a window of the copy -c modulo its length.
        """
        left, right = self.described(half).chunk(2)
        # The outermost descriptor stands for those beyond the ends. With one column more than a
        # multiple of the length, each copy is shifted by one.
        beyond = 2 * REACH
        fill = (1 - right.shape[3] - 2 * beyond) % _WINDOW
        right = F.pad(right, (beyond, beyond + fill, 0, 0), mode='replicate')
        columns = right.shape[3]
        rows = right.permute(0, 2, 3, 1).flatten(2)
        windows = torch.cat([rows] * _WINDOW, dim=2).reshape(-1, _WINDOW * right.shape[1])
        return Views(left[..., ::2].permute(0, 2, 3, 1), windows, columns)

    def differences(self, views: Views, whole: Tensor) -> Tensor:
        """Absolute differences of each left descriptor from those around its match.

        Args:
            views: descriptors of both views.
            whole: (B, 1, h, w) disparity in whole steps of 2 px.

        Returns:
            (B, channels * (2 REACH + 1), h, w). Where a match lies outside the right image, the
            outermost descriptor stands for it.
        """
        batch, height, width, channels = views.left.shape
        first = 2 * torch.arange(width, device=whole.device) - whole[:, 0].long() + REACH
        first = first.clamp(0, 2 * (width + REACH) - 1)
        place = (-first) % _WINDOW * views.columns + first
        rows = torch.arange(batch * height, device=whole.device).reshape(batch, height, 1)
        around = F.embedding(
            rows * views.columns + torch.div(place, _WINDOW, rounding_mode='trunc'), views.windows
        )
        around = around.reshape(batch, height, width, _WINDOW, channels)
        # The left from the right: OpenVINO negates what is subtracted, which is seven times less.
        apart = (around - views.left.unsqueeze(3)).abs()
        return apart.reshape(batch, height, width, -1).permute(0, 3, 1, 2)

    def forward(
        self, peak: Tensor, views: Views, context: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Peak in bins of 4 px (B, 1, h, w), to the same, corrected, and `features`.

        Whole steps and what is left of them are kept apart to the end: a runtime that computes
        convolutions and what leads to them in bfloat16 sees small numbers only.
        """
        steps = 2 * peak
        whole = steps.detach().round()
        rest = steps - whole
        compared = self.differences(views, whole)
        features = self.features(joined(compared, rest.to(compared.dtype)), context)
        return (whole + (rest + self.leave(features).float())) / 2, features

    def features(self, compared: Sequence[Tensor], context: Sequence[Tensor]) -> Tensor:
        """Differences with the rest of the step, and context, to (B, hidden, h, w)."""
        terms = [(self.compare, compared), (self.context, context)]
        features: Tensor = self.mix(F.relu(summed(terms, self.join)))
        return features
