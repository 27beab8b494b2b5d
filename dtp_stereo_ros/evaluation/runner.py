"""Running methods over data sets and gathering their scores."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..errors import CalibrationError, InputError
from ..stereo import StereoCalibration, StereoFrame, StereoResult
from .calibration import SigmaBins
from .curve_sums import CurveSums
from .datasets import Scene, Truth
from .metrics import MeanScore, Score
from .places import PlaceErrors
from .regions import REPORTED, Regions, judged_region
from .scene_score import Estimate, SceneScore, judge
from .score_log import ScoreLog

__all__ = [
    'BASELINE', 'TREATMENTS', 'DatasetResult', 'Matcher', 'Method', 'Row',
    'SceneScore', 'evaluate', 'method_name',
]  # fmt: skip

# How the holes of an estimate are treated.
TREATMENTS: dict[str, str] = {
    'filled': 'holes filled from the background, all wrong where nothing was found',
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

    def estimate(self, output: StereoResult) -> Estimate:
        """Output of this method, to be judged."""
        return Estimate(self.name, output.disparity_px, output.confidence)


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
        counts: measure to the number of images that have it and are in its mean: EPE needs an
            estimate.
    """

    dataset: str
    method: str
    region: str
    treatment: str
    images: int
    score: Score | None
    latency_ms: float
    density: float
    counts: dict[str, int] = field(default_factory=dict)


Seen = Callable[[Scene, StereoFrame, Truth | None, list[Estimate]], None]


@dataclass
class DatasetResult:
    """All scores on one data set, in the order of the scenes, and of a scene in that of methods.

    Attributes:
        scores: without what is summed up beside them; in a file where there may be many.
        left_out: a line for each scene that cannot be read; it is in no mean.
        curves: sums of the sparsification curves.
        places: method to its errors by range of disparity and depth and by image region, holes
            filled.
        regions: method to the regions that its images are judged on.
        with_confidence: methods that give one.
    """

    dataset: str
    scores: list[SceneScore] | ScoreLog = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    curves: CurveSums = field(default_factory=CurveSums)
    places: dict[str, PlaceErrors] = field(default_factory=dict)
    regions: dict[str, Regions] = field(default_factory=dict)
    with_confidence: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not self.regions:
            for score in self.scores:
                self._note(score)

    @property
    def methods(self) -> list[str]:
        """All methods in the order in which they first appeared."""
        return list(self.regions)

    def add(self, scores: Iterable[SceneScore]) -> None:
        """Take the scores of a scene; its curves and places are summed up."""
        for score in scores:
            if score.places is not None:
                self.places.setdefault(score.method, PlaceErrors()).merge(score.places)
            self._note(score)
            self.scores.append(replace(self.curves.take(score), places=None))

    def merge(self, other: DatasetResult) -> None:
        """Take all of another part of the set, whose scenes come after those that are here."""
        for score in other.scores:
            self._note(score)
            self.scores.append(score)
        self.left_out += other.left_out
        self.curves.merge(other.curves)
        for method, places in other.places.items():
            self.places.setdefault(method, PlaceErrors()).merge(places)

    def rows(self) -> list[Row]:
        """Averages over images, one row per method, region and treatment that can be told."""
        found = {method: _MethodMeans() for method in self.methods}
        for score in self.scores:
            found[score.method].add(score)
        return [
            row
            for method, means in found.items()
            for row in means.rows(self.dataset, method, self.regions[method])
        ]

    def sigma_bins(self, method: str) -> Iterable[SigmaBins]:
        """Predicted and true errors of one method, image by image."""
        return (s.sigma for s in self.scores if s.method == method and s.sigma is not None)

    def _note(self, score: SceneScore) -> None:
        self.regions.setdefault(score.method, Regions()).add(score)
        if score.has_confidence:
            self.with_confidence.add(score.method)


class _MethodMeans:
    """Means of one method over the images of a set."""

    def __init__(self) -> None:
        self._latencies_ms = array('f')
        self._density = 0.0
        self._scores: dict[tuple[str, str], MeanScore] = {}

    def add(self, score: SceneScore) -> None:
        self._latencies_ms.append(score.latency_ms)
        self._density += score.density
        for region in REPORTED:
            judged = judged_region(score, region)
            for treatment in TREATMENTS if judged else ():
                mean = self._scores.setdefault((region, treatment), MeanScore())
                mean.add(score.scores[judged, treatment])

    def rows(self, dataset: str, method: str, regions: Regions) -> Iterable[Row]:
        images = len(self._latencies_ms)
        latency_ms = statistics.median(self._latencies_ms)
        density = self._density / images
        for region in regions.reported():
            for treatment in TREATMENTS:
                found = self._scores[region, treatment]
                mean = found.mean()
                # Without holes the three treatments are one.
                if treatment == 'filled' or mean.density != 1.0:
                    yield Row(
                        dataset, method, region, treatment, found.images, mean, latency_ms,
                        density, found.counts(),
                    )  # fmt: skip
        if not regions.reported():
            yield Row(dataset, method, '-', '-', images, None, latency_ms, density)


def evaluate(
    dataset: str,
    scenes: Sequence[Scene],
    methods: Sequence[Method],
    seen: Seen | None = None,
    warm: set[tuple[str, tuple[int, ...]]] | None = None,
) -> DatasetResult:
    """Run every method on every scene.

    Args:
        dataset: name for the report.
        scenes: as found by a reader.
        methods: pipelines to compare.
        seen: called after each scene with its frame, truth and estimates.
        warm: methods and sizes that were run before; gains those of these scenes.

    A scene with a missing or damaged file, or too small for a method, is named in
    `DatasetResult.left_out`, so that it costs nothing of what the others have scored.

    Raises:
        BackendError: a backend failed.
    """
    result = DatasetResult(dataset)
    warm = set() if warm is None else warm
    for scene in scenes:
        estimates, latencies_ms = [], []
        try:
            frame, truth = scene.load()
            for method in methods:
                if (method.name, frame.left.shape) not in warm:
                    # The first frame of a size allocates and compiles; it is not timed.
                    method.pipeline.process(frame)
                    warm.add((method.name, frame.left.shape))
                output = method.pipeline.process(frame)
                latencies_ms.append(1e3 * sum(output.latency_s.values()))
                estimates.append(method.estimate(output))
        except InputError as error:
            result.left_out.append(f'{dataset} {scene.name}: {error}')
            continue
        # Not the frame's own: depth limits would change what is judged.
        calibration = _calibration(scene, frame)
        result.add(judge(scene.name, frame, truth, estimates, latencies_ms, BASELINE, calibration))
        if seen:
            seen(scene, frame, truth, estimates)
    return result


def _calibration(scene: Scene, frame: StereoFrame) -> StereoCalibration | None:
    """The calibration that is published with a scene; None without one that can be used."""
    try:
        return scene.load_calibration(frame)
    except (CalibrationError, InputError):
        return None  # only errors by depth are lost
