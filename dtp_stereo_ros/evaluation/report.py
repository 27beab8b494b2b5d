"""The report of an evaluation: ``report.md`` with its tables and pictures, and ``report.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..image_io import atomic, write_jpeg
from ..stereo import UInt8Array
from . import plots
from .columns import ACCURACY_KEYS, meanings
from .comparison import accuracy
from .intervals import RESAMPLES
from .latency import REFERENCES_SOURCE, Times
from .pictures import link_to, replace_report
from .result_file import as_document, json_pieces
from .runner import TREATMENTS, DatasetResult
from .tables import (
    accuracy_table,
    anatomy_table,
    calibration_table,
    difference_table,
    disparity_table,
    not_comparable,
    score_table,
    times_table,
)


@dataclass(frozen=True)
class Extras:
    """Parts of a report besides its scores.

    Attributes:
        extremes: picture of the best and the worst scene, RGB.
        thin: data set to picture of its thin structures, RGB.
        times: of the methods, measured together.
        settings: method to its `methods.deciding`.
    """

    extremes: UInt8Array | None = None
    thin: Mapping[str, UInt8Array] = field(default_factory=dict)
    times: Times | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def legend(jobs: int = 1) -> str:
    """Meaning of the columns of the table of scores; `jobs` scenes were judged at a time."""
    treatments = ', '.join(f'*{name}*: {text}' for name, text in TREATMENTS.items())
    return (
        'Averages are over pixels within an image and over images within a set. Pixels: *noc* '
        'seen by both cameras, *all* with ground truth, *mixed* noc where it is known, else all. '
        f'Holes: {treatments}. D1: error > 3 px and > 5 %. ms: median of one frame.'
        + (f' {not_comparable(jobs)}' if jobs > 1 else '')
    )


# Names of the pictures; those of the scenes lie in folders of their own.
_PICTURES = ('times.png', 'sparsification.png', 'calibration.png', 'thin_*.jpg', 'extremes.jpg')


def write_report(
    folder: Path,
    results: Sequence[DatasetResult],
    command: str,
    extras: Extras | None = None,
    jobs: int = 1,
) -> None:
    """Write ``report.md``, ``report.json`` and the pictures that the report shows.

    Raises:
        InputError: the folder cannot be written.
    """
    extras = extras or Extras()
    sections = [f'# Evaluation\n\n`{command}`']
    with atomic(folder / 'report.json') as file:
        document = as_document(results, command, extras.times, jobs=jobs, settings=extras.settings)
        file.writelines(piece.encode() for piece in json_pieces(document))
    sections.append(_accuracy(folder, results, extras.times))
    sections.append(_confidence(folder, results))
    sections.append(_anatomy(results))
    sections.append(_by_disparity(results))
    sections.append(_pictures(folder, extras))
    rows = [row for result in results for row in result.rows()]
    sections.append(f'## Scores\n\n{score_table(rows, jobs)}\n\n{legend(jobs)}')
    sections += [f'Left out: {line}' for result in results for line in result.left_out]
    text = '\n\n'.join(filter(None, sections)) + '\n'
    replace_report(folder / 'report.md', text, _PICTURES)


def _accuracy(folder: Path, results: Sequence[DatasetResult], times: Times | None) -> str:
    rows = [row for result in results for row in accuracy(result)]
    text = (
        f'## Accuracy\n\n{accuracy_table(rows)}\n\n'
        f'Holes filled; in brackets the 95 % bootstrap interval over the images ({RESAMPLES} '
        'draws): what another choice of images may change. Of fewer than six images no '
        'difference is called one, and what differs between training runs is not in it. '
        f'{meanings(ACCURACY_KEYS)} At its own density SGBM is judged on its own pixels.'
    )
    differences = difference_table(rows)
    if differences:
        text += (
            f'\n\nDifference to SGBM, paired by image; negative is better than SGBM, and bold '
            f'where the interval leaves out zero:\n\n{differences}'
        )
    if times is None:
        return text
    text += f'\n\n## Accuracy against time\n\n{times_table(times)}\n\nMedians of {times.runs} '
    text += (
        f'frames of {times.size}, in turns. Other work on the machine costs networks more than '
        f'SGBM. {REFERENCES_SOURCE}.'
    )
    if not plots.available():
        return f'{text}\n\n{plots.MISSING}.'
    if plots.draw_times(folder / 'times.png', rows, times):
        text += '\n\n![Accuracy against time](times.png)'
    return text


def _confidence(folder: Path, results: Sequence[DatasetResult]) -> str:
    text = '## Confidence\n\n'
    if not any(result.with_confidence for result in results):
        return f'{text}No method has a confidence.'
    if not plots.available():
        text += f'{plots.MISSING}.\n\n'
    elif plots.draw_sparsification(folder / 'sparsification.png', results):
        text += (
            '![Sparsification curves](sparsification.png)\n\nErrors of the most confident pixels '
            'against their share; dotted, of pixels in the order of their true errors. AUSE is '
            'the area between the two.\n\n'
        )
    text += (
        f'{calibration_table(results)}\n\nMean |d - d*| in px, and share of the pixels, by the '
        'predicted error sigma_px, for which the confidence is read as 1 / (1 + sigma_px). '
        'Calibration error: mean difference of predicted and true error. A network whose '
        'confidence was not trained to mean this is not calibrated, however good its order is.'
    )
    if plots.available() and plots.draw_calibration(folder / 'calibration.png', results):
        text += '\n\n![Predicted and true errors](calibration.png)'
    return text


def _anatomy(results: Sequence[DatasetResult]) -> str:
    return _of_each_set(
        '## Where the errors are\n\nbad-3 of all pixels with a truth by class, holes filled. '
        '*points*: the part of the bad-3 of all pixels that lies in the class.',
        {result.dataset: anatomy_table(result) for result in results},
    )


def _by_disparity(results: Sequence[DatasetResult]) -> str:
    return _of_each_set(
        '## By disparity\n\nPixels of all images together, by their true disparity, holes filled: '
        'those that both cameras see, or where that is not known all with a truth.',
        {result.dataset: disparity_table(result) for result in results},
    )


def _of_each_set(text: str, tables: Mapping[str, str]) -> str:
    """A section with one table for each set; '' where all tables are empty."""
    if not any(tables.values()):
        return ''
    for name, lines in tables.items():
        text += f'\n\n{name}:\n\n{lines or "no truth"}'
    return text


def _pictures(folder: Path, extras: Extras) -> str:
    text = ''
    if extras.thin:
        text += (
            '## Thin structures\n\nThe thinnest structures of the truth, which an opening by a '
            'disc of 13 px removes. The truth alone chooses them.'
        )
    for name, picture in extras.thin.items():
        write_jpeg(folder / f'thin_{name}.jpg', picture)
        text += f'\n\n![Thin structures of {name}]({link_to(f"thin_{name}.jpg")})'
    if extras.extremes is not None:
        write_jpeg(folder / 'extremes.jpg', extras.extremes)
        text += '\n\n## Best and worst\n\n![Best and worst scene](extremes.jpg)'
    return text.strip()
