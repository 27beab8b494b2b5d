"""A camera that plays a pair with a fault, and what doctor says of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.node import Node

from dtp_stereo_ros.ros.player import FramePublisher, camera_messages
from dtp_stereo_ros.ros.process import NodeProcess
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

Start = Callable[..., NodeProcess]
CALIBRATION = StereoCalibration(400.0, 400.0, 160.0, 160.0, 60.0, 0.1, 320, 120)


def doctor(*arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Exit code and findings."""
    command = [sys.executable, '-m', 'dtp_stereo_ros.cli', 'doctor', '--json', '--seconds', '2']
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=100)
    assert done.stderr == '' or 'Traceback' not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def found(findings: list[dict[str, str]], level: str) -> list[tuple[str, str]]:
    return [(f['subject'], f['text']) for f in findings if f['level'] == level]


@contextmanager
def playing(
    node: Node,
    frame: StereoFrame,
    change: Callable[[dict[str, Any]], None] | None = None,
    prefix: str = '',
) -> Iterator[None]:
    """A camera at 10 Hz in a thread."""
    camera, stop = FramePublisher(node, prefix), threading.Event()

    def play() -> None:
        while not stop.wait(0.1):
            stamp_ns = node.get_clock().now().nanoseconds
            frame_now = StereoFrame(frame.left, frame.right, stamp_ns, CALIBRATION)
            messages = camera_messages(frame_now)
            if change:
                change(messages)
            camera.send(messages)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
