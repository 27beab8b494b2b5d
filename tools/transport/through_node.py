"""Loss of large messages through the real node: a camera, the node and a subscriber.

    python -m tools.transport.run --node --seconds 10

Three processes. The camera sends a certain number of colour pairs (best effort, as a driver does)
when it is told to; the node computes what it can and publishes; this process subscribes to
disparity and cloud. The node's own counters, in diagnostics, tell what reached it and what it
published, so that what DDS loses on the way in, what the node has no time for, and what DDS loses
on the way out are told apart.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from stereo_msgs.msg import DisparityImage

from dtp_stereo_ros.config import Scalar
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.ros.harness.camera_process import CameraProcess, camera_command
from dtp_stereo_ros.ros.harness.node_process import LARGE_MESSAGES_ENV, NodeProcess

_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_LISTENER = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_OUTPUTS = {'disparity': DisparityImage, 'points2': PointCloud2}
_START_S, _DRAIN_S = 120.0, 3.0
NODE_COLUMNS = (
    'pairs sent at',
    'images lost on the way in',
    'pairs matched in the node',
    'node computes',
    'not computed (busy)',
    'p50 in the node',
    'disparities lost on the way out',
    'clouds lost on the way out',
)
# `NodeProcess` would choose the transports itself.
_TRANSPORTS = {n: os.environ.get(n, 'DEFAULT') for n in LARGE_MESSAGES_ENV}
# The node's counters, by the words of its diagnostics.
_COUNTERS = ('left images', 'right images', 'images paired', 'results', 'dropped busy')


class Subscriber:
    """Counts the outputs, and keeps what the node told last."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.told: Mapping[str, int] = dict.fromkeys(_COUNTERS, 0)
        self.latency = ''
        self.backend = ''
        rclpy.init(args=[])
        self._node = Node('transport_subscriber')
        for topic, kind in _OUTPUTS.items():
            self._node.create_subscription(kind, topic, self._counter(topic), _LISTENER)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._tell, _LISTENER)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def spin(self, duration_s: float) -> None:
        """Receive for a while."""
        deadline = time.monotonic() + duration_s
        while (left_s := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def counters(self) -> Counter[str]:
        """All that has been counted so far, here and in the node."""
        return Counter({**self.told, **{f'got {t}': self.received[t] for t in _OUTPUTS}})

    def close(self) -> None:
        """End."""
        self._executor.shutdown()
        rclpy.try_shutdown()

    def _counter(self, topic: str) -> Any:
        return lambda _: self.received.update([topic])

    def _tell(self, msg: DiagnosticArray) -> None:
        values = {v.key: v.value for status in msg.status for v in status.values}
        self.told = {name: int(values.get(name, 0)) for name in _COUNTERS}
        self.latency = values.get('latency p50 [ms]', '')
        self.backend = values.get('backend', '')


def measure_node(
    size: tuple[int, int], rate_hz: float, seconds: float, parameters: Mapping[str, Scalar]
) -> str:
    """Measure one setting; gives the `NODE_COLUMNS` of its row.

    Args:
        size: width and height of the images, px.
        rate_hz, seconds: of its pairs.
        parameters: of the node.

    Raises:
        BackendError: the node gave no result.
    """
    subscriber = Subscriber()
    settings = {'diagnostics_period': 0.2, **parameters}
    with (
        tempfile.TemporaryDirectory() as folder,
        NodeProcess(settings, {}, Path(folder) / 'log', env=_TRANSPORTS) as node,
        CameraProcess(camera_command(*size)) as camera,
    ):
        deadline = time.monotonic() + _START_S
        while not subscriber.told['results']:  # the model compiles for this size
            if time.monotonic() > deadline:
                raise BackendError(f'no result within {_START_S:g} s; {node.output()[-300:]}')
            _send(camera, 3, rate_hz, subscriber)
        subscriber.spin(_DRAIN_S)
        before, count = subscriber.counters(), round(rate_hz * seconds)
        sent_hz = _send(camera, count, rate_hz, subscriber)
        subscriber.spin(_DRAIN_S)
        seen = subscriber.counters()
        seen.subtract(before)
    subscriber.close()
    return row(seen, count, sent_hz, subscriber.latency)


def row(seen: Mapping[str, int], count: int, sent_hz: float, latency_ms: str) -> str:
    """Counts of `count` pairs, in percent.

    In is lost what the node did not receive; out, of what it published, what did not come here.
    """
    results = seen['results']
    lost_in = 100 * (1 - (seen['left images'] + seen['right images']) / (2 * count))
    out = [100 * (1 - seen[f'got {topic}'] / results) if results else 100.0 for topic in _OUTPUTS]
    return (
        f'{sent_hz:.1f} Hz | {lost_in:.1f} % | {100 * seen["images paired"] / count:.1f} % '
        f'| {results * sent_hz / count:.1f} Hz | {100 * seen["dropped busy"] / count:.1f} % '
        f'| {latency_ms} ms | {out[0]:.1f} % | {out[1]:.1f} %'
    )


def _send(camera: CameraProcess, count: int, rate_hz: float, subscriber: Subscriber) -> float:
    """Let the camera send, receive meanwhile; returns its rate, Hz."""
    camera.send(count, rate_hz)
    while not camera.has_sent():
        subscriber.spin(0.05)
    return camera.sent_hz()
