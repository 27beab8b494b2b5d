"""Expected error of the light network's disparity, from what is known at 1/4.

The mass of a distribution's peak says how sure the network is of a bin of 4 px, and nothing of
the error inside it or beside an edge. Here a few convolutions learn the absolute error itself, of
a network that stays as it is (aleatoric uncertainty by a Laplace likelihood, Kendall & Gal,
NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBN, summed

# Planes of `cues`.
CUES = 6


class ErrorHead(nn.Module):
    """Logarithm of the expected absolute error of each cell of 4 x 4 px.

    Args:
        features: channels of the features that it reads.
        channels: of its own.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        # Two layers on two inputs: joined to one, they would be copied.
        self.features = nn.Conv2d(features, channels, 1, bias=False)
        self.cues = nn.Conv2d(CUES, channels, 1, bias=False)
        self.join = nn.BatchNorm2d(channels)
        self.spatial = ConvBN(channels, channels, 3, groups=channels)
        self.leave = nn.Conv2d(channels, 1, 1)
        # It starts from 1 px everywhere.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]  # there is a bias

    def forward(self, features: Sequence[Tensor], cues: Tensor) -> Tensor:
        """Features and `cues`, (B, channels, h, w), to the logarithm of px (B, 1, h, w)."""
        terms = [(self.features, features), (self.cues, [cues])]
        log_error: Tensor = self.leave(self.spatial(F.relu(summed(terms, self.join))))
        return log_error


def cues(peak: Tensor, mass: Tensor, logits: Tensor) -> Tensor:
    """Planes that tell a likely error, all of them small numbers (B, CUES, h, w).

    They are the mass of the distribution's peak, in two scales, the entropy of the distribution,
    the range of the disparity among 3 x 3 neighbours, the disparity, and how far the match lies
    inside the right image. On held-out generated pairs the entropy told most.

    Args:
        peak: (B, 1, h, w) disparity in bins.
        mass: (B, 1, h, w) of the distribution's peak, 0..1.
        logits: (B, bins, h, w) of the distribution.
    """
    spread = F.max_pool2d(peak, 3, 1, 1) + F.max_pool2d(-peak, 3, 1, 1)
    column = torch.arange(peak.shape[3], device=peak.device, dtype=peak.dtype)
    planes = (
        mass,
        (1.0001 - mass).log() / 4,
        entropy(logits),
        spread / (0.25 + spread),
        peak / logits.shape[1],
        ((column - peak) / 8).clamp(-1, 1),
    )
    return torch.cat(planes, dim=1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy (B, 1, h, w) of the softmax of scores (B, bins, h, w), in nats."""
    lower = logits - logits.amax(dim=1, keepdim=True)
    weight = lower.exp()
    total = weight.sum(dim=1, keepdim=True)
    return total.log() - (weight * lower).sum(dim=1, keepdim=True) / total
