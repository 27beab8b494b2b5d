"""Two result files, paired by frame: which differences are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .columns import ALL_COLUMNS
from .intervals import Interval, bootstrap, paired_difference

# Frames that changed most are listed to this number.
MOST_CHANGED = 5

# Frame to its measures.
_Values = dict[str, dict[str, float]]


@dataclass(frozen=True)
class PairedMeasure:
    """One measure of one method in both files, on the frames that both have.

    Attributes:
        source: recording or data set.
        method: its name, or 'A -> B' where the names differ.
        first, second: means and intervals.
        difference: second less first, paired by frame.
        changed: frames of the largest absolute differences, and the differences.
    """

    source: str
    method: str
    key: str
    first: Interval
    second: Interval
    difference: Interval
    changed: list[tuple[str, float]]

    @property
    def verdict(self) -> str:
        """'better', 'worse' or '' where the interval of the difference holds zero."""
        if not self.difference.excludes_zero:
            return ''
        more = self.difference.mean > 0
        return 'better' if more == ALL_COLUMNS[self.key].more_is_better else 'worse'


def paired_measures(first: dict[str, Any], second: dict[str, Any]) -> list[PairedMeasure]:
    """Every measure that both files have.

    Recordings and data sets are paired by name, or where each file has one of them, whatever
    their names; methods alike. Frames are paired by index and stamp, scenes by name.

    Args:
        first, second: documents of `result_file.read`.

    Raises:
        InputError: nothing is in both files.
    """
    a, b = _sources(first), _sources(second)
    found = []
    for source, other in _matched(list(a), list(b)):
        baseline = first.get('baseline', '')
        methods = _matched(
            [m for m in a[source] if m != baseline], [m for m in b[other] if m != baseline]
        )
        if baseline in a[source] and baseline in b[other]:
            methods.append((baseline, baseline))
        for method, partner in methods:
            name = method if method == partner else f'{method} -> {partner}'
            title = source if source == other else f'{source} -> {other}'
            found += _of_method(title, name, a[source][method], b[other][partner])
    if not found:
        raise InputError(
            'no frame, recording or data set is in both files; compare results of the same data '
            f'({", ".join(a) or "nothing"} and {", ".join(b) or "nothing"})'
        )
    return found


def _of_method(source: str, method: str, a: _Values, b: _Values) -> list[PairedMeasure]:
    frames = [frame for frame in a if frame in b]
    found = []
    for key in ALL_COLUMNS:
        both = [frame for frame in frames if key in a[frame] and key in b[frame]]
        if not both:
            continue
        first, second = ([values[frame][key] for frame in both] for values in (a, b))
        differences = [after - before for before, after in zip(first, second, strict=True)]
        order = sorted(range(len(both)), key=lambda i: -abs(differences[i]))[:MOST_CHANGED]
        found.append(
            PairedMeasure(
                source,
                method,
                key,
                bootstrap(first),
                bootstrap(second),
                paired_difference(second, first),
                [(both[i], differences[i]) for i in order if differences[i]],
            )
        )
    return found


def _sources(document: dict[str, Any]) -> dict[str, dict[str, _Values]]:
    """Recording or data set to method to frame to measures."""
    found: dict[str, dict[str, _Values]] = {}
    for recording in document['recordings']:
        methods = found.setdefault(recording['name'], {})
        for frame in recording['frames']:
            name = f'frame {frame["index"]} at {frame["stamp_ns"] / 1e9:.3f} s'
            methods.setdefault(frame['method'], {})[name] = _known(frame['values'])
    for scene in document['scenes']:
        if scene['dataset'] in {r['name'] for r in document['recordings']}:
            continue
        region = next((r for r in ('noc', 'all') if f'{r}/filled' in scene['scores']), None)
        if region is not None:
            values = {**scene['scores'][f'{region}/filled'], **scene['confidence'].get(region, {})}
            methods = found.setdefault(scene['dataset'], {})
            methods.setdefault(scene['method'], {})[scene['scene']] = _known(values)
    return found


def _known(values: dict[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in values.items() if value is not None}


def _matched(first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str]]:
    """Names that are in both; a single one on each side belongs together whatever its name."""
    same = [(name, name) for name in first if name in second]
    if not same and len(first) == len(second) == 1:
        return [(first[0], second[0])]
    return same
