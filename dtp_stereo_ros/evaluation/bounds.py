"""Bounds such as ``bad3>5`` that a recording must not break, for the CI of a robot."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .columns import COLUMNS, CONFIDENCE_KEYS, DEPTH, NEED_TRUTH, TRUTH_FREE, Column
from .recorded import Measures, RecordingResult
from .runner import BASELINE

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    '>': operator.gt,
    '<': operator.lt,
    '>=': operator.ge,
    '<=': operator.le,
}
_PATTERN = re.compile(r'\s*([\w.\-]+?)\s*(>=|<=|>|<)\s*([0-9.eE+\-]+)\s*%?\s*')


@dataclass(frozen=True)
class Bound:
    """A state that is a failure.

    Attributes:
        text: as it was written.
        column: the measure.
        limit: in the unit of the column.
    """

    text: str
    column: Column
    sign: str
    limit: float

    @property
    def needs_truth(self) -> bool:
        """Whether the measure is one of recordings with a truth."""
        return self.column.key in NEED_TRUTH

    def broken(self, recordings: Sequence[RecordingResult]) -> list[str]:
        """A line for each recording and method that breaks it; SGBM is not asked.

        So does a method that finds nothing at all where the measure needs an estimate, and a
        recording without the truth that the measure needs. Others that are not judged, as
        flicker where nothing stands still, break nothing.

        Raises:
            InputError: no recording has the measure.
        """
        lines, judged = [], False
        name = self.column.name
        for recording in recordings:
            for measures in recording.measures():
                if measures.method == BASELINE:
                    continue
                if empty := self._empty(recording, measures):
                    judged = True
                    found = (
                        f'{measures.method}: no estimate in {empty} of {measures.frames} frames'
                    )
                    lines.append(f'{recording.name}: {found}, {self.text}')
                    continue
                interval = measures.values.get(self.column.key)
                if interval is None or np.isnan(interval.mean):
                    if self.needs_truth:
                        found = f'{name} was not judged ({self._why_not([recording])})'
                        lines.append(f'{recording.name}: {measures.method}: {found}, {self.text}')
                    continue
                judged = True
                value = self.column.shown(interval.mean)
                if _OPERATORS[self.sign](value, self.limit):
                    found = f'{name} is {value:.4g} {self.column.unit}'.rstrip()
                    lines.append(f'{recording.name}: {measures.method}: {found}, {self.text}')
        if not judged:
            why = self._why_not(recordings)
            raise InputError(f'--fail-if {self.text}: {name} was not judged; {why}')
        return lines

    def _why_not(self, recordings: Sequence[RecordingResult]) -> str:
        if {method for recording in recordings for method in recording.methods()} == {BASELINE}:
            return 'only SGBM ran, of which no bound is asked; choose another --backend too'
        topics = {recording.about.get('topics', {}).get('truth') for recording in recordings}
        if self.needs_truth:
            if any('bad_3' in frame.values for r in recordings for frame in r.frames):
                needs = 'camera infos' if self.column.key in DEPTH else 'a confidence'
                return f'it needs {needs}'
            if named := ', '.join(sorted(filter(None, topics))):
                return f'no truth of {named} belongs to a pair; see the findings on it'
            return 'it needs a truth, name one by --truth'
        return 'too few frames'

    def _empty(self, recording: RecordingResult, measures: Measures) -> int:
        """Frames that lack the measure as the method found nothing in them."""
        key = self.column.key
        empty = [
            frame
            for frame in recording.frames
            if frame.method == measures.method
            and frame.values.get('coverage') == 0
            and key not in frame.values
        ]
        if self.needs_truth:
            # Of those with a truth; a method without confidence has no such measure anyway.
            own = measures.values.get(key)
            known = key not in CONFIDENCE_KEYS or (own is not None and own.images > 0)
            return sum('bad_3' in frame.values for frame in empty) if known else 0
        return len(empty) if len(empty) == measures.frames else 0


def parse_bound(text: str) -> Bound:
    """Read ``MEASURE>LIMIT`` or ``MEASURE<LIMIT``, in the units of the table.

    Raises:
        InputError: another form, or no such measure.
    """
    names = {_short(c.key): c for c in (*COLUMNS.values(), *DEPTH.values(), *TRUTH_FREE.values())}
    match = _PATTERN.fullmatch(text)
    known = ', '.join(sorted(names))
    if match is None:
        raise InputError(f"--fail-if {text!r}: write it as 'bad3>5'; measures: {known}")
    name, sign, limit = match.groups()
    column = names.get(_short(name))
    if column is None:
        raise InputError(f'--fail-if {text!r}: no measure {name}; choose one of {known}')
    try:
        return Bound(text, column, sign, float(limit))
    except ValueError:
        raise InputError(f'--fail-if {text!r}: {limit} is no number') from None


def _short(name: str) -> str:
    """Key or name without marks and unit: 'bad_0_5' and 'bad-0.5' are 'bad05'."""
    return re.sub(r'[^a-z0-9]', '', name.lower().removesuffix('_px').removesuffix('_m'))
