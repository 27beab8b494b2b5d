"""The faults of the matrix, and the session that they are injected into."""

from __future__ import annotations

import array
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from std_msgs.msg import Header

from .. import models
from ..config import PipelineConfig, Scalar
from ..errors import BackendError
from ..stereo import StereoFrame
from .player import FramePublisher, camera_messages
from .probe import Probe
from .process import NodeProcess
from .sync import stamp_ns

_RATE_HZ = 10.0
BAD_FRAMES = 35
_START_S = 60.0

Messages = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One row of the matrix.

    Attributes:
        name: in words.
        change: makes a good frame's messages bad; may remove some.
        node: what the backend does when it sees a black frame, see `faulty_node`.
        during: done once instead of sending bad messages; returns what the node answered.
        parameters: further ones of the node, given a folder for files.
    """

    name: str
    change: Callable[[Messages], None] | None = None
    node: str = ''
    during: Callable[[Session], str] | None = None
    parameters: Callable[[Path], Mapping[str, Scalar]] | None = None


@dataclass
class Session:
    """A node, a camera and a subscriber.

    Attributes:
        frame: what the camera sees.
        start: makes a node process, also again after it has ended.
        sent: good frames' stamps, ns, to the time of sending (monotonic, s).
    """

    camera: FramePublisher
    probe: Probe
    frame: StereoFrame
    start: Callable[[], NodeProcess]
    node: NodeProcess
    folder: Path
    sent: dict[int, float] = field(default_factory=dict)

    def step(self, change: Callable[[Messages], None] | None = None) -> int:
        """Send one frame and receive for a frame period; returns its stamp."""
        stamp = time.time_ns()
        messages = camera_messages(replace(self.frame, stamp_ns=stamp))
        began = time.monotonic()
        if change is None:
            self.sent[stamp] = began
        else:
            change(messages)
            if 'left/image_rect' in messages:
                stamp = stamp_ns(messages['left/image_rect'])
        self.camera.send(messages)
        while (left_s := began + 1 / _RATE_HZ - time.monotonic()) > 0:
            self.probe.spin(left_s)
        return stamp

    def results(self) -> dict[int, float]:
        """Stamps of all disparities to their times of arrival."""
        stamps = [stamp_ns(m) for m in self.probe.messages['disparity']]
        return dict(zip(stamps, self.probe.arrivals_s['disparity'], strict=True))


def black(messages: Messages) -> None:
    """The sign on which `faulty_node` fails."""
    image = messages['left/image_rect']
    image.data = array.array('B', bytes(len(image.data)))


def _cut(messages: Messages) -> None:
    messages['right/image_rect'].data = array.array('B', bytes(1000))


def _empty(messages: Messages) -> None:
    image = messages['left/image_rect']
    image.height = image.width = image.step = 0
    image.data = array.array('B')


def _encoding(messages: Messages) -> None:
    messages['left/image_rect'].encoding = 'rgb99'


def _p_nan(messages: Messages) -> None:
    messages['left/camera_info'].p[0] = float('nan')


def _uncalibrated(messages: Messages) -> None:
    for side in ('left', 'right'):
        messages[f'{side}/camera_info'].k = [0.0] * 9


def _no_baseline(messages: Messages) -> None:
    messages['right/camera_info'].p[3] = 0.0


def _swapped(messages: Messages) -> None:
    left, right = messages['left/camera_info'], messages['right/camera_info']
    messages['left/camera_info'], messages['right/camera_info'] = right, left


def _left_lost(messages: Messages) -> None:
    del messages['left/image_rect']


def _hour_back(messages: Messages) -> None:
    messages['left/image_rect'].header.stamp.sec -= 3600  # one header for all four


def _stamps_apart(messages: Messages) -> None:
    stamp = messages['left/image_rect'].header.stamp
    later = Time(sec=stamp.sec, nanosec=(stamp.nanosec + 7_000_000) % 1_000_000_000)
    messages['right/image_rect'].header = Header(stamp=later, frame_id='right')


def _nothing(messages: Messages) -> None:
    messages.clear()


def _subscriber_vanishes(session: Session) -> str:
    """Another process subscribes to the cloud and is killed without a farewell."""
    program = (
        'import rclpy\nfrom sensor_msgs.msg import PointCloud2\n'
        'rclpy.init()\nnode = rclpy.create_node("victim")\n'
        'node.create_subscription(PointCloud2, "points2", lambda m: print("x", flush=True), 1)\n'
        'rclpy.spin(node)\n'
    )
    command = [sys.executable, '-c', program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ}) as victim:
        assert victim.stdout is not None
        os.set_blocking(victim.stdout.fileno(), False)
        deadline = time.monotonic() + _START_S
        while not victim.stdout.read() and time.monotonic() < deadline:
            session.step()
        victim.send_signal(signal.SIGKILL)
    for _ in range(BAD_FRAMES):
        session.step()
    return ''


def _model_copy(folder: Path) -> Mapping[str, Scalar]:
    """The shipped model, from a file that can be deleted."""
    copied = folder / 'copy.onnx'
    shutil.copy(models.resolve(PipelineConfig().model, ('.onnx',)), copied)
    return {'backend': 'onnx', 'model': str(copied)}


def _model_vanishes(session: Session) -> str:
    """The file goes; later somebody changes a setting for which it must be read again."""
    (session.folder / 'copy.onnx').unlink()
    for _ in range(BAD_FRAMES):
        session.step()
    asker = Node('asker')
    client = asker.create_client(SetParameters, 'depth_node/set_parameters')
    value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=1)
    if not client.wait_for_service(_START_S):
        raise BackendError('the node does not answer')
    request = SetParameters.Request(parameters=[Parameter(name='threads', value=value)])
    future = client.call_async(request)
    rclpy.spin_until_future_complete(asker, future, timeout_sec=_START_S)
    asker.destroy_node()
    reason = str(future.result().results[0].reason)
    return 'setting refused: ' + reason.replace(f'{session.folder}/', '')


MESSAGE_FAULTS = (
    Fault('image data shorter than its size says', _cut),
    Fault('image of 0 x 0', _empty),
    Fault('unknown encoding', _encoding),
    Fault('NaN in the calibration', _p_nan),
    Fault('uncalibrated camera (K is zero)', _uncalibrated),
    Fault('no baseline (Tx is zero)', _no_baseline),
    Fault('camera infos swapped', _swapped),
    Fault('left images lost', _left_lost),
    Fault('stamps 7 ms apart, exact pairing', _stamps_apart),
    Fault('time jumps back by an hour, and forth', _hour_back),
    Fault('camera falls silent', _nothing),
)
NODE_FAULTS = (
    Fault('backend raises', black, 'raise'),
    Fault('out of memory in a frame', black, 'memory'),
    Fault('backend hangs (watchdog at 2 s)', black, 'hang'),
    Fault('worker thread dies', black, 'die'),
    Fault('a subscriber is killed', during=_subscriber_vanishes),
    Fault('model file deleted', during=_model_vanishes, parameters=_model_copy),
)
FAULTS = MESSAGE_FAULTS + NODE_FAULTS
