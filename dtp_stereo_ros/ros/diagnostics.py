"""`/diagnostics`: what the node sees, does and misses."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from uuid import uuid4

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from ..health.finding import Finding, from_line
from ..messages.camera_info import rectified_px_m
from ..pipeline import StereoPipeline
from ..stereo import SIDES
from .input_judge import InputJudge
from .output_publishers import SameName
from .statistics import Snapshot, resident_mib
from .stereo_camera import StereoCamera

_INPUT_SUBJECTS = (
    *('publisher', 'image', 'age', 'stamps', 'lost frames', 'sync', 'views', 'brightness'),
    *('outputs', 'name'),
)
# Two nodes of one name differ in it, in two containers of one host too.
_PROCESS = f'{os.getpid()} on {platform.node()}, {uuid4().hex[:6]}'
_CALIBRATION_SUBJECTS = ('calibration', 'camera_info', 'calibration warning', 'range')
_MATCHING_SUBJECTS = ('worker', 'matching', 'confidence')


def pid_here(process: str) -> int | None:
    """Process id of a node, as its diagnostics name its process, if that runs on this machine."""
    number, _, host = process.rpartition(', ')[0].partition(' on ')
    return int(number) if number.isdigit() and host == platform.node() else None


class Diagnostics:
    """Publishes three statuses of each camera: 'input', 'calibration' and 'matching'.

    They are named 'NODE: input', or 'NODE: front/input' where the cameras have names.

    Args:
        node: publishes, and counts the publishers of the input topics.
        cameras: of the node.
        period_s: time between two calls of `tick`.
    """

    def __init__(self, node: Node, cameras: Sequence[StereoCamera], period_s: float) -> None:
        self._node = node
        self._cameras = cameras
        self._reports = [_CameraReport(node, camera) for camera in cameras]
        self._same_name = SameName(node, _PROCESS, period_s)
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def tick(self, state: str, pipeline: StereoPipeline | None, failure: str) -> None:
        """Judge the input since the last tick and publish.

        Args:
            state: of the lifecycle.
            pipeline: what runs, None while nothing is configured.
            failure: why the process is about to end, '' while all is well.
        """
        if state == 'active':
            first = self._cameras[0]
            found = self._same_name.findings(first.titled('disparity'))
            first.findings.state('name', *found)
        msg = DiagnosticArray()
        msg.header.stamp = self._node.get_clock().now().to_msg()
        for report in self._reports:
            msg.status += report.statuses(state, pipeline, failure)
        self._publisher.publish(msg)


class _CameraReport:
    """The statuses of one camera."""

    def __init__(self, node: Node, camera: StereoCamera) -> None:
        self._owner = node.get_fully_qualified_name().lstrip('/')
        self._camera = camera
        self._judge = InputJudge(node, camera)
        self._state = ''

    def statuses(
        self, state: str, pipeline: StereoPipeline | None, failure: str
    ) -> list[DiagnosticStatus]:
        """See `Diagnostics.tick`."""
        if state == 'active' and self._state != 'active':
            self._judge.begin()
        self._state = state
        if state == 'active':
            self._judge.judge()
        snapshot = self._camera.statistics.snapshot()
        matching = {
            'state': state,
            'process': _PROCESS,
            **(_model_values(snapshot, pipeline) if pipeline else {}),
        }
        found = self._camera.findings.current()
        if failure:
            found['worker'] = (from_line('error', 'worker', failure),)
        parts = (
            ('input', _INPUT_SUBJECTS, self._input_values(snapshot)),
            ('calibration', _CALIBRATION_SUBJECTS, self._calibration_values()),
            ('matching', _MATCHING_SUBJECTS, matching),
        )
        return [
            self._status(part, [f for s in subjects for f in found.get(s, ())], values, state)
            for part, subjects, values in parts
        ]

    def _input_values(self, snapshot: Snapshot) -> dict[str, str]:
        inputs = self._camera.inputs
        with inputs.sync.lock:
            policy = inputs.sync.policy
            counts, gap_ns = dict(policy.counts), policy.gap_ns()
            received = {f'{side} images': str(policy.received(side)) for side in SIDES}
            period_s = policy.period_s()
        return {
            **{f'{side} topic': inputs.topics[side] for side in SIDES},
            **received,
            'rate in [Hz]': f'{snapshot.rate_in_hz:.2f}',
            'frame period [ms]': f'{period_s * 1e3:.2f}',
            'stamps right - left [ms]': '' if gap_ns is None else f'{gap_ns / 1e6:.3f}',
            **{f'images {cause}': str(counts[cause]) for cause in sorted(counts)},
            **{f'dropped {cause}': str(n) for cause, n in sorted(snapshot.drops.items())},
        }

    def _calibration_values(self) -> dict[str, str]:
        inputs = self._camera.inputs
        values = {f'{side} camera_info': inputs.topics[f'{side}_info'] for side in SIDES}
        left, right = map(inputs.infos.newest, SIDES)
        found = rectified_px_m(left, right) if left and right else None
        if found:
            values['f [px]'], values['baseline [m]'] = (f'{value:.6g}' for value in found)
        return values

    def _status(
        self, part: str, found: Sequence[Finding], values: dict[str, str], state: str
    ) -> DiagnosticStatus:
        level = DiagnosticStatus.OK
        if found:
            is_error = any(finding.level == 'error' for finding in found)
            level = DiagnosticStatus.ERROR if is_error else DiagnosticStatus.WARN
        text = '; '.join(finding.line for finding in found)
        values = {**values, **finding_values(found)}
        left_info = self._camera.inputs.infos.newest('left')
        return DiagnosticStatus(
            level=level,
            name=f'{self._owner}: {self._camera.titled(part)}',
            message=text or self._all_well(part, state),
            hardware_id=left_info.header.frame_id if left_info else '',
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )

    def _all_well(self, part: str, state: str) -> str:
        if state != 'active':
            return state
        if part == 'input' and not self._camera.inputs.listening:
            return 'idle: nobody subscribes to an output'
        return 'ok'


def finding_values(found: Sequence[Finding]) -> dict[str, str]:
    """Findings as values of a status, one by one, so that each keeps its own mend."""
    values = {}
    for index, finding in enumerate(found, 1):
        values[f'{finding.level} {index} {finding.subject}'] = finding.text
        values[f'mend {index}'] = finding.mend
    return values


def findings_of(status: DiagnosticStatus) -> list[Finding]:
    """The findings that `finding_values` put into a status."""
    values = {value.key: value.value for value in status.values}
    found = []
    for key, text in values.items():
        level, _, rest = key.partition(' ')
        index, _, subject = rest.partition(' ')
        if level in ('warn', 'error') and index.isdigit():
            found.append(Finding(level, subject, text, values.get(f'mend {index}', '')))
    return found


def _model_values(snapshot: Snapshot, pipeline: StereoPipeline) -> dict[str, str]:
    """Backend and rates of this camera."""
    backend = pipeline.backend
    return {
        'backend': pipeline.choice,
        'device': backend.device,
        'model': backend.spec.name,
        'model sha256': backend.spec.sha256,
        'precision': backend.spec.precision,
        'results': str(snapshot.results),
        'rate out [Hz]': f'{snapshot.rate_out_hz:.2f}',
        'latency p50 [ms]': f'{snapshot.latency_p50_s * 1e3:.1f}',
        'latency p95 [ms]': f'{snapshot.latency_p95_s * 1e3:.1f}',
        'age of output [ms]': f'{snapshot.age_s * 1e3:.1f}',
        'confidence p50': '' if np.isnan(snapshot.confidence) else f'{snapshot.confidence:.2f}',
        'valid share': f'{snapshot.valid_share:.3f}',
        'memory [MiB]': f'{resident_mib():.0f}',
    }
