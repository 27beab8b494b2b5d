"""Starts the real node as a process of its own, for commands, tools and tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dtp_stereo_ros.config import Setting

from ..launch_arguments import profile_variable

# Between processes, Fast DDS with default settings loses most large best-effort messages on a busy
# machine; with this every transport carries them. Other DDS implementations ignore it.
LARGE_MESSAGES_ENV = {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}
_DEFAULT_TRANSPORTS = {'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'}
# Carries larger ones, and more of them: docs/reports/large_messages.md. Of a source checkout.
PROFILE = Path(__file__).parents[3] / 'config' / 'dds' / 'fastdds_large_data.xml'
# Only this machine: the first is read by Iron and later, the second by Humble.
LOCAL_ENV = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_LOCALHOST_ONLY': '1'}


# Until it has given a result: a large model on a slow machine.
START_S = 120.0


def reliable(topics: Iterable[str]) -> dict[str, Setting]:
    """Parameters by which the node subscribes to topics, by their full names, reliably.

    On a machine that is saturated, images arrive late then instead of never.
    """
    return {f'qos_overrides.{topic}.subscription.reliability': 'reliable' for topic in topics}


def domain_of(number: int) -> str:
    """`ROS_DOMAIN_ID` of a tool with this process number: 1 to 80.

    Linux gives the ports of 0 to 101 to nobody else; those above 80 are left to the tests.
    """
    return str(1 + number % 80)


class NodeProcess:
    """`depth_node` in a subprocess, ended by SIGINT when the `with` block is left.

    Args:
        parameters: of the node.
        remaps: topic name to topic name.
        log: file that takes its output.
        arguments: further ROS arguments.
        env: set in its environment on top of ours; start your own process with the same
            `LARGE_MESSAGES_ENV`, both sides need it.
        module: that is run.
    """

    def __init__(
        self,
        parameters: Mapping[str, Setting],
        remaps: Mapping[str, str],
        log: Path,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        module: str = 'dtp_stereo_ros.ros.depth_node',
    ) -> None:
        self._log = log
        self._command = [sys.executable, '-m', module, '--ros-args']
        for name, value in parameters.items():
            self._command += ['-p', f'{name}:={_yaml(value)}']
        for old, new in remaps.items():
            self._command += ['-r', f'{old}:={new}']
        self._command += arguments
        self._env = {**os.environ, **LARGE_MESSAGES_ENV, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProcess:
        with self._log.open('wb') as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._env
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of the node; a process that it is to hear needs the same."""
        return self._env

    @property
    def pid(self) -> int:
        """Process id of the node."""
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        """Output and log of the node so far."""
        return self._log.read_text(errors='replace')

    def last_line(self) -> str:
        """The newest line of `output`; '' before there is one."""
        return next(reversed(self.output().strip().splitlines()), '')

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """Wait for the node to end by itself; returns its exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = 15.0) -> int:
        """Interrupt the node as Ctrl-C does; returns its exit code."""
        assert self._process is not None
        return end(self._process, timeout_s, signal.SIGINT)


def profile_env(profile: Path) -> dict[str, str]:
    """Environment for a profile of Fast DDS; both sides need it."""
    return {
        'FASTDDS_DEFAULT_PROFILES_FILE': str(profile),  # Fast DDS 3: Kilted
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(profile),  # 2: Humble, Jazzy
        **_DEFAULT_TRANSPORTS,
    }


def transport_env() -> dict[str, str]:
    """Environment that carries large messages best; both sides need it.

    What the user has set up himself stays: then that is measured. Else it is our profile, where it
    is found: in the source checkout, or in `share` below a folder above this package.
    """
    names = {*LARGE_MESSAGES_ENV, *profile_env(PROFILE)}
    given = {name: os.environ[name] for name in names if name in os.environ}
    if given:
        return given
    inner = Path('config', 'dds', PROFILE.name)
    for folder in Path(__file__).parents:
        for profile in (folder / inner, folder / 'share' / 'dtp_stereo' / inner):
            if profile.is_file():
                variable = profile_variable(os.environ.get('ROS_DISTRO', ''))
                return {variable: str(profile), **_DEFAULT_TRANSPORTS}
    return dict(LARGE_MESSAGES_ENV)


def _yaml(value: Setting) -> str:
    if isinstance(value, tuple):
        return f'[{", ".join(value)}]'
    return str(value).lower() if isinstance(value, bool) else str(value)


def end(
    process: subprocess.Popen[Any], timeout_s: float = 10.0, number: int = signal.SIGTERM
) -> int:
    """Ask a process to end, and kill it if it does not in time; returns its exit code."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
