"""`dtp-stereo demo`: the real node on a real pair, through DDS, judged by ground truth."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import BACKENDS, PipelineConfig
from ..errors import BackendError, InputError
from ..evaluation import motorcycle
from ..paths import make_folder
from ..pipeline import StereoPipeline
from ..stereo import Float32Array, StereoFrame, UInt8Array
from ..topics import INPUTS
from .demo_report import Published, print_errors, write
from .options import without_ros

if TYPE_CHECKING:
    from ..ros.harness.node_process import NodeProcess
    from ..ros.harness.player import FramePublisher
    from ..ros.harness.probe import Probe

HELP = 'start the ROS node, send it a real pair, measure and draw its output'

DESCRIPTION = """\
Start depth_node as a process of its own, send it the Motorcycle pair (Middlebury 2014, shipped
with scikit-image) as ROS messages, and subscribe to its outputs. Print rate, latency and error
against the ground truth, beside the error of SGBM. Write pictures of the left image, disparity,
confidence and error, and a point cloud. The demo takes about a minute.

example:
  dtp-stereo demo -o demo_out
"""

_START_TIMEOUT_S = 90.0
_START_PERIOD_S = 0.5  # between frames until the node answers
_LAST_RESULT_S = 1.0
_OUTPUTS = ('disparity', 'confidence', 'points2')


@dataclass(frozen=True)
class Stream:
    """Results of the streamed frames.

    Attributes:
        sent: frames that were sent in all.
        received: disparities that came back.
        rate_hz: of the disparities.
        latency_ms: from sending a frame to receiving its disparity.
    """

    sent: int
    received: int
    rate_hz: float
    latency_ms: list[float]


@dataclass(frozen=True)
class Session:
    """The node under test, and our own ROS node with the camera that it publishes as.

    One node of our own for all: what is destroyed while the other side uses it can take the
    connection of both processes down with it.
    """

    node: NodeProcess
    ros: Any
    camera: FramePublisher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        '-o', '--out', type=Path, default=Path('demo_out'), metavar='DIR',
        help='folder for pictures and cloud (default: %(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--backend',
        default='auto',
        choices=BACKENDS,
        help='backend of the node (default: %(default)s)',
    )
    parser.add_argument(
        '--model', default=PipelineConfig().model, help='model of the node (default: %(default)s)'
    )
    parser.add_argument(
        '--rate', type=float, default=10.0, metavar='HZ',
        help='frames per second that are sent (default: %(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--frames', type=int, default=80, metavar='N',
        help='number of frames that are sent (default: %(default)s)',
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the demo.

    Raises:
        InputError: ROS or the pair is not installed, or the folder cannot be written.
        BackendError: the node ended or published nothing.
    """
    if args.frames < 2 or not 0 < args.rate <= 1000:
        raise InputError('--frames must be at least 2 and --rate above 0 and at most 1000')
    frame, truth_px = motorcycle.load()
    out = make_folder(args.out)
    with _ros(), _start_node(args, out / 'node.log') as node:
        print(f'node       depth_node, process {node.pid}, waiting for it to start', flush=True)
        session = _session(node)
        stream = _stream(session, frame, args.rate, args.frames)
        outputs = _collect(session, frame)
    print(f'backend    {outputs.backend}')
    print(
        f'camera     {frame.width_px}x{frame.height_px} at {args.rate:g} Hz over DDS, '
        f'{stream.sent} frames'
    )
    print(
        f'disparity  {stream.rate_hz:.1f} Hz, latency '
        f'{statistics.median(stream.latency_ms):.0f} ms median, '
        f'{max(stream.latency_ms):.0f} ms worst, '
        f'{stream.sent - stream.received} frames skipped for newer ones'
    )
    rival_px = _sgbm(frame)
    print_errors({'depth_node': outputs.disparity_px, 'SGBM': rival_px}, truth_px)
    write(out, frame, truth_px, outputs, rival_px)
    return 0


def _ros() -> AbstractContextManager[None]:
    """rclpy, from the beginning to the end of a `with`."""
    try:
        from ..ros.harness.demo_node import running_rclpy
    except ImportError as error:
        raise without_ros('demo', error, 'demo') from error
    return running_rclpy()


def _namespace() -> str:
    """One of our own, so that two demos on one machine do not hear each other."""
    return f'/dtp_stereo_demo_{os.getpid()}'


def _start_node(args: argparse.Namespace, log: Path) -> NodeProcess:
    from ..ros.harness.node_process import NodeProcess, reliable

    images = reliable(f'{_namespace()}/{INPUTS[side]}' for side in ('left', 'right'))
    # A motorcycle in a garage; the cameras look inwards, so a larger range costs accuracy.
    parameters = {'backend': args.backend, 'model': args.model, 'max_depth': 10.0, **images}
    return NodeProcess(parameters, {'__ns': _namespace()}, log)


