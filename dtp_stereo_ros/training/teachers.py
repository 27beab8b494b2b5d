"""Teachers behind one Protocol: networks of ours, PSMNet, any ONNX file, SGBM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dtp_stereo_ros import models
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError, ConfigError
from dtp_stereo_ros.network import checkpoint, psmnet
from dtp_stereo_ros.network.family import Network, magnification_of, trained_range_px
from dtp_stereo_ros.paths import expanded
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.stereo import StereoFrame, UInt8Array

from .teacher_names import kind_and_place, place_and_settings

# Left and right estimates of a point that differ by more contradict each other.
_AGREEMENT_PX = 1.0
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class BinGrid:
    """A student's disparity bins: bin i stands for ``i * bin_px``.

    Attributes:
        bins: their number.
        bin_px: their width.
    """

    bins: int
    bin_px: float

    @classmethod
    def of(cls, network: Network) -> BinGrid:
        """The bins of a network's outputs."""
        bins = getattr(network, 'bins', network.max_disparity_px)
        return cls(bins, trained_range_px(network) / bins)


class Taught(NamedTuple):
    """Answer of a teacher on a batch.

    Attributes:
        disparity_px: (B, H, W).
        valid: (B, H, W) bool, where it is sure.
        logits: (B, bins, H4, W4) logarithms of its distribution over the student's bins, or
            None where it gives a disparity only.
        features: (B, C, H4, W4) of its aggregation, or None.
    """

    disparity_px: Tensor
    valid: Tensor
    logits: Tensor | None
    features: Tensor | None = None


class Teacher(Protocol):
    """Source of disparities that a student learns from.

    Attributes:
        name: for progress and reports.
        fingerprint: changes whenever its answers may change.
    """

    name: str
    fingerprint: str

    def __call__(self, left: Tensor, right: Tensor, grid: BinGrid) -> Taught:
        """Judge a batch.

        Args:
            left, right: (B, 3, H, W) float, RGB 0-255, H and W multiples of 32.
            grid: bins of the student.
        """
        ...

    def to(self, device: torch.device) -> None:
        """Work on this device from now on, where there is a choice."""
        ...


def onto_bins(logits: Tensor, bin_px: float, grid: BinGrid) -> Tensor:
    """A distribution over a teacher's bins as one over the student's.

    Finer bins are gathered, each shared by the two coarser ones around it, which keeps the mean;
    coarser ones are interpolated. What lies beyond the student's last bin falls on it.

    Args:
        logits: (B, n, h, w) over bins of `bin_px`.
        bin_px: width of the teacher's bins.
        grid: bins of the student.

    Returns:
        (B, grid.bins, h, w), logarithms of probabilities.
    """
    n = logits.shape[1]
    if n == grid.bins and abs(bin_px - grid.bin_px) < 1e-6:
        return F.log_softmax(logits, dim=1)
    mine = torch.arange(n, device=logits.device, dtype=logits.dtype) * bin_px
    theirs = torch.arange(grid.bins, device=logits.device, dtype=logits.dtype) * grid.bin_px
    if bin_px < grid.bin_px:
        inside = mine.clamp(max=float(theirs[-1]))
        share = (1 - (inside[None] - theirs[:, None]).abs() / grid.bin_px).clamp(min=0)
        gathered = torch.einsum('bnhw,mn->bmhw', logits.softmax(dim=1), share)
        return gathered.clamp(min=_LEAST_PROBABILITY).log()
    position = theirs.clamp(max=float(mine[-1]))
    share = (1 - (position[:, None] - mine[None]).abs() / bin_px).clamp(min=0)
    scores = torch.einsum('bnhw,mn->bmhw', logits, share)
    outside = mine > theirs[-1]
    if not outside.any():
        return F.log_softmax(scores, dim=1)
    beyond = logits.softmax(dim=1)[:, outside].sum(dim=1, keepdim=True)
    inside = scores.softmax(dim=1) * (1 - beyond)
    shared = torch.cat((inside[:, :-1], inside[:, -1:] + beyond), dim=1)
    return shared.clamp(min=_LEAST_PROBABILITY).log()


def two_hot_logits(disparity_px: Tensor, grid: BinGrid) -> Tensor:
    """The narrowest distribution over bins whose mean is a disparity.

    Args:
        disparity_px: (B, h, w).
        grid: bins of the student.

    Returns:
        (B, grid.bins, h, w), logarithms of probabilities.
    """
    position = (disparity_px / grid.bin_px).clamp(0, grid.bins - 1).unsqueeze(1)
    bins = torch.arange(grid.bins, device=position.device, dtype=position.dtype)
    share = (1 - (bins.view(1, -1, 1, 1) - position).abs()).clamp(min=_LEAST_PROBABILITY)
    return share.log()


