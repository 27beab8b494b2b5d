"""Two result files, paired by frame: which differences are real."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .columns import ALL_COLUMNS, BETWEEN_FRAMES
from .intervals import Interval, bootstrap, paired_difference

# Frames that changed most are listed to this number.
MOST_CHANGED = 5

# Frame to region of the truth to its measures; a frame of a recording has the region ''.
_Values = dict[str, dict[str, dict[str, float]]]

# Title, index and time (s) of a frame in its recording.
_Frame = tuple[str, int, float]

# Regions, the one first that is judged where both files have it.
_REGIONS = ('', 'noc', 'all')


@dataclass(frozen=True)
class PairedFrame:
    """A measure of one frame in both files, stored units.

    Attributes:
        name: of the frame or scene.
        index, time_s: of a frame in the recording of the first file; None of a scene.
    """

    name: str
    index: int | None
    time_s: float | None
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Second less first."""
        return self.second - self.first


@dataclass(frozen=True)
class PairedMeasure:
    """One measure of one method in both files, on the frames that both have.

    Attributes:
        sources: name of the recording or data set in each file.
        methods: name of the method in each file.
        first, second: means and intervals.
        difference: second less first, paired by frame.
        frames: that both files have, in the order of the first file.
        depths: the depth limits of each file where they are not the same, '' where they are. Other
            limits judge other pixels, so that nothing follows from a difference.
    """

    sources: tuple[str, str]
    methods: tuple[str, str]
    key: str
    first: Interval
    second: Interval
    difference: Interval
    frames: list[PairedFrame]
    depths: str = ''

    def changed(self, count: int = MOST_CHANGED) -> list[PairedFrame]:
        """Frames of the largest absolute differences; none without a difference."""
        found = heapq.nlargest(count, self.frames, key=lambda frame: abs(frame.difference))
        return [frame for frame in found if frame.difference]

    @property
    def source(self) -> str:
        """The recording or data set: its name, or 'A -> B' where the names differ."""
        return _title(self.sources)

    @property
    def method(self) -> str:
        """The method: its name, or 'A -> B' where the names differ."""
        return _title(self.methods)

    @property
    def verdict(self) -> str:
        """'better', 'worse', or '' where the interval holds zero or the depth limits differ."""
        if self.depths or not self.difference.excludes_zero:
            return ''
        more = self.difference.mean > 0
        return 'better' if more == ALL_COLUMNS[self.key].more_is_better else 'worse'


def paired_measures(first: dict[str, Any], second: dict[str, Any]) -> list[PairedMeasure]:
    """Every measure that both files have.

    Recordings and data sets are paired by name, or where each file has one of them, whatever
    their names; methods alike. Frames are paired by stamp, and by index too where several of a
    file have one stamp; scenes by name and region of the truth: 'noc' where both files have it,
    else 'all'. Measures between frames are left out where those of one file are further apart
    (`--every`).

    Args:
        first, second: documents of `result_file.read`.

    Raises:
        InputError: nothing is in both files.
    """
    repeated = _repeated(first, second)
    a, b = _sources(first, repeated), _sources(second, repeated)
    frames, steps = _frames(first, repeated), [_steps(first), _steps(second)]
    limits_m = [_depth_limits_m(first), _depth_limits_m(second)]
    found = []
    for source, other in _matched(list(a), list(b)):
        baseline = first.get('baseline', '')
        methods = _matched_methods(a[source], b[other], baseline)
        if baseline in a[source] and baseline in b[other]:
            methods.append((baseline, baseline))
        for method, partner in methods:
            values = a[source][method], b[other][partner]
            names = (source, other), (method, partner)
            same = steps[0].get(source) == steps[1].get(other)
            depths = _other_depths(*(limits_m[i].get((names[0][i], names[1][i])) for i in (0, 1)))
            found += [
                measure
                for measure in _of_method(*names, *values, frames.get(source, {}), depths)
                if same or measure.key not in BETWEEN_FRAMES
            ]
    if not found:
        raise InputError(
            'no frame, recording or data set is in both files; compare results of the same data '
            f'({", ".join(a) or "nothing"} and {", ".join(b) or "nothing"})'
        )
    return found


def same_frames(
    first: dict[str, Any], second: dict[str, Any], sources: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[int, int]]:
    """Indices of frames in the second file to those in the first, by paired recording.

    Args:
        first, second: documents of `result_file.read`.
        sources: of `PairedMeasure`; those of data sets have no such frames.
    """
    repeated = _repeated(first, second)
    a, b = _frames(first, repeated), _frames(second, repeated)
    found = {}
    for one, other in sources:
        own, others = a.get(one, {}), b.get(other, {})
        found[one, other] = {others[m][1]: own[m][1] for m in own.keys() & others.keys()}
    return found


