"""`/diagnostics`: what the node sees, does and misses."""

from __future__ import annotations

import time
from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from ..pipeline import StereoPipeline
from .counters import Snapshot, Statistics, resident_mib
from .findings import Findings
from .graph import publisher_faults
from .inputs import Inputs
from .outputs import Outputs
from .sync import SIDES

# Silence and missing pairs are judged over this time, or this many frames if that is longer.
_JUDGE_AFTER_S = 1.0
_JUDGE_AFTER_FRAMES = 3

_INPUT_SUBJECTS = ('publisher', 'image', 'age', 'sync')
_CALIBRATION_SUBJECTS = ('calibration', 'calibration warning')
_MATCHING_SUBJECTS = ('worker', 'matching', 'confidence')


class Diagnostics:
    """Publishes three statuses: 'input', 'calibration' and 'matching' of the node.

    Args:
        node: publishes, and counts the publishers of the input topics.
        inputs, outputs, statistics, findings: what is reported.
    """

    def __init__(
        self,
        node: Node,
        inputs: Inputs,
        outputs: Outputs,
        statistics: Statistics,
        findings: Findings,
    ) -> None:
        self._node = node
        self._inputs = inputs
        self._outputs = outputs
        self._state = ''
        self._statistics = statistics
        self._findings = findings
        self._received = dict.fromkeys(SIDES, 0)
        self._paired = 0
        self._judged_at = time.monotonic()
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def tick(self, state: str, pipeline: StereoPipeline | None) -> None:
        """Judge the input since the last tick and publish.

        Args:
            state: of the lifecycle.
            pipeline: what runs, None while nothing is configured.
        """
        self._state = state
        if state == 'active':
            self._judge_input()
        snapshot = self._statistics.snapshot()
        msg = DiagnosticArray()
        msg.header.stamp = self._node.get_clock().now().to_msg()
        msg.status = [
            self._status('input', _INPUT_SUBJECTS, self._input_values(snapshot)),
            self._status('calibration', _CALIBRATION_SUBJECTS, self._calibration_values()),
            self._status(
                'matching', _MATCHING_SUBJECTS, self._matching_values(snapshot, pipeline)
            ),
        ]
        self._publisher.publish(msg)

    def _judge_input(self) -> None:
        faults = []
        for key, topic in self._inputs.topics.items():
            qos = self._inputs.qos.get(key)
            faults += publisher_faults(self._node, topic, self._inputs.types[key], qos)
        if faults:
            self._findings.report('publisher', '; '.join(faults))
        else:
            self._findings.clear('publisher')
        if self._inputs.listening:
            self._judge_sync()
        else:
            self._judge_idle()

    def _judge_idle(self) -> None:
        """Nobody wants a result, so no image is asked for; is there somebody to ask?"""
        self._judged_at = time.monotonic()
        absent = [s for s in SIDES if self._node.count_publishers(self._inputs.topics[s]) == 0]
        if absent:
            waiting = ' and '.join(self._waiting_for(side) for side in absent)
            self._findings.report('sync', f'waiting for {waiting}', error=False)
        else:
            self._findings.clear('sync')

    def _judge_sync(self) -> None:
        """Say why nothing pairs; stable wording, so that it is logged once."""
        now = time.monotonic()
        with self._inputs.sync.lock:
            policy = self._inputs.sync.policy
            received = {side: policy.received(side) for side in SIDES}
            paired, gap_ns = policy.counts['paired'], policy.gap_ns()
            tolerance_ns, approximate = policy.tolerance_ns(), policy.approximate
            period_s = policy.period_s()
        if now - self._judged_at < max(_JUDGE_AFTER_S, _JUDGE_AFTER_FRAMES * period_s):
            return
        self._judged_at = now
        silent = [side for side in SIDES if received[side] == self._received[side]]
        no_new_pair = paired == self._paired
        self._received, self._paired = received, paired
        if silent:
            waiting = ' and '.join(self._waiting_for(side) for side in silent)
            self._findings.report('sync', f'waiting for {waiting}', error=False)
        elif no_new_pair and gap_ns is not None:
            mend = (
                f'the tolerance is {tolerance_ns / 1e6:.3g} ms'
                if approximate
                else 'set approximate_sync if the cameras are not triggered together'
            )
            text = f'left and right come but do not pair: stamps differ ({_rough(gap_ns)}); {mend}'
            self._findings.report('sync', text)
        else:
            self._findings.clear('sync')

    def _waiting_for(self, side: str) -> str:
        topic = self._inputs.topics[side]
        count = self._node.count_publishers(topic)
        return f'{topic} ({count} publisher{"" if count == 1 else "s"})'

    def _input_values(self, snapshot: Snapshot) -> dict[str, str]:
        with self._inputs.sync.lock:
            policy = self._inputs.sync.policy
            counts, gap_ns = dict(policy.counts), policy.gap_ns()
            received = {f'{side} images': str(policy.received(side)) for side in SIDES}
            period_s = policy.period_s()
        return {
            **{f'{side} topic': self._inputs.topics[side] for side in SIDES},
            **received,
            'rate in [Hz]': f'{snapshot.rate_in_hz:.2f}',
            'frame period [ms]': f'{period_s * 1e3:.2f}',
            'stamps right - left [ms]': '' if gap_ns is None else f'{gap_ns / 1e6:.3f}',
            **{f'images {cause}': str(counts[cause]) for cause in sorted(counts)},
            **{f'dropped {cause}': str(n) for cause, n in sorted(snapshot.drops.items())},
        }

    def _calibration_values(self) -> dict[str, str]:
        values = {f'{side} camera_info': self._inputs.topics[f'{side}_info'] for side in SIDES}
        right = self._inputs.infos.get('right')
        if right is not None and right.p[0] > 0:
            values['f [px]'] = f'{right.p[0] / max(1, right.binning_x):.6g}'
            values['baseline [m]'] = f'{-right.p[3] / right.p[0]:.6g}'
        return values

    def _matching_values(
        self, snapshot: Snapshot, pipeline: StereoPipeline | None
    ) -> dict[str, str]:
        if pipeline is None:
            return {'state': self._state}
        backend = pipeline.backend
        return {
            'state': self._state,
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
            'valid share': f'{snapshot.valid_share:.3f}',
            'memory [MiB]': f'{resident_mib():.0f}',
        }

    def _status(
        self, name: str, subjects: Iterable[str], values: dict[str, str]
    ) -> DiagnosticStatus:
        current = self._findings.current()
        found = [current[subject] for subject in subjects if subject in current]
        left_info = self._inputs.infos.get('left')
        level = DiagnosticStatus.OK
        if found:
            is_error = any(error for error, _ in found)
            level = DiagnosticStatus.ERROR if is_error else DiagnosticStatus.WARN
        return DiagnosticStatus(
            level=level,
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: {name}',
            message='; '.join(text for _, text in found) or self._all_well(name),
            hardware_id=left_info.header.frame_id if left_info else '',
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )

    def _all_well(self, name: str) -> str:
        if self._state != 'active':
            return self._state
        if name == 'input' and not self._inputs.listening:
            return 'idle: nobody subscribes to an output'
        return 'ok'


def _rough(gap_ns: int) -> str:
    """A stamp difference to one digit, so that jitter does not make a new message of it."""
    gap_ms = float(f'{abs(gap_ns) / 1e6:.1g}')
    return f'about {gap_ms:g} ms' if gap_ms < 1000 else f'about {gap_ms / 1000:g} s'
