"""Parts that both members of the family are built of. Plain operators only, so that they export.

Shapes are NCHW; `H4`, `W4` mean a quarter of the input height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Statistics of natural images (RGB, 0-255), as used since ImageNet classification.
RGB_MEAN = (123.675, 116.28, 103.53)
RGB_STD = (58.395, 57.12, 57.375)

# Pixels of a row that are correlated at once; 16 was faster than 8, 24 and 48.
BLOCK = 16

# A peak of the disparity distribution is read from the bins within this distance of its maximum.
PEAK_RADIUS_BINS = 2
# A value between neighbours that differs more from the nearest lies between two surfaces.
SURFACE_PX = 1.0


class Normalise(nn.Module):
    """RGB 0-255 to zero mean and unit variance. Part of the network, so it exports with it."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('mean', torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(RGB_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in 0-255 to the same shape, normalised."""
        return (image - self.mean) / self.std


class DilatedDepthwise(nn.Conv2d):
    """A depthwise convolution with gaps, which a CPU trains in float32 under autocast too.

    PyTorch 2.13 on a CPU computes nonsense as the gradient of its kernel in bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H / stride, W / stride)."""
        if x.device.type != 'cpu' or not torch.is_autocast_enabled('cpu'):
            return super().forward(x)
        with torch.autocast('cpu', enabled=False):
            return super().forward(x.float())


class ConvBN(nn.Sequential):
    """Convolution, batch normalisation and (optionally) ReLU; padding keeps the size / stride."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> None:
        pad = dilation * (kernel - 1) // 2
        conv = DilatedDepthwise if dilation > 1 and groups == channels_in else nn.Conv2d
        layers: list[nn.Module] = [
            conv(channels_in, channels_out, kernel, stride, pad, dilation, groups, bias=False),
            nn.BatchNorm2d(channels_out),
        ]
        if activate:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)
        self.channels_in = channels_in

    def of(self, *parts: Tensor) -> Tensor:
        """Output of a 1 x 1 convolution, given its input in parts (B, C, h, w); see `summed`."""
        conv, norm, *rest = self
        total = summed([(cast(nn.Conv2d, conv), joined(*parts))], cast(nn.BatchNorm2d, norm))
        for layer in rest:
            total = layer(total)
        return total


class InvertedBlock(nn.Module):
    """Residual block: depthwise k x k, widen by 1 x 1, ReLU, narrow by 1 x 1.

    The depthwise convolution stands before the widening (ConvNeXt, Liu et al. 2022) and only it
    is normalised: an inverted residual of MobileNetV2 normalises the wide tensor twice, which
    made training three times slower on a CPU at the same number of multiplications.
    """

    def __init__(self, channels: int, kernel: int = 3, expansion: int = 2) -> None:
        super().__init__()
        self.spatial = ConvBN(channels, channels, kernel, groups=channels, activate=False)
        self.widen = nn.Conv2d(channels, expansion * channels, 1)
        self.narrow = nn.Conv2d(expansion * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x + cast(Tensor, self.narrow(F.relu(self.widen(self.spatial(x)))))


def joined(*parts: Tensor) -> tuple[Tensor, ...]:
    """Parts that `summed` reads as joined along their channels: one tensor, but for an export."""
    return parts if torch.onnx.is_in_onnx_export() else (torch.cat(parts, dim=1),)


def summed(
    terms: Sequence[tuple[nn.Conv2d, Sequence[Tensor]]], norm: nn.BatchNorm2d | None = None
) -> Tensor:
    """Sum of convolutions, normalised where `norm` is given.

    In an export each part has its own convolution, with the normalisation in its weights: OpenVINO
    copies what it joins, and adds while it convolves. dtpnet takes 0.87 of its time then in
    bfloat16, and 0.95 in float32.

    Args:
        terms: 1 x 1 convolutions (or others of one part), and the parts `joined` that each reads.
        norm: of the sum, in `eval` mode for an export.

    Returns:
        (B, channels, h, w).
    """
    if not torch.onnx.is_in_onnx_export():
        # One part only, as of `joined`.
        total = sum(cast(Tensor, conv(*parts)) for conv, parts in terms)
        return cast(Tensor, total if norm is None else norm(total))
    weights = [conv.weight for conv, _ in terms]
    biases = [conv.bias for conv, _ in terms if conv.bias is not None]
    if norm is not None:
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weights = [weight * scale.reshape(-1, 1, 1, 1) for weight in weights]
        biases = [scale * bias for bias in biases] + [norm.bias - norm.running_mean * scale]
    sums: list[Tensor] = []
    for weight, (conv, parts) in zip(weights, terms, strict=True):
        first = 0
        for part in parts:
            # A number, not traced: what is made of weights alone is a constant of the export.
            count = int(part.shape[1])
            bias = sum(biases[1:], biases[0]) if biases and not sums else None
            kernel = weight.narrow(1, first, count)
            sums.append(F.conv2d(part, kernel, bias, conv.stride, conv.padding))
            first += count
    return sum(sums[1:], sums[0])


def upsample2(x: Tensor) -> Tensor:
    """Double height and width, bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)


