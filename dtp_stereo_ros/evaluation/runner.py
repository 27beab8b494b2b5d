"""Running methods over data sets and gathering their scores."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .. import preprocess
from ..errors import InputError
from ..pipeline import StereoPipeline
from ..stereo import StereoFrame, StereoResult
from .curve_sums import CurveSums
from .datasets import Scene, Truth
from .metrics import Score, average
from .scene_score import Estimate, SceneScore, judge

__all__ = [
    'BASELINE', 'TREATMENTS', 'DatasetResult', 'Estimate', 'Matcher', 'Method', 'Row',
    'SceneScore', 'evaluate', 'judged_regions', 'method_name',
]  # fmt: skip

# How the holes of an estimate are treated.
TREATMENTS: dict[str, str] = {
    'filled': 'holes filled from the background',
    'own': 'only pixels that the method estimates',
    'strict': 'holes count as wrong',
}


# The method that others are compared with, wherever it takes part.
BASELINE = 'sgbm'


class Matcher(Protocol):
    """A pair in, disparity and perhaps confidence out."""

    def process(self, frame: StereoFrame) -> StereoResult:
        """Match one pair."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True)
class Method:
    """A pipeline, or another matcher, under the name that reports show."""

    name: str
    pipeline: Matcher

    def width_ratio(self, frame: StereoFrame) -> float:
        """Width of the image over the width that is matched at."""
        if not isinstance(self.pipeline, StereoPipeline):
            return 1.0
        spec, scale = self.pipeline.backend.spec, self.pipeline.config.input_scale
        return preprocess.fit(frame.height_px, frame.width_px, spec, scale).width_ratio


def method_name(backend: str, model: str, precision: str) -> str:
    """The name under which a model in a backend is reported, and found in bench's JSON."""
    return model if model == backend else f'{model} {backend} {precision}'


@dataclass(frozen=True)
class Row:
    """One line of a report: a method's mean over the images of a set.

    Attributes:
        region: 'noc', 'all', or 'mixed' where each image is judged on noc if its truth tells
            it, else on all.
        treatment: a key of `TREATMENTS`.
        score: None for a data set without truth.
    """

    dataset: str
    method: str
    region: str
    treatment: str
    images: int
    score: Score | None
    latency_ms: float
    density: float


Seen = Callable[[Scene, StereoFrame, Truth | None, list[Estimate]], None]


@dataclass
class DatasetResult:
    """All scores on one data set, in the order of the scenes.

    Attributes:
        scores: without sparsification curves.
        left_out: a line for each scene that cannot be read; it is in no mean.
        curves: sums of the sparsification curves.
    """

    dataset: str
    scores: list[SceneScore] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    curves: CurveSums = field(default_factory=CurveSums)

    def add(self, scores: Iterable[SceneScore]) -> None:
        """Take the scores of a scene; its curves are summed up."""
        self.scores += [self.curves.take(score) for score in scores]

    def merge(self, other: DatasetResult) -> None:
        """Take all of another part of the set, whose scenes come after those that are here."""
        self.scores += other.scores
        self.left_out += other.left_out
        self.curves.merge(other.curves)

    def rows(self) -> list[Row]:
        """Averages over images, one row per method, region and treatment that can be told."""
        methods = dict.fromkeys(score.method for score in self.scores)
        return [row for method in methods for row in self._rows_of(method)]

    def _rows_of(self, method: str) -> Iterable[Row]:
        scenes = [score for score in self.scores if score.method == method]
        latency_ms = statistics.median(scene.latency_ms for scene in scenes)
        density = statistics.fmean(scene.density for scene in scenes)
        found = False
        for region, chosen in judged_regions(scenes):
            for treatment in TREATMENTS:
                scores = [scene.scores[name, treatment] for scene, name in chosen]
                mean = average(scores)
                # Without holes the three treatments are one.
                if treatment != 'filled' and mean.density == 1.0:
                    continue
                found = True
                yield Row(
                    self.dataset, method, region, treatment, len(scores), mean, latency_ms, density
                )
        if not found:
            yield Row(self.dataset, method, '-', '-', len(scenes), None, latency_ms, density)


def evaluate(
    dataset: str,
    scenes: Sequence[Scene],
    methods: Sequence[Method],
    seen: Seen | None = None,
    baseline: str = BASELINE,
    warm: set[tuple[str, tuple[int, ...]]] | None = None,
) -> DatasetResult:
    """Run every method on every scene.

    Args:
        dataset: name for the report.
        scenes: as found by a reader.
        methods: pipelines to compare.
        seen: called after each scene with its frame, truth and estimates.
        baseline: name of the method at whose density confidences are judged; it need not take
            part.
        warm: methods and sizes that were run before; gains those of these scenes.

    A scene with a missing or damaged file is named in `DatasetResult.left_out`, so that it costs
    nothing of what the others have scored.

    Raises:
        BackendError: a backend failed.
    """
    result = DatasetResult(dataset)
    warm = set() if warm is None else warm
    for scene in scenes:
        try:
            frame, truth = scene.load()
        except InputError as error:
            result.left_out.append(f'{dataset} {scene.name}: {error}')
            continue
        estimates, latencies_ms = [], []
        for method in methods:
            if (method.name, frame.left.shape) not in warm:
                # The first frame of a size allocates and compiles; it is not timed.
                warm.add((method.name, frame.left.shape))
                method.pipeline.process(frame)
            output = method.pipeline.process(frame)
            latencies_ms.append(1e3 * sum(output.latency_s.values()))
            ratio = method.width_ratio(frame)
            estimates.append(Estimate(method.name, output.disparity_px, output.confidence, ratio))
        result.add(judge(scene.name, frame.left, truth, estimates, latencies_ms, baseline))
        if seen:
            seen(scene, frame, truth, estimates)
    return result


def judged_regions(
    scenes: Sequence[SceneScore],
) -> Iterable[tuple[str, list[tuple[SceneScore, str]]]]:
    """Regions to report, with the images of each and the region each image is judged on."""
    known = {
        region: [(scene, region) for scene in scenes if (region, 'own') in scene.scores]
        for region in ('noc', 'all')
    }
    if (
        known['noc']
        and known['all']
        and len(known['noc']) < sum(bool(scene.scores) for scene in scenes)
    ):
        mixed = [
            (scene, 'noc' if ('noc', 'own') in scene.scores else 'all')
            for scene in scenes
            if scene.scores
        ]
        yield 'mixed', mixed
    for region, chosen in known.items():
        if chosen:
            yield region, chosen
