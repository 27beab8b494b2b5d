"""Pictures of a chain: error against each cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dtp_stereo_ros.evaluation.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    figure = new_figure(4.2 * wide, 3.6 * tall)
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
        axes.set_ylabel('EPE (px) of the test pairs')
    save_figure(figure, path)


def _name_points(
    axes: Axes, names: Sequence[str], xs: Sequence[float], ys: Sequence[float]
) -> None:
    for name, x, y in zip(names, xs, ys, strict=True):
        if np.isfinite(x) and np.isfinite(y):
            axes.annotate(name, (x, y), xytext=(4, 4), textcoords='offset points', fontsize=7)
