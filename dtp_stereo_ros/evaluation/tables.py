"""Markdown tables of an evaluation that also read well as plain text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..markdown import table
from .anatomy import CLASSES
from .calibration import EDGES_PX, SigmaBins, total
from .columns import (
    ACCURACY_KEYS,
    ALL_COLUMNS,
    COLUMNS,
    CONFIDENCE_KEYS,
    NEED_TRUTH,
    RECORDING_KEYS,
    SCORE_KEYS,
)
from .comparison import Accuracy
from .intervals import Interval
from .latency import REFERENCES, Times
from .recorded import Measures, RecordingResult
from .runner import DatasetResult, Row

NO_TRUTH = 'no truth'
NO_CONFIDENCE = 'no confidence'
NO_VALUE = '-'

even_table = partial(table, even=True)

_Cell = Callable[[Accuracy, str], str]


def not_comparable(jobs: int) -> str:
    """Why times of several processes mean little."""
    return (
        f'{jobs} processes shared the machine while times were taken: these are comparable with '
        'no others.'
    )


def times_heading(jobs: int) -> str:
    """Heading of the column of times."""
    return 'ms' if jobs == 1 else 'ms (not comparable)'


def score_table(rows: Sequence[Row], jobs: int = 1) -> str:
    """Mean scores by data set, method, region and treatment of holes.

    Args:
        rows: of all sets.
        jobs: number of scenes that were judged at the same time.
    """
    headings = [COLUMNS[key].heading for key in SCORE_KEYS]
    return even_table(
        ['data', 'images', 'pixels', 'method', 'holes', *headings, times_heading(jobs)],
        [
            [
                row.dataset,
                str(row.images),
                row.region,
                row.method,
                row.treatment,
                *(_score_cell(row, key) for key in SCORE_KEYS),
                f'{row.latency_ms:.0f}',
            ]
            for row in rows
        ],
    )


def measures_table(result: RecordingResult, jobs: int = 1) -> str:
    """Means over the frames of a recording, one line for each method.

    Args:
        result: of a recording.
        jobs: number of recordings that were judged at the same time.
    """
    keys = [key for key in RECORDING_KEYS if key in result.measured_keys()]
    return even_table(
        ['method', 'frames', times_heading(jobs), *(ALL_COLUMNS[key].heading for key in keys)],
        [
            [
                measures.method,
                str(measures.frames),
                f'{measures.latency_ms:.0f}',
                *(_measure_cell(measures, key) for key in keys),
            ]
            for measures in result.measures()
        ],
    )


def accuracy_table(rows: Sequence[Accuracy]) -> str:
    """Means and 95 % intervals, one line for each method on each region of each set."""
    return _accuracy_lines(rows, _accuracy_cell)


def difference_table(rows: Sequence[Accuracy]) -> str:
    """Each method minus the baseline, paired by image; '' where the baseline took no part."""
    compared = [row for row in rows if row.differences]
    if not compared:
        return ''
    return _accuracy_lines(compared, _difference_cell)


def anatomy_table(result: DatasetResult) -> str:
    """bad-3 by class of pixels of one set; '' without truth.

    Of each method: bad-3 within the class, and how many percentage points of the bad-3 of all
    pixels with a truth lie in it. Shares are averaged over images, and bad-3 within a class is
    the ratio of the two, so that an image with more pixels of a class counts more.
    """
    methods = result.methods
    zeros = np.zeros(len(CLASSES))
    shares, points = dict.fromkeys(methods, zeros), dict.fromkeys(methods, zeros)
    images = dict.fromkeys(methods, 0)
    for score in result.scores:
        if score.anatomy is not None and (pixels := score.anatomy.pixels.sum()):
            images[score.method] += 1
            shares[score.method] = shares[score.method] + score.anatomy.pixels / pixels
            points[score.method] = points[score.method] + score.anatomy.wrong / pixels
    if not methods or not all(images.values()):
        return ''
    for method in methods:
        shares[method], points[method] = (
            sums[method] / images[method] for sums in (shares, points)
        )
    headings = ['class', 'pixels %']
    for method in methods:
        headings += [f'{method} bad-3 %', 'points']
    rows = []
    for index, text in enumerate(CLASSES.values()):
        share = shares[methods[0]][index]
        cells = [text, f'{100 * share:.1f}']
        for method in methods:
            part = points[method][index]
            cells += [f'{100 * part / share:.2f}' if share else NO_VALUE, f'{100 * part:.2f}']
        rows.append(cells)
    last = ['all', '100.0']
    for method in methods:
        last += [f'{100 * points[method].sum():.2f}'] * 2
    return even_table(headings, [*rows, last])


def disparity_table(result: DatasetResult) -> str:
    """EPE and bad-3 by the true disparity of one set, pooled over pixels; '' without truth."""
    found = {method: places.by_disparity() for method, places in result.places.items()}
    found = {method: lines for method, lines in found.items() if lines}
    headings = ['disparity px', 'pixels %']
    for method in found:
        headings += [f'{method} EPE px', 'bad-3 %']
    rows = []
    # All methods are judged on the same pixels: those with a truth.
    pixels = sum(line['pixels'] for line in next(iter(found.values()), []))
    for lines in zip(*found.values(), strict=True):
        first = lines[0]
        end = '' if math.isinf(first['to_px']) else f'{first["to_px"]:g}'
        cells = [
            f'{first["from_px"]:g} to {end}' if end else f'from {first["from_px"]:g}',
            f'{100 * first["pixels"] / pixels:.1f}',
        ]
        for line in lines:
            cells += [COLUMNS[key].text(line[key]) for key in ('epe_px', 'bad_3')]
        rows.append(cells)
    return even_table(headings, rows) if found else ''


def calibration_table(results: Sequence[DatasetResult]) -> str:
    """Mean |d - d*| by bins of the predicted sigma_px, by set and method; '' without truth."""
    ends = [*(f'{end:g}' for end in EDGES_PX[1:]), '']
    labels = [
        f'{low:g} to {end}' if end else f'from {low:g}'
        for low, end in zip(EDGES_PX, ends, strict=True)
    ]
    rows = []
    for result in results:
        with_truth = {score.method for score in result.scores if score.anatomy}
        for method in result.methods:
            if method not in with_truth:
                cells = [NO_TRUTH, *[NO_VALUE] * len(labels)]
            elif method not in result.with_confidence:
                cells = [NO_CONFIDENCE, *[NO_VALUE] * len(labels)]
            else:
                cells = _calibration_cells(total(result.sigma_bins(method)))
            rows.append([result.dataset, method, *cells])
    return even_table(['data', 'method', 'calibration error px', *labels], rows)


def times_table(times: Times) -> str:
    """Times in those of SGBM, with those that were measured elsewhere."""
    rows = [
        [method, f'{times.ratios[method]:.2f}', f'{times.total_ms[method]:.1f}']
        for method in sorted(times.ratios, key=lambda name: times.ratios[name])
    ]
    rows += [
        [f'{ref.name} {ref.precision} (elsewhere)', f'{ref.ratio_to_sgbm:.2f}', NO_VALUE]
        for ref in REFERENCES
    ]
    return even_table(['method', 'times SGBM', 'ms'], rows)


def _accuracy_lines(rows: Sequence[Accuracy], cell: _Cell) -> str:
    return even_table(
        ['data', 'images', 'pixels', 'method', *(COLUMNS[k].heading for k in ACCURACY_KEYS)],
        [
            [
                row.dataset,
                str(row.images),
                row.region,
                row.method,
                *(cell(row, key) for key in ACCURACY_KEYS),
            ]
            for row in rows
        ],
    )


def _score_cell(row: Row, key: str) -> str:
    if row.score is None:
        return COLUMNS[key].text(row.density) if key == 'density' else NO_VALUE
    return COLUMNS[key].text(getattr(row.score, key)) + _of(row.counts[key], row.images)


def _measure_cell(measures: Measures, key: str) -> str:
    value, text = measures.values[key], ALL_COLUMNS[key].text(measures.values[key].mean)
    # Others are not taken on each frame, and have no truth that an estimate could lack.
    judged = 'bad_3' in measures.values and key in NEED_TRUTH
    return text + _of(value.images, measures.values['bad_3'].images) if judged else text


def _of(images: int, all_images: int) -> str:
    """Number of the images that are in a mean, where it is not all."""
    return f' ({images} of {all_images})' if 0 < images < all_images else ''


def _accuracy_cell(row: Accuracy, key: str) -> str:
    if not row.values:
        return NO_TRUTH
    return _interval_cell(row, key, row.values[key], sign=False)


def _difference_cell(row: Accuracy, key: str) -> str:
    text = _interval_cell(row, key, row.differences[key], sign=True)
    return f'**{text}**' if row.differences[key].excludes_zero else text


def _interval_cell(row: Accuracy, key: str, value: Interval, sign: bool) -> str:
    if not math.isnan(value.mean):
        return COLUMNS[key].interval_text(value, sign) + _of(value.images, row.images)
    return NO_CONFIDENCE if key in CONFIDENCE_KEYS and not row.has_confidence else NO_VALUE


def _calibration_cells(bins: SigmaBins) -> list[str]:
    cells = [COLUMNS['epe_px'].text(bins.calibration_error_px)]
    for error_px, share in zip(bins.mean_error_px, bins.shares, strict=True):
        cells.append(NO_VALUE if math.isnan(error_px) else f'{error_px:.2f} ({100 * share:.0f} %)')
    return cells
