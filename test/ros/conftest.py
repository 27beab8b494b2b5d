"""One ROS domain of this machine for the session, and the real node as a process."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

HAS_ROS = importlib.util.find_spec('rclpy') is not None
if HAS_ROS:
    # Before rclpy is imported: DDS reads its environment once per process.
    from dtp_stereo_ros.ros.process import LARGE_MESSAGES_ENV, LOCAL_ENV, NodeProcess

    os.environ.update(LARGE_MESSAGES_ENV)
    os.environ.update(LOCAL_ENV)
    # None that a tool takes for itself, see `process.domain_of`, and not the same in two
    # processes that test side by side.
    worker = os.environ.get('PYTEST_XDIST_WORKER')
    number = os.getppid() + 5 * int(worker.removeprefix('gw')) if worker else os.getpid()
    os.environ['ROS_DOMAIN_ID'] = str(81 + number % 20)
else:
    collect_ignore_glob = ['test_*.py']


def pytest_report_header() -> str:
    """Say why test/ros is missing, where it is."""
    if HAS_ROS:
        return f'ROS domain {os.environ["ROS_DOMAIN_ID"]}'
    return 'test/ros is skipped: rclpy is not installed (pip install "dtp_stereo[ros]", or ROS 2)'


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    """An initialised rclpy."""
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def node(ros: None) -> Iterator[Any]:
    """A plain node to publish and subscribe with."""
    from rclpy.node import Node

    made = Node('tester')
    yield made
    made.destroy_node()


@pytest.fixture
def start_depth_node(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start `depth_node` with SGBM; at the end it must obey SIGINT with exit code 0."""
    started: list[NodeProcess] = []

    def start(remaps: Mapping[str, str] | None = None, **parameters: Any) -> NodeProcess:
        defaults = {'backend': 'sgbm', 'disparity_range': 64, 'diagnostics_period': 0.2}
        log = tmp_path / f'node{len(started)}.log'
        process = NodeProcess({**defaults, **parameters}, remaps or {}, log)
        process.__enter__()
        started.append(process)
        return process

    yield start
    for process in started:
        assert process.stop() == 0, process.output()
