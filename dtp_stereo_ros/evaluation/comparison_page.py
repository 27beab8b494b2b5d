"""One self-contained HTML page of two compared result files; it opens without network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..image_io import atomic
from .columns import ALL_COLUMNS
from .paired_results import PairedMeasure
from .report_page import filled_page
from .result_file import plain

# Frames that are listed, and points that are drawn, of each measure.
_CHANGED = 12
_MOST_POINTS = 2000
_DIGITS = 6


@dataclass(frozen=True)
class ComparedFile:
    """A result file.

    Attributes:
        name: its path, as it was typed.
        document: of `result_file.read`.
    """

    name: str
    document: dict[str, Any]


def write_comparison(
    path: Path,
    command: str,
    first: ComparedFile,
    second: ComparedFile,
    measures: Sequence[PairedMeasure],
) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        command: what was typed.
        first, second: the files.
        measures: of both, `paired_results.paired_measures`.

    Raises:
        InputError: it cannot be written.
    """
    used = {measure.key for measure in measures}
    shown = {
        'version': __version__,
        'command': command,
        'files': [
            {'name': file.name, 'command': file.document['command']} for file in (first, second)
        ],
        'columns': [
            {
                'key': column.key,
                'heading': column.heading,
                'unit': column.unit,
                'meaning': column.meaning,
            }
            for column in ALL_COLUMNS.values()
            if column.key in used
        ],
        'measures': [_shown(measure) for measure in measures],
    }
    with atomic(path) as file:
        file.write(filled_page(plain(shown), 'compare.js').encode())


def _shown(measure: PairedMeasure) -> dict[str, Any]:
    stride = -(-len(measure.frames) // _MOST_POINTS)
    points = measure.frames[::stride]
    return {
        'source': measure.source,
        'method': measure.method,
        'key': measure.key,
        'verdict': measure.verdict,
        'first': dataclasses.asdict(measure.first),
        'second': dataclasses.asdict(measure.second),
        'difference': dataclasses.asdict(measure.difference),
        'changed': [
            [frame.name, frame.time_s, _short(frame.first), _short(frame.second)]
            for frame in measure.changed(_CHANGED)
        ],
        'stride': stride,
        'names': [frame.name for frame in points],
        'times_s': [frame.time_s for frame in points],
        'differences': [_short(frame.difference) for frame in points],
    }


def _short(value: float) -> float:
    return float(f'{value:.{_DIGITS}g}')
