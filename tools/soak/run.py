"""A long run of the real node: does its memory grow, does its rate fall?

    python -m tools.soak.run --minutes 30 --rate 30 --size 640x480 --write docs/reports/soak.md

A camera in a process of its own sends textured pairs over DDS, the node runs in another, and this
one subscribes to the disparity and looks at the node's memory every few seconds. Interrupted
(Ctrl-C), it writes what it has; the page and its plot are also written every minute.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from dtp_stereo_ros.errors import InputError, StereoError
from dtp_stereo_ros.ros.harness.node_process import (
    LARGE_MESSAGES_ENV,
    LOCAL_ENV,
    PROFILE,
    NodeProcess,
    domain_of,
    end,
    profile_env,
)
from dtp_stereo_ros.ros.harness.player import play_frames
from dtp_stereo_ros.ros.harness.textured_walls import textured_walls
from dtp_stereo_ros.sizes import parse_size

from ..doc_sections import check_section, write_section
from .listener import Interval, Listener
from .report import Sample, Soak, check_plot, draw, judge, section

_START_S = 120.0
_WRITE_EVERY_S = 60.0


class Stop:
    """Whether the user has interrupted."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, stack: FrameType | None) -> None:
        self.asked = True


def soak(args: argparse.Namespace, stop: Stop, folder: Path) -> Iterator[Soak]:
    """Run; gives the same `Soak` after each sample, so that it can be written at any time.

    Raises:
        InputError: no result came in the beginning.
    """
    title = f'Pairs of {args.size} at {args.rate:g} Hz for {args.minutes:g} minutes'
    run = Soak(title, 60 * args.minutes)
    parameters = {'backend': args.backend, 'model': args.model}
    with (
        NodeProcess(parameters, {}, folder / 'node.log', env=_transports()) as process,
        _camera(args),
        _listener() as (listener, spin),
    ):
        _first_result(listener, spin, process, stop)
        interval = Interval(listener)
        while not stop.asked and (not run.samples or run.samples[-1].time_s < run.planned_s):
            end = time.monotonic() + args.every
            while not stop.asked and (left_s := end - time.monotonic()) > 0:
                spin(min(left_s, 0.1))
            if process.poll() is None:
                run.samples.append(interval.sample(process.pid))
            elif not stop.asked:  # Ctrl-C reaches the node, too
                run.failure = f'the node ended with code {process.poll()}'
                stop.asked = True
            told = sorted({Path(value).name for value in _transports().values()} - {'DEFAULT'})
            run.facts = {**listener.facts(), 'Fast DDS': ', '.join(told)}
            yield run


def _transports() -> dict[str, str]:
    """Fast DDS settings of our environment, which `NodeProcess` would change."""
    names = profile_env(PROFILE)
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _first_result(
    listener: Listener, spin: Callable[[float], None], process: NodeProcess, stop: Stop
) -> None:
    deadline = time.monotonic() + _START_S
    while not listener.latencies_ms and not stop.asked:
        spin(0.1)
        if time.monotonic() > deadline or process.poll() is not None:
            last = process.last_line()
            raise InputError(f'no result within {_START_S:g} s; last line of the log: {last}')


@contextmanager
def _camera(args: argparse.Namespace) -> Iterator[None]:
    command = [sys.executable, '-m', 'tools.soak.run', '--role', 'camera']
    command += ['--size', args.size, '--rate', str(args.rate)]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            end(process)


@contextmanager
def _listener() -> Iterator[tuple[Listener, Callable[[float], None]]]:
    # Signals are ours: the run is to be written.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    listener = Listener()
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    try:
        yield listener, executor.spin_once
    finally:
        executor.shutdown()
        rclpy.try_shutdown()


def _play(width: int, height: int, rate_hz: float) -> None:
    def end(number: int, stack: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    # rclpy would shut down under a running publish, which raises.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node('soak_camera')
    with contextlib.suppress(KeyboardInterrupt):
        play_frames(node, itertools.cycle(textured_walls(width, height)), rate_hz, wait_s=_START_S)
    rclpy.try_shutdown()


def _write(run: Soak, page: Path) -> None:
    plot = page.with_suffix('.png')
    draw(plot, run.samples)
    command = shlex.join(['python', '-m', 'tools.soak.run', *sys.argv[1:]])
    write_section(page, 'soak', section(run, plot.name, command))


def _line(sample: Sample) -> str:
    return (
        f'{sample.time_s:7.1f} s  {sample.rss_mib:7.1f} MiB  sent {sample.sent_hz:5.1f} Hz  '
        f'out {sample.out_hz:5.1f} Hz  p95 {sample.latency_p95_ms:6.0f} ms'
    )


def main() -> int:
    """Run; exit code 0 when memory is flat and the rate is kept, 1 when not, 2 for user errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else '')
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--rate', type=float, default=30.0, metavar='HZ')
    parser.add_argument('--size', default='640x480', metavar='WxH')
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--model', default='dtpnet')
    parser.add_argument('--every', type=float, default=5.0, metavar='S', help='time of a sample')
    parser.add_argument(
        '--write', type=Path, metavar='PAGE', help='page with marks; the plot goes beside it'
    )
    parser.add_argument('--role', choices=('camera',), help=argparse.SUPPRESS)
    args = parser.parse_args()
    try:
        width, height = parse_size(args.size, '--size', 'WIDTHxHEIGHT')
        if args.role == 'camera':
            _play(width, height, args.rate)
            return 0
        return _run(args)
    except StereoError as error:
        print(f'soak: {error}', file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    transports = profile_env(PROFILE) if PROFILE.is_file() else LARGE_MESSAGES_ENV
    own = {**transports, **LOCAL_ENV, 'ROS_DOMAIN_ID': domain_of(os.getpid())}
    for name, value in own.items():
        os.environ.setdefault(name, value)
    run = Soak('', 0.0)
    if args.write:
        check_section(args.write, 'soak')  # in time
        check_plot(args.write)
    written_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for run in soak(args, Stop(), Path(folder)):
            if run.samples:
                print(_line(run.samples[-1]), flush=True)
            if args.write and time.monotonic() - written_s > _WRITE_EVERY_S:
                _write(run, args.write)
                written_s = time.monotonic()
    if args.write:
        _write(run, args.write)
    print(section(run, '', ''))
    verdict = judge(run.samples)
    return int(bool(run.failure) or not (verdict and verdict.memory_flat and verdict.rate_kept))


if __name__ == '__main__':
    sys.exit(main())
