"""The four subscriptions of a stereo camera: two images that are paired, two camera infos."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.node import SubscriptionEventCallbacks  # its own module has another name in Humble
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_system_default
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..config import NodeConfig
from ..errors import ConfigError
from ..health.finding import Finding
from ..health.sync import without_info_finding
from ..pairing.camera_infos import CameraInfos, InfoGate
from ..pairing.pair_policy import PairPolicy
from ..stereo import SIDES
from ..topics import COMPRESSED_ENDING, INPUTS
from .endpoints import overridable, refused_in_one_line
from .publisher_qos import latched_qos
from .synchronizer import StereoSynchronizer, subscribe

# How often publishers are looked at that keep camera infos, once there is one.
_LOOK_AGAIN_S = 1.0


class Inputs:
    """Subscribes with SensorData QoS (best effort matches every publisher) and pairs the images.

    Camera infos are subscribed to from `open` to `close`; images only while somebody wants what is
    made of them, between `listen` and `pause`, so that a lazy camera driver rests as well.

    Args:
        node: owner of the subscriptions.
        prefix: put before the topic names.
        config: `image_transport`, `queue_size`, `cache_camera_info` and the sync settings.
        on_pair: called with (left, right, infos) messages from the executor, the infos by side;
            must return at once and never raise.
        on_undescribed: called for each pair whose camera infos never came.

    Attributes:
        sync: the synchroniser, for its counters.
        names: 'left', 'right', 'left_info', 'right_info' to the topic's name before remapping,
            which rclpy does itself: twice, and two names that are exchanged stay as they are.
        topics: the same keys to the topic's full name.
        types: the same keys to the message class.
        qos: the same keys to the profile in force, of what was subscribed to at least once.
        infos: the camera infos.
        gate: holds pairs back until their infos have come, and tells of which it lacks one.
        image_bytes: size of the newest image, 0 while none has come.
    """

    def __init__(
        self,
        node: LifecycleNode,
        prefix: str,
        config: NodeConfig,
        on_pair: Callable[[Any, Any, dict[str, CameraInfo]], None],
        on_undescribed: Callable[[], None],
    ) -> None:
        self._node = node
        self._prefix = prefix
        self._config = config
        self._subscriptions: dict[str, Subscription] = {}
        compressed = config.image_transport == 'compressed'
        self.names: dict[str, str] = {}
        self.types: dict[str, type] = {}
        self.qos: dict[str, QoSProfile] = {}
        self.image_bytes = 0
        self.infos = CameraInfos()
        self.gate = InfoGate(self.infos, config.queue_size, on_pair, on_undescribed)
        self.gate.cache = config.cache_camera_info
        for side in SIDES:
            name = prefix + INPUTS[side]
            if compressed:
                # As image_transport does it: the suffix goes onto the remapped name.
                name = node.resolve_topic_name(name) + COMPRESSED_ENDING
            self.names[side] = name
            self.types[side] = CompressedImage if compressed else Image
            self.names[f'{side}_info'] = prefix + INPUTS[f'{side}_info']
            self.types[f'{side}_info'] = CameraInfo
        self.topics = {key: node.resolve_topic_name(name) for key, name in self.names.items()}
        if self.topics['left'] == self.topics['right']:
            raise ConfigError(
                f'left and right are one topic, {self.topics["left"]}; give the right one by '
                f'--ros-args -r {prefix}{INPUTS["right"]}:=TOPIC'
            )
        self._looked_at_s = dict.fromkeys(SIDES, 0.0)
        policy = PairPolicy(
            config.queue_size,
            config.approximate_sync,
            config.approximate_sync_tolerance_seconds,
        )
        self.sync = StereoSynchronizer(policy, self.gate.pair)

    @property
    def listening(self) -> bool:
        """Whether the images are subscribed to."""
        return all(side in self._subscriptions for side in SIDES)

    def open(self) -> None:
        """Subscribe to camera infos."""
        for side in SIDES:
            self._subscribe(f'{side}_info', partial(self._take_info, side))

    def listen(self) -> None:
        """Subscribe to the images."""
        for side in SIDES:
            self._subscribe(side, partial(self._receive, side))

    def pause(self) -> None:
        """Unsubscribe from the images and remove those that wait for a partner."""
        for side in SIDES:
            self._unsubscribe(side)
        with self.sync.lock:
            self.sync.policy.clear()
        self.gate.clear()

    def close(self) -> None:
        """Unsubscribe from everything. Calibrations are forgotten: the camera may be another."""
        self.pause()
        for side in SIDES:
            self._unsubscribe(f'{side}_info')
            self._unsubscribe(f'{side}_info latched')
        self.infos.clear()

    def undescribed(self, side: str, stamp: int) -> Finding:
        """Why an image of that side and stamp has no camera info."""
        topic = self.topics[f'{side}_info']
        gap_ns = self.infos.gap_ns(side, stamp)
        name = self._node.get_fully_qualified_name()
        return without_info_finding(side, topic, gap_ns, name, self._prefix)

    def catch_latched(self) -> None:
        """Ask for the camera infos that were sent before we came, where they are kept.

        From then on too: a camera that is started again may send its only one before the other
        subscription knows it.
        """
        now_s = time.monotonic()
        for side in SIDES:
            key, name = f'{side}_info latched', self.names[f'{side}_info']
            known = self.infos.newest(side) is not None
            if key in self._subscriptions:
                continue
            if known and now_s - self._looked_at_s[side] < _LOOK_AGAIN_S:
                continue
            self._looked_at_s[side] = now_s
            qos = latched_qos(self._node, name, CameraInfo)
            if qos is not None:
                take = partial(self._take_info, side, again=True)
                # Quiet: what it does not match is received by the other subscription.
                quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
                self._subscriptions[key] = self._node.create_subscription(
                    CameraInfo, name, take, qos, event_callbacks=quiet
                )

    def reconfigure(self, config: NodeConfig) -> None:
        """Apply the settings of pairing from the next image on."""
        self.gate.cache = config.cache_camera_info
        with self.sync.lock:
            self.sync.policy.approximate = config.approximate_sync
            self.sync.policy.tolerance_s = config.approximate_sync_tolerance_seconds

    def _subscribe(self, key: str, take: Callable[[Any], None]) -> None:
        name, options = self.names[key], overridable(self._profile())
        with refused_in_one_line(self._node, name):
            made = subscribe(self._node, self.types[key], name, take, **options)
        self._subscriptions[key] = made
        self.qos[key] = made.qos_profile

    def _take_info(self, side: str, info: CameraInfo, again: bool = False) -> None:
        self.infos.add(side, info, again)
        self.gate.look()

    def _receive(self, side: str, msg: Any) -> None:
        self.image_bytes = len(msg.data)
        self.sync.add(side, msg)

    def _unsubscribe(self, key: str) -> None:
        subscription = self._subscriptions.pop(key, None)
        if subscription is not None:
            self._node.destroy_subscription(subscription)

    def _profile(self) -> QoSProfile:
        if self._config.use_system_default_qos:
            return qos_profile_system_default
        depth = self._config.queue_size
        return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
