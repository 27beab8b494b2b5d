"""The result file of an evaluation, ``report.json``: written here, and read back here.

A recording with truth is a data set of its frames as well. Shares are 0..1, unknown numbers are
null. The version counts up where a key changes its meaning or goes; new keys leave it as it is.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .anatomy import CLASSES
from .calibration import EDGES_PX, total
from .columns import ALL_COLUMNS, NEED_TRUTH
from .comparison import Accuracy, accuracy, main_region
from .intervals import CONFIDENCE_LEVEL, RESAMPLES, SEED, Interval
from .latency import REFERENCES, Times
from .places import PlaceErrors
from .recorded import FrameScore, RecordingResult
from .runner import BASELINE, DatasetResult, SceneScore
from .sparsification import KEPT_SHARES

FORMAT = 'dtp_stereo report'
# 2: recordings, and columns of measures without truth.
VERSION = 2
# Methods of `places.PlaceErrors`, and keys.
_PLACES = ('by_disparity', 'by_range', 'by_region')


def as_document(
    results: Sequence[DatasetResult],
    command: str = '',
    times: Times | None = None,
    recordings: Sequence[RecordingResult] = (),
    jobs: int = 1,
    left_out: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The result file as plain values, see the module.

    Args:
        results: of all sets.
        command: what was typed.
        times: of the methods, or None where they were not timed together.
        recordings: of all cameras of all bags.
        jobs: number of scenes or bags that were judged at the same time.
        left_out: a line for each bag that could not be judged.
        settings: method to its `methods.deciding`.
    """
    places = [_by_place(result.places, dataset=result.dataset) for result in results]
    document = {
        'format': FORMAT,
        'version': VERSION,
        'command': command,
        'baseline': BASELINE,
        'columns': [
            {
                'key': column.key,
                'heading': column.heading,
                'unit': column.unit,
                'meaning': column.meaning,
                'needs_truth': column.key in NEED_TRUTH,
                'more_is_better': column.more_is_better,
            }
            for column in ALL_COLUMNS.values()
        ],
        'jobs': jobs,
        'intervals': {'level': CONFIDENCE_LEVEL, 'resamples': RESAMPLES, 'seed': SEED},
        'settings': {name: dict(values) for name, values in (settings or {}).items()},
        'rows': [dataclasses.asdict(row) for result in results for row in result.rows()],
        'accuracy': [dataclasses.asdict(row) for result in results for row in accuracy(result)],
        'sparsification': [found for result in results for found in _curves(result)],
        'calibration': [found for result in results for found in _calibration(result)],
        'anatomy': Streamed(lambda: (f for result in results for f in _anatomy(result))),
        **{kind: [line for lines in places for line in lines[kind]] for kind in _PLACES},
        'times': None
        if times is None
        else {
            **dataclasses.asdict(times),
            'references': [dataclasses.asdict(reference) for reference in REFERENCES],
        },
        'recordings': [_recording(recording) for recording in recordings],
        'scenes': Streamed(lambda: (_scene(r.dataset, s) for r in results for s in r.scores)),
        'left_out': [*(line for result in results for line in result.left_out), *left_out],
    }
    # One after the other, so that there are not two of all.
    return {key: plain(document.pop(key)) for key in list(document)}


class Streamed(list[Any]):
    """A list whose entries are made while it is read, anew each time, as plain values.

    Args:
        entries: makes them.
    """

    def __init__(self, entries: Callable[[], Iterator[Any]]) -> None:
        super().__init__()
        self._entries = entries

    def __iter__(self) -> Iterator[Any]:
        return map(plain, self._entries())

    def __len__(self) -> int:
        return sum(1 for _ in self._entries())

    def __bool__(self) -> bool:
        return any(True for _ in self._entries())

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return list(self) == other


def json_pieces(document: dict[str, Any]) -> Iterator[str]:
    """The text of a result file piece by piece, as it is long for a large set."""
    return json.JSONEncoder(indent=1, allow_nan=False).iterencode(document)


def read(path: Path) -> dict[str, Any]:
    """Read a result file.

    Raises:
        InputError: the file is missing, no result file, or of another version.
    """
    mend = 'write it again with dtp-stereo eval -o DIR, or bag --json FILE'
    try:
        document = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); {mend}') from error
    except ValueError as error:
        raise InputError(f'{path}: not JSON ({error}); {mend}') from error
    if not isinstance(document, dict) or document.get('format') != FORMAT:
        raise InputError(f'{path}: not a report of dtp-stereo; {mend}')
    if document.get('version') != VERSION:
        raise InputError(
            f'{path}: version {document.get("version")} of the format, this program reads '
            f'{VERSION}; {mend}'
        )
    return document


