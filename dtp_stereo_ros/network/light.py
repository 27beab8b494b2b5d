"""The shipped member of the family: correlation instead of channel-to-disparity, no wide tail.

It keeps DTPnet's idea (disparity lies in the channels of a 2D network; no 3D convolution, no
iteration) and replaces what the paper's network spends most on. The 48 disparity channels come
from normalised correlations at 1/4 resolution, so matching has not to be learned from examples;
the distribution stays at 1/4, and a learned convex combination of the neighbours on one side of an
edge brings its peak to full size, where the paper's network runs a 192-channel softmax over every
pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtp_stereo_ros.errors import ModelError

from .blocks import (
    ConvBN,
    Enlarge,
    InvertedBlock,
    Normalise,
    Peak,
    both_surfaces,
    correlation_volume,
    doubled,
    highest_peak,
    joined,
    repeated,
    resampled,
    summed,
    surface_upsample,
    upsample2,
)
from .choice import PLANES, Choice, coarser_planes
from .error_head import CUES, ErrorHead, cues
from .outputs import Outputs, Sides
from .refine import Refinement, Views
from .traced import Traced

# An edge, among neighbours 8 px apart: a surface that both cameras see gains less than 1 px of
# disparity a pixel. On generated pairs 10 to 15 were equally good, and 7 less.
_JUMP_PX = 12.0


@dataclass(frozen=True)
class LightConfig:
    """Widths (channels) and depths (blocks) of the light network.

    Attributes:
        max_disparity_px: disparities seen are 0 .. this; a multiple of 4.
        stem, quarter, eighth, sixteenth, thirtysecond: channels at 1/2 .. 1/32 resolution.
        heads: correlations per disparity.
        head_channels: features of each correlation.
        volume: channels of the aggregation at 1/4.
        depths: aggregation blocks at 1/4, 1/8, 1/16, 1/32.
        detail: channels of the descriptors of the sub-pixel refinement; 0 for none.
        refine: channels of its correction.
        upsampling: learned from 1/4 to full size (4), or to half size (2) and repeated to full
            size. With 2, a convolution and the combination of neighbours take a quarter of the
            time.
        magnification: the network works on the pair enlarged by this factor, and is trained on
            pairs of that size.
        error: channels of the head that learns the expected error, from which the confidence is
            made then; 0 for none, and the mass of the distribution's peak as confidence.
        choice: channels of the choice between what the network sees in the enlarged pair and in
            one of half that size; 0 for the enlarged pair alone. The disparities of the bins are
            not enlarged then, as the smaller pair has the greatest.
    """

    max_disparity_px: int = 192
    stem: int = 16
    quarter: int = 32
    eighth: int = 64
    sixteenth: int = 96
    thirtysecond: int = 128
    heads: int = 2
    head_channels: int = 32
    volume: int = 48
    depths: tuple[int, int, int, int] = (2, 5, 6, 3)
    detail: int = 8
    refine: int = 32
    upsampling: int = 4
    magnification: float = 1.0
    error: int = 0
    choice: int = 0


# Largest denominator of a magnification.
_MOST_PARTS = 16


def check_parts(config: LightConfig) -> None:
    """Refuse settings that fit no network.

    Raises:
        ModelError: a choice without the refinement or the upsampling that it reads; a
            magnification that is no fraction of small numbers, by which images are enlarged; an
            unknown upsampling.
    """
    magnification = config.magnification
    if magnification <= 0 or abs(_fraction(magnification) - magnification) > 1e-6:
        raise ModelError(
            f'network light: magnification is {magnification!r}, it must be a fraction of small '
            'numbers, as 1.25 or 1.5'
        )
    if config.upsampling not in (2, 4):
        raise ModelError(f'network light: upsampling is {config.upsampling!r}, it must be 2 or 4')
    if config.choice and (config.upsampling != 2 or not config.detail):
        raise ModelError('a choice needs learned upsampling to half size, and a refinement')


def _fraction(magnification: float) -> Fraction:
    return Fraction(magnification).limit_denominator(_MOST_PARTS)


class Widths(Protocol):
    """Channels at 1/2 .. 1/32 and of the aggregation, and its depths; see `LightConfig`."""

    @property
    def stem(self) -> int: ...  # noqa: D102
    @property
    def quarter(self) -> int: ...  # noqa: D102
    @property
    def eighth(self) -> int: ...  # noqa: D102
    @property
    def sixteenth(self) -> int: ...  # noqa: D102
    @property
    def thirtysecond(self) -> int: ...  # noqa: D102
    @property
    def volume(self) -> int: ...  # noqa: D102
    @property
    def depths(self) -> tuple[int, int, int, int]: ...  # noqa: D102


class Features(nn.Module):
    """Siamese features at 1/2, 1/4, 1/8 and 1/16, with context flowing back up to 1/4."""

    def __init__(self, c: Widths) -> None:
        super().__init__()
        self.stem = ConvBN(3, c.stem, 3, 2)
        self.quarter = nn.Sequential(ConvBN(c.stem, c.quarter, 3, 2), InvertedBlock(c.quarter))
        self.eighth = nn.Sequential(ConvBN(c.quarter, c.eighth, 3, 2), InvertedBlock(c.eighth))
        self.sixteenth = nn.Sequential(
            ConvBN(c.eighth, c.sixteenth, 3, 2), InvertedBlock(c.sixteenth, 5)
        )
        self.up_eighth = nn.Conv2d(c.sixteenth, c.eighth, 1)
        self.up_quarter = nn.Conv2d(c.eighth, c.quarter, 1)
        self.mix_quarter = InvertedBlock(c.quarter)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Normalised (B, 3, H, W) to features at 1/2, 1/4, 1/8, 1/16."""
        half = self.stem(image)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        eighth = F.relu(eighth + upsample2(self.up_eighth(sixteenth)))
        quarter = F.relu(quarter + upsample2(self.up_quarter(eighth)))
        return half, self.mix_quarter(quarter), eighth, sixteenth


