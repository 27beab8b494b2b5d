"""One self-contained HTML page of two compared result files; it opens without network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..image_io import write_text
from .columns import ALL_COLUMNS
from .intervals import FEWEST_TOLD
from .paired_results import PairedMeasure, same_frames
from .report_page import LIMIT_BYTES, filled_page, shown_on
from .result_file import plain

# Frames that are listed, and points that are drawn, of each measure.
_CHANGED = 12
_MOST_POINTS = 2000
_DIGITS = 6
_PICTURES_BYTES = int(0.8 * LIMIT_BYTES)


@dataclass(frozen=True)
class ComparedFile:
    """A result file.

    Attributes:
        path: as it was typed.
        document: of `result_file.read`.
    """

    path: Path
    document: dict[str, Any]

    def pictures(self) -> dict[str, dict[int, dict[str, Any]]]:
        """Recording to frame index to its pictures, of the page that lies beside the file.

        Empty without a page, or where it is that of another result.
        """
        try:
            shown = shown_on(self.path.with_name('report.html'))
        except (OSError, ValueError):
            return {}
        if shown.get('command') != self.document['command']:
            return {}
        return {
            recording['name']: {frame['index']: frame for frame in recording['pictures']}
            for recording in shown['recordings']
        }


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
            {'name': str(file.path), 'command': file.document['command']}
            for file in (first, second)
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
        'fewest_told': FEWEST_TOLD,
        'measures': [_shown(measure) for measure in measures],
        'pictures': _pictures(first, second, measures),
    }
    write_text(path, filled_page(plain(shown), 'compare.js'))


def _shown(measure: PairedMeasure) -> dict[str, Any]:
    stride = -(-len(measure.frames) // _MOST_POINTS)
    points = measure.frames[::stride]
    return {
        'source': measure.source,
        'method': measure.method,
        'methods': measure.methods,
        'key': measure.key,
        'verdict': measure.verdict,
        'depths': measure.depths,
        'first': dataclasses.asdict(measure.first),
        'second': dataclasses.asdict(measure.second),
        'difference': dataclasses.asdict(measure.difference),
        'changed': [
            [frame.name, frame.index, _short(frame.first), _short(frame.second)]
            for frame in measure.changed(_CHANGED)
        ],
        'stride': stride,
        'names': [frame.name for frame in points],
        'times_s': [frame.time_s for frame in points],
        'differences': [_short(frame.difference) for frame in points],
    }


def _pictures(
    first: ComparedFile, second: ComparedFile, measures: Sequence[PairedMeasure]
) -> dict[str, list[dict[str, Any]]]:
    """Recording to the frames whose pictures both pages have, the most changed ones first."""
    a, b = first.pictures(), second.pictures()
    sources = {m.source: m.sources for m in measures}
    ranks = _ranks(measures)
    found: dict[str, list[dict[str, Any]]] = {title: [] for title in sources}
    both = {}
    same = same_frames(first.document, second.document, sources.values())
    for title, names in sources.items():
        own, others = a.get(names[0], {}), b.get(names[1], {})
        for number, index in same[names].items():
            if index in own and number in others:
                both[title, index] = own[index], others[number]
    left_bytes = _PICTURES_BYTES
    for title, index in sorted(both, key=lambda key: (ranks.get(key, len(ranks)), key)):
        one, other = both[title, index]
        pair = [one['methods'], other['methods']]
        left_bytes -= len(one['left']) + sum(
            len(uri) for methods in pair for kinds in methods.values() for uri in kinds.values()
        )
        if left_bytes < 0:
            break
        found[title].append(
            {'index': index, 'time_s': one['time_s'], 'left': one['left'], 'methods': pair}
        )
    return {
        title: sorted(frames, key=lambda frame: frame['index'])
        for title, frames in found.items()
        if frames
    }


def _ranks(measures: Sequence[PairedMeasure]) -> dict[tuple[str, int], int]:
    """Recording and index of the frames that changed most, to their place among them."""
    changed = [(measure.source, measure.changed(_CHANGED)) for measure in measures]
    ranks: dict[tuple[str, int], int] = {}
    for place in range(_CHANGED):
        for source, frames in changed:
            for frame in frames[place : place + 1]:
                if frame.index is not None:
                    ranks.setdefault((source, frame.index), len(ranks))
    return ranks


def _short(value: float) -> float:
    return float(f'{value:.{_DIGITS}g}')
