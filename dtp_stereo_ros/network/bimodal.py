"""Two surfaces at 1/4, decided between at full size from image evidence at 1/2.

A cell of 4 x 4 px at an edge holds two surfaces, and one distribution over disparity can follow
only one of them: a pole that covers less than half of its cells vanishes. Here each cell has two
distributions, of its nearest and of its farthest surface (SMD-Nets, Tosi et al., CVPR 2021,
predict two modes of one density). At 1/2 resolution both hypotheses are compared with the right
image there, by a gather of small descriptors, and a few convolutions give each a correction,
choose one of them for every full-size pixel, and estimate the error that is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import (
    InvertedBlock,
    Normalise,
    correlation_volume,
    highest_peak,
    repeated,
)
from .light import Aggregation, Features
from .outputs import Hypotheses, Outputs, Sides
from .traced import Traced


@dataclass(frozen=True)
class BimodalConfig:
    """Widths (channels) and depths (blocks) of the bimodal network.

    Attributes:
        max_disparity_px: disparities seen are 0 .. this; a multiple of 4.
        stem, quarter, eighth, sixteenth, thirtysecond: channels at 1/2 .. 1/32 resolution.
        head_channels: features of the correlation.
        volume: channels of the aggregation at 1/4.
        depths: aggregation blocks at 1/4, 1/8, 1/16, 1/32.
        detail: channels of the descriptors at 1/2; 0 compares the stem's own features.
        fine: channels of the decision at 1/2.
        fine_blocks: its blocks.
        attend: 1 where left features weigh the correlations before they are aggregated.
    """

    max_disparity_px: int = 192
    stem: int = 16
    quarter: int = 32
    eighth: int = 64
    sixteenth: int = 96
    thirtysecond: int = 128
    head_channels: int = 48
    volume: int = 48
    depths: tuple[int, int, int, int] = (1, 5, 6, 3)
    detail: int = 8
    fine: int = 16
    fine_blocks: int = 2
    attend: int = 1


class Distribution(nn.Module):
    """Scores of the disparities of one surface of each cell.

    The raw correlation is one of its inputs rather than added after it: it starts as if it was
    added, and a runtime in bfloat16 computes all that leads to a convolution in bfloat16.
    """

    def __init__(self, volume: int, bins: int) -> None:
        super().__init__()
        self.volume = nn.Conv2d(volume, bins, 1)
        self.matching = nn.Conv2d(bins, bins, 1, bias=False)
        with torch.no_grad():
            self.matching.weight[:, :, 0, 0] = torch.eye(bins)

    def forward(self, volume: Tensor, matching: Tensor) -> Tensor:
        """(B, volume, H4, W4) and (B, bins, H4, W4) to (B, bins, H4, W4) float32."""
        scores: Tensor = self.volume(volume) + self.matching(matching)
        return scores.float()


class Decision(nn.Module):
    """Corrections, choice and expected error at 1/2, from evidence for two hypotheses.

    Args:
        c: widths.
    """

    def __init__(self, c: BimodalConfig) -> None:
        super().__init__()
        # Of the stem's features around a pixel, so that channels may compare neighbours.
        self.describe_left = self.describe_right = None
        if c.detail:
            self.describe_left = nn.Conv2d(c.stem, c.detail, 3, padding=1)
            self.describe_right = nn.Conv2d(c.stem, c.detail, 3, padding=1)
            self.describe_right.load_state_dict(self.describe_left.state_dict())
        compared = c.detail or c.stem
        self.planes = nn.Conv2d(3, c.fine, 1, bias=False)
        self.features = nn.Conv2d(c.quarter, c.fine, 1, bias=False)
        self.volume = nn.Conv2d(c.volume, c.fine, 1, bias=False)
        self.stem = nn.Conv2d(c.stem, c.fine, 1, bias=False)
        self.nearer = nn.Conv2d(compared, c.fine, 1, bias=False)
        self.farther = nn.Conv2d(compared, c.fine, 1, bias=False)
        self.normalise = nn.BatchNorm2d(c.fine)
        self.mix = nn.Sequential(*[InvertedBlock(c.fine) for _ in range(c.fine_blocks)])
        # Two corrections, the logarithm of the expected error, and four scores.
        self.leave = nn.Conv2d(c.fine, 7, 1)
        with torch.no_grad():
            self.leave.weight[:3].zero_()
            self.leave.bias.zero_()  # type: ignore[union-attr]  # there is a bias

    def differences(self, left: Tensor, right: Tensor, whole: Tensor) -> Tensor:
        """Absolute differences of left descriptors from those that a hypothesis points at.

        Args:
            left, right: descriptors (B, detail, h, w).
            whole: (B, 1, h, w) hypothesis in whole pixels of this size. Where its match lies
                outside the right image, the outermost descriptor stands for it.
        """
        batch, channels, height, width = right.shape
        columns = torch.arange(width, device=whole.device) - whole[:, 0].long()
        rows = torch.arange(batch * height, device=whole.device).reshape(batch, height, 1)
        table = right.permute(0, 2, 3, 1).reshape(-1, channels)
        there = F.embedding(rows * width + columns.clamp(0, width - 1), table)
        return (left - there.permute(0, 3, 1, 2)).abs()

    def forward(
        self, left2: Tensor, right2: Tensor, left4: Tensor, volume: Tensor,
        nearer: tuple[Tensor, Tensor], farther: tuple[Tensor, Tensor],
    ) -> Tensor:  # fmt: skip
        """Features and hypotheses to corrections, expected error and choice.

        Args:
            left2, right2: features (B, stem, h, w).
            left4, volume: what is known at 1/4, (B, C, h / 2, w / 2).
            nearer, farther: hypotheses, whole half-size pixels and the rest, each
                (B, 1, h / 2, w / 2).

        Returns:
            (B, 7, h, w) float32: corrections of both in half-size pixels, the logarithm of the
            expected error in px, and scores of the nearer surface for each of four pixels.
        """
        gap = (nearer[0] - farther[0]).to(left4.dtype)
        planes = torch.cat((nearer[1].to(left4.dtype), farther[1].to(left4.dtype),
                            gap / (4 + gap.abs())), dim=1)  # fmt: skip
        left, right = self.described(left2, right2)
        differences = (
            self.differences(left, right, repeated(whole, 2)) for whole in (nearer[0], farther[0])
        )
        return self.decided(left2, left4, volume, planes, *differences).float()

    def described(self, left2: Tensor, right2: Tensor) -> tuple[Tensor, Tensor]:
        """Features of both views at 1/2 to the descriptors that are compared."""
        if self.describe_left is None or self.describe_right is None:
            return left2, right2
        return self.describe_left(left2), self.describe_right(right2)

    def decided(
        self, left2: Tensor, left4: Tensor, volume: Tensor, planes: Tensor, nearer: Tensor,
        farther: Tensor,
    ) -> Tensor:  # fmt: skip
        """Features, planes of the hypotheses and their differences to `forward`'s result."""
        around = self.features(left4) + self.volume(volume) + self.planes(planes)
        x = self.stem(left2) + F.interpolate(around, scale_factor=2.0, mode='nearest')
        x = x + self.nearer(nearer) + self.farther(farther)
        out: Tensor = self.leave(self.mix(F.relu(self.normalise(x))))
        return out


