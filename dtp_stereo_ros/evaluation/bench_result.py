"""Result of ``dtp-stereo bench``: its JSON, its tables, and its report with a plot."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import system
from ..image_io import atomic
from ..markdown import table
from . import block_matching, plots
from .auto_choice import auto_lines
from .columns import COLUMNS
from .comparison import Accuracy
from .latency import STAGES, WARM_UP, Entrant, Reference, times_of
from .peak_memory import PeakMemory
from .pictures import replace_report
from .runner import BASELINE

# SGBM in eight directions over the whole image.
SGBM_FULL = 'sgbm-full'
# Methods that the times of all others are divided by, and the keys of the quotients.
UNITS = {
    BASELINE: 'ratio_to_sgbm',
    SGBM_FULL: 'ratio_to_sgbm_full',
    block_matching.NAME: 'ratio_to_bm',
}
_PLOT = 'accuracy.png'
_PERCENT = 95
# Where no file of eval is given, or it has no method in common with the bench.
NO_ACCURACY = (
    'The plot of accuracy against latency is left out, as no accuracy was given: '
    'dtp-stereo eval --data NAME:PATH -o DIR, then bench --report DIR2 --accuracy DIR/report.json.'
)
_NOT_IN_COMMON = (
    'The plot of accuracy against latency is left out: {file} has no accuracy of any of '
    '{methods}; call eval with the same --backend, --model and --precision.'
)
_EXPLANATION = f"""\
The methods take turns, so that other work of the machine slows all of them alike; {WARM_UP} turns
come before the timed ones. Times are medians, and p95 is the 95th percentile of the total. *pre*
is scaling, padding and conversion of the pair, *post* is all that follows the matching. A time
ends when the disparity is in the memory of the host, so that a GPU has been waited for. Ratios
are quotients of medians of the same run: sgbm is OpenCV's SGBM (3-way, 192 disparities),
{SGBM_FULL} its variant in eight directions, bm its block matching. Memory is the peak of a process
of its own that runs the method alone; the second number is what came with the method."""


@dataclass(frozen=True)
class Entry:
    """A method that takes part, and how it is named in the result.

    Attributes:
        method: its name in reports, '' where that follows from the others.
        settings: its `methods.deciding`.
    """

    entrant: Entrant
    device: str
    model: str
    precision: str
    memory: PeakMemory | None = None
    method: str = ''
    settings: Mapping[str, Any] = field(default_factory=dict)


def size_result(width_px: int, height_px: int, entries: Sequence[Entry]) -> dict[str, Any]:
    """Figures of all methods at one size: the keys ``width_px``, ``height_px`` and ``backends``.

    Args:
        width_px: of the images.
        height_px: of the images.
        entries: that have taken their turns; SGBM is among them.
    """
    medians_ms = {entry.entrant.name: entry.entrant.median_ms() for entry in entries}
    return {
        'width_px': width_px,
        'height_px': height_px,
        'backends': [_row(entry, medians_ms) for entry in entries],
    }


def document(
    sizes: Sequence[dict[str, Any]], runs: int, passed_over: Mapping[str, str], command: str
) -> dict[str, Any]:
    """The whole result: the first size at its top, as ``eval --bench`` reads it.

    Args:
        sizes: as of `size_result`.
        runs: timed runs of each method at each size.
        passed_over: backends that do not work here, with the reasons.
        command: what was typed.
    """
    first, *others = sizes
    return {
        **first,
        'runs': runs,
        'passed_over': dict(passed_over),
        'further_sizes': others,
        'command': command,
        'machine': system.describe(),
        # Of the last minute, with the bench itself in it.
        'load_average': round(os.getloadavg()[0], 2),
    }


def sizes_of(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All sizes of a result."""
    return [result, *result['further_sizes']]


def text(result: Mapping[str, Any]) -> str:
    """Tables for the terminal, one for each size."""
    parts = []
    for size in sizes_of(result):
        parts.append(f'{_title(size)}, medians of {result["runs"]} runs\n{_table(size)}')
        parts[-1] += f'\n{_clocks(size)}'.rstrip()
    parts += [f'{name} passed over: {why}' for name, why in result['passed_over'].items()]
    return '\n'.join([*parts, *auto_lines(result.get('auto', []))])


