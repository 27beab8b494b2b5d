"""Pruning and judging of a checkpoint, as the commands and recipes do it."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator

from dtp_stereo_ros.image_io import write_json
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.paths import make_folder

from ..data.batches import Batch
from ..learning.validation import validate
from ..settings import PruneConfig
from .prune import PruneReport, prune
from .sensitivity_chart import draw_sensitivity


def error_px(network: Network, batches: list[Batch], accelerator: Accelerator) -> float:
    """EPE on held-out batches, on the accelerator's device; the network comes back."""
    network.to(accelerator.device)
    try:
        return validate(network, batches, accelerator)['val/epe_px']
    finally:
        network.to('cpu')


def prune_checkpoint(
    source: Path,
    out: Path,
    config: PruneConfig,
    batches: list[Batch],
    accelerator: Accelerator,
    command: str,
) -> PruneReport:
    """Write ``pruned.pt``, ``prune.json`` and ``sensitivity.png``.

    Args:
        source: checkpoint.
        out: folder; made where it is missing.
        config: see `PruneConfig`.
        batches: the error is measured on them.
        accelerator: device of the measurement.
        command: what was typed, for the card.

    Raises:
        ModelError: the checkpoint is unusable, or of a member that is not pruned.
        ConfigError: not enough can be cut.
    """
    network = checkpoint.load(source)
    report = prune(network, config, lambda n: error_px(n, batches, accelerator))
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
    if any(group.errors for group in report.groups):
        draw_sensitivity(out / 'sensitivity.png', report)
    write_json(out / 'prune.json', report.plain())
    checkpoint.save(out / 'pruned.pt', network, meta)
    return report


def summary_line(report: PruneReport) -> str:
    """Effect of pruning, in words."""
    (p0, p1), (m0, m1) = report.parameters, report.multiplications
    return (
        f'{p0 / 1e6:.3f} -> {p1 / 1e6:.3f} M parameters, {m0 / 1e9:.2f} -> {m1 / 1e9:.2f} GMAC at '
        f'640x480, EPE {report.error_before:.3f} -> {report.error_after:.3f} px before training'
    )
