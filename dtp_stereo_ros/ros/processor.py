"""One pair of messages to published results: what the worker does, fault by fault."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import CalibrationError, InputError, StereoError
from ..pipeline import StereoPipeline
from ..stereo import StereoFrame
from .camera_info import calibration_warnings, stereo_calibration
from .counters import Statistics
from .encodings import to_rgb
from .findings import Findings
from .inputs import Inputs
from .outputs import Computed, Outputs
from .parameters import Parameters
from .rectify import Rectifier
from .sync import SIDES, stamp_ns

_NS_PER_S = 1_000_000_000
# Stamps nearer than this to the node's clock are read in that clock.
_SAME_CLOCK_NS = 60 * _NS_PER_S


@dataclass(frozen=True)
class Pair:
    """Two image messages that belong together, and when they were complete (node clock, ns)."""

    left: Any
    right: Any
    received_ns: int


def age_s(stamp: int, received_ns: int, now_ns: int) -> float:
    """Age of a frame in seconds, never negative. All times in nanoseconds.

    A live camera stamps in the clock of the node, and its age counts from the stamp: delays of
    driver and network are in it. A bag replayed without `use_sim_time`, or a camera that stamps by
    its uptime, is far from that clock; then the age counts from reception, so that `max_age` still
    bounds what waiting in the node adds and does not silently drop every frame.
    """
    live = abs(received_ns - stamp) <= _SAME_CLOCK_NS
    return max(0, now_ns - (stamp if live else received_ns)) / _NS_PER_S


@dataclass(frozen=True)
class Processor:
    """Takes pairs in the worker thread. Never raises for what one frame can have wrong.

    Attributes:
        pipeline, inputs, outputs, parameters, statistics, findings: parts of the node.
        now_ns: the node's clock.
        alive: False once the node is shutting down; publishing fails then, which is no fault.
        rectifiers: of each side, used when `rectify` is set.
    """

    pipeline: StereoPipeline
    inputs: Inputs
    outputs: Outputs
    parameters: Parameters
    statistics: Statistics
    findings: Findings
    now_ns: Callable[[], int]
    alive: Callable[[], bool]
    rectifiers: dict[str, Rectifier] = field(
        default_factory=lambda: {side: Rectifier(side) for side in SIDES}
    )

    def process(self, pair: Pair) -> None:
        """Match a pair and publish what is wanted, or count why not."""
        try:
            self._process(pair)
        except StereoError as error:
            self._fault(_subject(error), str(error))
        except Exception as error:
            if not self.alive():
                return
            last_call = traceback.extract_tb(error.__traceback__)[-1]
            where = f'{last_call.name}, line {last_call.lineno} of {Path(last_call.filename).name}'
            self._fault('worker', f'frame failed: {type(error).__name__}: {error} (in {where})')

    def _process(self, pair: Pair) -> None:
        started = time.perf_counter()
        wanted = self.outputs.wanted()
        if not wanted:
            self.statistics.drop('unwanted')
            return
        stamp = stamp_ns(pair.left)
        config = self.parameters.node
        age = age_s(stamp, pair.received_ns, self.now_ns())
        if config.max_age and age > config.max_age:
            self.statistics.drop('stale')
            self.findings.report(
                'age',
                f'frames are older than max_age {config.max_age:g} s when their turn comes; is '
                'the clock set, or use_sim_time for a bag, or max_age 0',
                error=False,
            )
            return
        self.findings.clear('age')
        computed = self._match(pair, stamp)
        if 'confidence' in wanted and computed.result.confidence is None:
            name = self.pipeline.backend.spec.name
            text = f'confidence is subscribed but {name} gives none; use a network backend'
            self.findings.report('confidence', text, error=False)
        else:
            self.findings.clear('confidence')
        self.outputs.publish(wanted, computed, config)
        self.statistics.result(
            time.perf_counter() - started,
            age_s(stamp, pair.received_ns, self.now_ns()),
            computed.result.valid_share,
        )
        for subject in ('worker', 'matching', 'image', 'calibration'):
            self.findings.clear(subject)

    def _match(self, pair: Pair, stamp: int) -> Computed:
        """Decode, calibrate and run the pipeline."""
        topics = self.inputs.topics
        left, right = to_rgb(pair.left, topics['left']), to_rgb(pair.right, topics['right'])
        infos = dict(self.inputs.infos)
        for side in SIDES:
            if side not in infos:
                topic = topics[f'{side}_info']
                raise CalibrationError(
                    f'no camera_info yet on {topic}; is it published, remapped?'
                )
        if self.parameters.node.rectify:
            left = self.rectifiers['left'].rectify(left, infos['left'])
            right = self.rectifiers['right'].rectify(right, infos['right'])
        uncalibrated = StereoFrame(left, right, stamp)  # checks that the sizes agree
        header = pair.left.header
        warnings = calibration_warnings(infos['left'], infos['right'], header.frame_id)
        if warnings:
            self.findings.report('calibration warning', '; '.join(warnings), error=False)
        else:
            self.findings.clear('calibration warning')
        calibration = stereo_calibration(
            infos['left'], infos['right'], uncalibrated.width_px, uncalibrated.height_px
        )
        result = self.pipeline.process(replace(uncalibrated, calibration=calibration))
        max_depth_m = self.pipeline.config.max_depth
        return Computed(result, calibration, left, infos['left'], header, max_depth_m)

    def _fault(self, subject: str, text: str) -> None:
        self.statistics.drop('fault')
        self.findings.report(subject, text)


def _subject(error: StereoError) -> str:
    if isinstance(error, CalibrationError):
        return 'calibration'
    return 'image' if isinstance(error, InputError) else 'matching'
