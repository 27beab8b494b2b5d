"""Accuracy with intervals: each method on each set, and its difference to a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .columns import COLUMNS
from .intervals import Interval, bootstrap, paired_difference
from .runner import BASELINE, DatasetResult, SceneScore, judged_regions


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


def accuracy(result: DatasetResult, baseline: str = BASELINE) -> list[Accuracy]:
    """The rows of one set: by region, and in it by method.

    Where images are judged on different regions (*mixed*), that is the only region.
    """
    by_method: dict[str, list[SceneScore]] = {}
    for score in result.scores:
        by_method.setdefault(score.method, []).append(score)
    figures = {method: _figures(scenes) for method, scenes in by_method.items()}
    regions = list(dict.fromkeys(region for found in figures.values() for region in found))
    rows = []
    for region in regions:
        base = figures.get(baseline, {}).get(region)
        for method, scenes in by_method.items():
            own = figures[method][region]
            paired = base if base is not None and method != baseline else None
            rows.append(
                Accuracy(
                    result.dataset,
                    method,
                    region,
                    len(own),
                    scenes[0].has_confidence,
                    {key: bootstrap(_of(own, key)) for key in COLUMNS},
                    {key: paired_difference(_of(own, key), _of(paired, key)) for key in COLUMNS}
                    if paired is not None
                    else {},
                )
            )
    if not regions:
        rows = [
            Accuracy(result.dataset, method, '-', len(scenes), scenes[0].has_confidence, {}, {})
            for method, scenes in by_method.items()
        ]
    return rows


def main_region(result: DatasetResult, method: str) -> str:
    """The region that pictures are made of: mixed, else noc, else all; '' without truth."""
    return next((region for region, _ in judged_regions(_scenes(result, method))), '')


def main_scenes(result: DatasetResult, method: str) -> list[tuple[SceneScore, str]]:
    """The scenes that pictures are made of: mixed, else noc, else all; with the region of each."""
    return next((chosen for _, chosen in judged_regions(_scenes(result, method))), [])


def methods_of(results: Iterable[DatasetResult]) -> list[str]:
    """All methods in the order in which they first appear."""
    return list(dict.fromkeys(score.method for result in results for score in result.scores))


def _scenes(result: DatasetResult, method: str) -> list[SceneScore]:
    return [score for score in result.scores if score.method == method]


def _figures(scenes: Sequence[SceneScore]) -> dict[str, list[dict[str, float]]]:
    """Region to the measures of its images."""
    found = {
        region: [scene.values(name) for scene, name in chosen]
        for region, chosen in judged_regions(scenes)
    }
    return {'mixed': found['mixed']} if 'mixed' in found else found


def _of(images: Sequence[dict[str, float]], key: str) -> list[float]:
    return [image.get(key, float('nan')) for image in images]