def read_accuracy(path: Path) -> list[Accuracy]:
    """The rows of accuracy in a result file.

    Raises:
        InputError: see `read`; or it has no such rows.
    """
    try:
        return [
            Accuracy(
                **{
                    **row,
                    'values': _intervals(row['values']),
                    'differences': _intervals(row['differences']),
                }
            )
            for row in read(path)['accuracy']
        ]
    except (KeyError, TypeError) as error:
        raise InputError(
            f'{path}: has no rows of accuracy that can be read ({type(error).__name__}: {error}); '
            'write it again with dtp-stereo eval -o DIR'
        ) from error


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Settings of the methods in a result file, see `methods.deciding`; {} of earlier versions.

    Raises:
        InputError: see `read`.
    """
    return dict(read(path).get('settings') or {})


def _intervals(values: dict[str, dict[str, Any]]) -> dict[str, Interval]:
    """Intervals as they were before `plain`."""

    def number(value: float | None) -> float:
        return float('nan') if value is None else value

    return {
        key: Interval(number(v['mean']), number(v['low']), number(v['high']), v['images'])
        for key, v in values.items()
    }


def mean_curves(result: DatasetResult, method: str) -> dict[str, list[float]]:
    """Sparsification curves of one method, averaged over images; {} without confidence.

    Returns:
        The fields of `scene_score.Curves`, at `KEPT_SHARES`.
    """
    region = main_region(result, method)
    return {name: curve.tolist() for name, curve in result.curves.means(method, region).items()}


def _scene(dataset: str, scene: SceneScore) -> dict[str, Any]:
    return {
        'dataset': dataset,
        'scene': scene.scene,
        'method': scene.method,
        'latency_ms': scene.latency_ms,
        'density': scene.density,
        'scores': {
            f'{region}/{treatment}': vars(score)
            for (region, treatment), score in scene.scores.items()
        },
        'confidence': {
            region: {key: value for key, value in vars(ranked).items() if key != 'curves'}
            for region, ranked in scene.ranked.items()
        },
    }


def _by_place(places: Mapping[str, PlaceErrors], **about: str) -> dict[str, list[Any]]:
    """Errors of each method by range of disparity and of depth and by image region."""
    return {
        kind: [
            {**about, 'method': method, **line}
            for method, errors in places.items()
            for line in getattr(errors, kind)()
        ]
        for kind in _PLACES
    }


def _recording(recording: RecordingResult) -> dict[str, Any]:
    return {
        'name': recording.name,
        **recording.about,
        'replay': None if recording.replay is None else recording.replay.as_values(),
        'ordered_by': recording.main_key(),
        'judging_ms': recording.judging_ms,
        'consistency_ms': recording.consistency_ms,
        'findings': [vars(finding) for finding in recording.findings],
        'measures': [dataclasses.asdict(measures) for measures in recording.measures()],
        **_by_place(recording.places),
        'frames': [_frame(frame) for frame in recording.frames],
        'rows': [
            {'index': index, 'rows_px': mean, 'rows_rms_px': rms}
            for index, (mean, rms) in recording.rows.items()
        ],
    }


def _frame(frame: FrameScore) -> dict[str, Any]:
    found = {field.name: getattr(frame, field.name) for field in dataclasses.fields(frame)}
    return {**found, 'values': dict(frame.values)}


def _curves(result: DatasetResult) -> list[dict[str, Any]]:
    return [
        {'dataset': result.dataset, 'method': method, 'kept': KEPT_SHARES, **curves}
        for method in result.methods
        if (curves := mean_curves(result, method))
    ]


def _calibration(result: DatasetResult) -> list[dict[str, Any]]:
    found = []
    for method in result.methods:
        bins = total(result.sigma_bins(method))
        if bins.pixels.any():
            found.append(
                {
                    'dataset': result.dataset,
                    'method': method,
                    'edges_px': EDGES_PX,
                    'shares': bins.shares,
                    'mean_sigma_px': bins.mean_sigma_px,
                    'mean_error_px': bins.mean_error_px,
                    'calibration_error_px': bins.calibration_error_px,
                }
            )
    return found


def _anatomy(result: DatasetResult) -> Iterator[dict[str, Any]]:
    for scene in result.scores:
        if scene.anatomy is not None:
            counts = zip(CLASSES, scene.anatomy.pixels, scene.anatomy.wrong, strict=True)
            yield {
                'dataset': result.dataset,
                'scene': scene.scene,
                'method': scene.method,
                'classes': {
                    name: {'pixels': int(pixels), 'wrong': int(wrong)}
                    for name, pixels, wrong in counts
                },
            }


def plain(value: Any) -> Any:
    """Lists for arrays, and null for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, Streamed):
        return value
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
