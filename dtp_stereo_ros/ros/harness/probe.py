"""Outputs of a running node, received and kept."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.messages.truth import image_values
from dtp_stereo_ros.stereo import Float32Array

from ..outputs import OUTPUT_TYPES

_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


class Probe:
    """Collects what the node publishes.

    Args:
        node: owner of the subscriptions; its namespace and remaps apply.
        topics: outputs to subscribe to (they make the node work), relative names.
        keep: messages kept per topic, the newest.
        diagnostics: also collect `/diagnostics`.
        prefix: put before the topic names, for example 'front/'.

    Attributes:
        messages: topic to its newest messages, oldest first.
        arrivals_s: topic to the arrival times (monotonic clock) of all messages.
    """

    def __init__(
        self,
        node: Node,
        topics: Iterable[str] = ('disparity',),
        keep: int = 10,
        diagnostics: bool = False,
        prefix: str = '',
    ) -> None:
        self.messages: dict[str, list[Any]] = {}
        self.arrivals_s: dict[str, list[float]] = {}
        self._keep = keep
        self._node = node
        self._executor: SingleThreadedExecutor | None = None
        for topic in topics:
            self._subscribe(OUTPUT_TYPES[topic], topic, _QOS, prefix)
        if diagnostics:
            self._subscribe(DiagnosticArray, '/diagnostics', QoSProfile(depth=10))

    def spin(self, duration_s: float, *, until: tuple[str, int] | None = None) -> bool:
        """Receive for a while.

        Args:
            duration_s: at most this long.
            until: (topic, n): end as soon as n messages came on that topic.

        Returns:
            Whether `until` was reached.
        """
        if self._executor is None:
            self._executor = SingleThreadedExecutor(context=self._node.context)
            self._executor.add_node(self._node)
        deadline = time.monotonic() + duration_s
        while (left_s := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left_s, 0.1))
            if until and len(self.arrivals_s[until[0]]) >= until[1]:
                return True
        return False

    def close(self) -> None:
        """Take the node out of the probe's executor."""
        if self._executor is not None:
            self._executor.remove_node(self._node)
            self._executor.shutdown()
            self._executor = None

    def newest(self, topic: str) -> Any:
        """Last message of a topic; IndexError when none came."""
        return self.messages[topic][-1]

    def _subscribe(
        self, message_type: type, topic: str, qos: QoSProfile, prefix: str = ''
    ) -> None:
        kept: list[Any] = []
        arrivals: list[float] = []
        self.messages[topic], self.arrivals_s[topic] = kept, arrivals

        def keep(msg: Any) -> None:
            arrivals.append(time.monotonic())
            kept.append(msg)
            del kept[: -self._keep]

        self._node.create_subscription(message_type, prefix + topic, keep, qos)


def image_array(msg: Image) -> Float32Array:
    """Data of a 32FC1 image as (H, W) float32."""
    return image_values(msg, 'image')


def stamps_ns(messages: Iterable[Any]) -> list[int]:
    """Header stamps of messages, nanoseconds."""
    return [stamp_ns(msg) for msg in messages]
