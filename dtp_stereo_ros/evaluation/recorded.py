"""Judging methods on the frames of a recording, with truth where there is one and without."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..health.finding import Finding
from ..health.views import sparse_matches
from ..pipeline import StereoPipeline
from ..postprocess import depth_limits_px, mirrored
from ..recordings.recorded_frames import RecordedFrame
from ..stereo import (
    BoolArray,
    Float32Array,
    StereoCalibration,
    StereoFrame,
    StereoResult,
)
from . import truth_free
from .columns import COLUMNS, DEPTH, TRUTH_FREE
from .datasets import Truth
from .depth_score import depth_score
from .fill import fill_holes
from .frame_values import FrameValues
from .intervals import Interval, bootstrap, paired_difference
from .places import PlaceErrors
from .replay_figures import ReplayFigures
from .runner import BASELINE, DatasetResult, Method
from .scene_score import Estimate, SceneScore, judge

# The right view is matched, which costs as much as the left one, and the slower measures are taken
# on each that many frames, so that all of the judging costs about a third of the inference.
CONSISTENCY_EVERY = 8


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One method on one frame.

    Attributes:
        index: of the pair in the recording.
        time_s: since the first judged frame, by the stamps.
        latency_ms: preprocessing, inference and postprocessing together.
        values: keys of `columns.ALL_COLUMNS`, those that could be told.
    """

    method: str
    index: int
    stamp_ns: int
    time_s: float
    latency_ms: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Measures:
    """One method on a whole recording.

    Attributes:
        frames: that were judged.
        latency_ms: median.
        values: keys of columns to the mean over frames and its interval.
        differences: the same of value less that of SGBM, paired by frame; empty for SGBM itself.
    """

    method: str
    frames: int
    latency_ms: float
    values: dict[str, Interval]
    differences: dict[str, Interval]


@dataclass(frozen=True)
class JudgedFrame:
    """All that is known of one frame, for pictures and for a written bag.

    Attributes:
        estimates: one for each method.
        right_px: disparity of the right view by method; empty where it was not matched.
        scores: one for each method.
        results: of the pipelines, by method.
    """

    recorded: RecordedFrame
    estimates: list[Estimate]
    right_px: dict[str, Float32Array]
    scores: list[FrameScore]
    results: dict[str, StereoResult] = field(default_factory=dict)


@dataclass
class RecordingResult:
    """All figures of one stereo camera of one recording.

    Attributes:
        name: of the bag and the camera.
        about: what was run: bag, topics, calibration, settings, as plain values.
        replay: figures of the replay through the node, where there was one.
        findings: on the recording.
        frames: one for each method and frame.
        rows: mean and rms of the row offsets by frame index, of the frames that were looked at.
        scored: of the frames with truth, as of a data set.
        judging_ms, consistency_ms: medians of what judging took for one frame, all methods
            together, and matching the right views.
    """

    name: str
    about: dict[str, Any] = field(default_factory=dict)
    replay: ReplayFigures | None = None
    findings: list[Finding] = field(default_factory=list)
    frames: list[FrameScore] = field(default_factory=list)
    rows: dict[int, tuple[float, float]] = field(default_factory=dict)
    scored: DatasetResult = field(default_factory=lambda: DatasetResult(''))
    judging_ms: float = float('nan')
    consistency_ms: float = float('nan')
    _measures: tuple[int, list[Measures]] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @property
    def places(self) -> dict[str, PlaceErrors]:
        """Method to its errors by range and image region, of the frames with truth."""
        return self.scored.places

    def methods(self) -> list[str]:
        """In the order in which they ran."""
        return list(dict.fromkeys(frame.method for frame in self.frames))

    def measured_keys(self) -> list[str]:
        """The measures that any frame has, in the order of the tables."""
        known = {key for frame in self.frames for key in frame.values}
        return [key for key in (*COLUMNS, *DEPTH, *TRUTH_FREE) if key in known]

    def measures(self) -> list[Measures]:
        """Means and intervals of each method; computed once for the frames that there are."""
        # For a long recording the draws take seconds, and the file, the table and each bound ask.
        if self._measures is None or self._measures[0] != len(self.frames):
            self._measures = len(self.frames), self._measured()
        return self._measures[1]

    def _measured(self) -> list[Measures]:
        by_method = {m: [f for f in self.frames if f.method == m] for m in self.methods()}
        base = by_method.get(BASELINE)
        found = []
        for method, frames in by_method.items():
            values = {key: _column(frames, key) for key in self.measured_keys()}
            paired = base is not None and method != BASELINE
            found.append(
                Measures(
                    method,
                    len(frames),
                    float(np.median([frame.latency_ms for frame in frames])),
                    {key: bootstrap(column) for key, column in values.items()},
                    {
                        key: paired_difference(column, _column(base, key))
                        for key, column in values.items()
                    }
                    if paired and base is not None
                    else {},
                )
            )
        return found

    def main_key(self) -> str:
        """The measure that frames are ordered by, see `best_key`, of the first method."""
        first = self.frames[0].method if self.frames else ''
        return best_key({key for f in self.frames if f.method == first for key in f.values})


