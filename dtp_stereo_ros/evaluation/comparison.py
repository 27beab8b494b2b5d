"""Accuracy with intervals: each method on each set, and its difference to a baseline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from .columns import COLUMNS
from .intervals import Interval, Sample
from .regions import REPORTED, judged_region
from .runner import BASELINE, DatasetResult


@dataclass(frozen=True)
class Accuracy:
    """One method on one region of a set, holes filled.

    Attributes:
        region: see `runner.Row`; '-' without truth.
        images: number of images.
        has_confidence: whether the method gives one.
        values: keys of `columns.COLUMNS` to mean and interval; empty without truth.
        differences: the same of value minus baseline, paired by image; empty for the baseline
            itself and where it does not take part.
    """

    dataset: str
    method: str
    region: str
    images: int
    has_confidence: bool
    values: dict[str, Interval]
    differences: dict[str, Interval]


def accuracy(result: DatasetResult) -> list[Accuracy]:
    """The rows of one set: by region, and in it by method.

    Where images are judged on different regions (*mixed*), that is the only region.
    """
    figures: dict[tuple[str, str], _Figures] = {}
    for _, scene in groupby(result.scores, key=lambda score: score.scene):
        scores = {score.method: score for score in scene}
        base = scores.get(BASELINE)
        for method, score in scores.items():
            for region in REPORTED:
                if judged := judged_region(score, region):
                    paired = None
                    if base is not None and method != BASELINE and judged_region(base, region):
                        paired = base.values(judged_region(base, region))
                    found = figures.setdefault((region, method), _Figures())
                    found.add(score.values(judged), paired)
    reported = [region for counts in result.regions.values() for region in counts.reported()]
    regions = ['mixed'] if 'mixed' in reported else list(dict.fromkeys(reported))
    rows = [
        figures[region, method].row(result, method, region)
        for region in regions
        for method in result.methods
        if (region, method) in figures
    ]
    if regions:
        return rows
    return [
        Accuracy(
            result.dataset, method, '-', counts.images, method in result.with_confidence, {}, {}
        )
        for method, counts in result.regions.items()
    ]


class _Figures:
    """Measures of one method on one region, image by image."""

    def __init__(self) -> None:
        self._images = 0
        self._values = {key: Sample() for key in COLUMNS}
        self._differences = {key: Sample() for key in COLUMNS}
        self._paired = False

    def add(self, values: dict[str, float], paired: dict[str, float] | None) -> None:
        """Take an image, with the values of the baseline on it."""
        nan = float('nan')
        self._images += 1
        self._paired = self._paired or paired is not None
        for key in COLUMNS:
            value = values.get(key, nan)
            self._values[key].add(value)
            if paired is not None:
                self._differences[key].add(value - paired.get(key, nan))

    def row(self, result: DatasetResult, method: str, region: str) -> Accuracy:
        """The figures as a row, with differences where the baseline took part."""
        return Accuracy(
            result.dataset,
            method,
            region,
            self._images,
            method in result.with_confidence,
            {key: sample.interval() for key, sample in self._values.items()},
            {key: sample.interval() for key, sample in self._differences.items()}
            if self._paired
            else {},
        )


def main_region(result: DatasetResult, method: str) -> str:
    """The region that pictures are made of: mixed, else noc, else all; '' without truth."""
    return next(iter(result.regions[method].reported()), '')


def methods_of(results: Iterable[DatasetResult]) -> list[str]:
    """All methods in the order in which they first appear."""
    return list(dict.fromkeys(method for result in results for method in result.methods))