def repeated(plane: Tensor, factor: int) -> Tensor:
    """Each value of a plane (B, 1, h, w) `factor` times in height and width."""
    if factor == 1:
        return plane
    # OpenVINO interpolates a single plane ten times slower.
    return F.pixel_shuffle(plane.expand(-1, factor * factor, -1, -1), factor)


def enlarged(image: Tensor, factor: float) -> Tensor:
    """An image (B, C, h, w) `factor` times as large, bilinear."""
    return F.interpolate(image, scale_factor=factor, mode='bilinear', align_corners=False)


class Enlarge(nn.Module):
    """`enlarged` by a fraction p / q as one convolution: OpenVINO interpolates images slowly.

    Each block of q x q pixels and those around it become p x p pixels.

    Args:
        factor: p / q, with sides of the images that are multiples of q.
    """

    weight: Tensor

    def __init__(self, factor: Fraction) -> None:
        super().__init__()
        self.larger, self.stride = factor.numerator, factor.denominator
        # The middle block of three, for each of the pixels that it is made of.
        side = self.stride + 2
        pixels = torch.eye(side * side).reshape(-1, 1, side, side)
        pixels = F.pad(pixels, (self.stride - 1,) * 4)
        middle = slice(self.larger, 2 * self.larger)
        made = enlarged(pixels, float(factor))[:, 0, middle, middle]
        kernel = made.reshape(side, side, -1).permute(2, 0, 1)  # (p p, q + 2, q + 2)
        weight = torch.zeros(3, len(kernel), 3, side, side)
        for channel in range(3):
            weight[channel, :, channel] = kernel
        self.register_buffer('weight', weight.flatten(0, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, q h, q w) to (B, 3, p h, p w)."""
        around = F.pad(image, (1, 1, 1, 1), mode='replicate')
        return F.pixel_shuffle(F.conv2d(around, self.weight, stride=self.stride), self.larger)


def doubled(plane: Tensor) -> Tensor:
    """A disparity (B, 1, h, w) in px at twice the size: `resampled` without reading by index.

    With that dtpnet takes 1.05 of its time in fp32, in OpenVINO and in ONNX Runtime.
    """
    height, width = plane.shape[2:]
    around = F.pad(plane, (1, 1, 1, 1), mode='replicate')
    rows = around[:, :, :height], around[:, :, 2:]
    # One of four pixels each: a quarter of the way to the neighbours above or below, and beside.
    made = [
        on_surface(plane, (3 * (row[..., 1:-1] + beside) + corner - 7 * plane) / 16)
        for row in rows
        for beside, corner in (
            (around[:, :, 1:-1, :width], row[..., :width]), (around[:, :, 1:-1, 2:], row[..., 2:])
        )
    ]  # fmt: skip
    return F.pixel_shuffle(torch.cat(made, dim=1), 2)


def on_surface(nearest: Tensor, step: Tensor) -> Tensor:
    """A disparity in px, and a step towards its neighbours where they lie on its surface."""
    return nearest + step * (step.abs() < SURFACE_PX).to(step.dtype)


def resampled(plane: Tensor, size: tuple[int, int], ratio: float) -> Tensor:
    """A disparity in px at another size: linear on a surface, the nearest value at its edges.

    Linear everywhere would put pixels at an edge between two surfaces, where there is nothing.

    Args:
        plane: (B, 1, h, w).
        size: (height, width) of the result.
        ratio: height of the plane to that of the result.
    """
    linear = nearest = plane
    for dim, count in zip((2, 3), size, strict=True):
        place = ((torch.arange(count, device=plane.device) + 0.5) * ratio - 0.5).clamp(min=0)
        before = place.long()
        after = (before + 1).clamp(max=plane.shape[dim] - 1)
        share = (place - before).view([-1, 1] if dim == 2 else [-1])
        first, second = linear.index_select(dim, before), linear.index_select(dim, after)
        linear = first + share * (second - first)
        nearest = nearest.index_select(dim, torch.minimum((place + 0.5).long(), after))
    return on_surface(nearest, linear - nearest)


def correlation_volume(left: Tensor, right: Tensor, bins: int) -> Tensor:
    """Inner products of left features with right features at each disparity.

    Args:
        left, right: features (B, H4, W4, heads, C).
        bins: number of disparities, in pixels of the feature map, starting at 0.

    Returns:
        (B, heads * bins, H4, W4) in channels-last memory; of each head the greatest disparity
        first, as the band lies in memory: turning it round takes longer than multiplying in
        OpenVINO. Zero where the match lies outside the right image.
    """
    # Head by head: a runtime that moves memory on one core does it in larger pieces then.
    if left.shape[3] == 1:  # copied by `unbind`
        volume = _band(left.flatten(3), right.flatten(3), bins)
    else:
        heads = zip(left.unbind(dim=3), right.unbind(dim=3), strict=True)
        volume = torch.cat([_band(*head, bins) for head in heads], dim=3)
    return volume.permute(0, 3, 1, 2)


def _band(left: Tensor, right: Tensor, bins: int) -> Tensor:
    """Correlations of one head, features (B, H4, W4, C) to (B, H4, W4, bins).

    A row is cut into blocks of pixels, and each is multiplied with all that its matches may be: it
    and the blocks before it. The band of wanted disparities is cut out of each product by reading
    its rows as one number longer, which moves row x by x. It is the same as slicing the right
    features once per disparity, but a few operators instead of a hundred, and a quarter of the
    numbers that multiplying whole rows makes.
    """
    batch, height, width, channels = left.shape
    before = -(-bins // BLOCK)
    fill = (-width) % BLOCK
    count = (width + fill) // BLOCK
    rows = batch * height
    lefts = F.pad(left, (0, 0, 0, fill)).reshape(rows, count, BLOCK, channels)
    rights = F.pad(right, (0, 0, before * BLOCK, fill))
    rights = rights.reshape(rows, before + count, BLOCK, channels)
    near = torch.arange(before + 1, device=left.device)
    reach = rights[:, torch.arange(count, device=left.device).unsqueeze(1) + near].flatten(2, 3)
    # One more row than pixels, for what the longer reading takes beyond the end.
    products = torch.matmul(F.pad(lefts, (0, 0, 0, 1)), reach.transpose(2, 3)).flatten(2)
    length = (before + 1) * BLOCK + 1
    longer = products[..., : BLOCK * length].reshape(rows, count, BLOCK, length)
    # Column s of a row holds disparity before * BLOCK - s.
    first = before * BLOCK - bins + 1
    band = longer[..., first : first + bins].reshape(batch, height, width + fill, bins)
    return band[:, :, :width]


class Peak(NamedTuple):
    """The highest peak of a disparity distribution.

    Attributes:
        offset: how far its mean lies from `top`, in bins (B, 1, H4, W4).
        top: the bin of the greatest score, the same shape.
        mass: of the bins around that one, whose own is 1, the same shape.
        lower: how far each score is above the greatest, 0 or less, (B, bins, H4, W4).
    """

    offset: Tensor
    top: Tensor
    mass: Tensor
    lower: Tensor

    @property
    def place(self) -> Tensor:
        """Mean of the peak, in bins (B, 1, H4, W4)."""
        return self.top + self.offset

    @property
    def share(self) -> Tensor:
        """Probability within the peak, a confidence (B, 1, H4, W4)."""
        return self.mass / self.lower.exp().sum(dim=1, keepdim=True)


def highest_peak(logits: Tensor) -> Peak:
    """Mean and mass of the highest peak of a disparity distribution.

    The mean over all bins (soft-argmax, GC-Net, Kendall et al. 2017) lies between the surfaces at
    an edge, on neither of them; the mean over the peak alone does not.

    Args:
        logits: (B, bins, H4, W4).
    """
    # An argmax alone takes OpenVINO 2 ms of the network's 60.
    highest = logits.detach().amax(dim=1, keepdim=True)
    bins = bin_numbers(logits)
    top = (bins * (logits >= highest).to(bins.dtype)).amax(dim=1, keepdim=True)
    lower = logits - highest
    # Only the bins of the peak are weighed. Those beyond the ends do not count.
    away = torch.arange(-PEAK_RADIUS_BINS, PEAK_RADIUS_BINS + 1, device=logits.device)
    wanted = top.permute(0, 2, 3, 1).long() + away
    there = wanted.clamp(0, logits.shape[1] - 1)
    near = torch.gather(lower.permute(0, 2, 3, 1), 3, there)
    window = (near.exp() * (wanted == there).to(near.dtype)).permute(0, 3, 1, 2)
    mass = window.sum(dim=1, keepdim=True)
    offset = (window * away.to(near.dtype).view(1, -1, 1, 1)).sum(dim=1, keepdim=True) / mass
    return Peak(offset, top, mass, lower)


def bin_numbers(logits: Tensor) -> Tensor:
    """0, 1, .. of the bins of a distribution (B, bins, h, w), as (1, bins, 1, 1)."""
    return torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype).view(
        1, -1, 1, 1
    )


def surface_upsample(coarse: Tensor, weights: Tensor, factor: int, jump: float) -> Tensor:
    """Upsample by learned convex combinations of neighbours on one side of an edge.

    That of all 3 x 3 neighbours is RAFT's (Teed & Deng 2020). Where they are further apart than
    `jump`, they are parted half way, and only those of the side with the greater share are
    combined: a mean of both sides lies on no surface (the flying pixels of a point cloud).
    SMD-Nets (Tosi et al., CVPR 2021) choose between two modes for the same reason.

    Args:
        coarse: (B, 1, h, w).
        weights: (B, 9 * factor^2, h, w), before the softmax over the nine neighbours.
        factor: of the size.
        jump: in the units of `coarse`; more than neighbours on one surface differ.

    Returns:
        (B, 1, factor * h, factor * w), in the units of `coarse`.
    """
    batch, _, height, width = coarse.shape
    weights = weights.reshape(batch, 9, factor * factor, height, width)
    # The softmax by hand: ONNX Runtime is slow in one that is not over the last dimension. It is
    # divided by its sum only at the end.
    shares = (weights - weights.amax(dim=1, keepdim=True)).exp()
    least, rise, upper = _parted(torch.stack(_neighbours(coarse), dim=1), 1, jump)
    whole = shares.sum(dim=1)
    upper_share = (shares * upper).sum(dim=1)
    upper_sum = (shares * (upper * rise)).sum(dim=1)
    lower_sum = (shares * rise).sum(dim=1) - upper_sum
    chosen = upper_share > whole / 2
    mean = torch.where(chosen, upper_sum, lower_sum) / torch.where(
        chosen, upper_share, whole - upper_share
    )
    return F.pixel_shuffle(least[:, 0] + mean, factor)


def both_surfaces(
    coarse: Tensor, weights: Tensor, factor: int, jump: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Both surfaces that `surface_upsample` chooses between: training needs the gradient of both.

    In channels-last memory and as one product per coarse pixel, which trains three times faster
    than the sums of `surface_upsample`.

    Args:
        coarse, weights, factor, jump: as there.

    Returns:
        the nearer side, the farther one, and the share 0..1 of the nearer one, each as there.
        Where there is no edge, the share is 0.
    """
    batch, _, height, width = coarse.shape
    around = torch.stack(_neighbours(coarse), dim=-1).reshape(-1, 1, 9).float()
    least, rise, upper = _parted(around, 2, jump)
    terms = torch.cat((upper, upper * rise, (1 - upper) * rise), dim=1)
    shares = weights.permute(0, 2, 3, 1).reshape(-1, 9, factor * factor).float().softmax(dim=1)
    with torch.autocast(coarse.device.type, enabled=False):
        share, upper_sum, lower_sum = torch.bmm(terms, shares).unbind(dim=1)
    least = least[:, 0]
    sides = (
        least + upper_sum / share.clamp(min=1e-6),
        least + lower_sum / (1 - share).clamp(min=1e-6),
        share,
    )
    nearer, farther, share = (
        F.pixel_shuffle(side.reshape(batch, height, width, -1).permute(0, 3, 1, 2), factor)
        for side in sides
    )
    return nearer, farther, share


def _parted(neighbours: Tensor, dim: int, jump: float) -> tuple[Tensor, Tensor, Tensor]:
    """The least neighbour along `dim`, how far each lies above it, and 1 for the upper side.

    Counted from the least, so that differences of sums are those of small numbers.
    """
    least, rise, highest = _risen(neighbours, dim)
    upper = ((rise > highest / 2) & (highest > jump)).to(rise.dtype)
    return least, rise, upper


def _risen(neighbours: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """The least neighbour along `dim`, how far each lies above it, and the greatest of that."""
    least = neighbours.amin(dim=dim, keepdim=True)
    rise = neighbours - least
    return least, rise, rise.amax(dim=dim, keepdim=True)


def range_around(plane: Tensor) -> Tensor:
    """Range of the values among the 3 x 3 neighbours of each, (B, 1, h, w).

    Of the disparity that `surface_upsample` is given, a runtime computes it once.
    """
    return _risen(torch.stack(_neighbours(plane), dim=1), 1)[2][:, 0]


def _neighbours(coarse: Tensor) -> list[Tensor]:
    """The 3 x 3 neighbours of each pixel, nine times (B, 1, h, w)."""
    height, width = coarse.shape[2:]
    padded = F.pad(coarse, (1, 1, 1, 1), mode='replicate')
    return [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
