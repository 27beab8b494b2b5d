"""Looks at a running system once: graph, topics, stamps, calibration, diagnostics, DDS."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..errors import CalibrationError
from .camera_info import calibration_warnings, stereo_calibration
from .dds import Finding, dds_findings
from .graph import publisher_faults
from .sync import SIDES, stamp_ns

_NS_PER_S = 1_000_000_000
_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_DISCOVERY_S = 2.0


@dataclass
class _Heard:
    """What came on one topic while we listened."""

    count: int = 0
    newest: Any = None
    stamps: list[int] = field(default_factory=list)
    ages_ns: list[int] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)

    def rate_hz(self) -> float:
        """Rate of arrival; 0 for fewer than two messages."""
        if self.count < 2:
            return 0.0
        return (self.count - 1) / max(self.arrivals_s[-1] - self.arrivals_s[0], 1e-9)


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
        self._heard: dict[str, _Heard] = {}
        self._statuses: dict[str, DiagnosticStatus] = {}
        node.create_subscription(DiagnosticArray, '/diagnostics', self._keep_diagnostics, 10)

    def findings(self, seconds: float) -> list[Finding]:
        self._spin(max(seconds, 2.0))
        if 'input' not in self._statuses:
            text = f'{self._name} publishes no diagnostics'
            return [Finding('error', 'node', text, 'it hangs or is no depth_node; see its log')]
        topics = self._topics()
        for key, topic in topics.items():
            self._listen(key, topic)
        self._spin(seconds)
        return [
            Finding('ok', 'node', f'{self._name} is {self._state()}'),
            *self._told(),
            *self._clock(),
            *(f for key, topic in topics.items() for f in self._topic(key, topic, seconds)),
            *self._stamps(),
            *self._calibration(),
            *dds_findings(len(image.data) if (image := self._heard['left'].newest) else 0),
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
        return self._values('matching').get('state', 'unknown')

    def _topics(self) -> dict[str, str]:
        """'left', 'right', 'left_info', 'right_info' to topics, as the node tells them."""
        images, infos = self._values('input'), self._values('calibration')
        topics = {side: images[f'{side} topic'] for side in SIDES}
        return {**topics, **{f'{side}_info': infos[f'{side} camera_info'] for side in SIDES}}

    def _type(self, key: str, topic: str) -> type:
        if key.endswith('_info'):
            return CameraInfo
        return CompressedImage if topic.endswith('/compressed') else Image

    def _listen(self, key: str, topic: str) -> None:
        heard = self._heard[key] = _Heard()

        def take(msg: Any) -> None:
            heard.count += 1
            heard.arrivals_s.append(time.monotonic())
            heard.newest = msg
            heard.stamps.append(stamp_ns(msg))
            heard.ages_ns.append(self._node.get_clock().now().nanoseconds - stamp_ns(msg))

        self._node.create_subscription(self._type(key, topic), topic, take, _SENSOR)

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
        client = self._node.create_client(GetParameters, f'{self._name}/get_parameters')
        if not client.wait_for_service(1.0):
            text = 'the parameter services of the node do not answer'
            return [Finding('warn', 'parameters', text, 'is it busy, or on another machine?')]
        future = client.call_async(GetParameters.Request(names=['use_sim_time']))
        self._spin(1.0)
        result = future.result() if future.done() else None
        simulated = bool(result and result.values and result.values[0].bool_value)
        if simulated and self._node.count_publishers('/clock') == 0:
            mend = 'start the simulation, or play the bag with --clock; or use_sim_time:=false'
            return [Finding('error', 'clock', 'use_sim_time is set but nobody sends /clock', mend)]
        return []

    def _topic(self, key: str, topic: str, seconds: float) -> list[Finding]:
        publishers = self._node.count_publishers(topic)
        heard = self._heard[key]
        if publishers == 0:
            known = [t for t, kinds in self._node.get_topic_names_and_types() if _alike(t, topic)]
            hint = f'; there is {", ".join(sorted(known)[:3])}' if known else ''
            mend = f'start the camera, or remap{hint}'
            return [Finding('error', key, f'{topic}: no publisher', mend)]
        qos = next(
            (
                info.qos_profile
                for info in self._node.get_subscriptions_info_by_topic(topic)
                if f'{info.node_namespace.rstrip("/")}/{info.node_name}' == self._name
            ),
            _SENSOR,
        )
        faults = publisher_faults(self._node, topic, self._type(key, topic), qos)
        found = []
        for fault in faults:
            text, _, mend = fault.rpartition('; ')
            mend = mend if text else 'use a topic of the right type'
            found.append(Finding('error', key, text or fault, mend))
        if publishers > 1:
            text = f'{topic}: {publishers} publishers'
            found.append(Finding('warn', key, text, 'two cameras on one topic? remap one'))
        if heard.count == 0 and not faults:
            text = f'{topic}: {publishers} publisher, but nothing came in {seconds:g} s'
            mend = 'is the camera running? are large messages lost (docs/large_messages.md)?'
            found.append(Finding('error', key, text, mend))
        elif heard.count:
            found.append(Finding('ok', key, f'{topic}: {heard.rate_hz():.1f} Hz'))
        return found

    def _stamps(self) -> list[Finding]:
        left, right = self._heard['left'], self._heard['right']
        if not (left.stamps and right.stamps):
            return []
        found = []
        if 0 in (left.stamps[-1], right.stamps[-1]):
            mend = 'let the driver set header.stamp'
            return [Finding('error', 'stamps', 'images have no stamp (0)', mend)]
        age_s = statistics.median(left.ages_ns) / _NS_PER_S
        if abs(age_s) > 60:
            text = f'images are {age_s:.0f} s off the clock'
            mend = 'a bag: use_sim_time and --clock; a camera: synchronise its clock'
            found.append(Finding('warn', 'stamps', text, mend))
        gaps = [min((r - s for r in right.stamps), key=abs) for s in left.stamps[1:-1]]
        if gaps and all(gap == 0 for gap in gaps):
            found.append(Finding('ok', 'stamps', 'left and right are equal'))
        elif gaps:
            share = sum(gap != 0 for gap in gaps) / len(gaps)
            gap_ms = statistics.median(abs(g) for g in gaps if g) / 1e6
            text = f'{100 * share:.0f} % of the left images have no right one of the same stamp'
            mend = f'nearest is {gap_ms:.3g} ms away: approximate_sync, or trigger the cameras'
            found.append(Finding('warn' if share < 0.5 else 'error', 'stamps', text, mend))
        return found

    def _calibration(self) -> list[Finding]:
        infos = {side: self._heard[f'{side}_info'].newest for side in SIDES}
        image = self._heard['left'].newest
        if None in infos.values():
            return []
        size = (image.width, image.height) if isinstance(image, Image) else None
        width, height = size or (infos['left'].width, infos['left'].height)
        try:
            calibration = stereo_calibration(infos['left'], infos['right'], width, height)
        except CalibrationError as error:
            text, _, mend = str(error).rpartition('; ')
            return [Finding('error', 'calibration', text or str(error), mend)]
        text = f'f = {calibration.fx_px:.5g} px, baseline = {calibration.baseline_m:.4g} m'
        frame = image.header.frame_id if image else infos['left'].header.frame_id
        return [
            Finding('ok', 'calibration', text),
            *(
                Finding('warn', 'calibration', warning, 'see the camera driver')
                for warning in calibration_warnings(infos['left'], infos['right'], frame)
            ),
        ]


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


def _alike(topic: str, wanted: str) -> bool:
    """Whether a topic might have been meant: the same last part, and the same side."""
    side = 'left' if 'left' in wanted else 'right'
    return (
        topic != wanted
        and topic.rsplit('/', 1)[-1] == wanted.rsplit('/', 1)[-1]
        and (side in topic)
    )
