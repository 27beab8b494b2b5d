"""The publishers of a stereo camera's results, and what is converted for those who subscribed."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from ..config import NodeConfig
from ..messages.outputs import Computed, output_messages
from ..messages.types import PointCloud2
from ..topics import COMPRESSED_ENDING, OUTPUTS
from .endpoints import overridable, refused_in_one_line
from .message_types import ROS_TYPES

OUTPUT_TYPES = {topic: getattr(ROS_TYPES, kind) for topic, kind in OUTPUTS.items()}

_OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


class Outputs:
    """All output publishers; reliable, keep-last 1, overridable by `qos_overrides` parameters.

    Args:
        node: owner of the publishers.
        prefix: put before the topic names.

    Attributes:
        enabled: while False nothing is wanted and nothing is published (the node is not active).
        topics: the relative names to the full ones.
    """

    def __init__(self, node: Node, prefix: str) -> None:
        self.enabled = False
        self._cloud: PointCloud2 | None = None
        self._publishers = {}
        for topic, message_type in OUTPUT_TYPES.items():
            name = _resolved(node, prefix + topic)
            with refused_in_one_line(node, name):
                self._publishers[topic] = node.create_publisher(
                    message_type, name, **overridable(_OUTPUT_QOS)
                )
        self.topics = {name: made.topic_name for name, made in self._publishers.items()}

    def wanted(self) -> frozenset[str]:
        """Topics that somebody subscribes to."""
        if not self.enabled:
            return frozenset()
        return frozenset(t for t, p in self._publishers.items() if p.get_subscription_count() > 0)

    def publish(self, wanted: frozenset[str], computed: Computed, config: NodeConfig) -> None:
        """Convert and publish the wanted topics, and no other.

        Raises:
            ConfigError: the depth limits leave no disparity range to publish.
        """
        for topic, message in output_messages(ROS_TYPES, wanted, computed, config, self._cloud):
            if self.enabled:
                self._publishers[topic].publish(message)
            if topic == 'points2':
                # It has been copied to DDS.
                self._cloud = message


def _resolved(node: Node, topic: str) -> str:
    """A picture lies below the topic that it shows, as of image_transport, remapped or not."""
    if not topic.endswith(COMPRESSED_ENDING):
        return topic
    return str(node.resolve_topic_name(topic[: -len(COMPRESSED_ENDING)])) + COMPRESSED_ENDING
