"""The four subscriptions of the node: two images that are paired, two camera infos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..config import NodeConfig
from .sync import SIDES, PairPolicy, StereoSynchronizer, Subscriber

# Durability is among them for camera_info that is latched (transient local).
_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


class Inputs:
    """Subscribes with SensorData QoS (best effort matches every publisher) and pairs the images.

    Args:
        node: owner of the subscriptions.
        config: `image_transport`, `queue_size` and the sync settings.
        on_pair: called with (left, right) messages from the executor; must return at once and
            never raise.

    Attributes:
        sync: the synchroniser, for its counters.
        topics: 'left', 'right', 'left_info', 'right_info' to the topic's full name.
        infos: newest camera info of each side. It stays valid until the next one, so that
            latched or slower infos work.
    """

    def __init__(
        self, node: Node, config: NodeConfig, on_pair: Callable[[Any, Any], None]
    ) -> None:
        self.topics: dict[str, str] = {}
        self.infos: dict[str, CameraInfo] = {}
        filters = {}
        for side in SIDES:
            filters[side] = self._subscribe_image(node, side, config)
            self._subscribe_info(node, side, config)
        policy = PairPolicy(
            config.queue_size,
            config.approximate_sync,
            config.approximate_sync_tolerance_seconds,
        )
        self.sync = StereoSynchronizer(filters['left'], filters['right'], policy)
        self.sync.registerCallback(on_pair)

    def reconfigure(self, config: NodeConfig) -> None:
        """Apply the sync settings from the next image on."""
        with self.sync.lock:
            self.sync.policy.approximate = config.approximate_sync
            self.sync.policy.tolerance_s = config.approximate_sync_tolerance_seconds

    def _subscribe_image(self, node: Node, side: str, config: NodeConfig) -> Subscriber:
        topic, message_type = f'{side}/image_rect', Image
        if config.image_transport == 'compressed':
            # As image_transport does it: the suffix goes onto the remapped name.
            topic, message_type = f'{node.resolve_topic_name(topic)}/compressed', CompressedImage
        self.topics[side] = node.resolve_topic_name(topic)
        return Subscriber(node, message_type, topic, **_qos(config))

    def _subscribe_info(self, node: Node, side: str, config: NodeConfig) -> None:
        topic = f'{side}/camera_info'
        self.topics[f'{side}_info'] = node.resolve_topic_name(topic)

        def keep(info: CameraInfo) -> None:
            self.infos[side] = info

        node.create_subscription(CameraInfo, topic, keep, **_qos(config))


def _qos(config: NodeConfig) -> dict[str, Any]:
    profile = QoSProfile(depth=config.queue_size, reliability=ReliabilityPolicy.BEST_EFFORT)
    options = QoSOverridingOptions(_OVERRIDABLE)
    return {'qos_profile': profile, 'qos_overriding_options': options}