def _session(node: NodeProcess) -> Session:
    from ..ros.harness.demo_node import demo_node
    from ..ros.harness.player import FramePublisher

    ros = demo_node(_namespace())
    return Session(node, ros, FramePublisher(ros))


def _stream(session: Session, frame: StereoFrame, rate_hz: float, count: int) -> Stream:
    """Send the frame `count` times or more and time the disparities that come back."""
    from ..ros.harness.probe import Probe, stamps_ns

    probe = Probe(session.ros, ['disparity'], keep=count)
    _send_until(['disparity'], session, probe, frame)
    sent_s: dict[int, float] = {}

    def timed() -> list[tuple[float, float]]:
        stamps = stamps_ns(probe.messages['disparity'])
        arrivals_s = probe.arrivals_s['disparity'][-len(stamps) :]
        both = zip(arrivals_s, stamps, strict=True)
        return [(t, t - sent_s[s]) for t, s in both if s in sent_s]

    deadline = time.monotonic() + count / rate_hz + _START_TIMEOUT_S
    # A busy machine may skip nearly all of a short stream: it goes on until there is a rate.
    while len(sent_s) < count or (len(timed()) < 2 and time.monotonic() < deadline):
        started = time.monotonic()
        sent_s[_send(session.camera, frame)] = started
        probe.spin(started + 1 / rate_hz - time.monotonic())
    probe.spin(_LAST_RESULT_S)
    probe.close()
    came = timed()
    if len(came) < 2:
        raise BackendError(
            f'{len(came)} of {len(sent_s)} frames came back; {_log_of(session.node)}'
        )
    rate = (len(came) - 1) / (came[-1][0] - came[0][0])
    return Stream(len(sent_s), len(came), rate, [1e3 * latency for _, latency in came])


def _collect(session: Session, frame: StereoFrame) -> Published:
    """Subscribe to everything else, too, and take one of each."""
    from ..messages.published import stereo_result
    from ..ros.harness.probe import Probe

    probe = Probe(session.ros, _OUTPUTS, keep=1, diagnostics=True)
    _send_until(['disparity', 'points2', '/diagnostics'], session, probe, frame)
    probe.close()
    disparity, cloud = probe.newest('disparity'), probe.newest('points2')
    confidence = next(iter(probe.messages['confidence']), None)
    result = stereo_result(disparity, motorcycle.CALIBRATION, 'disparity', confidence=confidence)
    points_m, colors = _cloud(cloud)
    return Published(
        result.disparity_px,
        result.confidence,
        points_m,
        colors,
        _backend(probe.newest('/diagnostics')),
    )


def _send_until(topics: Sequence[str], session: Session, probe: Probe, frame: StereoFrame) -> None:
    """Send frames until each of these topics has brought something: the node starts meanwhile."""
    node = session.node
    deadline = time.monotonic() + _START_TIMEOUT_S
    while missing := [topic for topic in topics if not probe.messages[topic]]:
        if node.poll() is not None:
            raise BackendError(f'the node ended with code {node.poll()}; {_log_of(node)}')
        if time.monotonic() > deadline:
            raise BackendError(f'nothing came on {", ".join(missing)}; {_log_of(node)}')
        if session.camera.subscribed():
            _send(session.camera, frame)
        probe.spin(_START_PERIOD_S)


def _send(camera: FramePublisher, frame: StereoFrame) -> int:
    """Publish with the present time as stamp, as a camera does; returns the stamp."""
    stamp_ns = time.time_ns()
    camera.publish(replace(frame, stamp_ns=stamp_ns))
    return stamp_ns


def _log_of(node: NodeProcess) -> str:
    line = node.last_line()
    return f'its last line: {line}' if line else 'it printed nothing'


def _cloud(cloud: Any) -> tuple[Float32Array, UInt8Array]:
    """Organised PointCloud2 to points (H, W, 3) m and their RGB colours."""
    offset = {field.name: field.offset // 4 for field in cloud.fields}
    floats = np.frombuffer(cloud.data, '<f4').reshape(
        cloud.height, cloud.width, cloud.point_step // 4
    )
    points_m = np.stack([floats[..., offset[axis]] for axis in 'xyz'], axis=2)
    blue_green_red = np.ascontiguousarray(floats[..., offset['rgb']]).view(np.uint8)
    colors = blue_green_red.reshape(cloud.height, cloud.width, 4)[..., 2::-1]
    return points_m, np.ascontiguousarray(colors)


def _backend(diagnostics: Any) -> str:
    values = {v.key: v.value for status in diagnostics.status for v in status.values}
    return str(values.get('backend', 'not told'))


def _sgbm(frame: StereoFrame) -> Float32Array:
    pipeline = StereoPipeline(PipelineConfig(backend='sgbm'))
    disparity_px = pipeline.process(frame).disparity_px
    pipeline.close()
    return disparity_px
