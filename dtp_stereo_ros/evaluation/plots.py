"""Plots of an evaluation: sparsification, calibration, and accuracy against time."""

from __future__ import annotations

import importlib.util
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .calibration import total
from .columns import COLUMNS
from .comparison import Accuracy, main_region, methods_of
from .figures import new_figure, save_figure
from .latency import REFERENCES, Reference, Times
from .result_file import mean_curves
from .runner import BASELINE, DatasetResult
from .sparsification import KEPT_SHARES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSING = 'matplotlib is not installed, so there are no plots: pip install matplotlib'

_PANEL_INCHES = (3.6, 3.0)
_LINE_STYLES = (':', '--')
_TRUE_ORDER = 'dotted: in the order of the true errors'


def available() -> bool:
    """Whether plots can be drawn here."""
    return importlib.util.find_spec('matplotlib') is not None


def draw_sparsification(path: Path, results: Sequence[DatasetResult]) -> bool:
    """EPE and bad-3 of the most confident pixels against their share, one column for each set.

    The baseline is a point at its own density. Nothing is drawn where no method has a confidence.

    Returns:
        Whether the file was written.
    """
    shown = [r for r in results if any(mean_curves(r, m) for m in methods_of([r]))]
    if not shown:
        return False
    figure = _panels(len(shown), 2)
    grid = figure.subplots(2, len(shown), squeeze=False)
    colours = _colours(methods_of(shown))
    for column, result in enumerate(shown):
        for row, key in enumerate(('epe_px', 'bad_3')):
            axes = grid[row, column]
            _draw_curves(axes, result, key, colours)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            if column == 0:
                axes.set_ylabel(COLUMNS[key].heading)
        grid[0, column].set_title(result.dataset, fontsize=9)
        grid[1, column].set_xlabel('most confident pixels kept (%)')
    _legend_below(figure, grid[0, 0], _TRUE_ORDER)
    save_figure(figure, path)
    return True


def draw_calibration(path: Path, results: Sequence[DatasetResult]) -> bool:
    """Mean |d - d*| against the mean predicted sigma_px of each bin; True if written."""
    shown = [r for r in results if any(score.sigma for score in r.scores)]
    if not shown:
        return False
    figure = _panels(len(shown), 1)
    grid = figure.subplots(1, len(shown), squeeze=False, sharey=True)
    colours = _colours(methods_of(shown))
    for axes, result in zip(grid[0], shown, strict=True):
        axes.plot([0.05, 100], [0.05, 100], color='#999999', linewidth=0.8, label='calibrated')
        for method in methods_of([result]):
            bins = total(result.sigma_bins(method))
            if not bins.pixels.any():
                continue
            axes.plot(
                bins.mean_sigma_px, bins.mean_error_px, '-', color=colours[method], label=method
            )
            axes.scatter(
                bins.mean_sigma_px, bins.mean_error_px, 4 + 120 * bins.shares, colours[method]
            )
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xlabel('predicted sigma_px (px)')
        axes.set_title(result.dataset, fontsize=9)
        axes.grid(alpha=0.3)
    grid[0, 0].set_ylabel('mean |d - d*| (px)')
    _legend_below(figure, grid[0, 0])
    save_figure(figure, path)
    return True


def draw_times(
    path: Path,
    rows: Sequence[Accuracy],
    times: Times,
    references: Sequence[Reference] = REFERENCES,
) -> bool:
    """bad-3 with its interval against time in those of SGBM, one panel for each set.

    Args:
        path: of the picture.
        rows: of all sets.
        times: of the methods.
        references: methods of which only the time was measured: vertical lines.

    Returns:
        Whether the file was written: not without truth or times.
    """
    first = dict(_first_regions(rows))
    shown = {
        dataset: [
            row
            for row in rows
            if (row.dataset, row.region) == (dataset, region) and row.method in times.ratios
        ]
        for dataset, region in first.items()
    }
    shown = {dataset: found for dataset, found in shown.items() if found}
    if not shown:
        return False
    figure = _panels(len(shown), 1)
    grid = figure.subplots(1, len(shown), squeeze=False)
    colours = _colours(list(dict.fromkeys(row.method for row in rows)))
    for axes, (dataset, found) in zip(grid[0], shown.items(), strict=True):
        _draw_references(axes, references)
        found.sort(key=lambda row: times.ratios[row.method])
        short = Counter(row.method.split()[0] for row in found)
        for index, row in enumerate(found):
            name = row.method.split()[0]
            # A model in several runtimes or precisions.
            label = name if short[name] == 1 else row.method
            ratio, colour = times.ratios[row.method], colours[row.method]
            _draw_point(axes, row, label, ratio, colour, index % 2 == 0)
        axes.set_xscale('log', base=2)
        ends = [
            *(times.ratios[row.method] for row in found),
            *(r.ratio_to_sgbm for r in references),
        ]
        axes.set_xlim(min(ends) / 1.4, max(ends) * 1.4)
        axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
        axes.set_ylim(bottom=0)
        axes.set_title(f'{dataset}, {found[0].region}', fontsize=9)
        axes.set_xlabel('time (SGBM = 1)')
        axes.grid(alpha=0.3)
    grid[0, 0].set_ylabel(COLUMNS['bad_3'].heading)
    save_figure(figure, path)
    return True


