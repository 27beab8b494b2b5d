"""The fault matrix: each fault injected into the real node over DDS, and what became of it.

    python -m dtp_stereo_ros.ros.faults --write docs/robustness.md

A camera runs at 10 Hz; after some good frames the fault lasts for some frames, and then the camera
is good again. Good frames without a result are lost; the time to recover is that from sending the
first good frame after the fault to the arrival of its result, or of the first later one.
"""

from __future__ import annotations

import argparse
import array
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from std_msgs.msg import Header

from .. import models
from ..config import PipelineConfig, Scalar
from ..errors import BackendError, InputError, ModelError
from ..image_io import atomic
from ..stereo import StereoCalibration, StereoFrame
from .faulty_node import FAULT_ENV
from .player import FramePublisher, camera_messages
from .probe import Probe
from .process import LARGE_MESSAGES_ENV, LOCAL_ENV, NodeProcess
from .sync import stamp_ns

BEGIN, END = '<!-- faults: begin -->', '<!-- faults: end -->'

_RATE_HZ = 10.0
_GOOD_FRAMES, _BAD_FRAMES = 20, 35
_START_S, _RECOVER_S, _LAST_RESULT_S = 60.0, 30.0, 1.5
_CALIBRATION = StereoCalibration(400.0, 400.0, 160.0, 160.0, 60.0, 0.1, 320, 120)

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
class Outcome:
    """What became of a fault.

    Attributes:
        said: by diagnostics while it lasted.
        logged: how often the log has that.
        lost: good frames without a result.
        sent: good frames in all.
        bad, served: bad frames, and those of them that gave a result.
        recovery_s: see the module.
        process: what the process did.
    """

    said: str = ''
    logged: int = 0
    lost: int = 0
    sent: int = 0
    bad: int = 0
    served: int = 0
    recovery_s: float = float('nan')
    process: str = 'stays up'


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
    for _ in range(_BAD_FRAMES):
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
    for _ in range(_BAD_FRAMES):
        session.step()
    asker = Node('asker')
    client = asker.create_client(SetParameters, 'depth_node/set_parameters')
    value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=1)
    if not client.wait_for_service(_RECOVER_S):
        raise BackendError('the node does not answer')
    request = SetParameters.Request(parameters=[Parameter(name='threads', value=value)])
    future = client.call_async(request)
    rclpy.spin_until_future_complete(asker, future, timeout_sec=_RECOVER_S)
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


def inject(fault: Fault, node: Node, folder: Path) -> Outcome:
    """Run one fault from start to recovery.

    Raises:
        BackendError: the node did not start, or never recovered.
    """
    with _session(fault, node, folder) as session:
        _until_result(session, _START_S)
        for _ in range(_GOOD_FRAMES):
            session.step()
        outcome = Outcome()
        if fault.during:
            outcome.said = fault.during(session)
        bad = []
        for _ in range(_BAD_FRAMES if fault.change else 0):
            bad.append(session.step(fault.change))
            outcome.said = _said(session.probe) or outcome.said
            if session.node.poll() is not None:
                outcome.said = _said(session.probe) or outcome.said
                break
        outcome.logged = _count_logged(session.node.output(), outcome.said)
        code = session.node.poll()
        first_good = time.monotonic()
        if code is not None:
            outcome.process = f'ends with code {code}, restarted'
            session.node = session.start()
        outcome.recovery_s = _until_result(session, _START_S) - first_good
        for _ in range(_GOOD_FRAMES):
            session.step()
        session.probe.spin(_LAST_RESULT_S)
        results = session.results()
        outcome.sent = len(session.sent)
        outcome.bad, outcome.served = len(bad), sum(stamp in results for stamp in bad)
        outcome.lost = sum(stamp not in results for stamp in session.sent)
        if session.node.poll() is not None:
            raise BackendError(f'{fault.name}: the node ended with {session.node.poll()}')
        return outcome