def write_report(
    folder: Path, result: Mapping[str, Any], accuracy: Sequence[Accuracy], source: str
) -> None:
    """Write ``bench.md``, ``bench.json`` and, where there is an accuracy, ``accuracy.png``.

    Args:
        folder: exists.
        result: as of `document`.
        accuracy: of an evaluation, empty where none was given.
        source: file that the accuracy comes from, '' where none was given.

    Raises:
        InputError: the folder cannot be written.
    """
    with atomic(folder / 'bench.json') as file:
        file.write((json.dumps(result, indent=2) + '\n').encode())
    sections = [f'# Latency\n\n`{result["command"]}`', _machine(result)]
    for size in sizes_of(result):
        section = f'## {_title(size)}\n\n{_table(size)}\n\nMedians of {result["runs"]} runs.'
        sections.append(f'{section} {_clocks(size)}'.rstrip())
    sections.append(f'## Accuracy against latency\n\n{_plot(folder, result, accuracy, source)}')
    sections.append(f'## Method\n\n{_EXPLANATION}')
    if result['passed_over']:
        lines = [f'- {name}: {why}' for name, why in result['passed_over'].items()]
        sections.append('## Passed over\n\n' + '\n'.join(lines))
    text = '\n\n'.join(sections) + '\n'
    replace_report(folder / 'bench.md', text, [_PLOT])


def _row(entry: Entry, medians_ms: Mapping[str, float]) -> dict[str, Any]:
    entrant, memory = entry.entrant, entry.memory
    total_ms = entrant.median_ms()
    return {
        'backend': entrant.name,
        'device': entry.device,
        'model': entry.model,
        'precision': entry.precision,
        'method': entry.method,
        'settings': dict(entry.settings),
        **{f'{stage}_ms': round(entrant.median_ms(stage), 2) for stage in STAGES},
        'total_ms': round(total_ms, 2),
        **{
            f'{stage}_p{_PERCENT}_ms': round(entrant.percentile_ms(_PERCENT, stage), 2)
            for stage in STAGES
        },
        f'total_p{_PERCENT}_ms': round(entrant.percentile_ms(_PERCENT), 2),
        **{
            key: round(total_ms / medians_ms[name], 3) if name in medians_ms else None
            for name, key in UNITS.items()
        },
        'peak_memory_mib': memory.process_mib if memory else None,
        'method_memory_mib': memory.method_mib if memory else None,
        'gpu_memory_mib': memory.gpu_mib if memory else None,
    }


def _table(size: Mapping[str, Any]) -> str:
    """Rows of one size; columns of what was not measured are left out."""
    rows = size['backends']
    units = {name: key for name, key in UNITS.items() if rows[0][key] is not None}
    with_memory = any(row['peak_memory_mib'] is not None for row in rows)
    on_gpu = any(row['gpu_memory_mib'] is not None for row in rows)
    headings = ['backend', 'device', 'model', 'precision', 'pre ms', 'inference ms', 'post ms']
    headings += ['total ms', f'p{_PERCENT} ms']
    headings += ['memory MiB'] if with_memory else []
    headings += ['GPU MiB'] if on_gpu else []
    headings += [f'/ {name}' for name in units]
    lines = []
    for row in rows:
        cells = [row['backend'], row['device'], row['model'], row['precision']]
        cells += [f'{row[f"{stage}_ms"]:.1f}' for stage in STAGES]
        cells += [f'{row["total_ms"]:.1f}', f'{row[f"total_p{_PERCENT}_ms"]:.1f}']
        if with_memory:
            cells.append(f'{row["peak_memory_mib"]} ({row["method_memory_mib"]})')
        if on_gpu:
            cells.append('-' if row['gpu_memory_mib'] is None else str(row['gpu_memory_mib']))
        lines.append([*cells, *(f'{row[key]:.2f}' for key in units.values())])
    return table(headings, lines, even=True)


def _title(size: Mapping[str, Any]) -> str:
    return f'{size["width_px"]}x{size["height_px"]}'


def _clocks(size: Mapping[str, Any]) -> str:
    if not size.get('gpu_clocks'):
        return ''
    return f'Clocks of the GPU after it: {size["gpu_clocks"]} (cores, highest, memory, highest).'


def _machine(result: Mapping[str, Any]) -> str:
    rows = [[name, value] for name, value in result['machine'].items()]
    rows.append(['load average of the last minute', f'{result["load_average"]:.2f}'])
    return table(['', ''], rows)


def _plot(
    folder: Path, result: Mapping[str, Any], accuracy: Sequence[Accuracy], source: str
) -> str:
    """The plot of the first size, or why there is none."""
    if not source:
        return NO_ACCURACY
    times = times_of(result)
    ratios = times.ratios
    judged = {row.method for row in accuracy if row.values} & set(ratios)
    if not judged:
        return _NOT_IN_COMMON.format(file=source, methods=', '.join(ratios))
    if not plots.available():
        return f'{plots.MISSING}.'
    unjudged = [Reference(name, '', ratios[name]) for name in ratios if name not in judged]
    plots.draw_times(folder / _PLOT, accuracy, times, unjudged)
    found = (
        f'![Accuracy against latency]({_PLOT})\n\n{COLUMNS["bad_3"].heading} with its 95 % '
        f'interval ({source}) against the time at {_title(result)}.'
    )
    if unjudged:
        names = ', '.join(reference.name for reference in unjudged)
        found += f' Without an accuracy in that file, and so a vertical line: {names}.'
    return found