def _draw_curves(axes: Axes, result: DatasetResult, key: str, colours: dict[str, str]) -> None:
    factor = 100.0 if COLUMNS[key].unit == '%' else 1.0
    kept = 100 * KEPT_SHARES
    rows = result.rows()
    for method in methods_of([result]):
        colour = colours[method]
        curves = mean_curves(result, method)
        if curves:
            axes.plot(kept, factor * np.array(curves[key]), color=colour, label=method)
            oracle = factor * np.array(curves[f'oracle_{key}'])
            axes.plot(kept, oracle, ':', color=colour, linewidth=0.9)
            continue
        region = main_region(result, method)
        # Without holes there is no row of its own pixels.
        own = [row for row in rows if (row.method, row.region) == (method, region)]
        score = next((row.score for row in own[::-1] if row.treatment in ('own', 'filled')), None)
        if score is not None and np.isfinite(score.epe_px):
            label = f'{method}, its own pixels'
            error = factor * getattr(score, key)
            axes.plot([100 * score.density], [error], 'o', color=colour, markersize=5, label=label)


def _draw_references(axes: Axes, references: Sequence[Reference]) -> None:
    for reference, style in zip(references, itertools.cycle(_LINE_STYLES), strict=False):
        axes.axvline(reference.ratio_to_sgbm, color='#777777', linestyle=style, linewidth=1)
        axes.annotate(
            f'{reference.name} {reference.precision}'.rstrip() + ', time only',
            (reference.ratio_to_sgbm, 0.03),
            xycoords=('data', 'axes fraction'),
            xytext=(2, 0),
            textcoords='offset points',
            rotation=90,
            fontsize=6.5,
            color='#777777',
        )


def _draw_point(
    axes: Axes, row: Accuracy, label: str, ratio: float, colour: str, above: bool
) -> None:
    """A method with its interval; names take turns above and below, as points may be close."""
    value = row.values['bad_3']
    down, up = (
        max(0.0, 100 * end) if np.isfinite(end) else 0.0
        for end in (value.mean - value.low, value.high - value.mean)
    )
    axes.errorbar(ratio, 100 * value.mean, [[down], [up]], fmt='o', color=colour, capsize=2)
    axes.annotate(
        label,
        (ratio, 100 * value.mean),
        xytext=(4, 4 if above else -9),
        textcoords='offset points',
        fontsize=7,
    )


def _first_regions(rows: Sequence[Accuracy]) -> Iterator[tuple[str, str]]:
    """Each set with truth, and the region that comes first in its rows."""
    seen = set()
    for row in rows:
        if row.values and row.dataset not in seen:
            seen.add(row.dataset)
            yield row.dataset, row.region


def _colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour of matplotlib's cycle for each method, the same in all plots; grey for SGBM."""
    others = [method for method in methods if method != BASELINE]
    return {BASELINE: '#888888', **{method: f'C{index}' for index, method in enumerate(others)}}


def _legend_below(figure: Figure, axes: Axes, title: str | None = None) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc='outside lower center', ncols=3, fontsize=7, title=title,
        title_fontsize=7,
    )  # fmt: skip


def _panels(columns: int, rows: int) -> Figure:
    width, height = _PANEL_INCHES
    return new_figure(width * max(columns, 1.4), height * rows)