class Aggregation(nn.Module):
    """Hourglass over the disparity channels, guided by the left features at each scale.

    Args:
        c: widths and depths.
        correlations: channels of the volume that comes.
    """

    def __init__(self, c: Widths, correlations: int) -> None:
        super().__init__()
        n4, n8, n16, n32 = c.depths
        self.enter = ConvBN(correlations + c.quarter, c.volume, 1)
        self.down4 = nn.Sequential(*[InvertedBlock(c.volume) for _ in range(n4)])
        self.to8 = ConvBN(c.volume, c.eighth, 3, 2)
        self.guide8 = ConvBN(2 * c.eighth, c.eighth, 1)
        self.down8 = nn.Sequential(*[InvertedBlock(c.eighth) for _ in range(n8)])
        self.to16 = ConvBN(c.eighth, c.sixteenth, 3, 2)
        self.guide16 = ConvBN(2 * c.sixteenth, c.sixteenth, 1)
        self.down16 = nn.Sequential(*[InvertedBlock(c.sixteenth, 5) for _ in range(n16)])
        self.to32 = ConvBN(c.sixteenth, c.thirtysecond, 3, 2)
        self.down32 = nn.Sequential(*[InvertedBlock(c.thirtysecond, 5) for _ in range(n32)])
        self.from32 = nn.Conv2d(c.thirtysecond, c.sixteenth, 1)
        self.up16 = InvertedBlock(c.sixteenth, 5)
        self.from16 = nn.Conv2d(c.sixteenth, c.eighth, 1)
        self.up8 = InvertedBlock(c.eighth)
        self.from8 = nn.Conv2d(c.eighth, c.volume, 1)
        self.up4 = InvertedBlock(c.volume)

    def forward(self, volume: Tensor, left4: Tensor, left8: Tensor, left16: Tensor) -> Tensor:
        """Correlations (B, C, H4, W4) and left features to (B, volume, H4, W4)."""
        x4 = self.down4(self.enter.of(volume, left4))
        x8 = self.down8(self.guide8.of(self.to8(x4), left8))
        x16 = self.down16(self.guide16.of(self.to16(x8), left16))
        x32 = self.down32(self.to32(x16))
        x16 = self.up16(F.relu(x16 + upsample2(self.from32(x32))))
        x8 = self.up8(F.relu(x8 + upsample2(self.from16(x16))))
        out: Tensor = self.up4(F.relu(x4 + upsample2(self.from8(x8))))
        return out


class Level(NamedTuple):
    """Features, distribution and disparity of a pair of one size, in pixels of it.

    Attributes:
        views: descriptors of both views, with a refinement.
        logits: scores of the disparities, (B, bins, H4, W4), the greatest disparity first.
        first: correlations of the first head, the same shape.
        peak: disparity in bins, (B, 1, H4, W4).
        highest: peak of the distribution.
        features: what is known at 1/4.
        plane: upsampled disparity (B, 1, h, w).
        sides: what `plane` is chosen from, in training.
        log_error: logarithm of the expected error (B, 1, H4, W4), with an error head.
    """

    views: Views | None
    logits: Tensor
    first: Tensor
    peak: Tensor
    highest: Peak
    features: tuple[Tensor, ...]
    plane: Tensor
    sides: Sides | None
    log_error: Tensor | None