def best_key(known: Collection[str]) -> str:
    """The measure that tells most, of those that are known: bad-3 with truth."""
    return next((k for k in ('bad_3', 'inconsistent', 'photometric') if k in known), 'coverage')


class Published:
    """Matcher of a method whose results are given to the judge: nothing here computes them."""

    def process(self, frame: StereoFrame) -> StereoResult:
        """Refuse: the result of this frame was not given."""
        raise LookupError(f'no result of the frame of {frame.stamp_ns} ns was given')

    def close(self) -> None:
        """Nothing to free."""


class RecordingJudge:
    """Runs methods on one frame after another and gathers their figures in `result`.

    Args:
        result: is filled.
        methods: pipelines; SGBM is among them where agreement is to be judged.
        consistency_every: the slower measures are taken, and the right view is matched, on each
            that many frames; 0 never matches it.
        beyond_known: whether results that are given tell what is beyond range from what is
            unknown. Where they do not, it counts as unknown for all methods.
    """

    def __init__(
        self,
        result: RecordingResult,
        methods: Sequence[Method],
        consistency_every: int = CONSISTENCY_EVERY,
        *,
        beyond_known: bool = True,
    ) -> None:
        self.result = result
        self._methods = methods
        self._consistency_every = consistency_every
        self._beyond_known = beyond_known
        self._warm: set[tuple[int, ...]] = set()
        self._count = 0
        self._first_ns = 0
        self._before: tuple[StereoFrame, dict[str, Float32Array]] | None = None
        self._judging_s: list[float] = []
        self._consistency_s: list[float] = []

    def add(
        self, recorded: RecordedFrame, given: Mapping[str, StereoResult] | None = None
    ) -> JudgedFrame:
        """Run and judge all methods on a frame.

        Args:
            recorded: the frame.
            given: names of methods to their results, which are judged instead of computed; their
                right views are not known, so they get no left-right consistency.

        Raises:
            BackendError: a backend failed.
        """
        frame, given = recorded.frame, given or {}
        shape = frame.left.shape
        self._first_ns = self._first_ns if self._count else frame.stamp_ns
        estimates, latencies_ms = [], []
        results: dict[str, StereoResult] = {}
        for method in self._methods:
            if method.name in given:
                output = given[method.name]
            else:
                if shape not in self._warm:
                    # The first frame of a size allocates and compiles; it is not timed.
                    method.pipeline.process(frame)
                output = method.pipeline.process(frame)
            results[method.name] = output
            latencies_ms.append(1e3 * sum(output.latency_s.values()))
            estimates.append(method.estimate(output))
        self._warm.add(shape)
        slow = self._count % (self._consistency_every or CONSISTENCY_EVERY) == 0
        looked = slow and self._consistency_every > 0
        started = time.perf_counter()
        right_px = self._right_views(frame, given) if looked else {}
        matched = time.perf_counter()
        limits_px = self._limits_px(frame)
        if not self._beyond_known:
            estimates = [_in_range(estimate, limits_px[0]) for estimate in estimates]
        recorded, in_range = _within_limits(recorded, estimates, limits_px)
        scenes = self._scenes(recorded, in_range, latencies_ms)
        filled = [_filled(estimate.disparity_px) for estimate in estimates]
        depths = self._depths(recorded, in_range)
        values = self._values(frame, estimates, filled, right_px, slow, limits_px[0])
        scores = [
            FrameScore(
                estimate.method,
                recorded.index,
                frame.stamp_ns,
                (frame.stamp_ns - self._first_ns) / 1e9,
                latency_ms,
                FrameValues({**_of_truth(scene), **depth, **own}),
            )
            for estimate, latency_ms, scene, depth, own in zip(
                estimates, latencies_ms, scenes, depths, values, strict=True
            )
        ]
        if looked:
            offsets = truth_free.row_offsets_px(sparse_matches(frame.left, frame.right))
            self.result.rows[recorded.index] = offsets
            self._consistency_s.append(matched - started)
        self._judging_s.append(time.perf_counter() - matched)
        self.result.judging_ms = 1e3 * float(np.median(self._judging_s[-256:]))
        if self._consistency_s:
            self.result.consistency_ms = 1e3 * float(np.median(self._consistency_s[-256:]))
        self.result.frames += scores
        self._count += 1
        return JudgedFrame(recorded, estimates, right_px, scores, results)

    def _right_views(
        self, frame: StereoFrame, given: Mapping[str, StereoResult]
    ) -> dict[str, Float32Array]:
        turned = mirrored_frame(frame)
        return {
            method.name: _mirrored_back(method.pipeline.process(turned))
            for method in self._methods
            if method.name not in given
        }

    def _limits_px(self, frame: StereoFrame) -> tuple[float, float]:
        """Raw disparities at the depth limits of the methods, which have the same ones."""
        for method in self._methods:
            if isinstance(method.pipeline, StereoPipeline) and frame.calibration:
                return depth_limits_px(frame.calibration, method.pipeline.config)
        return -np.inf, np.inf

    def _scenes(
        self,
        recorded: RecordedFrame,
        estimates: Sequence[Estimate],
        latencies_ms: Sequence[float],
    ) -> list[SceneScore]:
        truth = None if recorded.truth_px is None else Truth(recorded.truth_px)
        name = f'{recorded.index:06d}'
        scenes = judge(name, recorded.frame, truth, estimates, latencies_ms, BASELINE)
        if truth is not None:
            self.result.scored.add(scenes)
        return scenes

    def _depths(
        self,
        recorded: RecordedFrame,
        estimates: Sequence[Estimate],
    ) -> list[dict[str, float]]:
        """The measures of depth, by method, holes filled."""
        truth_px, calibration = recorded.truth_px, recorded.frame.calibration
        if truth_px is None:
            return [{} for _ in estimates]
        found: list[dict[str, float]] = []
        for estimate in estimates:
            filled = _filled(estimate.disparity_px)
            values = vars(depth_score(filled, truth_px, calibration)) if calibration else {}
            found.append({key: value for key, value in values.items() if np.isfinite(value)})
        return found

    def _values(
        self,
        frame: StereoFrame,
        estimates: Sequence[Estimate],
        filled: Sequence[Float32Array],
        right_px: dict[str, Float32Array],
        slow: bool,
        far_px: float,
    ) -> list[dict[str, float]]:
        """The measures without truth, by method, holes filled as those with a truth are.

        What is beyond range counts as estimated and is not measured: it is at infinity, whatever
        the method measured there. Nor is what a camera did not see.

        `slow`: those that take longer, too. `far_px`: disparity at max_depth.
        """
        base = next((e for e in estimates if e.method == BASELINE), None)
        base_px = None if base is None else _nearer(base.disparity_px, far_px)
        filled = [_nearer(disparity_px, far_px) for disparity_px in filled]
        if frame.seen is not None:
            filled = [np.where(frame.seen, d, np.float32(np.nan)) for d in filled]
        before: dict[str, Float32Array] = {}
        still: BoolArray | None = None
        motion: truth_free.Motion | None = None
        if self._before is not None and self._before[0].left.shape == frame.left.shape:
            last = self._before[0]
            still = truth_free.still(frame.left, last.left)
            still &= truth_free.still(frame.right, last.right)
            if slow:
                motion = truth_free.motion(frame.left, last.left)
            before = self._before[1]
        found = []
        for estimate, disparity_px in zip(estimates, filled, strict=True):
            values = {'coverage': float(np.isfinite(estimate.disparity_px).mean())}
            if slow:
                warped = truth_free.warped_pair(frame.left, frame.right, disparity_px)
                values['photometric'] = truth_free.photometric(warped)
                values['census'] = truth_free.census(warped)
                own_px = _nearer(estimate.disparity_px, far_px)
                values['plane_noise_px'] = truth_free.plane_noise_px(own_px)
            if estimate.method in right_px:
                back_px = _nearer(_filled(right_px[estimate.method]), far_px)
                values['inconsistent'] = truth_free.inconsistent(disparity_px, back_px)
            if still is not None:
                last_px = before[estimate.method]
                values['flicker_px'] = truth_free.flicker_px(disparity_px, last_px, still)
                if motion is not None:
                    values['followed_flicker_px'] = truth_free.followed_flicker_px(
                        disparity_px, last_px, motion
                    )
            if base_px is not None and estimate.method != BASELINE:
                values['agreement'] = truth_free.agreement(disparity_px, base_px)
            found.append({k: v for k, v in values.items() if np.isfinite(v)})
        self._before = frame, {e.method: d for e, d in zip(estimates, filled, strict=True)}
        return found


