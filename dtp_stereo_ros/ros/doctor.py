"""A look at a running system: graph, topics, stamps, views, calibration, diagnostics, DDS."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier

from .. import models, system
from ..config import NodeConfig
from ..health.dds_settings import dds_findings
from ..health.faster_model import faster_model
from ..health.finding import Finding, from_line
from ..messages.images import set_other_decoder
from ..stereo import SIDES
from .camera_examination import CameraExamination
from .cv_bridge_decoder import CvBridgeDecoder
from .diagnostics import findings_of, pid_here
from .output_publishers import same_name
from .service_caller import Caller

# Discovery takes a tenth of a second on an idle machine, seconds on a busy one or over Wi-Fi.
_DISCOVERY_S = 10.0
_STEP_S = 0.1
_ANSWER_S = 3.0
# The parameters of the node that a finding depends on.
_PARAMETERS = ('use_sim_time', 'rectify', 'approximate_sync', 'diagnostics_period')
# Of these the node tells more than a look from outside.
_TOLD_BETTER = ('views', 'stamps', 'lost frames', 'calibration', 'camera_info')


def examine(name: str, seconds: float) -> list[Finding]:
    """Look at the node of that name, in whatever namespace, and at what it depends on.

    Args:
        name: of the node, with or without its namespace.
        seconds: how long to listen to its topics.
    """
    with _node() as (node, spin):
        names = _found(node, spin, name)
        if not names:
            domain = os.environ.get('ROS_DOMAIN_ID', '0')
            text = f'no node {name} in ROS domain {domain} ({get_rmw_implementation_identifier()})'
            mend = (
                'ros2 run dtp_stereo depth_node; or compare its environment with this one: '
                'printenv | grep -E "ROS_DOMAIN_ID|RMW_IMPLEMENTATION|ROS_AUTOMATIC|ROS_LOCALHOST"'
            )
            return [Finding('error', 'node', text, mend)]
        findings = []
        for full_name in names:
            findings += _Examination(node, spin, full_name).findings(seconds)
        return findings


def _found(node: Node, spin: Callable[[float], None], name: str) -> list[str]:
    """Full names of the nodes of that name; waits for the first."""

    def names() -> list[str]:
        full = {
            f'{namespace.rstrip("/")}/{short}'
            for short, namespace in node.get_node_names_and_namespaces()
            if name in (short, f'{namespace.rstrip("/")}/{short}')
        }
        return sorted(full)

    _wait(spin, lambda: bool(names()), _DISCOVERY_S)
    return names()


def _wait(spin: Callable[[float], None], ready: Callable[[], bool], timeout_s: float) -> bool:
    """Spin until something is ready; returns whether it is."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            return False
        spin(_STEP_S)
    return True