class NetworkTeacher:
    """A network of ours: the larger member of the family, PSMNet, or any checkpoint.

    One that enlarges its pairs teaches its disparity alone: its bins and features are of larger
    pairs. Pairs are padded as the pipeline pads them.
    """

    def __init__(self, network: Network, fingerprint: str) -> None:
        self.name = network.name
        self.fingerprint = fingerprint
        self.network = network.eval().requires_grad_(False)
        self.range_px = trained_range_px(network)
        self._features: list[Tensor] = []
        aggregation = getattr(network, 'aggregation', None)
        if isinstance(aggregation, nn.Module):
            aggregation.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self._features[:] = [output]

    @torch.no_grad()
    def __call__(self, left: Tensor, right: Tensor, grid: BinGrid) -> Taught:
        """See `Teacher`."""
        multiple = self.network.padding_multiple
        height, width = left.shape[2:]
        top, right_px = -height % multiple, -width % multiple
        padding = (0, right_px, top, 0)
        outputs = self.network.predict(
            F.pad(left, padding, mode='replicate'), F.pad(right, padding, mode='replicate')
        )
        features = self._features.pop() if self._features else None
        disparity = outputs.disparity_px[:, 0, top:, :width].float()
        valid = torch.isfinite(disparity)
        if magnification_of(self.network) != 1.0:
            return Taught(disparity, valid, None)
        # A padding is a multiple of a cell of 4 px: the pair itself is.
        logits = outputs.logits.float()[..., top // 4 :, : width // 4]
        if features is not None:
            features = features[..., top // 4 :, : width // 4]
        return Taught(
            disparity, valid, onto_bins(logits, self.range_px / logits.shape[1], grid), features
        )

    def to(self, device: torch.device) -> None:
        """Move the weights."""
        self.network.to(device)


class PipelineTeacher:
    """Anything that the pipeline runs: an ONNX file, or SGBM. Gives a disparity only.

    Args:
        config: of the pipeline.
        fingerprint: see `Teacher`.
    """

    def __init__(self, config: PipelineConfig, fingerprint: str) -> None:
        self.pipeline = StereoPipeline(config)
        self.name = self.pipeline.backend.spec.name
        self.fingerprint = fingerprint

    def __call__(self, left: Tensor, right: Tensor, grid: BinGrid) -> Taught:
        """See `Teacher`."""
        frames = (
            StereoFrame(_image(one), _image(other)) for one, other in zip(left, right, strict=True)
        )
        found = np.stack([self.pipeline.process(frame).disparity_px for frame in frames])
        disparity = torch.from_numpy(found).to(left.device)
        valid = torch.isfinite(disparity)
        return Taught(torch.where(valid, disparity, 0.0), valid, None)

    def to(self, device: torch.device) -> None:
        """The pipeline chose its device itself."""


def _image(planes: Tensor) -> UInt8Array:
    return np.ascontiguousarray(planes.permute(1, 2, 0).round().byte().cpu().numpy())


def _family(place: str) -> Teacher:
    path = models.resolve(place, ('.pt',))
    return NetworkTeacher(checkpoint.load(path), models.sha256(path))


def _psmnet(place: str) -> Teacher:
    path = expanded(place)
    network = psmnet.load_published(path)
    return NetworkTeacher(network, models.sha256(path))


def _onnx(place: str) -> Teacher:
    name, settings = _with_settings(place)
    path = models.resolve(name, ('.onnx',))
    config = replace(PipelineConfig(model=str(path), precision='fp32'), **settings)
    fingerprint = ','.join([models.sha256(path), *(f'{k}={v}' for k, v in settings.items())])
    # First that which may have a GPU.
    missing: BackendError | None = None
    for backend in ('onnx', 'openvino'):
        try:
            return PipelineTeacher(replace(config, backend=backend), fingerprint)
        except BackendError as error:
            missing = missing or error
    raise missing or BackendError(f'{path}: no runtime')


def _with_settings(place: str) -> tuple[str, dict[str, Any]]:
    """``FILE[,model_NAME=VALUE...]`` as the file and the settings, sorted by name.

    Raises:
        ConfigError: a value is none of the setting.
    """
    name, parts = place_and_settings(place)
    settings: dict[str, Any] = {}
    for part in parts:
        key, _, value = part.partition('=')
        kind = type(getattr(PipelineConfig(), key))
        try:
            settings[key] = kind(value)
        except ValueError:
            raise ConfigError(f'teacher {place!r}: {key} is {value!r}, no number') from None
    return name, settings


def _sgbm(place: str) -> Teacher:
    if place:
        raise ConfigError(f'teacher sgbm takes no file, not {place!r}')
    return PipelineTeacher(
        PipelineConfig(backend='sgbm', left_right_check=_AGREEMENT_PX),
        f'sgbm, left_right_check {_AGREEMENT_PX:g} px',
    )


_TEACHERS: dict[str, Callable[[str], Teacher]] = {
    'family': _family,
    'psmnet': _psmnet,
    'onnx': _onnx,
    'sgbm': _sgbm,
}


def open_teacher(spec: str) -> Teacher:
    """Build a teacher from its name, see `teacher_names`.

    An ONNX file may be followed by settings of its ports, as
    ``big.onnx,model_input_range=0..1,model_output=disp``.

    Raises:
        ConfigError: the kind is unknown.
        ModelError: the file is missing or of another kind.
        BackendError: its runtime is missing.
    """
    kind, place = kind_and_place(spec)
    return _TEACHERS[kind](place)
