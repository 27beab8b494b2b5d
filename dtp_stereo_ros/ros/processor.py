"""One pair of messages to published results: what the worker does, fault by fault."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import CalibrationError, InputError, StereoError
from ..pipeline import StereoPipeline
from ..stereo import StereoFrame
from .camera_info import calibration_warnings, stereo_calibration
from .encodings import to_rgb
from .outputs import Computed
from .parameters import Parameters
from .rig import Rig
from .sync import stamp_ns

_NS_PER_S = 1_000_000_000
# Stamps nearer than this to the node's clock are read in that clock.
_SAME_CLOCK_NS = 60 * _NS_PER_S


@dataclass(frozen=True)
class Pair:
    """Two image messages of a camera that belong together.

    Attributes:
        received_ns: when they were complete, in the node's clock.
    """

    rig: Rig
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
        pipeline, parameters: those of the node, for all cameras.
        now_ns: the node's clock.
        alive: False once the node is shutting down; publishing fails then, which is no fault.
    """

    pipeline: StereoPipeline
    parameters: Parameters
    now_ns: Callable[[], int]
    alive: Callable[[], bool]

    def process(self, pair: Pair) -> None:
        """Match a pair and publish what is wanted, or count why not."""
        try:
            self._process(pair)
        except StereoError as error:
            _fault(pair.rig, _subject(error), str(error))
        except Exception as error:
            if not self.alive():
                return
            last_call = traceback.extract_tb(error.__traceback__)[-1]
            where = f'{last_call.name}, line {last_call.lineno} of {Path(last_call.filename).name}'
            text = f'frame failed: {type(error).__name__}: {error} (in {where})'
            _fault(pair.rig, 'worker', text)

    def _process(self, pair: Pair) -> None:
        started = time.perf_counter()
        rig = pair.rig
        wanted = rig.outputs.wanted()
        if not wanted:
            rig.statistics.drop('unwanted')
            return
        stamp = stamp_ns(pair.left)
        config = self.parameters.node
        age = age_s(stamp, pair.received_ns, self.now_ns())
        if config.max_age and age > config.max_age:
            rig.statistics.drop('stale')
            rig.findings.report(
                'age',
                f'frames are older than max_age {config.max_age:g} s when their turn comes; is '
                'the clock set, or use_sim_time for a bag, or max_age 0',
                error=False,
            )
            return
        rig.findings.clear('age')
        computed = self._match(pair, stamp)
        if 'confidence' in wanted and computed.result.confidence is None:
            name = self.pipeline.backend.spec.name
            text = f'confidence is subscribed but {name} gives none; use a network backend'
            rig.findings.report('confidence', text, error=False)
        else:
            rig.findings.clear('confidence')
        rig.outputs.publish(wanted, computed, config)
        rig.statistics.result(
            time.perf_counter() - started,
            age_s(stamp, pair.received_ns, self.now_ns()),
            computed.result.valid_share,
        )
        for subject in ('worker', 'matching', 'image', 'calibration'):
            rig.findings.clear(subject)

    def _match(self, pair: Pair, stamp: int) -> Computed:
        """Decode, calibrate and run the pipeline."""
        rig = pair.rig
        topics = rig.inputs.topics
        left, right = to_rgb(pair.left, topics['left']), to_rgb(pair.right, topics['right'])
        infos = rig.inputs.infos_of(pair.left, pair.right)
        if self.parameters.node.rectify:
            left = rig.rectifiers['left'].rectify(left, infos['left'])
            right = rig.rectifiers['right'].rectify(right, infos['right'])
        uncalibrated = StereoFrame(left, right, stamp)  # checks that the sizes agree
        header = pair.left.header
        warnings = calibration_warnings(infos['left'], infos['right'], header.frame_id)
        if warnings:
            rig.findings.report('calibration warning', '; '.join(warnings), error=False)
        else:
            rig.findings.clear('calibration warning')
        calibration = stereo_calibration(
            infos['left'], infos['right'], uncalibrated.width_px, uncalibrated.height_px
        )
        result = self.pipeline.process(replace(uncalibrated, calibration=calibration))
        max_depth_m = self.pipeline.config.max_depth
        return Computed(result, calibration, left, infos['left'], header, max_depth_m)


def _fault(rig: Rig, subject: str, text: str) -> None:
    rig.statistics.drop('fault')
    rig.findings.report(subject, text)


def _subject(error: StereoError) -> str:
    if isinstance(error, CalibrationError):
        return 'calibration'
    return 'image' if isinstance(error, InputError) else 'matching'
