"""Stereo cameras as a process of their own, which send a number of pairs at a rate when told to.

    python -m dtp_stereo_ros.ros.harness.camera_process 640x480 [--prefix front/ ...] [--reliable]

For each line COUNT RATE_HZ of the standard input, COUNT pairs are sent on each camera's topics,
stamped with the time at which they are sent. The answer is a line `done RATE_HZ`, the rate that
was kept. The process ends with its input.
"""

from __future__ import annotations

import argparse
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.sizes import parse_size

from .node_process import end
from .player import FramePublisher, camera_messages
from .textured_walls import textured_walls

# As a driver sends.
_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def camera_command(
    width_px: int, height_px: int, prefixes: Sequence[str] = ('',), reliable: bool = False
) -> list[str]:
    """Command line of the process.

    Args:
        width_px, height_px: of the images.
        prefixes: of the topics of each camera, for example 'front/'.
        reliable: send reliably; else best effort, as a driver does.
    """
    command = [sys.executable, '-m', __spec__.name, f'{width_px}x{height_px}']
    for prefix in prefixes:
        command += ['--prefix', prefix]
    return [*command, *(['--reliable'] if reliable else [])]


class CameraProcess:
    """The process; it ends when the `with` block is left.

    Args:
        command: as of `camera_command`.
        env: its environment; None is that of this process.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def __enter__(self) -> CameraProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _of(self._process.stdin).close()
        # By itself, unless it was interrupted.
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            end(self._process)
        _of(self._process.stdout).close()

    def has_sent(self) -> bool:
        """Whether the pairs are sent, so that `sent_hz` does not wait."""
        # Not select(): it knows no descriptor above 1023, which a process with many files has.
        with selectors.DefaultSelector() as selector:
            selector.register(_of(self._process.stdout), selectors.EVENT_READ)
            return bool(selector.select(0))

    def send(self, count: int, rate_hz: float) -> None:
        """Let each camera send so many pairs; returns at once.

        Raises:
            BackendError: the process has ended.
        """
        stdin = _of(self._process.stdin)
        try:
            stdin.write(f'{count} {rate_hz}\n')
            stdin.flush()
        except BrokenPipeError as error:
            raise BackendError('the camera process has ended; see its output above') from error

    def sent_hz(self) -> float:
        """Rate that was kept; waits until the pairs are sent.

        Raises:
            BackendError: the process has ended.
        """
        answer = _of(self._process.stdout).readline().split()
        if len(answer) != 2:
            raise BackendError('the camera process has ended; see its output above')
        return float(answer[1])


def _of(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def main() -> None:
    """Be the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument('size')
    parser.add_argument('--prefix', action='append')
    parser.add_argument('--reliable', action='store_true')
    args = parser.parse_args()
    size = parse_size(args.size, 'size', 'WIDTHxHEIGHT')
    # Ctrl-C reaches it too, and whoever started it ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node('bench_camera', start_parameter_services=False, enable_rosout=False)
    qos = _RELIABLE if args.reliable else _SENSOR
    cameras = [FramePublisher(node, prefix, qos=qos) for prefix in args.prefix or ['']]
    messages = [camera_messages(frame) for frame in textured_walls(*size)]
    for line in sys.stdin:
        count, rate_hz = int(line.split()[0]), float(line.split()[1])
        began = time.monotonic()
        for index in range(count):
            pair = messages[index % len(messages)]
            for camera in cameras:
                stamp = node.get_clock().now().to_msg()
                for msg in pair.values():
                    msg.header.stamp = stamp
                camera.send(pair)
            time.sleep(max(0.0, began + (index + 1) / rate_hz - time.monotonic()))
        print(f'done {count / (time.monotonic() - began):.3f}', flush=True)
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
