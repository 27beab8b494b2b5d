"""What is wrong with the input of a camera: publishers that cannot match, silence, no pairs."""

from __future__ import annotations

import time

from rclpy.node import Node

from .graph import publisher_faults
from .rig import Rig
from .sync import SIDES, rough

# Silence and missing pairs are judged over this time, or this many frames if that is longer.
_JUDGE_AFTER_S = 1.0
_JUDGE_AFTER_FRAMES = 3


class InputJudge:
    """Reports to the findings of a camera, subjects 'publisher', 'sync' and 'camera_info'.

    Args:
        node: counts the publishers of the input topics.
        rig: the camera.
    """

    def __init__(self, node: Node, rig: Rig) -> None:
        self._node = node
        self._inputs = rig.inputs
        self._findings = rig.findings
        self._received = dict.fromkeys(SIDES, 0)
        self._paired = 0
        self._given = self._dropped = 0
        self._judged_at = time.monotonic()

    def judge(self) -> None:
        """Look at what came since the last time."""
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
            text = f'left and right come but do not pair: stamps differ ({rough(gap_ns)}); {mend}'
            self._findings.report('sync', text)
        else:
            self._findings.clear('sync')
        self._judge_infos()

    def _judge_infos(self) -> None:
        """Pairs that wait for camera infos of their stamps, and none of them got any."""
        gate = self._inputs.gate
        if gate.dropped > self._dropped and gate.given == self._given:
            text = '; '.join(self._inputs.undescribed(*item) for item in gate.lacking.items())
            self._findings.report('camera_info', text)
        elif gate.given > self._given or gate.cache:
            self._findings.clear('camera_info')
        self._given, self._dropped = gate.given, gate.dropped

    def _waiting_for(self, side: str) -> str:
        topic = self._inputs.topics[side]
        count = self._node.count_publishers(topic)
        return f'{topic} ({count} publisher{"" if count == 1 else "s"})'
