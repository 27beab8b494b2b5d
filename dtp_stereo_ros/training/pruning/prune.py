"""Structural pruning: whole channels go where their loss is cheap.

Channels that hang together are found by DepGraph (Fang et al., CVPR 2023, torch-pruning) and
ranked by the L2 norm of all their weights. How much each group may lose is measured first: a
group is cut alone, the error is taken without training, and the cuts with the least error per
saved multiplication are made until the step's share is saved. Narrow cost-filtering layers do not
bear the same cut as wide feature layers (Fast-FoundationStereo).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import nn
from tqdm import tqdm

from dtp_stereo_ros.errors import ConfigError, ModelError
from dtp_stereo_ros.network.checkpoint import parameter_count
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.network.psmnet import PSMNet
from dtp_stereo_ros.network.traced import Traced

from ..settings import PruneConfig
from .cost import ConvolutionCost

Measure = Callable[[Network], float]


@dataclass
class Cuts:
    """Channels that one group may lose, and the effect.

    Attributes:
        name: of the layer at the root of the group.
        channels: before the step.
        steps: numbers of channels that may go, rising; after each the width is rounded.
        errors: of the network after each of `steps` alone, px; empty where it was not measured.
        saved: multiplications saved by each of `steps` alone, as a share of the whole network.
        cut: channels that went.
    """

    name: str
    channels: int
    steps: list[int]
    errors: list[float] = dataclasses.field(default_factory=list)
    saved: list[float] = dataclasses.field(default_factory=list)
    cut: int = 0


@dataclass
class PruneReport:
    """One step of pruning.

    Attributes:
        groups: every group of channels that may be cut.
        error_before, error_after: of the network, px; after is before any training.
        parameters, multiplications: before and after; the latter of one 640x480 pair.
    """

    groups: list[Cuts]
    error_before: float
    error_after: float
    parameters: tuple[int, int]
    multiplications: tuple[float, float]

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON and the checkpoint."""
        return dataclasses.asdict(self)


