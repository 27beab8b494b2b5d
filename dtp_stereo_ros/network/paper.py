"""The network of "Distill-then-prune" (Pan et al., ICRA 2024, arXiv 2405.11809), settings 1-3.

From the paper: siamese residual features at a quarter of the size without spatial pyramid
pooling, four stages in settings 1 and 2, two in setting 3; in settings 2 and 3 the cost volume by
*channel-to-disparity* (concatenate both features, three times convolution, normalisation and
activation, down to max_disparity / 4 = 48 channels that mean disparities; no shifting), in
setting 1 MobileStereoNet's interlaced volume; a 2D hourglass with skips, three of them in setting
1, one in 2 and 3; a convolution 48 -> 192, bilinear upsampling to full size, softmax and
soft-argmax. Published: setting 1 has 2.04 M parameters and SceneFlow EPE 1.27 px, setting 2
0.95 M, setting 3 0.64 M and EPE 1.73 px.

Our reading, because the paper does not say it, chosen so that the parameter counts agree:
MobileStereoNet-2D (Shamsafar et al., WACV 2022) cut down. Its stem; depthwise-separable residual
blocks with 32 channels at 1/2, 64 at 1/4 (10 blocks, not 16), 128 in stages 3 and 4 (dilated in
4); 1 x 1 convolutions in channel-to-disparity; hourglass widths 48, 96, 192 of inverted residuals
with expansion 2; a 1 x 1 convolution 48 -> 192. The confidence is ours: the mass of the
distribution around its peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBN, Normalise, highest_peak
from .outputs import Outputs
from .traced import Traced

PUBLISHED_PARAMETERS = {1: 2.04e6, 2: 0.95e6, 3: 0.64e6}


@dataclass(frozen=True)
class PaperConfig:
    """Setting of the paper.

    Attributes:
        setting: 1, 2 or 3.
        max_disparity_px: disparities seen are 0 .. this - 1; a multiple of 4.
    """

    setting: int = 3
    max_disparity_px: int = 192


class Separable(nn.Sequential):
    """Depthwise 3 x 3, then 1 x 1 (MobileNet, Howard et al. 2017)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        dilation: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__(
            ConvBN(channels_in, channels_in, 3, stride, dilation=dilation, groups=channels_in),
            ConvBN(channels_in, channels_out, 1, activate=activate),
        )


class SeparableResidual(nn.Module):
    """Two separable convolutions around a skip, with a 1 x 1 skip where the shape changes."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Separable(channels_in, channels_out, stride, dilation),
            Separable(channels_out, channels_out, 1, dilation, activate=False),
        )
        same = stride == 1 and channels_in == channels_out
        self.skip: nn.Module = (
            nn.Identity() if same else ConvBN(channels_in, channels_out, 1, stride, activate=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        return cast(Tensor, self.skip(x) + self.body(x))


class InvertedResidual(nn.Module):
    """Widen, depthwise 3 x 3, narrow (MobileNetV2, Sandler et al. 2018)."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, expansion: int = 2
    ) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.body = nn.Sequential(
            ConvBN(channels_in, wide, 1),
            ConvBN(wide, wide, 3, stride, groups=wide),
            ConvBN(wide, channels_out, 1, activate=False),
        )
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        out: Tensor = self.body(x)
        return x + out if self.residual else out