def whole_and_rest(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The highest peak of a distribution, in half-size pixels.

    Whole pixels and what is left of them are kept apart: a runtime that computes convolutions
    and what leads to them in bfloat16 sees small numbers only.

    Args:
        logits: (B, bins, h, w), the greatest disparity first.

    Returns:
        whole half-size pixels, the rest, and the mean of the peak in quarter-size pixels, each
        (B, 1, h, w).
    """
    bins = logits.shape[1]
    peak = highest_peak(logits)
    # Bins run towards smaller disparities.
    offset = -2 * peak.offset
    shift = offset.detach().round()
    whole = 2 * (bins - 1 - peak.top) + shift
    return whole, offset - shift, bins - 1 - peak.top + offset / 2


class DTPNetBimodal(nn.Module):
    """Rectified pair to disparity and confidence with 2D convolutions only.

    Call with ``left, right`` (B, 3, H, W) float, RGB 0-255, H and W multiples of 32. In `eval`
    mode it returns (disparity px (B, 1, H, W), confidence (B, 1, H/2, W/2)); in `train` mode
    `Outputs`.
    Confidence c stands for an expected absolute error of 1 / c - 1 px.
    """

    name = 'dtpnet'
    padding_multiple = 32
    min_width_px = 64

    def __init__(self, config: BimodalConfig | None = None) -> None:
        super().__init__()
        self.config = config or BimodalConfig()
        c = self.config
        self.max_disparity_px = c.max_disparity_px
        self.bins = c.max_disparity_px // 4
        self.normalise = Normalise()
        self.features = Features(c)
        # Two projections, not one: a head may then compare left features with right features
        # of another phase, which a fully siamese correlation cannot (sub-pixel positions).
        self.project_left = nn.Conv2d(c.quarter, c.head_channels, 1)
        self.project_right = nn.Conv2d(c.quarter, c.head_channels, 1)
        self.project_right.load_state_dict(self.project_left.state_dict())
        # Cosines lie in -1..1; learned scales make them usable as logits and inputs.
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        self.attend = nn.Conv2d(c.quarter, self.bins, 1) if c.attend else None
        self.aggregation = Aggregation(c, self.bins)
        self.nearer = Distribution(c.volume, self.bins)
        self.farther = Distribution(c.volume, self.bins)
        self.decision = Decision(c)

    def matching_volume(self, left: Tensor, right: Tensor) -> Tensor:
        """Quarter-size features of both views to correlations (B, bins, H4, W4).

        The greatest disparity comes first, see `correlation_volume`.
        """

        def descriptors(projected: Tensor) -> Tensor:
            return F.normalize(projected.permute(0, 2, 3, 1), dim=3).unsqueeze(3)

        left, right = self.projected(left, right)
        return correlation_volume(descriptors(left), descriptors(right), self.bins)

    def encoded(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """RGB 0-255 to features at 1/2, 1/4, 1/8 and 1/16."""
        features: tuple[Tensor, Tensor, Tensor, Tensor] = self.features(self.normalise(image))
        return features

    def projected(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Quarter-size features of both views to the features that are correlated."""
        return self.project_left(left), self.project_right(right)

    def decoded(
        self, matching: Tensor, left4: Tensor, left8: Tensor, left16: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Correlations and left features to volume and scores of both distributions."""
        weighed = matching
        if self.attend is not None:
            weighed = matching * torch.sigmoid(self.attend(left4))
        volume = self.aggregation(weighed, left4, left8, left16)
        return volume, self.nearer(volume, matching), self.farther(volume, matching)

    def predict(self, left: Tensor, right: Tensor) -> Outputs:
        """All outputs, for training and for `forward`."""
        half, quarter, eighth, sixteenth = self.encoded(torch.cat((left, right), dim=0))
        left4, right4 = quarter.chunk(2)
        left2, right2 = half.chunk(2)
        left8, left16 = eighth.chunk(2)[0], sixteenth.chunk(2)[0]
        matching = self.matching_volume(left4, right4) * self.sharpness
        volume, near_logits, far_logits = self.decoded(matching, left4, left8, left16)
        near_whole, near_rest, near = whole_and_rest(near_logits)
        far_whole, far_rest, far = whole_and_rest(far_logits)
        out = self.decision(
            left2, right2, left4, volume, (near_whole, near_rest), (far_whole, far_rest)
        )
        near_px = 2 * (repeated(near_whole, 2) + (repeated(near_rest, 2) + out[:, :1]))
        far_px = 2 * (repeated(far_whole, 2) + (repeated(far_rest, 2) + out[:, 1:2]))
        log_error, choice = out[:, 2:3], out[:, 3:]
        disparity = F.pixel_shuffle(torch.where(choice > 0, near_px, far_px), 2)
        # 1 / (1 + sigma) with sigma = exp(log_error).
        confidence = torch.sigmoid(-log_error)
        if not self.training:
            return Outputs(disparity, confidence, near_logits.flip(1))
        sides = Sides(
            repeated(near_px, 2), repeated(far_px, 2), torch.sigmoid(F.pixel_shuffle(choice, 2))
        )
        hypotheses = Hypotheses(near_logits.flip(1), far_logits.flip(1), 4 * near, 4 * far)
        return Outputs(
            disparity, confidence, near_logits.flip(1), None, matching.flip(1), sides, hypotheses,
            repeated(log_error, 2),
        )  # fmt: skip

    def forward(self, left: Tensor, right: Tensor) -> Outputs | tuple[Tensor, Tensor]:
        """See the class."""
        outputs = self.predict(left, right)
        if self.training:
            return outputs
        return outputs.disparity_px, outputs.confidence

    def traced(self) -> Traced:
        """For pruning."""
        return _TracedBimodal(self)


class _TracedBimodal(Traced):
    """`DTPNetBimodal.predict` for the dependency graph.

    Fixed: the projections, the disparities of the distributions and of what weighs them, the
    descriptors, and what the decision returns. Where the stem's own features are compared, they
    are cut together with the layers that read their differences.
    """

    network: DTPNetBimodal

    def __init__(self, network: DTPNetBimodal) -> None:
        super().__init__(network)
        decision = network.decision
        self.matching = nn.Conv2d(3, network.bins, 4, 4)
        self.planes = nn.Conv2d(3, 3, 4, 4)
        fixed = [
            self.matching, self.planes, network.project_left, network.project_right,
            network.attend, network.nearer.volume, network.nearer.matching,
            network.farther.volume, network.farther.matching,
            decision.describe_left, decision.describe_right, decision.leave,
        ]  # fmt: skip
        self.fixed = [layer for layer in fixed if layer is not None]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """An image (1, 3, H, W) to all that `predict` computes last."""
        n = self.network
        half, quarter, eighth, sixteenth = n.encoded(image)
        volume, nearer, farther = n.decoded(self.matching(image), quarter, eighth, sixteenth)
        left, right = n.decision.described(half, half)
        apart = (left - right).abs()
        decided = n.decision.decided(half, quarter, volume, self.planes(image), apart, apart)
        return *n.projected(quarter, quarter), nearer, farther, decided
