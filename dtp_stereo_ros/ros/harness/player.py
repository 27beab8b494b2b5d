"""Stereo frames played as the messages of a rectified stereo camera.

They become `left/image_rect`, `left/camera_info`, `right/image_rect` and `right/camera_info`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages.camera_info import camera_infos
from dtp_stereo_ros.messages.images import to_image
from dtp_stereo_ros.stereo import StereoFrame
from dtp_stereo_ros.topics import INPUTS

from ..message_types import ROS_TYPES

_NS_PER_S = 1_000_000_000
_FRAME_ID = 'stereo_left_optical_frame'
# Reliable, so that a slow machine delays frames instead of losing them; matches any subscriber.
PLAYER_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def time_of(stamp_ns: int) -> Time:
    """Stamp in nanoseconds as a message."""
    return Time(sec=stamp_ns // _NS_PER_S, nanosec=stamp_ns % _NS_PER_S)


class FramePublisher:
    """The four publishers of a rectified stereo camera.

    Args:
        node: owner of the publishers; its namespace and remaps apply.
        prefix: put before the topic names, for example 'stereo/'.
        frame_id: of all messages: the left optical frame.
        qos: of all four.

    Attributes:
        publishers: by topic, without the prefix.
    """

    def __init__(
        self,
        node: Node,
        prefix: str = '',
        frame_id: str = _FRAME_ID,
        qos: QoSProfile = PLAYER_QOS,
    ) -> None:
        self._frame_id = frame_id
        self.publishers: dict[str, Publisher] = {
            topic: node.create_publisher(
                CameraInfo if name.endswith('info') else Image, prefix + topic, qos
            )
            for name, topic in INPUTS.items()
        }

    def subscribed(self) -> bool:
        """Whether somebody listens to all four topics."""
        return all(p.get_subscription_count() > 0 for p in self.publishers.values())

    def publish(self, frame: StereoFrame) -> None:
        """Send one frame with its own stamp.

        Raises:
            InputError: the frame has no calibration.
        """
        self.send(camera_messages(frame, self._frame_id))

    def send(self, messages: Mapping[str, Any]) -> None:
        """Send messages, by their topic without the prefix, in the order of the mapping."""
        for topic, msg in messages.items():
            self.publishers[topic].publish(msg)


def camera_messages(frame: StereoFrame, frame_id: str = _FRAME_ID) -> dict[str, Any]:
    """The four messages of a frame by topic; camera infos first, so that none has to wait.

    Raises:
        InputError: the frame has no calibration.
    """
    if frame.calibration is None:
        raise InputError('a frame without calibration cannot be played as camera messages')
    header = Header(stamp=time_of(frame.stamp_ns), frame_id=frame_id)
    left_info, right_info = camera_infos(ROS_TYPES, frame.calibration, header, header)
    return {
        INPUTS['left_info']: left_info,
        INPUTS['right_info']: right_info,
        INPUTS['left']: to_image(ROS_TYPES, frame.left, 'rgb8', header),
        INPUTS['right']: to_image(ROS_TYPES, frame.right, 'rgb8', header),
    }


def play_frames(
    node: Node,
    frames: Iterable[StereoFrame],
    rate_hz: float,
    *,
    prefix: str = '',
    restamp: bool = True,
    wait_s: float = 10.0,
    on_sent: Callable[[StereoFrame], None] | None = None,
) -> int:
    """Stream frames at a rate; returns how many were sent.

    Args:
        node: publishes. It need not be spun for that.
        frames: with calibration; repeat them (`itertools.repeat`) for a longer stream.
        rate_hz: frames per second; 0 sends each as soon as the one before is out.
        prefix: put before the topic names.
        restamp: stamp each frame with the node's clock when it is sent, as a live camera does;
            otherwise its own `stamp_ns` is used.
        wait_s: how long to wait for a subscriber of all four topics.
        on_sent: called with each frame as sent (its stamp set).

    Raises:
        InputError: nobody subscribed in time, or a frame has no calibration.
    """
    publisher = FramePublisher(node, prefix)
    _wait(publisher.subscribed, wait_s, node.resolve_topic_name(prefix + INPUTS['left']))
    count = 0
    for frame in _paced(frames, rate_hz):
        if restamp:
            frame = dataclasses.replace(frame, stamp_ns=node.get_clock().now().nanoseconds)
        publisher.publish(frame)
        count += 1
        if on_sent:
            on_sent(frame)
    return count


def _wait(ready: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise InputError(f'{what}: nobody subscribed within {timeout_s:g} s')
        time.sleep(0.02)


def _paced(frames: Iterable[StereoFrame], rate_hz: float) -> Iterator[StereoFrame]:
    started = time.monotonic()
    for index, frame in enumerate(frames):
        if rate_hz > 0:
            _sleep_until(started + index / rate_hz)
        yield frame


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