def prune(network: Network, config: PruneConfig, measure: Measure) -> PruneReport:
    """Cut `network` in place.

    Args:
        network: on the CPU.
        config: see `PruneConfig`.
        measure: error of a network, px; it may move the network to a device and back.

    Raises:
        ConfigError: there is not enough left that may be cut.
        ModelError: this member cannot be pruned.
    """
    network.eval()
    cost = ConvolutionCost.of(network)
    parameters, multiplications = parameter_count(network), cost.multiplications(network)
    groups = cuttable(network, config)
    error_before = measure(network)
    if config.by_sensitivity:
        sensitivity(network, groups, cost, measure)
        _cut_to_ratio(network, groups, cost, config.ratio, error_before)
    else:
        _spread(network, groups, cost, config)
    cut_channels(network, {g.name: g.cut for g in groups if g.cut})
    return PruneReport(
        groups,
        error_before,
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
    for name, group in _groups(traced, _dependencies(traced)):
        channels = len(group[0].idxs)
        if any(_is_grouped(item.dep.layer) for item in group):
            continue
        first = channels % config.round_to or config.round_to
        most = min(int(channels * config.largest_cut), channels - config.round_to)
        steps = list(range(first, most + 1, config.round_to))
        if steps:
            found.append(Cuts(name, channels, steps))
    return sorted(found, key=lambda cuts: cuts.name)


def sensitivity(
    network: Network, groups: list[Cuts], cost: ConvolutionCost, measure: Measure
) -> None:
    """Measure what the smallest and the largest cut of each group does, alone and untrained.

    Between them the error is taken as linear.
    """
    whole = cost.multiplications(network)
    for cuts in tqdm(groups, unit='group', desc='sensitivity', mininterval=1):
        ends = {}
        for removed in {cuts.steps[0], cuts.steps[-1]}:
            trial = copy.deepcopy(network)
            cut_channels(trial, {cuts.name: removed})
            ends[removed] = (measure(trial), 1 - cost.multiplications(trial) / whole)
        first, last = cuts.steps[0], cuts.steps[-1]
        for removed in cuts.steps:
            share = (removed - first) / (last - first) if last > first else 0.0
            error, saved = (
                a + share * (b - a) for a, b in zip(ends[first], ends[last], strict=True)
            )
            cuts.errors.append(error)
            cuts.saved.append(saved)


def cut_channels(network: Network, removed: dict[str, int]) -> None:
    """Cut the weakest channels of groups, in place.

    Args:
        network: in `eval` mode, on the CPU.
        removed: number of channels to cut by the name of each group's root layer.
    """
    traced = traced_of(network)
    graph = _dependencies(traced)
    importance = tp.importance.GroupMagnitudeImportance(p=2)
    roots = {name: group[0].dep.layer for name, group in _groups(traced, graph)}
    for name, count in removed.items():
        # A cut moves the channels of its neighbours, so that each group is looked up anew.
        root = roots[name]
        whole = graph.get_pruning_group(
            root, tp.prune_conv_out_channels, list(range(root.out_channels))
        )
        weakest = sorted(importance(whole).argsort()[:count].tolist())
        graph.get_pruning_group(root, tp.prune_conv_out_channels, weakest).prune()
    for parameter in network.parameters():
        parameter.grad = None


def _dependencies(traced: Traced) -> Any:
    traced.eval().requires_grad_(True)
    with torch.enable_grad():
        return tp.DependencyGraph().build_dependency(traced, traced.example(), verbose=False)


def _groups(traced: Traced, graph: Any) -> Iterator[tuple[str, Any]]:
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


def _cut_to_ratio(
    network: Network, groups: list[Cuts], cost: ConvolutionCost, ratio: float, error: float
) -> None:
    """Choose cuts by least added error per saved multiplication until `ratio` is saved."""
    whole = cost.multiplications(network)
    while True:
        trial = copy.deepcopy(network)
        cut_channels(trial, {g.name: g.cut for g in groups if g.cut})
        saved = 1 - cost.multiplications(trial) / whole
        missing = ratio - saved
        if missing <= 0:
            return
        # What groups save together differs from the sum of what they save alone, so that the
        # network is cut anew once the choices should be enough.
        while missing > 0:
            left = [g for g in groups if g.cut < g.steps[-1]]
            if not left:
                raise ConfigError(
                    f'only {saved:.0%} can be cut; lower ratio or round_to, or raise largest_cut'
                )
            # Of cuts that cost nothing, the one after which the error is least.
            best = min(left, key=lambda cuts: (_price(cuts, error), cuts.errors[_next(cuts)]))
            missing -= _take(best)


def _next(cuts: Cuts) -> int:
    return cuts.steps.index(cuts.cut) + 1 if cuts.cut else 0


def _price(cuts: Cuts, error: float) -> float:
    """Added error per saved multiplication, from what is chosen so far.

    To the next cut or to the largest, whichever is cheaper: a group whose first cut saves little
    stays in play.

    Args:
        cuts: a group that can still lose channels.
        error: of the whole network.
    """
    index, saved = _next(cuts), 0.0
    if index:
        error, saved = cuts.errors[index - 1], cuts.saved[index - 1]
    return min(
        max(0.0, cuts.errors[i] - error) / max(1e-9, cuts.saved[i] - saved)
        for i in (index, len(cuts.steps) - 1)
    )


def _take(cuts: Cuts) -> float:
    """Cut one step more; what that saves."""
    index = _next(cuts)
    cuts.cut = cuts.steps[index]
    return max(1e-6, cuts.saved[index] - (cuts.saved[index - 1] if index else 0.0))


def _spread(
    network: Network, groups: list[Cuts], cost: ConvolutionCost, config: PruneConfig
) -> None:
    """The smallest equal share of all groups that saves `ratio`."""
    whole = cost.multiplications(network)
    for percent in range(1, 100):
        for group in groups:
            wanted = group.channels * percent / 100
            group.cut = max((s for s in group.steps if s <= wanted + 0.5), default=0)
        trial = copy.deepcopy(network)
        cut_channels(trial, {g.name: g.cut for g in groups if g.cut})
        if 1 - cost.multiplications(trial) / whole >= config.ratio:
            return
    raise ConfigError(f'less than {config.ratio:.0%} can be cut evenly; lower ratio or round_to')
