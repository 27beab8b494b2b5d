"""Choice between the disparities of two sizes of a pair.

On an enlarged pair the network sees thin structures and steps that it misses otherwise; on one of
half that size it sees more of the scene, and twice the disparities. Here the coarser estimate is
compared with the right image of the finer pair, by descriptors of its refinement, and a few
convolutions score it beside the finer one, for whose descriptors the refinement has done that.
SMD-Nets (Tosi et al., CVPR 2021) choose between two modes of one estimate, HITNet (Tankovich et
al., CVPR 2021) between hypotheses of two sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBN, InvertedBlock, summed

# Planes that tell of the coarser estimate beside the finer one.
PLANES = 4
# Scores, one for each half-size pixel; a correction, and the logarithm of the expected error.
_OUT = 4 + 1 + 1


class Choice(nn.Module):
    """Score of the coarser estimate against the finer one, at 1/4 of the finer pair.

    Args:
        features: channels of what each size of the pair knows at 1/4.
        compared: channels of the differences of descriptors.
        channels: of its own layers.
    """

    def __init__(self, features: int, compared: int, channels: int) -> None:
        super().__init__()
        wide = channels * 3 // 2
        # A layer of its own on each input: joined to one, they would be copied.
        self.compare = nn.Conv2d(compared, channels, 1, bias=False)
        self.planes = nn.Conv2d(PLANES, channels, 1, bias=False)
        self.finer = nn.Conv2d(features, channels, 1, bias=False)
        self.coarser = nn.Conv2d(features + 1, channels, 1, bias=False)
        self.join = nn.BatchNorm2d(channels)
        self.enter = InvertedBlock(channels)
        self.down = ConvBN(channels, wide, 3, 2)
        self.around = nn.Sequential(*[InvertedBlock(wide, 5) for _ in range(3)])
        self.up = nn.Conv2d(wide, channels, 1)
        self.mix = InvertedBlock(channels)
        self.leave = nn.Conv2d(channels, _OUT, 1)
        # It starts with the finer estimate, and with no correction.
        nn.init.zeros_(self.leave.weight)
        with torch.no_grad():
            self.leave.bias.zero_()  # type: ignore[union-attr]  # there is a bias
            self.leave.bias[:4] = -2.0  # type: ignore[index]

    def forward(
        self,
        differences: Tensor,
        planes: Tensor,
        finer: Tensor,
        coarser: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Evidence for the coarser estimate to scores, correction and expected error.

        Args:
            differences: of descriptors around the coarser estimate, (B, compared, h, w).
            planes: see `coarser_planes`, (B, PLANES, h, w).
            finer: features of the finer size, (B, features, h, w).
            coarser: those of the coarser one, and how sure it is, (B, C, h / 2, w / 2).

        Returns:
            float32: scores (B, 1, 2 h, 2 w), the coarser estimate is better where they are above
            0; its correction in pixels of its pair, and the logarithm of the expected error in px
            of the finer pair, both (B, 1, h, w).
        """
        terms = [
            (self.compare, [differences]), (self.planes, [planes]), (self.finer, [finer]),
        ]  # fmt: skip
        small = self.coarser(torch.cat(tuple(coarser), dim=1))
        x = summed(terms) + F.interpolate(small, scale_factor=2.0, mode='nearest')
        x = self.enter(F.relu(self.join(x)))
        around = self.up(self.around(self.down(x)))
        around = F.interpolate(around, scale_factor=2.0, mode='nearest')
        out: Tensor = self.leave(self.mix(F.relu(x + around))).float()
        return F.pixel_shuffle(out[:, :4], 2), out[:, 4:5], out[:, 5:]


def coarser_planes(finer: Tensor, whole: Tensor, rest: Tensor, sureness: Tensor) -> Tensor:
    """Evidence for and against the coarser estimate, small numbers (B, PLANES, h, w).

    They are how far it is from the finer one, what is left of its whole pixels, how far its match
    lies inside the right image, and how sure the finer one is.

    Args:
        finer: disparity of the finer pair in steps of 2 px, (B, 1, h, w).
        whole, rest: that of the coarser pair in the same steps, which are its pixels.
        sureness: confidence in the finer one.
    """
    step = finer.round()
    apart = (whole - step) + (rest - (finer - step))
    columns = torch.arange(whole.shape[3], device=whole.device)
    inside = (2 * columns - whole.long()).clamp(-16, 16).to(rest.dtype) / 16
    return torch.cat((apart / (1 + apart.abs()), rest, inside, sureness), dim=1)