class _Examination:
    """The examination of one node."""

    def __init__(self, node: Node, spin: Callable[[float], None], name: str) -> None:
        self._node, self._spin, self._name = node, spin, name
        self._statuses: dict[str, DiagnosticStatus] = {}
        self._processes: set[str] = set()
        self._settings: dict[str, Any] = {}
        node.create_subscription(DiagnosticArray, '/diagnostics', self._keep_diagnostics, 10)

    def findings(self, seconds: float) -> list[Finding]:
        clock = self._clock()
        period_s = float(self._settings.get('diagnostics_period') or NodeConfig.diagnostics_period)
        _wait(self._spin, lambda: bool(self._statuses), _DISCOVERY_S + period_s)
        # 'input' of the only camera, 'front/input' of one with a name.
        names = [s.rpartition('/')[0] for s in self._statuses if s.rpartition('/')[2] == 'input']
        if not names:
            text = f'{self._name} publishes no diagnostics'
            mend = f'it hangs or is no depth_node, see its log, and: ros2 node info {self._name}'
            return [Finding('error', 'node', text, mend), *clock]
        cameras = [
            CameraExamination(self._node, self._name, camera, self._topics(camera), self._settings)
            for camera in names
        ]
        # Endpoints are discovered later than the node that has them.
        _wait(self._spin, lambda: all(c.discovered() for c in cameras), min(seconds, _DISCOVERY_S))
        for camera in cameras:
            camera.listen()
        listening_s = max(seconds, period_s + _STEP_S)
        self._spin(listening_s / 2)
        for camera in cameras:
            camera.catch_latched()
        self._spin(listening_s / 2)
        told = self._told()
        seen = [finding for camera in cameras for finding in camera.findings(seconds)]
        rmw = get_rmw_implementation_identifier()
        size = max(camera.image_bytes() for camera in cameras)
        remote = any(camera.remote() for camera in cameras)
        return [
            Finding('ok', 'node', f'{self._name} is {self._state()}'),
            *_not_told(self._same_name(), told),
            *told,
            *clock,
            *_not_told(seen, told),
            *self._faster_model(),
            *dds_findings(rmw, size, remote),
        ]

    def _keep_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            owner, _, part = status.name.partition(': ')
            if owner == self._name.lstrip('/'):
                self._statuses[part] = status
                self._processes |= {v.value for v in status.values if v.key == 'process'}

    def _same_name(self) -> list[Finding]:
        """Nodes of one name, by the processes that send diagnostics.

        The graph also shows a node that was killed a moment ago.
        """
        count = len(self._processes)
        return [same_name(self._name, count)] if count > 1 else []

    def _values(self, part: str) -> dict[str, str]:
        status = self._statuses.get(part)
        return {v.key: v.value for v in status.values} if status else {}

    def _matching(self) -> dict[str, str]:
        """State and model, as the status of every camera tells them."""
        parts = (part for part in self._statuses if part.endswith('matching'))
        return next(map(self._values, parts), {})

    def _state(self) -> str:
        """State of the lifecycle."""
        return self._matching().get('state', '') or 'unknown'

    def _faster_model(self) -> list[Finding]:
        """A faster form of the model, where the node runs on this machine."""
        if not any(map(pid_here, self._processes)):
            return []
        flags = system.processor_flags(system.cpuinfo())
        return faster_model(self._matching(), flags, models.names(('.onnx',)), self._name)

    def _topics(self, camera: str) -> dict[str, str]:
        """'left', 'right', 'left_info', 'right_info' to topics, as the node publishes them."""
        prefix = f'{camera}/' if camera else ''
        images, infos = self._values(f'{prefix}input'), self._values(f'{prefix}calibration')
        topics = {side: images[f'{side} topic'] for side in SIDES}
        return {**topics, **{f'{side}_info': infos[f'{side} camera_info'] for side in SIDES}}

    def _told(self) -> list[Finding]:
        """The node's own findings."""
        found = []
        for part, status in self._statuses.items():
            camera = part.rpartition('/')[0]
            prefix = f'{camera}/' if camera else ''
            if status.level == DiagnosticStatus.OK:
                found.append(Finding('ok', part, status.message))
                continue
            level = 'error' if status.level == DiagnosticStatus.ERROR else 'warn'
            stated = findings_of(status) or [from_line(level, part, status.message)]
            found += [Finding(f.level, prefix + f.subject, f.text, f.mend) for f in stated]
        if self._state() in ('unconfigured', 'inactive'):
            steps = ('configure', 'activate')[self._state() == 'inactive' :]
            mend = ' && '.join(f'ros2 lifecycle set {self._name} {step}' for step in steps)
            found.append(Finding('error', 'lifecycle', f'the node is {self._state()}', mend))
        return found

    def _clock(self) -> list[Finding]:
        """Ask for the parameters; a simulated clock must come from somewhere."""
        request = GetParameters.Request(names=list(_PARAMETERS))
        with Caller(GetParameters, f'{self._name}/get_parameters', _ANSWER_S) as caller:
            response = caller.call(request)
        if response is None:
            text = 'the parameter services of the node do not answer'
            mend = f'see whether it is busy: top, ros2 node info {self._name}'
            return [Finding('warn', 'parameters', text, mend)]
        self._settings = {
            name: Parameter.from_parameter_msg(ParameterMsg(name=name, value=value)).value
            for name, value in zip(_PARAMETERS, response.values, strict=False)
        }
        if self._settings.get('use_sim_time') and self._node.count_publishers('/clock') == 0:
            mend = f'ros2 bag play BAG --clock; or ros2 param set {self._name} use_sim_time false'
            return [Finding('error', 'clock', 'use_sim_time is set but nobody sends /clock', mend)]
        return []


def _not_told(seen: Sequence[Finding], told: Sequence[Finding]) -> list[Finding]:
    """The findings of the doctor that the node has not stated itself."""
    wrong = [finding for finding in told if finding.level != 'ok']
    subjects = {f.subject for f in wrong if f.subject.rpartition('/')[2] in _TOLD_BETTER}
    texts = {finding.text for finding in wrong}
    return [
        finding
        for finding in seen
        if finding.level == 'ok' or not (finding.subject in subjects or finding.text in texts)
    ]


@contextmanager
def _node() -> Iterator[tuple[Node, Callable[[float], None]]]:
    """A node of our own, and a function that receives for it."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node(f'dtp_stereo_doctor_{os.getpid()}')
        # As the node decodes them.
        set_other_decoder(CvBridgeDecoder(node.get_logger().warning))
        executor = SingleThreadedExecutor()
        executor.add_node(node)

        def spin(duration_s: float) -> None:
            deadline = time.monotonic() + duration_s
            while (left_s := deadline - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=left_s)

        yield node, spin
        node.destroy_node()
    finally:
        set_other_decoder(None)
        rclpy.try_shutdown()
