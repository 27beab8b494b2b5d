"""The faults of the matrix."""

from __future__ import annotations

import array
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from dtp_stereo_ros import models
from dtp_stereo_ros.config import PipelineConfig, Scalar
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.ros.service_caller import set_parameter

from .faulty_node import FULL_DISK, engine_is_whole, full_mark
from .session import BAD_FRAMES, Fault, Messages, Session

_START_S = 60.0


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
    reason = _set('threads', 1)
    return 'setting refused: ' + reason.replace(f'{session.folder}/', '')


def _set(name: str, value: bool | int | float | str) -> str:
    """Set a parameter of the node; returns why it was refused."""
    result = set_parameter('depth_node', name, value, _START_S)
    if result is None:
        raise BackendError('the node does not answer')
    return result[1]


def _half_precision(folder: Path) -> Mapping[str, Scalar]:
    return {'backend': 'onnx', 'precision': 'fp16'}


def _disk_fills(session: Session) -> str:
    """No room for the engine of another image size; what was cut short must not stay."""
    full_mark(session.folder).touch()
    if reason := _set('input_scale', 0.5):
        raise BackendError(f'refused: {reason}')
    for _ in range(BAD_FRAMES):
        session.step()
    engines = list(session.folder.rglob('*.engine'))
    if not (engines and all(map(engine_is_whole, engines))):
        raise BackendError(f'of the engines {engines} one was cut short, or none is there')
    lines = [line for line in session.node.output().splitlines() if 'engine cache' in line]
    return lines[0].partition(']: ')[2] if lines else ''


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
    Fault(
        'disk full for the engine cache (stand-in for TensorRT)',
        node=FULL_DISK,
        during=_disk_fills,
        parameters=_half_precision,
    ),
)
FAULTS = MESSAGE_FAULTS + NODE_FAULTS
