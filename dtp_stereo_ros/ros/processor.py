"""One pair of messages to published results: what the worker does, fault by fault."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sensor_msgs.msg import CameraInfo

from ..errors import CalibrationError, InputError, StereoError
from ..health.finding import Finding, from_line
from ..health.stamps import OFF_CLOCK_S, clock_mend
from ..health.view_check import ViewSetting, rectified_matches
from ..messages.camera_info import calibration_warnings, stereo_calibration
from ..messages.images import sixteen_bits, to_rgb
from ..messages.outputs import Computed
from ..messages.stamps import stamp_ns
from ..pipeline import StereoPipeline
from ..postprocess import range_doubt
from ..stereo import SIDES, StereoFrame, UInt8Array
from .parameters import Parameters
from .stereo_camera import StereoCamera

_NS_PER_S = 1_000_000_000
# Stamps nearer than this to the node's clock are read in that clock.
_SAME_CLOCK_NS = OFF_CLOCK_S * _NS_PER_S
# A clock that is this far ahead is not synchronised; tf2 waits for less.
_AHEAD_S = 0.5
# Stale pairs in a row that are an outage.
_OUTAGE = 10


@dataclass(frozen=True)
class Pair:
    """Two image messages of a camera that belong together.

    Attributes:
        infos: their camera infos, by side.
        received_ns: when they were complete, in the node's clock.
        activation: of the camera at that time.
    """

    camera: StereoCamera
    left: Any
    right: Any
    infos: Mapping[str, CameraInfo]
    received_ns: int
    activation: int

    @property
    def outdated(self) -> bool:
        """Whether the camera was deactivated since: nothing is published or told any more."""
        return self.activation != self.camera.activation

    def state(self, subject: str, *findings: Finding) -> None:
        """State what is wrong with a subject, if anything, as of `Findings.state`."""
        if not self.outdated:
            self.camera.findings.state_frame(subject, *findings)

    def report(self, subject: str, text: str, level: str = 'error') -> None:
        """State one thing that is wrong, the mend behind the last semicolon."""
        self.state(subject, from_line(level, subject, text))


def age_s(stamp: int, received_ns: int, now_ns: int) -> float:
    """Age of a frame in seconds; negative where its stamp is ahead of the clock.

    All times in nanoseconds.

    A live camera stamps in the clock of the node, and its age counts from the stamp: delays of
    driver and network are in it. A bag replayed without `use_sim_time`, or a camera that stamps by
    its uptime, is far from that clock; then the age counts from reception, so that `max_age` still
    bounds what waiting in the node adds and does not silently drop every frame.
    """
    live = abs(received_ns - stamp) <= _SAME_CLOCK_NS
    return (now_ns - (stamp if live else received_ns)) / _NS_PER_S


@dataclass(frozen=True)
class Processor:
    """Takes pairs in the worker thread. Never raises for what one frame can have wrong.

    Attributes:
        pipeline, parameters: those of the node, for all cameras.
        now_ns: the node's clock.
        alive: False once the node is shutting down; publishing fails then, which is no fault.
        node_name: full name of the node.
        hand_over: runs what converts and publishes a result; here and now, or in another thread
            while the next pair is matched.
    """

    pipeline: StereoPipeline
    parameters: Parameters
    now_ns: Callable[[], int]
    alive: Callable[[], bool]
    node_name: str
    hand_over: Callable[[Callable[[], None]], None] = lambda call: call()

    def process(self, pair: Pair) -> None:
        """Match a pair and publish what is wanted, or count why not."""
        self._guarded(pair, lambda: self._process(pair))

    def _guarded(self, pair: Pair, call: Callable[[], None]) -> None:
        """Count and report what a call of this pair raises."""
        try:
            call()
        except StereoError as error:
            pair.camera.statistics.drop('fault')
            pair.report(_subject(error), str(error))
        except Exception as error:
            if not self.alive():
                return
            last_call = traceback.extract_tb(error.__traceback__)[-1]
            where = f'{last_call.name}, line {last_call.lineno} of {Path(last_call.filename).name}'
            text = f'frame failed: {type(error).__name__}: {error} (in {where})'
            pair.camera.statistics.drop('fault')
            pair.report('worker', text)

    def _process(self, pair: Pair) -> None:
        started = time.perf_counter()
        camera = pair.camera
        wanted = camera.outputs.wanted()
        if not wanted:
            camera.statistics.drop('unwanted')
            return
        stamp = stamp_ns(pair.left)
        config = self.parameters.node
        age = age_s(stamp, pair.received_ns, self.now_ns())
        if config.max_age and age > config.max_age:
            camera.statistics.drop('stale')
            # One is late; of many in a row nothing goes out.
            outage = camera.statistics.in_row('stale') >= _OUTAGE
            pair.report(
                'age',
                f'frames are older than max_age {config.max_age:g} s when their turn comes; is '
                'the clock set, or use_sim_time for a bag, or max_age 0',
                'error' if outage else 'warn',
            )
            return
        pair.state('age', *self._clock_findings(stamp, pair.received_ns, age))
        left, right = self._decoded(pair)
        computed = self._match(pair, left, right, stamp, 'confidence' in wanted)

        def publish() -> None:
            self._publish(pair, wanted, computed, started)

        self.hand_over(lambda: self._guarded(pair, publish))
        self._check_views(pair, left, right, computed)

    def _clock_findings(self, stamp: int, received_ns: int, age: float) -> list[Finding]:
        """Findings on the time of a stamp (ns); without numbers of seconds, which jitter."""
        off = abs(received_ns - stamp) > _SAME_CLOCK_NS
        # A stamp of zero is told as such, and so is a simulated clock that has not begun.
        if off and stamp and received_ns:
            text = (
                f'stamps are more than {OFF_CLOCK_S} s off the clock of the node, so there is no '
                'transform for them'
            )
            return [Finding('warn', 'age', text, clock_mend(self.node_name))]
        if age < -_AHEAD_S:
            text = (
                f'stamps are more than {_AHEAD_S:g} s ahead of the clock of the node, so there is '
                'no transform for them yet'
            )
            return [Finding('warn', 'age', text, 'synchronise the clocks (chrony, PTP)')]
        return []

    def _publish(
        self, pair: Pair, wanted: frozenset[str], computed: Computed, started: float
    ) -> None:
        """Convert and publish the result of a pair that was taken at `started`."""
        camera, config = pair.camera, self.parameters.node
        if pair.outdated:
            camera.statistics.drop('unwanted')
            return
        if 'confidence' in wanted and computed.result.confidence is None:
            name = self.pipeline.backend.spec.name
            text = f'confidence is subscribed but {name} gives none; use a network backend'
            pair.report('confidence', text, 'warn')
        else:
            pair.state('confidence')
        camera.outputs.publish(wanted, computed, config)
        camera.statistics.result(
            time.perf_counter() - started,
            age_s(stamp_ns(pair.left), pair.received_ns, self.now_ns()),
            computed.result.valid_share,
            computed.result.median_confidence,
        )
        for subject in ('worker', 'matching', 'image', 'calibration'):
            pair.state(subject)

    def _decoded(self, pair: Pair) -> tuple[UInt8Array, UInt8Array]:
        """Both images as they came, RGB."""
        camera, topics = pair.camera, pair.camera.inputs.topics
        images = {}
        dark = []
        for side, msg in zip(SIDES, (pair.left, pair.right), strict=True):
            images[side] = to_rgb(msg, topics[side])
            look = camera.brightness[side].look
            dark += look(images[side], sixteen_bits(msg), topics[side])
        pair.state('brightness', *dark)
        return images['left'], images['right']

    def _check_views(
        self, pair: Pair, left: UInt8Array, right: UInt8Array, computed: Computed
    ) -> None:
        """Look at the images as they came, where a look is due."""
        camera, infos, now_s = pair.camera, pair.infos, time.monotonic()
        if not camera.view_check.due(now_s, computed.result.median_confidence):
            return
        calibration = computed.calibration
        rectify = self.parameters.node.rectify
        found = camera.view_check.look(
            left,
            right,
            calibration.disparity_offset_px,
            lambda given: rectified_matches(given, infos),
            ViewSetting(self.node_name, camera.titled(''), rectify, camera.inputs.topics),
            now_s,
        )
        if not pair.outdated:
            # Not held like what one frame tells: a look agrees over several, and the next one
            # comes much later.
            camera.findings.state('views', *found)

    def _match(
        self, pair: Pair, left: UInt8Array, right: UInt8Array, stamp: int, confidence: bool
    ) -> Computed:
        """Calibrate and run the pipeline."""
        camera, infos = pair.camera, pair.infos
        seen = None
        if self.parameters.node.rectify:
            left = camera.rectifiers['left'].rectify(left, infos['left'])
            right = camera.rectifiers['right'].rectify(right, infos['right'])
            seen = camera.rectifiers['left'].seen
        uncalibrated = StereoFrame(left, right, stamp, seen=seen)  # checks that the sizes agree
        header = pair.left.header
        warnings = calibration_warnings(infos['left'], infos['right'], header.frame_id)
        if warnings:
            pair.report('calibration warning', '; '.join(warnings), 'warn')
        else:
            pair.state('calibration warning')
        calibration = stereo_calibration(
            infos['left'], infos['right'], uncalibrated.width_px, uncalibrated.height_px
        )
        result = self.pipeline.process(replace(uncalibrated, calibration=calibration), confidence)
        config = self.pipeline.config
        doubt = range_doubt(result.min_disparity_px, calibration, config)
        if doubt:
            pair.report('range', doubt, 'warn')
        else:
            pair.state('range')
        max_depth_m = config.max_depth
        return Computed(result, calibration, left, infos['left'], header, max_depth_m)


def _subject(error: StereoError) -> str:
    if isinstance(error, CalibrationError):
        return 'calibration'
    return 'image' if isinstance(error, InputError) else 'matching'
