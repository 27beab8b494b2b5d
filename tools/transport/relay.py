"""Two processes that only send large messages, as a camera and the node have them.

One publishes colour pairs (best effort, as a camera driver does) and listens to what comes back;
the other takes every image and, for each complete pair, publishes a disparity image and a cloud of
the node's sizes with the node's QoS. Nothing is computed, so that only the transport is measured.
"""

from __future__ import annotations

import array
import subprocess
import time
from collections import Counter
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from stereo_msgs.msg import DisparityImage

from dtp_stereo_ros.ros.harness.node_process import end

_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_OUTPUT = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_LISTENER = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_DRAIN_S = 2.0
_START_S = 30.0
RELAY_COLUMNS = ('pairs sent at', 'disparity lost', 'cloud lost')


class Relay(Node):
    """The node's part: images in, disparity and cloud out for each complete pair."""

    def __init__(self, size: tuple[int, int], point_step: int, decimation: int) -> None:
        super().__init__('relay')
        width, height = size
        self._halves: Counter[tuple[int, int]] = Counter()
        self._disparity = DisparityImage()
        self._disparity.image = _image(width, height, '32FC1', 4)
        columns, rows = -(-width // decimation), -(-height // decimation)
        self._cloud = PointCloud2(width=columns, height=rows, point_step=point_step)
        self._cloud.row_step = columns * point_step
        self._cloud.data = array.array('B', bytes(columns * rows * point_step))
        self._publishers_of = {
            'disparity': self.create_publisher(DisparityImage, 'disparity', _OUTPUT),
            'points2': self.create_publisher(PointCloud2, 'points2', _OUTPUT),
        }
        for side in ('left', 'right'):
            self.create_subscription(Image, f'{side}/image_rect', self._take, _SENSOR)

    def _take(self, msg: Any) -> None:
        key = (msg.header.stamp.sec, msg.header.stamp.nanosec)
        self._halves[key] += 1
        if self._halves[key] < 2:
            return
        del self._halves[key]
        for topic, out in (('disparity', self._disparity), ('points2', self._cloud)):
            out.header = msg.header
            if topic == 'disparity' or self._cloud.point_step:
                self._publishers_of[topic].publish(out)


class Camera(Node):
    """The camera's part, and the listener's."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__('camera')
        self.received: Counter[str] = Counter()
        self._image = _image(*size, 'rgb8', 3)
        self._images = [
            self.create_publisher(Image, f'{side}/image_rect', _SENSOR)
            for side in ('left', 'right')
        ]
        for topic, message_type in (('disparity', DisparityImage), ('points2', PointCloud2)):
            self.create_subscription(message_type, topic, self._counter(topic), _LISTENER)

    def _counter(self, topic: str) -> Any:
        return lambda _: self.received.update([topic])

    def heard(self) -> bool:
        """Whether the relay has subscribed."""
        return all(p.get_subscription_count() for p in self._images)

    def send(self, number: int) -> None:
        """Publish a pair."""
        self._image.header.stamp.sec = number + 1
        for publisher in self._images:
            publisher.publish(self._image)


def measure(
    size: tuple[int, int], rate_hz: float, seconds: float, relay: list[str]
) -> dict[str, float]:
    """Send for a while, in this process, with a relay in another; shares that were lost."""
    rclpy.init(args=[])
    camera = Camera(size)
    executor = SingleThreadedExecutor()
    executor.add_node(camera)
    count = round(rate_hz * seconds)
    with subprocess.Popen(relay) as process:
        deadline = time.monotonic() + _START_S
        while not camera.heard() and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.05)
        _spin(executor, 1.0)
        began = time.monotonic()
        late = 0
        for number in range(count):
            camera.send(number)
            left_s = began + (number + 1) / rate_hz - time.monotonic()
            late += left_s < 0
            _spin(executor, max(0.0, left_s))
        took_s = time.monotonic() - began
        _spin(executor, _DRAIN_S)
        end(process)
    rclpy.try_shutdown()
    lost = {topic: 1 - camera.received[topic] / count for topic in ('disparity', 'points2')}
    return {**lost, 'rate': count / took_s}


def spin(node: Node) -> None:
    """As `rclpy.spin`, which now and then sleeps through the signal that is to end it."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while rclpy.ok():
        executor.spin_once(timeout_sec=0.5)


def relay_row(lost: dict[str, float]) -> str:
    """Result of `measure`, in Markdown."""
    return (
        f'{lost["rate"]:.1f} Hz | {100 * lost["disparity"]:.1f} % | {100 * lost["points2"]:.1f} %'
    )


def _spin(executor: SingleThreadedExecutor, duration_s: float) -> None:
    deadline = time.monotonic() + duration_s
    executor.spin_once(timeout_sec=0)
    while (left_s := deadline - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left_s)


def _image(width: int, height: int, encoding: str, pixel_bytes: int) -> Image:
    msg = Image(width=width, height=height, encoding=encoding, step=width * pixel_bytes)
    msg.data = array.array('B', bytes(width * height * pixel_bytes))
    return msg
