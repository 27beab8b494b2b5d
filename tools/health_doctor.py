"""Findings of `dtp-stereo doctor` on systems that are well and on some that are not.

    python -m tools.health_doctor --runs 20 --write docs/reports/health.md

Each system is the real node, a camera in a process of its own that plays the Motorcycle pair at
10 Hz and listens to the disparity, and doctor as a user calls it, all over DDS.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dtp_stereo_ros import markdown
from dtp_stereo_ros.config import Setting
from dtp_stereo_ros.evaluation import motorcycle
from dtp_stereo_ros.messages.images import to_image, to_rgb
from dtp_stereo_ros.ros.harness.node_process import (
    LARGE_MESSAGES_ENV,
    LOCAL_ENV,
    PROFILE,
    NodeProcess,
    domain_of,
    end,
    profile_env,
)
from dtp_stereo_ros.ros.message_types import ROS_TYPES
from dtp_stereo_ros.stereo import StereoFrame
from dtp_stereo_ros.topics import INPUTS
from tools.doc_sections import write_section

Messages = dict[str, Any]

_LEFT, _RIGHT = INPUTS['left'], INPUTS['right']
_RATE_HZ = 10.0
# The node has judged everything by then: three looks and three judgements, a second each.
_SETTLED_S = 8.0
_DEFAULT = {'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'}


def healthy(messages: Messages) -> None:
    """Change nothing."""


def exchanged(messages: Messages) -> None:
    """Each image on the topic of the other."""
    messages[_LEFT], messages[_RIGHT] = messages[_RIGHT], messages[_LEFT]


def raw(messages: Messages) -> None:
    """The right camera's principal point lies 5 px lower than that of the rectified camera."""
    image = messages[_RIGHT]
    lower = np.roll(to_rgb(image, _RIGHT), 5, axis=0)
    messages[_RIGHT] = to_image(ROS_TYPES, lower, 'rgb8', image.header)
    messages['right/camera_info'].k[5] += 5.0


@dataclass(frozen=True)
class System:
    """A system that doctor looks at.

    Attributes:
        name: of the system.
        change: of the messages of each frame.
        env: of all processes.
        nodes: of one name.
        scale: of the images.
    """

    name: str
    change: Callable[[Messages], None] = healthy
    env: Mapping[str, str] = field(default_factory=lambda: profile_env(PROFILE))
    nodes: int = 1
    scale: float = 1.0


SYSTEMS = (
    System('well'),
    System('images exchanged', exchanged),
    System('raw images', raw),
    System('frames lost: 1482x1000 over the default transports', env=_DEFAULT, scale=2.0),
    System('two nodes of one name', nodes=2),
)


def play(system: System) -> None:
    """Be the camera, and somebody who listens to the disparity, until the process is ended."""
    import rclpy
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions
    from stereo_msgs.msg import DisparityImage

    from dtp_stereo_ros.ros.harness.player import FramePublisher, camera_messages

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # SIGTERM ends it
    node = Node('camera')
    node.create_subscription(DisparityImage, 'disparity', lambda _: None, 1)
    publisher = FramePublisher(node)
    frame = scaled(system.scale)
    while True:
        time.sleep(1 / _RATE_HZ)
        stamp_ns = node.get_clock().now().nanoseconds
        frame = StereoFrame(frame.left, frame.right, stamp_ns, frame.calibration)
        messages = camera_messages(frame)
        system.change(messages)
        publisher.send(messages)


def scaled(factor: float) -> StereoFrame:
    """The Motorcycle pair at another size."""
    frame, _ = motorcycle.load()
    assert frame.calibration is not None
    left, right = (
        np.asarray(cv2.resize(image, None, fx=factor, fy=factor), np.uint8)
        for image in (frame.left, frame.right)
    )
    return StereoFrame(left, right, calibration=frame.calibration.scaled(factor))


@contextlib.contextmanager
def running(system: System, folder: Path) -> Iterator[list[NodeProcess]]:
    """The nodes and the camera of a system."""
    env = {**os.environ, **system.env}
    with contextlib.ExitStack() as stack:
        nodes = []
        for index in range(system.nodes):
            log = folder / f'{SYSTEMS.index(system)}-{index}.log'
            parameters: dict[str, Setting] = {'backend': 'onnx', 'threads': 1}
            nodes.append(stack.enter_context(NodeProcess(parameters, {}, log, env=system.env)))
        name = str(SYSTEMS.index(system))
        camera = subprocess.Popen(
            [sys.executable, '-m', 'tools.health_doctor', '--camera', name], env=env
        )
        stack.callback(end, camera)
        time.sleep(_SETTLED_S)
        yield nodes


def look(system: System) -> tuple[int, float, list[dict[str, str]]]:
    """Exit code, time and findings of one call of doctor."""
    command = [sys.executable, '-m', 'dtp_stereo_ros.cli', 'doctor', '--json']
    started = time.monotonic()
    env = {**os.environ, **system.env}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=100)
    took_s = time.monotonic() - started
    found = [f for f in json.loads(done.stdout) if f['level'] != 'ok']
    return done.returncode, took_s, found


def rows(system: System, runs: int, folder: Path) -> list[str]:
    """The rows of the table of one system."""
    with running(system, folder):
        looks = [look(system) for _ in range(runs)]
    loud = sum(bool(found) for _, _, found in looks)
    took_s = sum(took for _, took, _ in looks) / runs
    codes = str(sum(code for code, _, _ in looks))
    cells = [f'**{system.name}**', str(runs), codes, str(loud), f'{took_s:.1f} s', '', '']
    lines = [markdown.row(cells)]
    for finding in looks[-1][2]:
        text = f'{finding["level"]}, {finding["subject"]}: {finding["text"]}'
        lines.append(markdown.row([*[''] * 5, text, f'`{finding["mend"]}`']))
    return lines


def main() -> None:
    """Look at all systems, print the table and put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=20, help='of doctor, on the one that is well')
    parser.add_argument('--write', type=Path, metavar='PAGE')
    parser.add_argument('--camera', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.camera is not None:
        play(SYSTEMS[args.camera])
        return
    for name in (*LARGE_MESSAGES_ENV, 'FASTDDS_DEFAULT_PROFILES_FILE'):
        os.environ.pop(name, None)
    os.environ.update(LOCAL_ENV)
    os.environ['ROS_DOMAIN_ID'] = domain_of(os.getpid())
    head = ('system', 'runs', 'exit code 1', 'with a finding', 'one run', 'finding', 'mend')
    lines = [markdown.header(head)]
    with tempfile.TemporaryDirectory() as folder:
        for system in SYSTEMS:
            lines += rows(system, args.runs if system is SYSTEMS[0] else 3, Path(folder))
            print('\n'.join(lines), flush=True)
    if args.write:
        write_section(args.write, 'doctor', '\n'.join(lines))


if __name__ == '__main__':
    main()
