"""Tasks done by the workers of a Ray cluster. Needs `ray` (extra `fleet`)."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import StereoError, one_line
from .tasks import ATTEMPTS, Lost, Task, Work, perform

# Tasks that wait beside each that is under way, so that no worker has to wait.
_AHEAD = 2
# For the head of a cluster to answer.
_PATIENCE_S = 10.0


def over_ray(work: Work, tasks: Sequence[Task], address: str) -> Iterator[tuple[Task, Any | Lost]]:
    """Tasks and their results, in the order in which they are done.

    Each task takes one CPU. Where its worker or its machine is lost, Ray gives it to another one,
    `ATTEMPTS` times in all.

    Args:
        work: of all tasks; what it names must be found under the same paths on all machines.
        tasks: to do.
        address: of the cluster: 'auto', 'HOST:PORT', 'ray://HOST:PORT', or 'local' for one that
            is started here. Where Ray runs in this process already, that one is taken.

    Raises:
        StereoError: Ray is not installed, or there is no such cluster.
        Exception: the first that a task raises.
    """
    ray = connect(address)
    do = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(perform)
    shared, waiting = ray.put(work), list(reversed(tasks))
    most = _AHEAD * cpus(address)
    running: dict[Any, Task] = {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                task = waiting.pop()
                running[do.remote(shared, 1, task.given)] = task
            (done,), _ = ray.wait(list(running), num_returns=1)
            task = running.pop(done)
            try:
                answer = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause or error from error
            except ray.exceptions.RayError as error:
                answer = Lost(f'{ATTEMPTS} workers ended at it, the last: {one_line(error)[:200]}')
            yield task, answer
    finally:
        for reference in running:
            ray.cancel(reference)


def connect(address: str) -> Any:
    """The module `ray`, connected.

    Raises:
        StereoError: Ray is not installed, or there is no such cluster.
    """
    # It would report its use to its makers.
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    try:
        import ray
    except ImportError as error:
        raise StereoError(f"--ray: {error}; pip install 'dtp_stereo[fleet]'") from error
    if not ray.is_initialized():
        _reach(address)
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise StereoError(
                f'--ray {address}: {one_line(error)[:200]}; start one by: ray start --head, or '
                'take --ray local'
            ) from error
        print(f'Ray: {cpus(address)} CPUs', file=sys.stderr)
    return ray


def _reach(address: str) -> None:
    """Look whether somebody listens; Ray itself tries for two minutes, and then aborts.

    Raises:
        StereoError: nobody does.
    """
    host, colon, port = address.removeprefix('ray://').rpartition(':')
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), _PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise StereoError(
            f'--ray {address}: {one_line(error)}; start a cluster by: ray start --head, or take '
            '--ray local'
        ) from error


def cpus(address: str) -> int:
    """Number of the CPUs of the cluster, each of which does one task at a time."""
    return max(1, int(connect(address).cluster_resources().get('CPU', 1)))
