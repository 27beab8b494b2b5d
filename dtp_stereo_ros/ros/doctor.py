"""Looks at a running system once: graph, topics, stamps, calibration, diagnostics, DDS."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier

from .camera_examination import CameraExamination
from .dds import Finding, dds_findings
from .services import Caller
from .sync import SIDES

_DISCOVERY_S = 2.0
_ANSWER_S = 3.0


def examine(name: str, seconds: float) -> list[Finding]:
    """Look at the node of that name, in whatever namespace, and at what it depends on.

    Args:
        name: of the node, with or without its namespace.
        seconds: how long to listen to its topics.
    """
    with _node() as (node, spin):
        spin(_DISCOVERY_S)
        found = [
            f'{namespace.rstrip("/")}/{n}'
            for n, namespace in node.get_node_names_and_namespaces()
            if name in (n, f'{namespace.rstrip("/")}/{n}')
        ]
        if not found:
            domain = os.environ.get('ROS_DOMAIN_ID', '0')
            text = f'no node {name} in ROS domain {domain} ({get_rmw_implementation_identifier()})'
            mend = 'start it; or compare ROS_DOMAIN_ID, RMW_IMPLEMENTATION and discovery range'
            return [Finding('error', 'node', text, mend)]
        findings = []
        for full_name in sorted(set(found)):
            findings += _Examination(node, spin, full_name).findings(seconds)
        if len(found) > len(set(found)):
            text, mend = f'{len(found)} nodes have one name', 'rename one with -r __node:=NAME'
            findings.append(Finding('error', 'node', text, mend))
        return findings


class _Examination:
    """Of one node."""

    def __init__(self, node: Node, spin: Callable[[float], None], name: str) -> None:
        self._node, self._spin, self._name = node, spin, name
        self._statuses: dict[str, DiagnosticStatus] = {}
        node.create_subscription(DiagnosticArray, '/diagnostics', self._keep_diagnostics, 10)

    def findings(self, seconds: float) -> list[Finding]:
        self._spin(max(seconds, 2.0))
        # 'input' of the only camera, 'front/input' of one with a name.
        names = [s.rpartition('/')[0] for s in self._statuses if s.rpartition('/')[2] == 'input']
        if not names:
            text = f'{self._name} publishes no diagnostics'
            return [Finding('error', 'node', text, 'it hangs or is no depth_node; see its log')]
        cameras = [
            CameraExamination(self._node, self._name, name, self._topics(name)) for name in names
        ]
        self._spin(seconds)
        return [
            Finding('ok', 'node', f'{self._name} is {self._state()}'),
            *self._told(),
            *self._clock(),
            *(finding for camera in cameras for finding in camera.findings(seconds)),
            *dds_findings(max(camera.image_bytes() for camera in cameras)),
        ]

    def _keep_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            owner, _, part = status.name.partition(': ')
            if owner == self._name.lstrip('/'):
                self._statuses[part] = status

    def _values(self, part: str) -> dict[str, str]:
        status = self._statuses.get(part)
        return {v.key: v.value for v in status.values} if status else {}

    def _state(self) -> str:
        """Of the lifecycle: every camera's status tells it."""
        parts = (part for part in self._statuses if part.endswith('matching'))
        return next((self._values(part).get('state', '') for part in parts), '') or 'unknown'

    def _topics(self, camera: str) -> dict[str, str]:
        """'left', 'right', 'left_info', 'right_info' to topics, as the node tells them."""
        prefix = f'{camera}/' if camera else ''
        images, infos = self._values(f'{prefix}input'), self._values(f'{prefix}calibration')
        topics = {side: images[f'{side} topic'] for side in SIDES}
        return {**topics, **{f'{side}_info': infos[f'{side} camera_info'] for side in SIDES}}

    def _told(self) -> list[Finding]:
        """What the node itself complains of; its texts hold the mend."""
        found = []
        for part, status in self._statuses.items():
            if status.level == DiagnosticStatus.OK:
                found.append(Finding('ok', part, status.message))
            else:
                level = 'error' if status.level == DiagnosticStatus.ERROR else 'warn'
                text, _, mend = status.message.rpartition('; ')
                found.append(Finding(level, part, text or mend, mend if text else 'see below'))
        if self._state() in ('unconfigured', 'inactive'):
            mend = 'ros2 lifecycle set; or start it with autostart:=true'
            found.append(Finding('error', 'lifecycle', f'the node is {self._state()}', mend))
        return found

    def _clock(self) -> list[Finding]:
        request = GetParameters.Request(names=['use_sim_time'])
        service = f'{self._name}/get_parameters'
        with Caller(GetParameters, service, _ANSWER_S) as caller:
            response = caller.call(request)
        if response is None:
            text = 'the parameter services of the node do not answer'
            return [Finding('warn', 'parameters', text, 'is it busy, or on another machine?')]
        simulated = bool(response.values and response.values[0].bool_value)
        if simulated and self._node.count_publishers('/clock') == 0:
            mend = 'start the simulation, or play the bag with --clock; or use_sim_time:=false'
            return [Finding('error', 'clock', 'use_sim_time is set but nobody sends /clock', mend)]
        return []


@contextmanager
def _node() -> Iterator[tuple[Node, Callable[[float], None]]]:
    """A node of our own, and what receives for it."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node(f'dtp_stereo_doctor_{os.getpid()}')
        executor = SingleThreadedExecutor()
        executor.add_node(node)

        def spin(duration_s: float) -> None:
            deadline = time.monotonic() + duration_s
            while (left_s := deadline - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=left_s)

        yield node, spin
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