class UpsamplingWeights(nn.Module):
    """Nine-neighbour weights per upsampled pixel, from left detail and what is known at 1/4."""

    def __init__(self, c: LightConfig) -> None:
        super().__init__()
        # The stem's half-size features keep where edges run inside a quarter-size pixel. Their
        # own layer: unshuffled and joined to the rest, they would be copied twice.
        self.detail = nn.Conv2d(c.stem, c.volume, 2, 2, bias=False)
        self.context = nn.Conv2d(c.quarter + c.volume, c.volume, 1, bias=False)
        self.normalise = nn.BatchNorm2d(c.volume)
        self.spatial = ConvBN(c.volume, c.volume, 3, groups=c.volume)
        self.leave = nn.Conv2d(c.volume, 9 * c.upsampling**2, 1)

    def forward(self, half: Tensor, context: Sequence[Tensor]) -> Tensor:
        """Left features at 1/2, and those at 1/4 with the volume, to (B, 9 factor^2, H4, W4)."""
        x = F.relu(summed([(self.detail, [half]), (self.context, context)], self.normalise))
        weights: Tensor = self.leave(self.spatial(x))
        return weights


class DTPNetLight(nn.Module):
    """Rectified pair to disparity and confidence with 2D convolutions only.

    Call with ``left, right`` (B, 3, H, W) float, RGB 0-255, H and W multiples of
    `padding_multiple`. In `eval` mode it returns (disparity px (B, 1, H, W), confidence
    (B, 1, m H/4, m W/4)) with the magnification m; in `train` mode, on enlarged pairs, `Outputs`
    of their size and in their pixels. With an error head, confidence c stands for an expected
    absolute error of 1 / c - 1 px of the given pair.
    """

    name = 'dtpnet'
    min_width_px = 64

    def __init__(self, config: LightConfig | None = None) -> None:
        super().__init__()
        self.config = config or LightConfig()
        c = self.config
        self.max_disparity_px = c.max_disparity_px
        magnification = _fraction(c.magnification)
        # Both pairs of a choice have sizes that are multiples of 32.
        self.padding_multiple = (64 if c.choice else 32) * magnification.denominator
        self.enlarge = Enlarge(magnification) if magnification != 1 else nn.Identity()
        self.bins = c.max_disparity_px // 4
        if c.choice:
            self.max_disparity_px = int(8 * self.bins / magnification)
        elif magnification != 1:
            # A multiple of 16: OpenVINO sums others four times as slowly.
            self.bins = 16 * math.ceil(self.bins * magnification / 16)
            self.max_disparity_px = int(4 * self.bins / magnification)
        self.normalise = Normalise()
        self.features = Features(c)
        # Two projections, not one: a head may then compare left features with right features
        # of another phase, which a fully siamese correlation cannot (sub-pixel positions).
        width = c.heads * c.head_channels
        self.project_left = nn.Conv2d(c.quarter, width, 1)
        self.project_right = nn.Conv2d(c.quarter, width, 1)
        self.project_right.load_state_dict(self.project_left.state_dict())
        # Cosines lie in -1..1; learned scales make them usable as logits and inputs.
        self.sharpness = nn.Parameter(torch.tensor(10.0))
        self.aggregation = Aggregation(c, c.heads * self.bins)
        # The raw correlation is one of its inputs rather than added after it: it starts as if
        # added, and a runtime in bfloat16 computes all that leads to a convolution in it.
        self.regress = nn.Conv2d(c.volume + self.bins, self.bins, 1)
        with torch.no_grad():
            self.regress.weight[:, c.volume :, 0, 0] = torch.eye(self.bins)
        self.refinement = (
            Refinement(c.stem, c.quarter + c.volume, c.detail, c.refine) if c.detail else None
        )
        self.upsampling = UpsamplingWeights(c)
        self.error = None
        if c.error:
            # Those of the refinement tell most, and in fewer channels.
            self.error = ErrorHead(c.refine if c.detail else c.quarter + c.volume, c.error)
        self.choice = None
        if c.choice and self.refinement is not None:
            self.choice = Choice(c.refine, self.refinement.compared, c.choice)

    def matching_volume(self, left: Tensor, right: Tensor) -> Tensor:
        """Quarter-size features of both views to correlations (B, heads * bins, H4, W4).

        Of each head the greatest disparity comes first, see `correlation_volume`.
        """
        heads, channels = self.config.heads, self.config.head_channels

        def descriptors(projected: Tensor, length: Tensor | float) -> Tensor:
            rows = projected.permute(0, 2, 3, 1)
            return length * F.normalize(rows.reshape(*rows.shape[:3], heads, channels), dim=4)

        left, right = self.projected(left, right)
        # The sharpness before the correlation: a runtime need not turn the volume round for it.
        return correlation_volume(
            descriptors(left, self.sharpness), descriptors(right, 1.0), self.bins
        )

    def encoded(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """RGB 0-255, joined along the batch, to features at 1/2, 1/4, 1/8 and 1/16."""
        # Each normalised, then joined: OpenVINO normalises while it reads.
        normalised = torch.cat([self.normalise(image) for image in images], dim=0)
        features: tuple[Tensor, Tensor, Tensor, Tensor] = self.features(normalised)
        return features

    def projected(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Quarter-size features of both views to the features that are correlated."""
        return self.project_left(left), self.project_right(right)

    def decoded(
        self, matching: Tensor, first: Tensor, left4: Tensor, left8: Tensor, left16: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Correlations, those of the first head, and left features to scores and context."""
        volume = self.aggregation(matching, left4, left8, left16)
        # From here on too the greatest disparity comes first.
        logits = summed([(self.regress, joined(volume, first))])
        return logits, joined(left4, volume)

    def level(self, left: Tensor, right: Tensor) -> Level:
        """Features, distribution and disparity of a pair (B, 3, H, W) as it is, not enlarged."""
        c = self.config
        half, quarter, eighth, sixteenth = self.encoded(left, right)
        left4, right4 = quarter.chunk(2)
        left8, left16 = eighth.chunk(2)[0], sixteenth.chunk(2)[0]
        matching = self.matching_volume(left4, right4)
        first = matching[:, : self.bins]
        logits, context = self.decoded(matching, first, left4, left8, left16)
        logits = logits.float()
        highest = highest_peak(logits)
        peak, features, views = self.bins - 1 - highest.place, context, None
        if self.refinement is not None:
            views = self.refinement.views(half)
            peak, refined = self.refinement(peak, views, context)
            features = (refined,)
        weights = self.upsampling(half[: len(left)], context).float()
        sides = None
        if self.training:
            sides = Sides(*both_surfaces(4.0 * peak, weights, c.upsampling, _JUMP_PX))
            plane = torch.where(sides.nearer_share > 0.5, sides.nearer_px, sides.farther_px)
        else:
            plane = surface_upsample(4.0 * peak, weights, c.upsampling, _JUMP_PX)
        log_error = None
        if self.error is not None:
            # The head alone learns from its error: the disparity is the same with and without.
            with torch.no_grad():
                likely = cues(peak, highest)
            log_error = self.error([part.detach() for part in features], likely).float()
        return Level(views, logits, first, peak, highest, features, plane, sides, log_error)

    def predict(self, left: Tensor, right: Tensor) -> Outputs:
        """All outputs, for training and for `forward`."""
        size = left.shape[2], left.shape[3]
        if not self.training:
            left, right = self.enlarge(left), self.enlarge(right)
        level = self.level(left, right)
        if self.choice is not None:
            coarser = self.level(F.avg_pool2d(left, 2), F.avg_pool2d(right, 2))
            return self._chosen(self.choice, level, coarser, size)
        factor = 4 // self.config.upsampling
        quarter_px = 4.0 * level.peak / (1.0 if self.training else self.config.magnification)
        sides = level.sides and Sides(*(repeated(plane, factor) for plane in level.sides))
        log_error = level.log_error
        if log_error is None:
            confidence = level.highest.share
        else:
            confidence = self._confidence(log_error)
            log_error = repeated(log_error, 4) if self.training else None
        return Outputs(
            self._full(level.plane, size), confidence, level.logits.flip(1), quarter_px,
            level.first.flip(1), sides, log_error=log_error,
        )  # fmt: skip

    def _chosen(
        self, choice: Choice, finer: Level, coarser: Level, size: tuple[int, int]
    ) -> Outputs:
        """Outputs that are chosen from those of both sizes."""
        assert self.refinement is not None and finer.views is not None
        # Half of the coarser pair is a quarter of the finer one, and a pixel of it a step there.
        whole = coarser.plane.detach().round()
        rest = coarser.plane - whole
        scores, correction, log_error = choice(
            self.refinement.differences(finer.views, whole),
            coarser_planes(finer.plane[:, :, ::2, ::2] / 2, whole, rest, self._sureness(finer)),
            *finer.features, (*coarser.features, self._sureness(coarser)),
        )  # fmt: skip
        other = repeated(2.0 * (whole + (rest + correction)), 2)
        sides = None
        if self.training:
            sides = Sides(
                repeated(other, 2), repeated(finer.plane, 2), repeated(scores, 2).sigmoid()
            )
        return Outputs(
            self._full(torch.where(scores > 0, other, finer.plane), size),
            self._confidence(log_error), finer.logits.flip(1), sides=sides,
            log_error=repeated(log_error, 4) if self.training else None,
        )  # fmt: skip

    def _full(self, plane: Tensor, size: tuple[int, int]) -> Tensor:
        """Disparity as it was upsampled to that of each pixel of the given pair."""
        c = self.config
        if self.training:
            return repeated(plane, 4 // c.upsampling)
        if c.magnification == 1.0:
            return doubled(plane) if c.upsampling == 2 else plane
        return resampled(plane, size, c.magnification * c.upsampling / 4) / c.magnification

    def _confidence(self, log_error: Tensor) -> Tensor:
        """1 / (1 + sigma), with sigma in px of the given pair."""
        return torch.sigmoid(math.log(self.config.magnification) - log_error)

    @staticmethod
    def _sureness(level: Level) -> Tensor:
        """Confidence in a level, by the error that is expected in px of its pair."""
        return level.highest.share if level.log_error is None else torch.sigmoid(-level.log_error)

    def forward(self, left: Tensor, right: Tensor) -> Outputs | tuple[Tensor, Tensor]:
        """See the class."""
        outputs = self.predict(left, right)
        if self.training:
            return outputs
        return outputs.disparity_px, outputs.confidence

    def traced(self) -> Traced:
        """For pruning."""
        return _TracedLight(self)


class _TracedLight(Traced):
    """`DTPNetLight.predict` for the dependency graph.

    Fixed: the projections (grouped by heads), the disparities of the distribution, the nine
    neighbours of the upsampling, the descriptors and the correction of the refinement, the
    expected error, and the scores and the correction of the choice.
    """

    network: DTPNetLight

    def __init__(self, network: DTPNetLight) -> None:
        super().__init__(network)
        self.matching = nn.Conv2d(3, network.config.heads * network.bins, 4, 4)
        self.first = nn.Conv2d(3, network.bins, 4, 4)
        self.fixed = [
            self.matching, self.first, network.project_left, network.project_right,
            network.regress, network.upsampling.leave,
        ]  # fmt: skip
        refine = network.refinement
        self.compared = None
        if refine is not None:
            self.compared = nn.Conv2d(3, refine.compared + 1, 4, 4)
            self.fixed += [self.compared, refine.describe, refine.leave]
        self.cues = None
        if network.error is not None:
            self.cues = nn.Conv2d(3, CUES, 4, 4)
            self.fixed += [self.cues, network.error.leave]
        self.apart = self.planes = self.sureness = None
        if network.choice is not None and refine is not None:
            self.apart = nn.Conv2d(3, refine.compared, 4, 4)
            self.planes = nn.Conv2d(3, PLANES, 4, 4)
            self.sureness = nn.Conv2d(3, 1, 4, 4)
            self.fixed += [self.apart, self.planes, self.sureness, network.choice.leave]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """An image (1, 3, H, W) to all that `predict` computes last."""
        n = self.network
        half, quarter, eighth, sixteenth = n.encoded(image)
        logits, context = n.decoded(
            self.matching(image), self.first(image), quarter, eighth, sixteenth
        )
        outputs = [*n.projected(quarter, quarter), logits, n.upsampling(half, context)]
        features = context
        if n.refinement is not None and self.compared is not None:
            outputs.append(n.refinement.described(half))
            refined = n.refinement.features([self.compared(image)], context)
            outputs.append(n.refinement.leave(refined))
            features = (refined,)
        if n.error is not None and self.cues is not None:
            outputs.append(n.error(features, self.cues(image)))
        if n.choice is not None and self.apart and self.planes and self.sureness:
            coarser = [F.avg_pool2d(part, 2) for part in (*features, self.sureness(image))]
            outputs += n.choice(self.apart(image), self.planes(image), *features, coarser)
        return tuple(outputs)