def _within_limits(
    recorded: RecordedFrame, estimates: Sequence[Estimate], limits_px: tuple[float, float]
) -> tuple[RecordedFrame, Sequence[Estimate]]:
    """The truth within the depth limits, and estimates that lie at the limit instead of beyond.

    What lies beyond has the disparity of infinity, which tells how far it is in no pixels.
    """
    far, near = map(np.float32, limits_px)
    if recorded.truth_px is None:
        return recorded, estimates
    known = (recorded.truth_px >= far) & (recorded.truth_px <= near)  # False for NaN
    truth_px = np.where(known, recorded.truth_px, np.float32(np.nan))
    return replace(recorded, truth_px=truth_px), [
        replace(estimate, disparity_px=np.maximum(estimate.disparity_px, far))
        for estimate in estimates
    ]


def mirrored_frame(frame: StereoFrame) -> StereoFrame:
    """The frame whose left image is the right one in a mirror, with its calibration."""
    calibration: StereoCalibration | None = None
    if frame.calibration is not None:
        last = frame.width_px - 1
        calibration = replace(
            frame.calibration,
            cx_left_px=last - frame.calibration.cx_right_px,
            cx_right_px=last - frame.calibration.cx_left_px,
        )
    return StereoFrame(*mirrored((frame.left, frame.right)), frame.stamp_ns, calibration)


def _mirrored_back(result: StereoResult) -> Float32Array:
    return np.ascontiguousarray(result.disparity_px[:, ::-1])


def _nearer(disparity_px: Float32Array, far_px: float) -> Float32Array:
    """The disparities from that at max_depth on; NaN beyond range."""
    return np.where(disparity_px >= np.float32(far_px), disparity_px, np.float32(np.nan))


def _in_range(estimate: Estimate, far_px: float) -> Estimate:
    return replace(estimate, disparity_px=_nearer(estimate.disparity_px, far_px))


def _filled(disparity_px: Float32Array) -> Float32Array:
    return disparity_px if np.isfinite(disparity_px).all() else fill_holes(disparity_px)


def _of_truth(scene: SceneScore) -> dict[str, float]:
    if not scene.scores:
        return {}
    return {key: value for key, value in scene.values('all').items() if np.isfinite(value)}


def _column(frames: Sequence[FrameScore], key: str) -> list[float]:
    return [frame.values.get(key, float('nan')) for frame in frames]
