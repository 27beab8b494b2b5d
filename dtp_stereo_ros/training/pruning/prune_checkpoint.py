"""Pruning and judging of a checkpoint, as the commands and recipes do it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from dtp_stereo_ros.image_io import write_json
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.paths import make_folder

from ..data.batches import Batch
from ..learning.validation import estimate
from ..settings import PruneConfig
from .prune import PruneReport, prune
from .sensitivity_chart import draw_sensitivity

# Of the uncut network, wrong; bad-3 counts so.
_WRONG_PX = 3.0
# No difference counts as more, so that those of a fraction of a pixel count beside it.
_MOST_PX = 1.0


class Change:
    """Mean square of the difference from the disparity of the uncut network, px^2.

    No difference counts as more than 1 px. Pixels at which that network is known to be wrong do
    not count, and pairs need no truth. It varies less between pairs than an error does: a cut that
    does harm cannot look good by luck. Squares of several cuts nearly add up.

    Args:
        network: uncut, on the CPU.
        pairs: to compare on.
        accelerator: device of the comparison.

    Raises:
        ConfigError: the network takes no pairs of that size.
    """

    def __init__(self, network: Network, pairs: Sequence[Batch], accelerator: Accelerator) -> None:
        self.pairs, self.accelerator = pairs, accelerator
        self.before = self._disparities(network)
        self.right = [
            ~batch['known']
            | (batch['visible'] & ((before - batch['disparity']).abs() < _WRONG_PX))
            for before, batch in zip(self.before, pairs, strict=True)
        ]
        if not any(right.any() for right in self.right):  # it has learned nothing yet
            self.right = [torch.ones_like(right) for right in self.right]

    def __call__(self, network: Network) -> float:
        """Mean square, px^2, of a network on the CPU, which comes back there."""
        apart = [
            (after - before).abs()[right]
            for after, before, right in zip(
                self._disparities(network), self.before, self.right, strict=True
            )
        ]
        return float(torch.cat(apart).clamp(max=_MOST_PX).square().mean())

    @torch.no_grad()
    def _disparities(self, network: Network) -> list[Tensor]:
        network.eval().to(self.accelerator.device)
        try:
            return [estimate(network, batch, self.accelerator)[0].cpu() for batch in self.pairs]
        finally:
            network.to('cpu')


def prune_checkpoint(
    source: Path,
    out: Path,
    config: PruneConfig,
    pairs: Sequence[Batch],
    accelerator: Accelerator,
    command: str,
) -> PruneReport:
    """Write ``pruned.pt``, ``prune.json`` and ``sensitivity.png``.

    Args:
        source: checkpoint.
        out: folder; made where it is missing.
        config: see `PruneConfig`.
        pairs: half of each batch to fit weights on, the rest to compare on, as sources and sizes
            differ between batches. A batch of one pair does for both.
        accelerator: device of the comparison.
        command: what was typed, for the card.

    Raises:
        ModelError: the checkpoint is unusable, or of a member that is not pruned.
        ConfigError: not enough can be cut.
    """
    network = checkpoint.load(source)
    fitted, compared = halves(pairs)
    change = Change(network, compared, accelerator)
    report = prune(network, config, change, fitted if config.reconstruct else ())
    meta = dict(checkpoint.read(source)['meta'])
    before, after = report.multiplications
    row = {
        'ratio': config.ratio,
        'round_to': config.round_to,
        'gmac': [round(before / 1e9, 4), round(after / 1e9, 4)],
        'parameters': list(report.parameters),
        'command': command,
    }
    meta['pruned'] = [*meta.get('pruned', []), row]
    make_folder(out)
    chart = out / 'sensitivity.png'
    if any(group.changes_px2 for group in report.groups):
        draw_sensitivity(chart, report)
    else:
        chart.unlink(missing_ok=True)  # of an earlier call
    write_json(out / 'prune.json', report.plain())
    checkpoint.save(out / 'pruned.pt', network, meta)
    return report


def halves(batches: Sequence[Batch]) -> tuple[list[Batch], list[Batch]]:
    """First and second half of each batch; one of a single pair is in both."""
    first, second = [], []
    for batch in batches:
        half = len(batch['left']) // 2
        first.append({name: values[: half or 1] for name, values in batch.items()})
        second.append({name: values[half:] for name, values in batch.items()})
    return first, second


def summary_line(report: PruneReport) -> str:
    """Effect of pruning, in words."""
    (p0, p1), (m0, m1) = report.parameters, report.multiplications
    return (
        f'{p0 / 1e6:.3f} -> {p1 / 1e6:.3f} M parameters, {m0 / 1e9:.2f} -> {m1 / 1e9:.2f} GMAC at '
        f'640x480, disparities change by {report.change_px:.3f} px (RMS) before training'
    )
