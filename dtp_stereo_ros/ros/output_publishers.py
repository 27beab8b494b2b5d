"""Other nodes that have the name of ours, and others that publish on its output topics."""

from __future__ import annotations

import time
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.subscription import Subscription

from ..health.finding import Finding
from .publisher_qos import endpoint_name

# A node that was killed stays in the graph for 20 s (Fast DDS).
_LEASE_S = 25.0


class SameName:
    """Looks for nodes of our name; the graph gives the suspicion, their diagnostics the proof.

    Args:
        node: ours.
        process: of ours, as its diagnostics name it.
        period_s: time between diagnostics.
    """

    def __init__(self, node: Node, process: str, period_s: float) -> None:
        self._node = node
        self._process = process
        self._alive_s = max(5.0, 3 * period_s)
        self._seen: dict[str, float] = {}
        self._subscription: Subscription | None = None

    def findings(self, output: str) -> list[Finding]:
        """Findings on nodes of our name.

        Args:
            output: name, before remapping, of a topic on which each of them publishes.
        """
        own = self._node.get_fully_qualified_name()
        names = [endpoint_name(i) for i in self._node.get_publishers_info_by_topic(output)]
        suspicion = names.count(own) > 1
        if suspicion and self._subscription is None:
            self._subscription = self._node.create_subscription(
                DiagnosticArray, '/diagnostics', self._take, 10
            )
        elif not suspicion and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self._seen.clear()
        oldest_s = time.monotonic() - self._alive_s
        others = sum(seen_s > oldest_s for seen_s in self._seen.values())
        return [same_name(own, others + 1)] if others else []

    def _take(self, msg: DiagnosticArray) -> None:
        prefix = f'{self._node.get_fully_qualified_name().lstrip("/")}: '
        for status in msg.status:
            if status.name.startswith(prefix):
                for value in status.values:
                    if value.key == 'process' and value.value != self._process:
                        self._seen[value.value] = time.monotonic()


class OtherPublishers:
    """Looks for nodes of another name that publish on an output topic of ours.

    Args:
        node: ours.
        output: name of the topic, before remapping.
    """

    def __init__(self, node: Node, output: str) -> None:
        self._node = node
        self._output = output
        self._topic = node.resolve_topic_name(output)
        self._since_s: float | None = None

    def findings(self) -> list[Finding]:
        """Finding once they have been there for longer than a node that was killed."""
        own = self._node.get_fully_qualified_name()
        names = {endpoint_name(i) for i in self._node.get_publishers_info_by_topic(self._output)}
        others = sorted(names - {own})
        now_s = time.monotonic()
        if not others:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        if self._since_s is None or now_s - self._since_s < _LEASE_S:
            return []
        return [doubled(self._topic, others)]


def doubled(topic: str, others: Sequence[str]) -> Finding:
    """Finding on an output topic on which other nodes publish, too."""
    text = f'{topic} is also published by {" and ".join(others)}, so results come twice'
    mend = 'end one of the nodes, or start it in a namespace: --ros-args -r __ns:=/second'
    return Finding('warn', 'outputs', text, mend)


def same_name(name: str, count: int) -> Finding:
    """Finding on nodes that have one name."""
    text = f'{count} nodes are called {name}, so each result comes {count} times'
    mend = (
        'end all but one (pgrep -af depth_node lists them), or start the other in a namespace '
        'with its own cameras: --ros-args -r __ns:=/second'
    )
    return Finding('error', 'name', text, mend)
