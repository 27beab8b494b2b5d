"""Running methods over data sets and gathering their scores."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..pipeline import StereoPipeline
from ..stereo import Float32Array, StereoFrame
from .datasets import Scene, Truth
from .fill import fill_holes
from .metrics import Score, average, score

# How the holes of an estimate are treated.
TREATMENTS: dict[str, str] = {
    'filled': 'holes filled from the background',
    'own': 'only pixels that the method estimates',
    'strict': 'holes count as wrong',
}


@dataclass(frozen=True)
class Method:
    """A pipeline under the name that reports show."""

    name: str
    pipeline: StereoPipeline


@dataclass(frozen=True)
class SceneScore:
    """One method on one scene.

    Attributes:
        scores: (region, treatment) to score; region is 'noc' or 'all' as far as the truth tells.
        latency_ms: preprocessing, inference and postprocessing together.
        density: share of all pixels with an estimate, also where there is no truth.
    """

    scene: str
    method: str
    scores: dict[tuple[str, str], Score]
    latency_ms: float
    density: float


@dataclass(frozen=True)
class Estimate:
    """What a method made of one scene, for pictures."""

    method: str
    disparity_px: Float32Array


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
    """All scores on one data set, in the order of the scenes."""

    dataset: str
    scores: list[SceneScore] = field(default_factory=list)

    def rows(self) -> list[Row]:
        """Averages over images, one row per method, region and treatment that can be told."""
        methods = dict.fromkeys(score.method for score in self.scores)
        return [row for method in methods for row in self._rows_of(method)]

    def _rows_of(self, method: str) -> Iterable[Row]:
        scenes = [score for score in self.scores if score.method == method]
        latency_ms = statistics.median(scene.latency_ms for scene in scenes)
        density = statistics.fmean(scene.density for scene in scenes)
        found = False
        for region, chosen in _regions(scenes):
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
    dataset: str, scenes: Sequence[Scene], methods: Sequence[Method], seen: Seen | None = None
) -> DatasetResult:
    """Run every method on every scene.

    Args:
        dataset: name for the report.
        scenes: as found by a reader.
        methods: pipelines to compare.
        seen: called after each scene with its frame, truth and estimates.

    Raises:
        InputError: a file of the set is missing or unreadable.
        BackendError: a backend failed.
    """
    result = DatasetResult(dataset)
    warm: set[tuple[str, tuple[int, ...]]] = set()
    for scene in scenes:
        frame = scene.load_frame()
        truth = scene.load_truth() if scene.load_truth else None
        estimates = []
        for method in methods:
            if (method.name, frame.left.shape) not in warm:
                # The first frame of a size allocates and compiles; it is not timed.
                warm.add((method.name, frame.left.shape))
                method.pipeline.process(frame)
            output = method.pipeline.process(frame)
            result.scores.append(
                SceneScore(
                    scene.name,
                    method.name,
                    _score(output.disparity_px, truth),
                    1e3 * sum(output.latency_s.values()),
                    output.valid_share,
                )
            )
            estimates.append(Estimate(method.name, output.disparity_px))
        if seen:
            seen(scene, frame, truth, estimates)
    return result


def _score(disparity_px: Float32Array, truth: Truth | None) -> dict[tuple[str, str], Score]:
    scores: dict[tuple[str, str], Score] = {}
    if truth is None:
        return scores
    filled = fill_holes(disparity_px)
    for region in ('noc', 'all'):
        judged = truth.region(region)
        if judged is None:
            continue
        own = score(disparity_px, judged)
        # The density of the method itself also stands beside its filled map.
        whole = score(filled, judged)
        scores[region, 'filled'] = Score(**{**vars(whole), 'density': own.density})
        scores[region, 'own'] = own
        scores[region, 'strict'] = score(disparity_px, judged, holes='error')
    return scores


def _regions(
    scenes: Sequence[SceneScore],
) -> Iterable[tuple[str, list[tuple[SceneScore, str]]]]:
    """Regions to report, with the images of each and the region each image is judged on."""
    known = {
        region: [(scene, region) for scene in scenes if (region, 'own') in scene.scores]
        for region in ('noc', 'all')
    }
    if known['noc'] and known['all'] and len(known['noc']) < len(scenes):
        mixed = [(scene, 'noc' if (scene, 'noc') in known['noc'] else 'all') for scene in scenes]
        yield 'mixed', mixed
    for region, chosen in known.items():
        if chosen:
            yield region, chosen
