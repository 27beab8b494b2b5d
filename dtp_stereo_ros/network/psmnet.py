"""PSMNet (Chang & Chen, CVPR 2018), the paper's teacher: spatial pyramid pooling, 3D hourglasses.

Written so that published weights load: the modules carry the names of JiaRenChang's
`stackhourglass`. Those weights were trained when bilinear interpolation meant what is now called
`align_corners=True`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtp_stereo_ros.errors import ModelError

from .blocks import Normalise, highest_peak
from .outputs import Outputs

_FEATURES = 32


@dataclass(frozen=True)
class PSMNetConfig:
    """Widths of PSMNet.

    Attributes:
        max_disparity_px: disparities seen are 0 .. this - 1; a multiple of 16.
        blocks: residual blocks of the four feature stages.
    """

    max_disparity_px: int = 192
    blocks: tuple[int, int, int, int] = (3, 16, 3, 3)


def _conv2d(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    pad = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, pad, dilation, bias=False),
        nn.BatchNorm2d(channels_out),
    )


def _conv3d(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm3d(channels_out),
    )


def _transposed3d(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose3d(channels_in, channels_out, 3, 2, 1, output_padding=1, bias=False),
        nn.BatchNorm3d(channels_out),
    )


class _Residual(nn.Module):
    """Two convolutions around a skip, without an activation after the sum."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            _conv2d(channels_in, channels_out, 3, stride, dilation), nn.ReLU(inplace=True)
        )
        self.conv2 = _conv2d(channels_out, channels_out, 3, 1, dilation)
        same = stride == 1 and channels_in == channels_out
        self.downsample = None if same else _conv2d(channels_in, channels_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        skip = x if self.downsample is None else self.downsample(x)
        return cast(Tensor, skip + self.conv2(self.conv1(x)))


def _stage(
    channels_in: int, channels_out: int, blocks: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    first = _Residual(channels_in, channels_out, stride, dilation)
    rest = [_Residual(channels_out, channels_out, 1, dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class _Pool(nn.Module):
    """Mean over squares, or over the whole map where it is smaller than a square."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, h / side, w / side)."""
        return F.avg_pool2d(x, (min(self.side, x.shape[2]), min(self.side, x.shape[3])))


class _PyramidFeatures(nn.Module):
    """Residual features at 1/4 with the means of 4 sizes of neighbourhood."""

    def __init__(self, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.firstconv = nn.Sequential(
            _conv2d(3, 32, 3, 2), nn.ReLU(inplace=True),
            _conv2d(32, 32, 3), nn.ReLU(inplace=True),
            _conv2d(32, 32, 3), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.layer1 = _stage(32, 32, blocks[0])
        self.layer2 = _stage(32, 64, blocks[1], 2)
        self.layer3 = _stage(64, 128, blocks[2])
        self.layer4 = _stage(128, 128, blocks[3], 1, 2)
        for number, side in enumerate((64, 32, 16, 8), start=1):
            branch = nn.Sequential(_Pool(side), _conv2d(128, 32, 1), nn.ReLU(inplace=True))
            self.add_module(f'branch{number}', branch)
        self.lastconv = nn.Sequential(
            _conv2d(64 + 128 + 4 * 32, 128, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, _FEATURES, 1, bias=False),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) normalised to (B, 32, H4, W4)."""
        raw = self.layer2(self.layer1(self.firstconv(image)))
        skip = self.layer4(self.layer3(raw))
        pooled = [
            F.interpolate(
                self.get_submodule(f'branch{number}')(skip),
                skip.shape[-2:],
                mode='bilinear',
                align_corners=True,
            )
            for number in (4, 3, 2, 1)
        ]
        return cast(Tensor, self.lastconv(torch.cat((raw, skip, *pooled), dim=1)))


class _Hourglass(nn.Module):
    """3D: down to a quarter and back, with skips to and from its neighbours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_conv3d(width, 2 * width, 2), nn.ReLU(inplace=True))
        self.conv2 = _conv3d(2 * width, 2 * width)
        self.conv3 = nn.Sequential(_conv3d(2 * width, 2 * width, 2), nn.ReLU(inplace=True))
        self.conv4 = nn.Sequential(_conv3d(2 * width, 2 * width), nn.ReLU(inplace=True))
        self.conv5 = _transposed3d(2 * width, 2 * width)
        self.conv6 = _transposed3d(2 * width, width)

    def forward(
        self, x: Tensor, before: Tensor | None, after: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Volume and the inner maps of earlier hourglasses; the same of this one."""
        pre = self.conv2(self.conv1(x))
        pre = F.relu(pre if after is None else pre + after)
        post = F.relu(
            self.conv5(self.conv4(self.conv3(pre))) + (pre if before is None else before)
        )
        return self.conv6(post), pre, post


def concatenation_volume(left: Tensor, right: Tensor, bins: int) -> Tensor:
    """Features of both views side by side at each disparity.

    Args:
        left, right: (B, C, H4, W4).
        bins: number of disparities, in pixels of the features.

    Returns:
        (B, 2 C, bins, H4, W4); zero where the match lies outside the right image.
    """
    batch, channels, height, width = left.shape
    volume = left.new_zeros(batch, 2 * channels, bins, height, width)
    for d in range(min(bins, width)):
        volume[:, :channels, d, :, d:] = left[..., d:]
        volume[:, channels:, d, :, d:] = right[..., : width - d]
    return volume


class PSMNet(nn.Module):
    """Rectified pair to disparity and confidence by 3D convolutions; a teacher, not for robots.

    Call with ``left, right`` (B, 3, H, W) float, RGB 0-255, H and W multiples of 16. In `eval`
    mode it returns (disparity px (B, 1, H, W), confidence (B, 1, H, W)); in `train` mode
    `Outputs`, whose bins are 1 px wide.
    """

    name = 'psmnet'
    padding_multiple = 16
    min_width_px = 64

    def __init__(self, config: PSMNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or PSMNetConfig()
        self.max_disparity_px = self.config.max_disparity_px
        self.normalise = Normalise()
        self.feature_extraction = _PyramidFeatures(self.config.blocks)
        width = _FEATURES
        self.dres0 = nn.Sequential(
            _conv3d(2 * width, width), nn.ReLU(inplace=True),
            _conv3d(width, width), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.dres1 = nn.Sequential(
            _conv3d(width, width), nn.ReLU(inplace=True), _conv3d(width, width)
        )
        self.dres2, self.dres3, self.dres4 = (_Hourglass(width) for _ in range(3))
        self.classif1, self.classif2, self.classif3 = (_classifier(width) for _ in range(3))

    def cost(self, left: Tensor, right: Tensor) -> Tensor:
        """Pair to scores (B, 1, max_disparity / 4, H4, W4), higher is likelier."""
        left4 = self.feature_extraction(self.normalise(left))
        right4 = self.feature_extraction(self.normalise(right))
        volume = concatenation_volume(left4, right4, self.max_disparity_px // 4)
        base = self.dres0(volume)
        base = self.dres1(base) + base
        out1, pre1, post1 = self.dres2(base, None, None)
        out1 = out1 + base
        out2, _, post2 = self.dres3(out1, pre1, post1)
        out2 = out2 + base
        out3, _, _ = self.dres4(out2, pre1, post2)
        scores: Tensor = self.classif1(out1) + self.classif2(out2) + self.classif3(out3 + base)
        return scores

    def predict(self, left: Tensor, right: Tensor) -> Outputs:
        """All outputs, for training and for `forward`."""
        size = (self.max_disparity_px, *left.shape[-2:])
        disparity, logits = regress(self.cost(left, right), size)
        share = highest_peak(logits).share
        confidence = F.interpolate(share, scale_factor=4.0, mode='bilinear', align_corners=False)
        return Outputs(disparity, confidence, logits)

    def forward(self, left: Tensor, right: Tensor) -> Outputs | tuple[Tensor, Tensor]:
        """See the class."""
        outputs = self.predict(left, right)
        if self.training:
            return outputs
        return outputs.disparity_px, outputs.confidence


def regress(scores: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Disparity from a classifier's scores: the mean over all bins (paper, Eq. 2).

    Args:
        scores: (B, 1, max_disparity / 4, H4, W4).
        size: (max_disparity, H, W).

    Returns:
        disparity px (B, 1, H, W) and logits (B, max_disparity, H4, W4).
    """
    full = F.interpolate(scores.float(), size, mode='trilinear', align_corners=True)[:, 0]
    bins = torch.arange(size[0], device=full.device, dtype=full.dtype).view(1, -1, 1, 1)
    disparity = (torch.softmax(full, dim=1) * bins).sum(dim=1, keepdim=True)
    return disparity, F.avg_pool2d(full, 4)


def _classifier(width: int) -> nn.Sequential:
    return nn.Sequential(
        _conv3d(width, width),
        nn.ReLU(inplace=True),
        nn.Conv3d(width, 1, 3, padding=1, bias=False),
    )


def load_published(path: Path) -> PSMNet:
    """PSMNet with published weights, in `eval` mode on the CPU.

    Args:
        path: what JiaRenChang's training script writes: ``{'state_dict': {'module.…': …}, …}``.

    Raises:
        ModelError: missing, more than plain values in it, or weights of another network.
    """
    try:
        content: Any = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise ModelError(f'PSMNet weights {path} do not exist; check the path') from None
    except Exception as error:
        # Bytes that are no pickle make the unpickler raise nearly anything.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f'PSMNet weights {path} cannot be read ({reason[:80]}); nothing in it was run'
        ) from None
    state = content.get('state_dict') if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ModelError(f'PSMNet weights {path} hold no state_dict; give the published file')
    network = PSMNet()
    plain = OrderedDict((str(key).removeprefix('module.'), value) for key, value in state.items())
    # A constant of the original that is no weight.
    plain = OrderedDict((k, v) for k, v in plain.items() if k in network.state_dict())
    try:
        network.load_state_dict(plain)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f'PSMNet weights {path}: {reason[:160]}') from None
    return network.eval()
