"""Frames of a recorded stereo camera, decoded as the node does, and the findings on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..config import NodeConfig
from ..errors import CalibrationError, StereoError
from ..health.brightness import BrightnessCheck
from ..health.finding import Finding, from_line, shape_of
from ..health.recording import camera_findings
from ..health.view_check import ViewCheck, ViewSetting, rectified_matches
from ..messages.camera_info import calibration_warnings, stereo_calibration
from ..messages.images import sixteen_bits, to_rgb
from ..messages.points import read_points
from ..messages.rectify import Rectifier
from ..messages.stamps import stamp_ns
from ..messages.truth import raw_disparity
from ..pairing.image_stream import Arrival
from ..stereo import SIDES, Float32Array, StereoCalibration, StereoFrame, UInt8Array
from .recorded_pairs import PairLog, RecordedPair, recorded_pairs
from .recording import Recording
from .sparse_truth import sparse_disparity
from .stereo_topics import StereoTopics
from .transforms import Transforms, static_transforms

_NS_PER_S = 1_000_000_000
# Looks at the views that are made in any case; after them the check says when.
_FIRST_LOOKS = 3
# Share of the truths that have a pair, where there are as many pairs.
_MATCHED = 0.9


@dataclass(frozen=True)
class Selection:
    """The part of a recording that is read.

    Attributes:
        every: each that many pairs one is taken.
        start_s, duration_s: from the start of the bag; None is to its end.
    """

    every: int = 1
    start_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True)
class RecordedFrame:
    """One pair of a recording.

    Attributes:
        index: of the pair among all of the camera.
        frame: rectified images with their stamp and calibration.
        truth_px: raw disparity (H, W), NaN unknown, or None.
        pair: its messages; None where the frame comes from elsewhere.
    """

    index: int
    frame: StereoFrame
    truth_px: Float32Array | None = None
    pair: RecordedPair | None = None


@dataclass
class RecordedCamera:
    """A stereo camera of a recording, read pair by pair.

    Args:
        recording: an open bag.
        topics: of the camera.
        config: of the node.
        selection: the part that is read.

    Attributes:
        pairs: number of pairs so far, with those that were not taken.
        faults: line of a fault to the number of pairs that it cost; of lines that differ in
            their numbers alone, the first.
        calibration: of the newest pair.
        frame_id: of the left images.
    """

    recording: Recording
    topics: StereoTopics
    config: NodeConfig
    selection: Selection = field(default_factory=Selection)
    pairs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    calibration: StereoCalibration | None = None
    frame_id: str = ''

    def __post_init__(self) -> None:
        self._log = PairLog()
        self._lines: dict[str, str] = {}
        self._rectifiers = {side: Rectifier(side) for side in SIDES}
        self._brightness = {side: BrightnessCheck() for side in SIDES}
        self._views = ViewCheck()
        self._looks = 0
        self._found: dict[str, Finding] = {}
        self._warnings: list[str] = []
        self._transforms: Transforms | None = None

    def expected(self) -> int:
        """About the number of frames, from the index of the bag."""
        total_s = max((self.recording.end_ns - self.recording.start_ns) / _NS_PER_S, 1e-9)
        part_s = total_s - self.selection.start_s
        if self.selection.duration_s is not None:
            part_s = min(part_s, self.selection.duration_s)
        images = min(self.recording.counts[t] for t in (self.topics.left, self.topics.right))
        return max(0, round(images * min(1.0, part_s / total_s) / self.selection.every))

    def frames(self, chosen: Callable[[int], bool] | None = None) -> Iterator[RecordedFrame]:
        """The frames. A pair that cannot be used is counted in `faults` and left out.

        Args:
            chosen: which, by the stamp of the left image, in place of every N-th of the selection.
        """
        selection = self.selection
        for pair in recorded_pairs(
            self.recording,
            self.topics,
            self.config,
            self._log,
            selection.start_s,
            selection.duration_s,
        ):
            index = self.pairs
            self.pairs += 1
            every = index % selection.every == 0
            if not (every if chosen is None else chosen(stamp_ns(pair.left))):
                continue
            try:
                yield self._frame(index, pair)
            except StereoError as error:
                line = str(error)
                self.faults[self._lines.setdefault(shape_of(line), line)] += 1

    @property
    def arrivals(self) -> Mapping[str, Sequence[Arrival]]:
        """Side to the stamp and time of recording of each image that was read."""
        return self._log.arrivals

    def damage(self) -> list[str]:
        """A line for each topic with messages that cannot be decoded."""
        return self.recording.damage({*self.topics.by_part.values(), self.topics.truth})

    def why_nothing(self, done: str) -> str:
        """Reason for which not one pair could be judged, or whatever was to be done, one line."""
        findings = self.findings()
        errors = [f.line for f in findings if f.level == 'error']
        if self.recording.broken and not all(self.arrivals[side] for side in SIDES):
            errors.insert(0, self.recording.broken)
        errors = self.damage() + errors
        warnings = [f.line for f in findings if f.level == 'warn']
        reason = (errors or warnings or ['no pair in this part of the bag; see --start'])[0]
        return f'no pair of {self.topics.left} and {self.topics.right} could be {done}: {reason}'

    def findings(self) -> list[Finding]:
        """Findings on all that was read, errors first."""
        found = camera_findings(
            self._log.arrivals,
            self._log.infos,
            self.topics.by_part,
            self.config,
            self._log.policy.counts,
            self._log.undescribed,
        )
        found += self._truth_findings()
        found += [from_line('error', 'bag', line) for line in self.damage()]
        found += [
            from_line('error', 'frames', f'{count} pairs could not be used: {line}')
            for line, count in self.faults.items()
        ]
        calibration = self.calibration
        if calibration is not None:
            text = f'f = {calibration.fx_px:.5g} px, baseline = {calibration.baseline_m:.4g} m'
            found.append(Finding('ok', 'calibration', text))
        found += [from_line('warn', 'calibration', line) for line in self._warnings]
        found += self._found.values()
        if self.recording.broken:
            found.append(from_line('error', 'bag', self.recording.broken))
        order = {'error': 0, 'warn': 1, 'ok': 2}
        return sorted(found, key=lambda finding: order[finding.level])

    def _truth_findings(self) -> list[Finding]:
        """Whether the truths belong to the pairs."""
        topic, log = self.topics.truth, self._log
        if not topic:
            return []
        if not log.truths:
            text = f'{topic}: no message in this part of the bag'
            return [Finding('warn', 'truth', text, 'see --start and --duration')]
        if log.matched == self.pairs:
            return []
        text = f'{topic}: {log.truths} truths, {self.pairs - log.matched} of {self.pairs} pairs '
        text += 'without one'
        if log.nearest_ns is not None:
            text += f', the nearest {log.nearest_ns / _NS_PER_S:.3g} s away'
        # One that is recorded less often than the images cannot be of all.
        if log.matched >= _MATCHED * min(log.truths, self.pairs):
            return [Finding('ok', 'truth', text)]
        mend = 'its stamps must be those of the left images, and it must be recorded within 1 s'
        return [Finding('warn', 'truth', text, mend)]

    def _frame(self, index: int, pair: RecordedPair) -> RecordedFrame:
        topics = self.topics.by_part
        given = {}
        for side, message in zip(SIDES, (pair.left, pair.right), strict=True):
            given[side] = to_rgb(message, topics[side])
            look = self._brightness[side].look
            for finding in look(given[side], sixteen_bits(message), topics[side]):
                self._found[f'brightness {side}'] = finding
        stamp = stamp_ns(pair.left)
        left, right = given['left'], given['right']
        seen = None
        if self.config.rectify:
            # The left one that is made of the right one is that of a rectified image.
            if not self._log.infos['left']:
                raise CalibrationError(
                    f'{self.topics.left}: has no camera_info, so nothing can be rectified; '
                    'record it'
                )
            left = self._rectifiers['left'].rectify(left, pair.infos['left'])
            right = self._rectifiers['right'].rectify(right, pair.infos['right'])
            seen = self._rectifiers['left'].seen
        try:
            frame = StereoFrame(left, right, stamp, seen=seen)
        except StereoError as error:
            raise type(error)(f'{topics["left"]}, {topics["right"]}: {error}') from error
        self.frame_id = pair.left.header.frame_id
        if pair.infos:
            self.calibration = stereo_calibration(
                pair.infos['left'], pair.infos['right'], frame.width_px, frame.height_px
            )
            frame = replace(frame, calibration=self.calibration)
            self._warnings = calibration_warnings(
                pair.infos['left'], pair.infos['right'], self.frame_id
            )
            self._look(pair, given['left'], given['right'], self.calibration)
        return RecordedFrame(index, frame, self._truth(pair, frame), pair)

    def _truth(self, pair: RecordedPair, frame: StereoFrame) -> Float32Array | None:
        """The truth of a pair; where it cannot be used the pair is judged without."""
        if pair.truth is None:
            return None
        try:
            truth_px = self._truth_px(pair, frame)
        except StereoError as error:
            self._found[f'truth {error}'] = from_line('error', 'truth', str(error))
            return None
        return truth_px if np.isfinite(truth_px).any() else None

    def _truth_px(self, pair: RecordedPair, frame: StereoFrame) -> Float32Array:
        if hasattr(pair.truth, 'point_step'):
            return self._lidar_px(pair, frame)
        truth_px = raw_disparity(pair.truth, frame.calibration, self.topics.truth)
        if truth_px.shape != frame.left.shape[:2]:
            height, width = truth_px.shape
            raise CalibrationError(
                f'{self.topics.truth}: is {width}x{height} but the left image '
                f'{frame.width_px}x{frame.height_px}; the truth must be of the left view'
            )
        frames = (pair.truth.header.frame_id, self.frame_id)
        if frames[0] != frames[1] and 'truth frame' not in self._found:
            text = f"{self.topics.truth}: frame '{frames[0]}', the left image has '{frames[1]}'"
            mend = 'register the truth to the left view, if it is not'
            self._found['truth frame'] = Finding('warn', 'truth', text, mend)
        return truth_px

    def _lidar_px(self, pair: RecordedPair, frame: StereoFrame) -> Float32Array:
        """Points of a LiDAR as sparse disparity of the left view."""
        topic, calibration = self.topics.truth, frame.calibration
        if calibration is None:
            raise CalibrationError(
                f'{topic}: points need a camera_info to be projected; record it'
            )
        if self._transforms is None:
            self._transforms = static_transforms(self.recording)
        source = pair.truth.header.frame_id
        matrix = self._transforms.between(self.frame_id, source)
        if matrix is None:
            raise CalibrationError(
                f"{topic}: no transform from '{source}' to '{self.frame_id}' in /tf_static; "
                'record it, or publish it by tf2_ros static_transform_publisher'
            )
        points_m = read_points(pair.truth, topic) @ matrix[:3, :3].T + matrix[:3, 3]
        return sparse_disparity(points_m, calibration)

    def _look(
        self,
        pair: RecordedPair,
        left: UInt8Array,
        right: UInt8Array,
        calibration: StereoCalibration,
    ) -> None:
        """Look at the views, where a look is due."""
        now_s = stamp_ns(pair.left) / _NS_PER_S
        if self._looks >= _FIRST_LOOKS and not self._views.due(now_s):
            return
        self._looks += 1
        found = self._views.look(
            left,
            right,
            calibration.disparity_offset_px,
            lambda given: rectified_matches(given, pair.infos),
            ViewSetting('', '', self.config.rectify, self.topics.by_part, recorded=True),
            now_s,
        )
        for finding in found:
            self._found[f'views {finding.mend}'] = finding
