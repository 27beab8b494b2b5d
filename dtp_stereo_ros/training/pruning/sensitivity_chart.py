"""The picture of a pruning: what each group costs and saves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dtp_stereo_ros.evaluation.figures import new_figure, save_figure

from .prune import Cuts, PruneReport

_KEPT, _CUT = '#8fa8c0', '#d1495b'


def draw_sensitivity(path: Path, report: PruneReport) -> None:
    """Cost of each group's smallest and largest cut per percent of saved work, and the saving.

    Groups that were cut are red, with their widths before and after; the cheapest are lowest.
    """
    measured = [g for g in report.groups if g.changes_px2]
    prices = {
        g.name: [g.changes_px2[i] / max(1e-6, 100 * g.saved[i]) for i in (0, -1)] for g in measured
    }
    measured.sort(key=lambda g: sorted(prices[g.name]))
    figure = new_figure(9, 1.4 + 0.24 * max(4, len(measured)))
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(measured))
    colours = [_CUT if g.cut else _KEPT for g in measured]
    first, last = np.array([prices[g.name] for g in measured]).T
    left.hlines(rows, first, last, color=colours)
    left.scatter(first, rows, s=14, facecolor='white', edgecolor=colours, zorder=3)
    left.scatter(last, rows, s=26, color=colours, zorder=2)
    left.set_yticks(rows, [f'{g.name}  {_widths(g.channels, g.cut)}' for g in measured])
    left.tick_params(axis='y', labelsize=7)
    left.set_xscale('symlog', linthresh=0.01)
    left.set_xlim(left=-0.001)
    left.set_xlabel(
        'change of disparity (px²) per % of multiplications\nhollow: smallest cut, full: largest'
    )
    right.barh(rows, [100 * g.saved[-1] for g in measured], color='#e3e9ee')
    right.barh(rows, [100 * _saved(g) for g in measured], color=_CUT)
    right.set_xlabel('multiplications saved (%), in whole vectors\ngrey: largest cut, red: done')
    for axes in (left, right):
        axes.grid(axis='x', alpha=0.3)
    before, after = report.multiplications
    figure.suptitle(
        f'cut {1 - after / before:.1%} of {before / 1e9:.2f} GMAC: disparities change by '
        f'{report.change_px:.2f} px (RMS) before any training',
        fontsize=10,
    )
    save_figure(figure, path)


def _saved(cuts: Cuts) -> float:
    return cuts.saved[cuts.steps.index(cuts.cut)] if cuts.cut else 0.0


def _widths(channels: int, cut: int) -> str:
    return f'{channels} -> {channels - cut}' if cut else f'{channels}'
