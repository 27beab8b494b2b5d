"""Pictures of a run: sensitivity of the pruning groups, error through a chain."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dtp_stereo_ros.image_io import atomic

from .prune import Cuts, PruneReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KEPT, _CUT = '#8fa8c0', '#d1495b'


def draw_sensitivity(path: Path, report: PruneReport) -> None:
    """What each group's smallest and largest cut costs, per percent of saved work, and saves.

    Groups that were cut are red, with their widths before and after; the cheapest are lowest.
    """
    measured = [g for g in report.groups if g.errors]
    prices = {
        g.name: [
            max(0.0, g.errors[i] - report.error_before) / max(1e-6, 100 * g.saved[i])
            for i in (0, -1)
        ]
        for g in measured
    }
    measured.sort(key=lambda g: sorted(prices[g.name]))
    figure = _figure(9, 1.4 + 0.24 * max(4, len(measured)))
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
    left.set_xlabel('added EPE (px) per % of multiplications\nhollow: smallest cut, full: largest')
    right.barh(rows, [100 * g.saved[-1] for g in measured], color='#e3e9ee')
    right.barh(rows, [100 * _saved(g) for g in measured], color=_CUT)
    right.set_xlabel('multiplications saved (%)\ngrey: largest cut, red: done')
    for axes in (left, right):
        axes.grid(axis='x', alpha=0.3)
    before, after = report.multiplications
    figure.suptitle(
        f'cut {1 - after / before:.1%} of {before / 1e9:.2f} GMAC: EPE {report.error_before:.2f} '
        f'-> {report.error_after:.2f} px before any training',
        fontsize=10,
    )
    _save(figure, path)


def draw_chain(
    path: Path, names: Sequence[str], columns: dict[str, Sequence[float]], errors: Sequence[float]
) -> None:
    """Error against each cost, one point for each link of a chain, joined in their order.

    Args:
        path: of the PNG.
        names: of the links.
        columns: axis label to one value for each link, NaN where it is unknown.
        errors: EPE of each link, px.
    """
    wide = min(3, len(columns))
    tall = -(-len(columns) // wide)
    figure = _figure(4.2 * wide, 3.6 * tall)
    grid = figure.subplots(tall, wide, sharey=True, squeeze=False)
    for axes in grid.flat[len(columns) :]:
        axes.set_visible(False)
    for axes, (label, values) in zip(grid.flat, columns.items(), strict=False):
        axes.plot(values, errors, '-', color='#cccccc', zorder=1)
        axes.scatter(values, errors, c=range(len(names)), cmap='viridis', zorder=2)
        _name_points(axes, names, values, errors)
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
        axes.margins(0.15)
    for axes in grid[:, 0]:
        axes.set_ylabel('EPE (px), generated test pairs')
    _save(figure, path)


def _name_points(
    axes: Axes, names: Sequence[str], xs: Sequence[float], ys: Sequence[float]
) -> None:
    for name, x, y in zip(names, xs, ys, strict=True):
        if np.isfinite(x) and np.isfinite(y):
            axes.annotate(name, (x, y), xytext=(4, 4), textcoords='offset points', fontsize=7)


def _saved(cuts: Cuts) -> float:
    return cuts.saved[cuts.steps.index(cuts.cut)] if cuts.cut else 0.0


def _widths(channels: int, cut: int) -> str:
    return f'{channels} -> {channels - cut}' if cut else f'{channels}'


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=110)
    with atomic(path) as file:
        file.write(content.getvalue())
