"""Expected error of the light network's disparity, from what is known at 1/4.

The mass of a distribution's peak says how sure the network is of a bin of 4 px, and nothing of
the error inside it or beside an edge. Here a few convolutions learn the absolute error itself, of
a network that stays as it is (aleatoric uncertainty by a Laplace likelihood, Kendall & Gal,
NeurIPS 2017).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBN

# Planes of `cues`.
CUES = 4


class ErrorHead(nn.Module):
    """Logarithm of the expected absolute error of each cell of 4 x 4 px.

    Args:
        context: channels of left features and volume.
        refined: channels of the refinement's features; 0 for none.
        channels: of its own.
    """

    def __init__(self, context: int, refined: int, channels: int) -> None:
        super().__init__()
        # A layer for each input: joined to one, they would be copied.
        self.context = nn.Conv2d(context, channels, 1, bias=False)
        self.refined = nn.Conv2d(refined, channels, 1, bias=False) if refined else None
        self.cues = nn.Conv2d(CUES, channels, 1, bias=False)
        self.join = nn.BatchNorm2d(channels)
        self.spatial = ConvBN(channels, channels, 3, groups=channels)
        self.leave = nn.Conv2d(channels, 1, 1)
        # It starts from 1 px everywhere.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]  # there is a bias

    def forward(self, context: Tensor, refined: Tensor | None, cues: Tensor) -> Tensor:
        """Inputs of one size (B, its channels, h, w) to the logarithm of px (B, 1, h, w)."""
        x = self.context(context) + self.cues(cues)
        if self.refined is not None and refined is not None:
            x = x + self.refined(refined)
        log_error: Tensor = self.leave(self.spatial(F.relu(self.join(x))))
        return log_error


def cues(peak: Tensor, mass: Tensor, bins: int) -> Tensor:
    """Planes that tell a likely error, all of them small numbers (B, CUES, h, w).

    They are the mass of the peak, the range of the disparity among the 3 x 3 neighbours, the
    disparity, and where the left border of the right image lies from the match.

    Args:
        peak: (B, 1, h, w) disparity in bins.
        mass: (B, 1, h, w) of the distribution's peak, 0..1.
        bins: disparities of the distribution.
    """
    spread = F.max_pool2d(peak, 3, 1, 1) + F.max_pool2d(-peak, 3, 1, 1)
    column = torch.arange(peak.shape[3], device=peak.device, dtype=peak.dtype)
    outside = ((column - peak) / 8).clamp(-1, 1)
    return torch.cat((mass, spread / (0.25 + spread), peak / bins, outside), dim=1)
