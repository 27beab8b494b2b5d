"""Findings of `doctor` at one stereo camera: topics, publishers, stamps, views, calibration."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..health.camera import CameraMessages
from ..health.finding import Finding
from ..messages.stamps import stamp_ns
from ..stereo import SIDES
from ..topics import COMPRESSED_ENDING, INPUTS
from .publisher_qos import latched_qos, publisher_faults

_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class CameraExamination:
    """Listens to the inputs of a camera from `listen` on.

    Args:
        node: of ours, that listens.
        owner: full name of the examined node.
        camera: its name there, '' for the only one.
        topics: 'left', 'right', 'left_info', 'right_info' to topics.
        settings: parameters of the node by name, as far as they are known.
    """

    def __init__(
        self,
        node: Node,
        owner: str,
        camera: str,
        topics: Mapping[str, str],
        settings: Mapping[str, Any],
    ) -> None:
        self._node, self._owner, self._camera = node, owner, camera
        self._prefix = f'{camera}/' if camera else ''
        self._topics = topics
        self._rmw = get_rmw_implementation_identifier()
        self._messages = CameraMessages(owner, self._prefix, topics, settings, self._rmw)
        self._heard = self._messages.heard

    def discovered(self) -> bool:
        """Whether each topic has a publisher."""
        return all(self._node.count_publishers(topic) for topic in self._topics.values())

    def listen(self) -> None:
        """Subscribe to everything."""
        for key, topic in self._topics.items():
            self._subscribe(key, topic, _SENSOR)

    def catch_latched(self) -> None:
        """Ask for the camera infos that were sent before we came, where they are kept."""
        for key, topic in self._topics.items():
            if self._type(key, topic) is CameraInfo and not self._heard[key].count:
                qos = latched_qos(self._node, topic, CameraInfo)
                if qos is not None:
                    self._subscribe(key, topic, qos)

    def image_bytes(self) -> int:
        """Size of a left image, 0 when none came."""
        return self._messages.image_bytes()

    def remote(self) -> bool:
        """Whether images come from another machine.

        Fast DDS puts the machine into bytes 2 and 3 of the identifiers of its endpoints. Others
        have there what differs between two processes of one machine, so that nothing is told.
        """
        if 'fastrtps' not in self._rmw:
            return False
        own = self._node.get_publishers_info_by_topic('/rosout')
        name = self._node.get_name()
        here = next((bytes(i.endpoint_gid)[:4] for i in own if i.node_name == name), b'')
        gids = [
            bytes(info.endpoint_gid)[:4]
            for side in SIDES
            for info in self._node.get_publishers_info_by_topic(self._topics[side])
        ]
        return bool(here) and any(gid != here for gid in gids)

    def findings(self, seconds: float) -> list[Finding]:
        """Findings on the messages of that time and on the graph."""
        found = [
            f for key, topic in self._topics.items() for f in self._topic(key, topic, seconds)
        ]
        found += self._messages.findings()
        return [replace(f, subject=self._prefix + f.subject) for f in found]

    def _type(self, key: str, topic: str) -> type:
        if key.endswith('_info'):
            return CameraInfo
        return CompressedImage if topic.endswith(COMPRESSED_ENDING) else Image

    def _subscribe(self, key: str, topic: str, qos: QoSProfile) -> None:
        heard = self._heard[key]

        def take(msg: Any) -> None:
            heard.count += 1
            heard.arrivals_s.append(time.monotonic())
            heard.newest = msg
            heard.kept.append(msg)
            heard.stamps.append(stamp_ns(msg))
            heard.ages_ns.append(self._node.get_clock().now().nanoseconds - stamp_ns(msg))

        self._node.create_subscription(self._type(key, topic), topic, take, qos)

    def _subscriptions(self, topic: str) -> list[Any]:
        """Subscriptions of the examined node to a topic."""
        return [
            info
            for info in self._node.get_subscriptions_info_by_topic(topic)
            if f'{info.node_namespace.rstrip("/")}/{info.node_name}' == self._owner
        ]

    def _topic(self, key: str, topic: str, seconds: float) -> list[Finding]:
        publishers = self._node.count_publishers(topic)
        heard = self._heard[key]
        name = self._prefix + INPUTS[key]
        if publishers == 0:
            known = [
                t
                for t, _ in self._node.get_topic_names_and_types()
                if _alike(t, topic) and not self._subscriptions(t)  # of another camera
            ]
            mend = (
                'start the camera, or the node with '
                f'--ros-args -r {name}:={min(known, default="TOPIC")}'
            )
            return [Finding('error', key, f'{topic}: no publisher', mend)]
        qos = next((info.qos_profile for info in self._subscriptions(topic)), _SENSOR)
        faults = publisher_faults(self._node, topic, self._type(key, topic), qos)
        found = [replace(fault, subject=key) for fault in faults]
        if publishers > 1:
            text = f'{topic}: {publishers} publishers'
            mend = f'end one of them, or remap one: ros2 topic info -v {topic}'
            found.append(Finding('warn', key, text, mend))
        if heard.count == 0 and not faults:
            text = f'{topic}: {publishers} publisher, but nothing came in {seconds:g} s'
            mend = f'see whether it is sent, and lost on the way: ros2 topic hz {topic}'
            # A camera_info may be sent but seldom; the node tells when it has none.
            level = 'warn' if key.endswith('_info') else 'error'
            found.append(Finding(level, key, text, mend))
        elif heard.count:
            rate = f'{heard.rate_hz():.1f} Hz' if heard.count > 1 else 'one message'
            found.append(Finding('ok', key, f'{topic}: {rate}'))
        return found


def _alike(topic: str, wanted: str) -> bool:
    """Whether a topic might have been meant: the same last part, and the same side."""
    side = 'left' if 'left' in wanted else 'right'
    return (
        topic != wanted
        and topic.rsplit('/', 1)[-1] == wanted.rsplit('/', 1)[-1]
        and (side in topic)
    )
