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

from .blocks import PEAK_RADIUS_BINS, ConvBN, Peak, bin_numbers, range_around, summed

# Planes of `cues`.
CUES = 6
# A score so far below the greatest has no weight, 1e-13.
_LEAST_SCORE = -30.0


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


def cues(place: Tensor, peak: Peak) -> Tensor:
    """Planes that tell a likely error, all of them small numbers (B, CUES, h, w).

    They are the mass of the distribution's peak, in two scales, the entropy of the distribution,
    the range of the disparity among 3 x 3 neighbours, the disparity, and how far the match lies
    inside the right image. On held-out generated pairs the entropy told most.

    Args:
        place: (B, 1, h, w) disparity in bins.
        peak: of the distribution.
    """
    outside, entropy = doubt(peak)
    # Of 4 times the disparity: what the upsampling computes too, a runtime computes once.
    spread = range_around(4.0 * place) / 4.0
    column = torch.arange(place.shape[3], device=place.device, dtype=place.dtype)
    planes = (
        1 - outside,
        (outside + 0.0001).log() / 4,
        entropy,
        spread / (0.25 + spread),
        place / peak.lower.shape[1],
        ((column - place) / 8).clamp(-1, 1),
    )
    return torch.cat(planes, dim=1)


def doubt(peak: Peak) -> tuple[Tensor, Tensor]:
    """Probability outside a peak, and entropy of its distribution in nats, each (B, 1, h, w).

    The probability is summed itself: of its difference from 1 little is left in bfloat16.
    """
    # Nothing here is also needed for the disparity, which a runtime in bfloat16 computes in
    # float32: it would convert all of it.
    lower = peak.lower.clamp(min=_LEAST_SCORE)
    weight = lower.exp()
    bins, reach = bin_numbers(lower), PEAK_RADIUS_BINS + 0.5
    far = (bins < peak.top - reach) | (bins > peak.top + reach)
    outside = _channel_sum(weight * far.to(weight.dtype))
    total = outside + peak.mass
    return outside / total, total.log() - _channel_sum(weight * lower) / total


def _channel_sum(x: Tensor) -> Tensor:
    """Sum of the channels (B, C, h, w), as (B, 1, h, w).

    A convolution in an export: OpenVINO in bfloat16 takes longer for a sum.
    """
    if not torch.onnx.is_in_onnx_export():
        return x.sum(dim=1, keepdim=True)
    return F.conv2d(x, torch.ones(1, int(x.shape[1]), 1, 1))