@contextmanager
def _session(fault: Fault, node: Node, folder: Path) -> Iterator[Session]:
    parameters: Mapping[str, Scalar] = {
        'backend': 'sgbm',
        'disparity_range': 64,
        'diagnostics_period': 0.2,
        'watchdog_timeout': 2.0,
        **(fault.parameters(folder) if fault.parameters else {}),
    }
    module = 'faulty_node' if fault.node else 'depth_node'
    logs = (folder / f'node{index}.log' for index in range(100))

    def start() -> NodeProcess:
        process = NodeProcess(
            parameters,
            {},
            next(logs),
            env={FAULT_ENV: fault.node},
            module=f'dtp_stereo_ros.ros.{module}',
        )
        return process.__enter__()

    probe = Probe(node, ('disparity',), keep=100_000, diagnostics=True)
    session = Session(FramePublisher(node), probe, scene(), start, start(), folder)
    try:
        yield session
    finally:
        session.node.stop()
        probe.close()


def _until_result(session: Session, timeout_s: float) -> float:
    """Send good frames until one gives a result; returns its time of arrival.

    Frames before the very first result are not counted: nobody was there to take them.
    """
    starting = not session.probe.arrivals_s['disparity']
    before = set(session.sent)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        session.step()
        fresh = [t for s, t in session.results().items() if s in session.sent and s not in before]
        if fresh:
            if starting:
                session.sent.clear()
            return min(fresh)
    raise BackendError(f'no result within {timeout_s:g} s; log: {session.node.output()[-500:]}')


def _said(probe: Probe) -> str:
    """The newest complaint of diagnostics."""
    for msg in reversed(probe.messages['/diagnostics'][-3:]):
        found = [s.message for s in msg.status if s.level != b'\x00']
        if found:
            return '; '.join(found)
    return ''


def _count_logged(log: str, said: str) -> int:
    first = said.split('; ')[0]
    return sum(first in line for line in log.splitlines()) if first else 0


def scene() -> StereoFrame:
    """A textured wall, 24 px of disparity everywhere."""
    noise = np.random.default_rng(0).uniform(0, 255, (120, 344, 3)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), noise, 0, 255, cv2.NORM_MINMAX)
    pixels = texture.astype(np.uint8)
    left, right = np.ascontiguousarray(pixels[:, :320]), np.ascontiguousarray(pixels[:, 24:])
    return StereoFrame(left, right, calibration=_CALIBRATION)


def table(rows: Mapping[str, Outcome]) -> str:
    """The matrix in Markdown."""
    lines = [
        '| fault | the node says (diagnostics; times in the log) | process '
        '| bad frames, with a result | good frames, lost | recovers after |',
        '|---|---|---|---|---|---|',
    ]
    for name, row in rows.items():
        times = f' ({row.logged}x)' if row.logged else ''
        said = f'{row.said}{times}' or '-'
        lines.append(
            f'| {name} | {said.replace("|", "/")} | {row.process} | {row.bad}, {row.served} '
            f'| {row.sent}, {row.lost} | {row.recovery_s:.2f} s |'
        )
    return '\n'.join(lines)


def write(page: Path, rows: Mapping[str, Outcome]) -> None:
    """Put the matrix between the marks of a page.

    Raises:
        InputError: the page has no marks.
    """
    text = page.read_text(encoding='utf-8')
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise InputError(f'{page}: has no lines {BEGIN} and {END}')
    with atomic(page) as file:
        file.write(f'{head}{BEGIN}\n{table(rows)}\n{END}{tail}'.encode())


def main() -> int:
    """Run all faults, or those asked for, and print or write the matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else '')
    parser.add_argument('--write', type=Path, metavar='PAGE', help='page to put the matrix into')
    parser.add_argument('--only', default='', metavar='TEXT', help='faults whose name has this')
    args = parser.parse_args()
    own = {**LARGE_MESSAGES_ENV, **LOCAL_ENV, 'ROS_DOMAIN_ID': str(1 + os.getpid() % 100)}
    for name, value in own.items():
        os.environ.setdefault(name, value)
    rclpy.init(args=[])
    rows = {}
    for index, fault in enumerate(f for f in FAULTS if args.only in f.name):
        node = Node(f'fault_injector_{index}')
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows[fault.name] = inject(fault, node, Path(folder))
            except ModelError as error:
                print(f'{fault.name}: left out, {error}', file=sys.stderr)
                continue
        print(table({fault.name: rows[fault.name]}).splitlines()[-1], flush=True)
        node.destroy_node()
    rclpy.try_shutdown()
    if args.write:
        write(args.write, rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
