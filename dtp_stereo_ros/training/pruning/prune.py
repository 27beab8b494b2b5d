"""Structural pruning: whole channels go where their loss is cheap.

Channels that hang together are found by DepGraph (Fang et al., CVPR 2023, torch-pruning). Those
go that the others tell best, see `reconstruct`, or those with the least L2 norm of all their
weights. How much each group may lose is measured first: a group is cut alone, the change of the
disparities is taken without training, and the cuts that change least per saved multiplication are
made until the step's share is saved. Narrow cost-filtering layers do not bear the same cut as wide
feature layers (Fast-FoundationStereo).
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from torch import nn
from tqdm import tqdm

from dtp_stereo_ros.errors import ConfigError, ModelError
from dtp_stereo_ros.network.checkpoint import parameter_count
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.network.psmnet import PSMNet
from dtp_stereo_ros.network.traced import Traced

from ..data.batches import Batch
from ..settings import PruneConfig
from .cost import ConvolutionCost
from .reconstruct import MomentsOf, least_missed, read_moments

# The mean squared change of a network's disparities from those of the uncut one, px^2.
Measure = Callable[[Network], float]


@dataclass
class Cuts:
    """Channels that one group may lose, and the effect.

    Attributes:
        name: of the layer at the root of the group.
        channels: before the step.
        steps: numbers of channels that may go, rising; after each the width is rounded.
        changes_px2: after each of `steps` alone, see `Measure`; empty where it was not measured.
        saved: multiplications saved by each of `steps` alone, as a share of the whole network,
            widths counted as multiples of `PruneConfig.round_to`.
        cut: channels that went.
    """

    name: str
    channels: int
    steps: list[int]
    changes_px2: list[float] = dataclasses.field(default_factory=list)
    saved: list[float] = dataclasses.field(default_factory=list)
    cut: int = 0


@dataclass
class PruneReport:
    """One step of pruning.

    Attributes:
        groups: every group of channels that may be cut.
        change_px2: of the cut network before any training, see `Measure`.
        parameters, multiplications: before and after; the latter of one 640x480 pair.
    """

    groups: list[Cuts]
    change_px2: float
    parameters: tuple[int, int]
    multiplications: tuple[float, float]

    @property
    def change_px(self) -> float:
        """Root mean square of the change, px."""
        return math.sqrt(self.change_px2)

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON and the checkpoint."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Cutting:
    """A network that is to be cut, and what is known of it."""

    network: Network
    config: PruneConfig
    measure: Measure
    moments: MomentsOf
    cost: ConvolutionCost

    def trial(self, removed: dict[str, int]) -> Network:
        """A copy that has lost channels."""
        network = copy.deepcopy(self.network)
        cut_channels(network, removed, self.moments)
        return network

    def saved(self, trial: Network) -> float:
        """Share of the multiplications that a cut copy saves."""
        multiple = self.config.round_to
        whole = self.cost.multiplications(self.network, multiple)
        return 1 - self.cost.multiplications(trial, multiple) / whole


def prune(
    network: Network, config: PruneConfig, measure: Measure, pairs: Sequence[Batch] = ()
) -> PruneReport:
    """Cut `network` in place.

    Args:
        network: on the CPU.
        config: see `PruneConfig`.
        measure: change of a cut network; it may move the network to a device and back.
        pairs: on which the layers that read the channels cut are fitted anew; without them the
            channels of the least norm go, and nothing is fitted.

    Raises:
        ConfigError: there is not enough left that may be cut.
        ModelError: this member cannot be pruned.
    """
    network.eval()
    cost = ConvolutionCost.of(network)
    parameters, multiplications = parameter_count(network), cost.multiplications(network)
    groups = cuttable(network, config)
    moments = read_moments(network, pairs) if pairs else {}
    cutting = _Cutting(network, config, measure, moments, cost)
    if config.by_sensitivity:
        _sensitivity(cutting, groups)
        _cut_to_ratio(cutting, groups)
    else:
        _spread(cutting, groups)
    cut_channels(network, {g.name: g.cut for g in groups if g.cut}, moments)
    return PruneReport(
        groups,
        measure(network),
        (parameters, parameter_count(network)),
        (multiplications, cost.multiplications(network)),
    )


def traced_of(network: Network) -> Traced:
    """The network for the dependency graph, sharing its layers.

    Raises:
        ModelError: this member cannot be pruned.
    """
    if isinstance(network, PSMNet):
        raise ModelError(f'network {network.name} is a teacher and is not pruned; prune a student')
    return network.traced()


def cuttable(network: Network, config: PruneConfig) -> list[Cuts]:
    """The groups that may lose channels, and how many of them."""
    traced = traced_of(network)
    found = []
    for name, group in prunable_groups(traced, dependency_graph(traced)):
        channels = len(group[0].idxs)
        if any(_is_grouped(item.dep.layer) for item in group):
            continue
        first = channels % config.round_to or config.round_to
        most = min(int(channels * config.largest_cut), channels - config.round_to)
        steps = list(range(first, most + 1, config.round_to))
        if steps:
            found.append(Cuts(name, channels, steps))
    return sorted(found, key=lambda cuts: cuts.name)


def _sensitivity(cutting: _Cutting, groups: list[Cuts]) -> None:
    """Measure what a small, a middle and the largest cut of each group do, alone and untrained.

    Between them the change is taken as linear.
    """
    for cuts in tqdm(groups, unit='group', desc='sensitivity', mininterval=1):
        tried = sorted({cuts.steps[0], cuts.steps[len(cuts.steps) // 2], cuts.steps[-1]})
        changes, saved = [], []
        for removed in tried:
            trial = cutting.trial({cuts.name: removed})
            changes.append(cutting.measure(trial))
            saved.append(cutting.saved(trial))
        cuts.changes_px2 += np.interp(cuts.steps, tried, changes).tolist()
        cuts.saved += np.interp(cuts.steps, tried, saved).tolist()


def cut_channels(
    network: Network, removed: dict[str, int], moments: MomentsOf | None = None
) -> None:
    """Cut channels of groups, in place.

    Args:
        network: in `eval` mode, on the CPU.
        removed: number of channels to cut by the name of each group's root layer.
        moments: of the network, see `read_moments`; without those of what reads a group, its
            channels of the least norm go.
    """
    traced = traced_of(network)
    graph = dependency_graph(traced)
    importance = tp.importance.GroupMagnitudeImportance(p=2)
    roots = {name: group[0].dep.layer for name, group in prunable_groups(traced, graph)}
    layers = dict(network.named_modules())
    known = {layers[name]: found for name, found in (moments or {}).items()}
    for name, count in removed.items():
        # A cut moves the channels of its neighbours, so that each group is looked up anew.
        root = roots[name]
        whole = graph.get_pruning_group(
            root, tp.prune_conv_out_channels, list(range(root.out_channels))
        )
        weakest = least_missed(whole, known, count)
        if weakest is None:
            weakest = sorted(importance(whole).argsort()[:count].tolist())
        graph.get_pruning_group(root, tp.prune_conv_out_channels, weakest).prune()
    for parameter in network.parameters():
        parameter.grad = None


def dependency_graph(traced: Traced) -> Any:
    """DepGraph of a network: which layers lose channels together."""
    traced.eval().requires_grad_(True)
    with torch.enable_grad():
        return tp.DependencyGraph().build_dependency(traced, traced.example(), verbose=False)


def prunable_groups(traced: Traced, graph: Any) -> Iterator[tuple[str, Any]]:
    """Each group whose channels mean nothing by their index, by the name of its first layer.

    The tracer's own order and choice of root follow the autograd graph; the name that comes first
    in the network is one that a reader finds.
    """
    order = {module: (i, n) for i, (n, module) in enumerate(traced.network.named_modules())}
    for group in graph.get_all_groups(ignored_layers=traced.fixed):
        cut = [item.dep for item in group if graph.is_out_channel_pruning_fn(item.dep.handler)]
        yield min(order[dep.layer] for dep in cut if isinstance(dep.layer, nn.Conv2d))[1], group


def _is_grouped(layer: nn.Module) -> bool:
    """A convolution in groups that is not depthwise."""
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups < layer.in_channels


def _cut_to_ratio(cutting: _Cutting, groups: list[Cuts]) -> None:
    """Choose cuts by least added change per saved multiplication until the ratio is saved."""
    while True:
        saved = cutting.saved(cutting.trial({g.name: g.cut for g in groups if g.cut}))
        missing = cutting.config.ratio - saved
        if missing <= 0:
            return
        # What groups save together differs from the sum of what they save alone, so that the
        # network is cut anew once the choices should be enough.
        while missing > 0:
            left = [g for g in groups if g.cut < g.steps[-1]]
            if not left:
                saved = cutting.saved(cutting.trial({g.name: g.cut for g in groups}))
                raise ConfigError(
                    f'only {saved:.0%} can be cut; lower ratio or round_to, or raise largest_cut'
                )
            # Of cuts that cost nothing, the one after which the change is least.
            prices = [(_price(c, missing), c.changes_px2[_next(c)]) for c in left]
            missing -= _take(left[prices.index(min(prices))])


def _next(cuts: Cuts) -> int:
    return cuts.steps.index(cuts.cut) + 1 if cuts.cut else 0


def _price(cuts: Cuts, missing: float) -> float:
    """Added change per saved multiplication that is missing, from what is chosen so far.

    To the next cut, the middle one or the largest, whichever is cheapest: a group whose first cut
    saves little stays in play.

    Args:
        cuts: a group that can still lose channels.
        missing: share of the multiplications that is still to be saved. More is worth nothing.
    """
    index, change, saved = _next(cuts), 0.0, 0.0
    if index:
        change, saved = cuts.changes_px2[index - 1], cuts.saved[index - 1]
    return min(
        max(0.0, cuts.changes_px2[i] - change) / max(1e-9, min(missing, cuts.saved[i] - saved))
        for i in {index, max(index, len(cuts.steps) // 2), len(cuts.steps) - 1}
    )


def _take(cuts: Cuts) -> float:
    """Cut one step more; what that saves."""
    index = _next(cuts)
    cuts.cut = cuts.steps[index]
    return max(1e-6, cuts.saved[index] - (cuts.saved[index - 1] if index else 0.0))


def _spread(cutting: _Cutting, groups: list[Cuts]) -> None:
    """The smallest equal share of all groups that saves the ratio."""
    config = cutting.config
    for percent in range(1, 100):
        for group in groups:
            wanted = group.channels * percent / 100
            group.cut = max((s for s in group.steps if s <= wanted + 0.5), default=0)
        trial = cutting.trial({g.name: g.cut for g in groups if g.cut})
        if cutting.saved(trial) >= config.ratio:
            return
    raise ConfigError(f'less than {config.ratio:.0%} can be cut evenly; lower ratio or round_to')
