"""A rosbag2 played byte for byte as it was recorded, where `ros2 bag play` is not installed."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rclpy.node import Node
from rclpy.publisher import Publisher

from dtp_stereo_ros.ros.harness.player import PLAYER_QOS

rosbags = pytest.importorskip('rosbags.highlevel', reason='reads the bag of this test')

WAIT_S = 20.0


def play_bag(node: Node, bag: Path, speed: float) -> None:
    """Play all topics under their names, once somebody subscribes to each.

    Args:
        node: publishes.
        bag: folder or file.
        speed: 1 is as recorded, 2 twice as fast.
    """
    with rosbags.AnyReader([bag]) as reader:
        publishers = {c.topic: _publisher(node, c.topic, c.msgtype) for c in reader.connections}
        deadline = time.monotonic() + WAIT_S
        while not all(p.get_subscription_count() > 0 for p in publishers.values()):
            assert time.monotonic() < deadline, f'nobody listens to all of {sorted(publishers)}'
            time.sleep(0.02)
        started, first_ns = time.monotonic(), reader.start_time
        for connection, recorded_ns, raw in reader.messages():
            due_s = started + (recorded_ns - first_ns) / 1e9 / speed
            time.sleep(max(0.0, due_s - time.monotonic()))
            publishers[connection.topic].publish(raw)


def _publisher(node: Node, topic: str, message_type: str) -> Publisher:
    """Publisher for a type given as 'sensor_msgs/msg/Image'."""
    package, _, name = message_type.split('/')
    kind: Any = getattr(import_module(f'{package}.msg'), name)
    return node.create_publisher(kind, topic, PLAYER_QOS)
