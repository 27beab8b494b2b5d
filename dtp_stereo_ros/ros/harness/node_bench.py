"""The real node between a camera and a subscriber, at one rate after the other."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from stereo_msgs.msg import DisparityImage

from dtp_stereo_ros.backends.choice import chosen_name
from dtp_stereo_ros.config import Setting
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.evaluation.node_rate import NodeFigures, NodeSetting, RateStep, search
from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.topics import INPUTS

from .camera_process import CameraProcess, camera_command
from .node_process import START_S, NodeProcess, reliable
from .process_load import ProcessLoad

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_DIAGNOSTICS_PERIOD_S = 0.2
# The second report after a result has it in its counters; on a busy machine it may be late.
_REPORTS, _REPORTS_S = 2, 5.0
# After the last pair: this long without a result ends the wait.
_QUIET_S = 2.5
_SPIN_S = 0.02
# Pairs one by one, of which the first rate is made.
_SINGLE_PAIRS = 5
_LEAST_PAIRS = 5
# The first rate, as a share of that of a node which would take a pair when the one before is out.
_FIRST_SHARE = 0.75
_DROPPED = 'dropped '


def measure(
    setting: NodeSetting, seconds: float, steps: int, context: Context, env: Mapping[str, str]
) -> NodeFigures:
    """Measure a node at several rates.

    Images are sent and subscribed to reliably, so that a pair which does not come back was lost in
    the node.

    Args:
        setting: of the node.
        seconds: that each rate is tried for.
        steps: number of rates.
        context: of rclpy, in the domain of the node.
        env: for the environment of node and camera.

    Raises:
        BackendError: the node ended or gave no result.
    """
    names = [f'camera{index}' for index in range(setting.cameras)] if setting.cameras > 1 else ['']
    prefixes = [f'{name}/' if name else '' for name in names]
    parameters: dict[str, Setting] = {
        **setting.parameters,
        'diagnostics_period': _DIAGNOSTICS_PERIOD_S,
    }
    if setting.cameras > 1:
        parameters['cameras'] = tuple(names)
    for prefix in prefixes:
        parameters |= reliable(f'/{prefix}{INPUTS[side]}' for side in ('left', 'right'))
    command = camera_command(setting.width_px, setting.height_px, prefixes, reliable=True)
    with (
        tempfile.TemporaryDirectory(prefix='dtp_stereo_bench_') as folder,
        NodeProcess(parameters, {}, Path(folder) / 'node.log', env=env) as process,
        CameraProcess(command, process.environment) as camera,
    ):
        session = _Session(process, camera, prefixes, context)
        try:
            session.start()
            single_hz = session.single_pairs_hz()
            first_hz = _FIRST_SHARE * single_hz / len(prefixes)
            done = search(lambda hz: session.step(hz, seconds), first_hz, steps)
            told = session.told()
        finally:
            session.close()
    return NodeFigures(
        setting,
        chosen_name(told.get('backend', '')),
        told.get('device', ''),
        told.get('model', ''),
        told.get('precision', ''),
        done,
    )


class _Session:
    """Our side of the node: a subscriber to the disparities of all cameras and to diagnostics."""

    def __init__(
        self,
        process: NodeProcess,
        camera: CameraProcess,
        prefixes: Sequence[str],
        context: Context,
    ) -> None:
        self._process = process
        self._camera = camera
        self._load = ProcessLoad(process.pid)
        # Of each camera, from stamp to arrival; of all disparities that came.
        self._ages_ms: list[list[float]] = [[] for _ in prefixes]
        self._statuses: Sequence[Any] = ()
        self._reports = 0
        self._node = Node(
            'bench', context=context, start_parameter_services=False, enable_rosout=False
        )
        for prefix, ages_ms in zip(prefixes, self._ages_ms, strict=True):
            topic = f'{prefix}disparity'
            self._node.create_subscription(DisparityImage, topic, _ager(ages_ms), _RELIABLE)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)

    def close(self) -> None:
        """Take the subscriptions down."""
        self._executor.shutdown()
        self._node.destroy_node()

    def start(self) -> None:
        """Send pairs until each camera has a result; the model is compiled meanwhile.

        Raises:
            BackendError: the node ended, or gave no result in time.
        """
        deadline = time.monotonic() + START_S
        while not all(self._ages_ms):
            if self._process.poll() is not None or time.monotonic() > deadline:
                ended = self._process.poll() is not None
                what = 'ended' if ended else f'gave no result within {START_S:g} s'
                line = self._process.last_line() or 'it printed nothing'
                raise BackendError(f'the node {what}; its last line: {line}')
            self._send(1, 10.0)
            self._spin(0.3)
        # The first pairs may still be in work.
        self._wait(self._received() + 1)
        self._catch_up()

    def single_pairs_hz(self) -> float:
        """Rate of a node whose camera waits for each result before it sends the next pair."""
        ages_ms: list[float] = []
        for _ in range(_SINGLE_PAIRS):
            step = self.step(1000.0, 0.0, least=1)
            ages_ms += step.ages_ms
        if not ages_ms:
            raise BackendError(f'{_SINGLE_PAIRS} pairs were sent one by one, none was answered')
        return 1000.0 / float(np.median(ages_ms))

    def step(self, rate_hz: float, seconds: float, least: int = _LEAST_PAIRS) -> RateStep:
        """Send pairs at a rate for a while, and wait for the last results.

        Args:
            rate_hz: of each camera.
            seconds: for so long.
            least: number of pairs of each camera, at least.
        """
        count = max(least, round(rate_hz * seconds))
        before, received = self._counters(), [len(ages_ms) for ages_ms in self._ages_ms]
        self._load.read()
        sent_hz = self._send(count, rate_hz)
        cpu_percent, memory_mib = self._load.read()
        sent = count * len(received)
        self._wait(sum(received) + sent)
        self._catch_up()
        dropped = self._counters()
        dropped.subtract(before)
        ages_ms = [
            age_ms
            for ages_ms, first in zip(self._ages_ms, received, strict=True)
            for age_ms in ages_ms[first:]
        ]
        causes = {cause.removeprefix(_DROPPED): n for cause, n in dropped.items() if n}
        return RateStep(
            rate_hz, sent_hz, sent, len(ages_ms), causes, ages_ms, cpu_percent, memory_mib
        )

    def told(self) -> dict[str, str]:
        """Values of the newest diagnostics."""
        return {v.key: v.value for status in self._statuses for v in status.values}

    def _send(self, count: int, rate_hz: float) -> float:
        """Let the cameras send, receive meanwhile; returns the rate that they kept."""
        self._camera.send(count, rate_hz)
        while not self._camera.has_sent():
            self._spin(_SPIN_S)
        return self._camera.sent_hz()

    def _wait(self, total: int) -> None:
        """Receive until there are so many disparities, or none has come for a while."""
        before, last_s = -1, time.monotonic()
        while (now := self._received()) < total:
            if now != before:
                before, last_s = now, time.monotonic()
            if time.monotonic() > last_s + _QUIET_S:
                return
            self._spin(_SPIN_S)

    def _received(self) -> int:
        return sum(map(len, self._ages_ms))

    def _counters(self) -> Counter[str]:
        """Dropped pairs of all cameras by cause, since the node started."""
        counters: Counter[str] = Counter()
        for status in self._statuses:
            for value in status.values:
                if value.key.startswith(_DROPPED):
                    counters[value.key] += int(value.value)
        return counters

    def _spin(self, duration_s: float) -> None:
        deadline = time.monotonic() + duration_s
        while (left_s := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def _catch_up(self) -> None:
        """Wait until the counters of the node are those of now."""
        wanted, deadline = self._reports + _REPORTS, time.monotonic() + _REPORTS_S
        while self._reports < wanted and time.monotonic() < deadline:
            self._spin(_SPIN_S)

    def _hear(self, msg: DiagnosticArray) -> None:
        self._reports += 1
        self._statuses = msg.status


def _ager(ages_ms: list[float]) -> Callable[[Any], None]:
    """Callback that notes the age of a message when it arrives."""
    return lambda msg: ages_ms.append((time.time_ns() - stamp_ns(msg)) / 1e6)