def without_partner(first: dict[str, Any], second: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Titles of all that `paired_measures` compares with nothing of the other file, by file."""
    a, b = _sources(first), _sources(second)
    matched = _matched(list(a), list(b))
    left = (
        [name for name in a if name not in {pair[0] for pair in matched}],
        [name for name in b if name not in {pair[1] for pair in matched}],
    )
    for source, other in matched:
        baseline = first.get('baseline', '')
        paired = _matched_methods(a[source], b[other], baseline)
        for side, (name, methods) in enumerate(((source, a[source]), (other, b[other]))):
            taken = {baseline, *(pair[side] for pair in paired)}
            left[side].extend(f'{m} on {name}' for m in methods if m not in taken)
    return left


def _title(names: tuple[str, str]) -> str:
    return names[0] if names[0] == names[1] else ' -> '.join(names)


def _of_method(
    sources: tuple[str, str],
    methods: tuple[str, str],
    a: _Values,
    b: _Values,
    frames_of_first: Mapping[str, _Frame],
    depths: str,
) -> list[PairedMeasure]:
    pairs = []
    for name in (name for name in a if name in b):
        region = next((r for r in _REGIONS if r in a[name] and r in b[name]), None)
        if region is not None:
            pairs.append((name, a[name][region], b[name][region]))
    found = []
    for key in ALL_COLUMNS:
        frames = []
        for name, one, other in pairs:
            if key in one and key in other:
                title, index, time_s = frames_of_first.get(name, (name, None, None))
                frames.append(PairedFrame(title, index, time_s, one[key], other[key]))
        if not frames:
            continue
        first, second = [f.first for f in frames], [f.second for f in frames]
        found.append(
            PairedMeasure(
                sources,
                methods,
                key,
                bootstrap(first),
                bootstrap(second),
                paired_difference(second, first),
                frames,
                depths,
            )
        )
    return found


def _sources(
    document: dict[str, Any], repeated: frozenset[int] = frozenset()
) -> dict[str, dict[str, _Values]]:
    """Recording or data set to method to frame to region to measures."""
    found: dict[str, dict[str, _Values]] = {}
    for recording in document['recordings']:
        methods = found.setdefault(recording['name'], {})
        for name, frame in _moments(recording, repeated):
            methods.setdefault(frame['method'], {})[name] = {'': _known(frame['values'])}
    for scene in document['scenes']:
        if scene['dataset'] in {r['name'] for r in document['recordings']}:
            continue
        regions = {
            region: _known({**scores, **scene['confidence'].get(region, {})})
            for region in _REGIONS
            if (scores := scene['scores'].get(f'{region}/filled')) is not None
        }
        if regions:
            methods = found.setdefault(scene['dataset'], {})
            methods.setdefault(scene['method'], {})[scene['scene']] = regions
    return found


def _frames(document: dict[str, Any], repeated: frozenset[int]) -> dict[str, dict[str, _Frame]]:
    """Recording to frame to what tells it."""
    return {
        recording['name']: {
            name: (_frame_name(frame), frame['index'], frame['time_s'])
            for name, frame in _moments(recording, repeated)
        }
        for recording in document['recordings']
    }


def _moments(
    recording: dict[str, Any], repeated: frozenset[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each frame with the name by which it is the same in another file.

    An index counts from where the file begins (`--start`), so that it tells frames apart only
    where stamps do not, as in a bag that was played twice or by a driver that gives none.
    """
    for frame in recording['frames']:
        stamp_ns = frame['stamp_ns']
        yield f'{stamp_ns} {frame["index"]}' if stamp_ns in repeated else f'{stamp_ns}', frame


def _repeated(*documents: dict[str, Any]) -> frozenset[int]:
    """Stamps (ns) that several frames of one recording have."""
    found = set()
    for document in documents:
        for recording in document['recordings']:
            indices: dict[int, int] = {}
            for frame in recording['frames']:
                if indices.setdefault(frame['stamp_ns'], frame['index']) != frame['index']:
                    found.add(frame['stamp_ns'])
    return frozenset(found)


def _steps(document: dict[str, Any]) -> dict[str, int]:
    """Recording to the number of pairs from one that was judged to the next."""
    return {
        recording['name']: recording.get('selection', {}).get('every', 1)
        for recording in document['recordings']
    }


def _depth_limits_m(document: dict[str, Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """Recording and method to `min_depth` and `max_depth`, where they are known."""
    return {
        (recording['name'], method): (settings['min_depth'], settings['max_depth'])
        for recording in document['recordings']
        for method, about in recording.get('methods', {}).items()
        if {'min_depth', 'max_depth'} <= (settings := about.get('settings', {})).keys()
    }


def _other_depths(first: tuple[float, float] | None, second: tuple[float, float] | None) -> str:
    if first is None or second is None or first == second:
        return ''
    return ' and '.join(f'{low:g} to {high:g} m' for low, high in (first, second))


def _frame_name(frame: dict[str, Any]) -> str:
    return f'frame {frame["index"]} at {frame["stamp_ns"] / 1e9:.3f} s'


def _known(values: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if value is not None}


def _matched_methods(
    first: Iterable[str], second: Iterable[str], baseline: str
) -> list[tuple[str, str]]:
    """Methods besides the baseline, as of `_matched`."""
    return _matched([m for m in first if m != baseline], [m for m in second if m != baseline])


def _matched(first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str]]:
    """Names that are in both; a single one on each side belongs together whatever its name."""
    same = [(name, name) for name in first if name in second]
    if not same and len(first) == len(second) == 1:
        return [(first[0], second[0])]
    return same
