"""The fault matrix: each fault injected into the real node over DDS, and what became of it.

    python -m tools.faults.matrix --write docs/reports/robustness.md

A camera runs at 10 Hz; after some good frames the fault lasts for some frames, and then the camera
is good again. Good frames wait for the result of the one before; those without a result are lost.
The time to recover is that from sending the first good frame after the fault to the arrival of its
result, or of the first later one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.node import Node

from dtp_stereo_ros import markdown
from dtp_stereo_ros.config import Scalar
from dtp_stereo_ros.errors import BackendError, ModelError
from dtp_stereo_ros.ros.harness.node_process import (
    LOCAL_ENV,
    NodeProcess,
    domain_of,
    transport_env,
)
from dtp_stereo_ros.ros.harness.player import FramePublisher
from dtp_stereo_ros.ros.harness.probe import Probe
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

from ..doc_sections import write_section
from .fault_list import FAULTS
from .faulty_node import FAULT_ENV
from .session import BAD_FRAMES, Fault, Session

_GOOD_FRAMES = 20
_START_S = 60.0
_CALIBRATION = StereoCalibration(400.0, 400.0, 160.0, 160.0, 60.0, 0.1, 320, 120)


@dataclass
class Outcome:
    """Outcome of a fault.

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


def inject(fault: Fault, node: Node, folder: Path) -> Outcome:
    """Run one fault from start to recovery.

    Raises:
        BackendError: the node did not start, or never recovered.
    """
    with _session(fault, node, folder) as session:
        _until_result(session, _START_S)
        session.good_frames(_GOOD_FRAMES)
        outcome = Outcome()
        if fault.during:
            outcome.said = fault.during(session)
        bad = []
        for _ in range(BAD_FRAMES if fault.change else 0):
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
        session.good_frames(_GOOD_FRAMES)
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
    module = 'tools.faults.faulty_node' if fault.node else 'dtp_stereo_ros.ros.depth_node'
    logs = (folder / f'node{index}.log' for index in range(100))

    def start() -> NodeProcess:
        process = NodeProcess(
            parameters,
            {},
            next(logs),
            env={FAULT_ENV: fault.node, 'XDG_CACHE_HOME': str(folder), **transport_env()},
            module=module,
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


_HEADINGS = (
    'fault',
    'the node says (diagnostics; times in the log)',
    'process',
    'bad frames, with a result',
    'good frames, lost',
    'recovers after',
)


def table(rows: Mapping[str, Outcome]) -> str:
    """The matrix in Markdown."""
    lines = []
    for name, row in rows.items():
        times = f' ({row.logged}x)' if row.logged else ''
        said = f'{row.said}{times}' or '-'
        frames = (f'{row.bad}, {row.served}', f'{row.sent}, {row.lost}')
        lines.append((name, said, row.process, *frames, f'{row.recovery_s:.2f} s'))
    return markdown.table(_HEADINGS, lines)


def main() -> int:
    """Run all faults, or those asked for, and print or write the matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else '')
    parser.add_argument('--write', type=Path, metavar='PAGE', help='page to put the matrix into')
    parser.add_argument('--only', default='', metavar='TEXT', help='faults whose name has this')
    args = parser.parse_args()
    own = {**transport_env(), **LOCAL_ENV, 'ROS_DOMAIN_ID': domain_of(os.getpid())}
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
        write_section(args.write, 'faults', table(rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())