def _stage(
    channels_in: int, channels_out: int, blocks: int, stride: int, dilation: int
) -> nn.Module:
    first = SeparableResidual(channels_in, channels_out, stride, dilation)
    rest = [SeparableResidual(channels_out, channels_out, 1, dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class PaperFeatures(nn.Sequential):
    """Siamese features at 1/4: (B, 3, H, W) to (B, channels, H4, W4)."""

    def __init__(self, stages: int) -> None:
        self.channels = 64 if stages == 2 else 128
        layers: list[nn.Module] = [
            InvertedResidual(3, 32, 2, 3),
            InvertedResidual(32, 32, 1, 3),
            InvertedResidual(32, 32, 1, 3),
            _stage(32, 32, 3, 1, 1),
            _stage(32, 64, 10, 2, 1),
        ]
        if stages == 4:
            layers += [_stage(64, 128, 3, 1, 1), _stage(128, 128, 3, 1, 2)]
        super().__init__(*layers)


class ChannelToDisparity(nn.Sequential):
    """Both features (B, 2 C, H4, W4) to one channel per disparity (B, bins, H4, W4)."""

    def __init__(self, channels: int, bins: int) -> None:
        middle, last = channels, max(bins, channels // 2)
        super().__init__(
            ConvBN(2 * channels, middle, 1), ConvBN(middle, last, 1), ConvBN(last, bins, 1)
        )


class InterlacedVolume(nn.Module):
    """MobileStereoNet-2D's volume: features of both views interleaved at each disparity.

    The original runs 3D convolutions whose depth stride is their depth, which are 2D
    convolutions of groups of channels; here they are written as such.
    """

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.reduce = nn.Sequential(ConvBN(channels, 64, 1), nn.Conv2d(64, 32, 1))
        self.groups = nn.ModuleList(
            [ConvBN(8, 16, 3), ConvBN(4 * 16, 32, 3), ConvBN(2 * 32, 16, 3)]
        )
        self.leave = nn.Conv2d(16, 1, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (B, C, H4, W4) of both views to (B, bins, H4, W4)."""
        batch, _, height, width = left.shape
        left, right = self.reduce(left), self.reduce(right)
        padded = F.pad(right, (self.bins - 1, 0))
        shifted = torch.stack(
            [padded[..., self.bins - 1 - d :][..., :width] for d in range(self.bins)], dim=1
        )
        pairs = torch.stack((left.unsqueeze(1).expand_as(shifted), shifted), dim=3)
        x = pairs.reshape(batch * self.bins * 8, 8, height, width)
        for layer in self.groups:
            x = layer(x.reshape(-1, cast(ConvBN, layer).channels_in, height, width))
        volume: Tensor = self.leave(x)
        return volume.reshape(batch, self.bins, height, width)


class Hourglass(nn.Module):
    """PSMNet's stacked hourglass in 2D: down to 1/16 and back, with skips."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down1 = nn.Sequential(
            InvertedResidual(width, 2 * width, 2), InvertedResidual(2 * width, 2 * width)
        )
        self.down2 = nn.Sequential(
            InvertedResidual(2 * width, 4 * width, 2), InvertedResidual(4 * width, 4 * width)
        )
        self.up2 = _transposed(4 * width, 2 * width)
        self.up1 = _transposed(2 * width, width)
        self.skip1 = InvertedResidual(width, width)
        self.skip2 = InvertedResidual(2 * width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H4, W4) to the same shape; H4 and W4 are multiples of 4."""
        x8 = self.down1(x)
        x8_up = F.relu(self.up2(self.down2(x8)) + self.skip2(x8))
        return F.relu(self.up1(x8_up) + self.skip1(x))


def _transposed(channels_in: int, channels_out: int) -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels_out, 3, 2, 1, 1, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class DTPNetPaper(nn.Module):
    """Rectified pair to disparity and confidence as in the paper.

    Call with ``left, right`` (B, 3, H, W) float, RGB 0-255, H and W multiples of 16. In `eval`
    mode it returns (disparity px (B, 1, H, W), confidence (B, 1, H, W)); in `train` mode
    `Outputs`.
    """

    padding_multiple = 16
    min_width_px = 64

    def __init__(self, config: PaperConfig | None = None) -> None:
        super().__init__()
        self.config = config or PaperConfig()
        setting = self.config.setting
        if setting not in PUBLISHED_PARAMETERS:
            raise ValueError(f'setting {setting} is not in the paper; choose 1, 2 or 3')
        self.name = f'dtpnet-setting{setting}'
        self.max_disparity_px = self.config.max_disparity_px
        bins = self.max_disparity_px // 4
        self.normalise = Normalise()
        self.features = PaperFeatures(2 if setting == 3 else 4)
        channels = self.features.channels
        self.volume: nn.Module = (
            InterlacedVolume(channels, bins)
            if setting == 1
            else ChannelToDisparity(channels, bins)
        )
        self.aggregation = nn.Sequential(
            *[Hourglass(bins) for _ in range(3 if setting == 1 else 1)]
        )
        self.regress = nn.Conv2d(bins, self.max_disparity_px, 1)

    def encoded(self, image: Tensor) -> Tensor:
        """RGB 0-255 to features at 1/4."""
        features: Tensor = self.features(self.normalise(image))
        return features

    def cost_volume(self, left: Tensor, right: Tensor) -> Tensor:
        """Features of both views to (B, bins, H4, W4)."""
        if isinstance(self.volume, InterlacedVolume):
            return self.volume(left, right)
        volume: Tensor = self.volume(torch.cat((left, right), dim=1))
        return volume

    def decoded(self, volume: Tensor) -> Tensor:
        """Cost volume to scores (B, max_disparity_px, H4, W4)."""
        logits: Tensor = self.regress(self.aggregation(volume))
        return logits

    def predict(self, left: Tensor, right: Tensor) -> Outputs:
        """All outputs, for training and for `forward`."""
        left4, right4 = self.encoded(torch.cat((left, right), dim=0)).chunk(2)
        logits = self.decoded(self.cost_volume(left4, right4)).float()
        full = F.interpolate(logits, scale_factor=4.0, mode='bilinear', align_corners=False)
        probability = torch.softmax(full, dim=1)
        bins = torch.arange(self.max_disparity_px, device=full.device, dtype=full.dtype)
        disparity = (probability * bins.view(1, -1, 1, 1)).sum(dim=1, keepdim=True)
        share = highest_peak(logits).share
        confidence = F.interpolate(share, scale_factor=4.0, mode='bilinear', align_corners=False)
        return Outputs(disparity, confidence, logits)

    def forward(self, left: Tensor, right: Tensor) -> Outputs | tuple[Tensor, Tensor]:
        """See the class."""
        outputs = self.predict(left, right)
        if self.training:
            return outputs
        return outputs.disparity_px, outputs.confidence

    def traced(self) -> Traced:
        """For pruning."""
        return _TracedPaper(self)


class _TracedPaper(Traced):
    """`DTPNetPaper.predict` for the dependency graph.

    Fixed: the disparity channels of the volume, and with them the stream of the hourglass. Setting
    1's interlaced volume counts its channels in eights; all of it is fixed.
    """

    network: DTPNetPaper

    def __init__(self, network: DTPNetPaper) -> None:
        super().__init__(network)
        self.volume = nn.Conv2d(3, network.max_disparity_px // 4, 4, 4)
        convolutions = [m for m in network.volume.modules() if isinstance(m, nn.Conv2d)]
        interlaced = isinstance(network.volume, InterlacedVolume)
        fixed = convolutions if interlaced else convolutions[-1:]
        self.fixed = [self.volume, network.regress, *fixed]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """An image (1, 3, H, W) to all that `predict` computes last."""
        n = self.network
        features = n.encoded(image)
        if isinstance(n.volume, InterlacedVolume):
            return n.decoded(self.volume(image)), n.volume.reduce(features)
        return (n.decoded(n.cost_volume(features, n.encoded(image))),)
