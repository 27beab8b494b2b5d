"""Findings of `doctor` at one stereo camera: topics, publishers, stamps, views, calibration."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..errors import CalibrationError, StereoError
from ..health.dds_settings import LARGE_MESSAGES, loss_mend
from ..health.finding import Finding, from_line
from ..health.loss import lost_beside_infos, lost_beside_infos_findings, lost_findings
from ..health.stamps import KEPT, Arrival, after_jump, stamp_findings
from ..health.view_check import ViewCheck, ViewSetting
from ..stereo import StereoCalibration
from .camera_info import calibration_warnings, stereo_calibration
from .encodings import to_rgb
from .graph import latched_qos, publisher_faults
from .rectify import rectified_matches
from .stream import period_ns
from .sync import SIDES, stamp_ns

_NS_PER_S = 1_000_000_000
_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
# Images of each side that are kept, to find pairs among them.
_KEPT = 8
# Where stamps differ, images of a pair are at most so far apart.
_PAIR_NS = 50_000_000
# A stamp further from the clock than this is of another time.
_OFF_CLOCK_S = 60


@dataclass
class _Heard:
    """The messages of one topic while we listened."""

    count: int = 0
    newest: Any = None
    kept: deque[Any] = field(default_factory=lambda: deque(maxlen=_KEPT))
    stamps: list[int] = field(default_factory=list)
    ages_ns: list[int] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)

    def rate_hz(self) -> float:
        """Rate of arrival; 0 for fewer than two messages."""
        if self.count < 2:
            return 0.0
        return (self.count - 1) / max(self.arrivals_s[-1] - self.arrivals_s[0], 1e-9)


class CameraExamination:
    """Listens to the inputs of a camera from `listen` on.

    Args:
        node: of ours, that listens.
        owner: full name of the examined node.
        camera: its name there, '' for the only one.
        topics: 'left', 'right', 'left_info', 'right_info' to topics.
        settings: parameters of the node by name, as far as they are known.
    """

    def __init__(
        self,
        node: Node,
        owner: str,
        camera: str,
        topics: Mapping[str, str],
        settings: Mapping[str, Any],
    ) -> None:
        self._node, self._owner, self._camera = node, owner, camera
        self._prefix = f'{camera}/' if camera else ''
        self._topics = topics
        self._settings = settings
        self._heard = {key: _Heard() for key in topics}

    def discovered(self) -> bool:
        """Whether each topic has a publisher."""
        return all(self._node.count_publishers(topic) for topic in self._topics.values())

    def listen(self) -> None:
        """Subscribe to everything."""
        for key, topic in self._topics.items():
            self._subscribe(key, topic, _SENSOR)

    def catch_latched(self) -> None:
        """Ask for the camera infos that were sent before we came, where they are kept."""
        for key, topic in self._topics.items():
            if self._type(key, topic) is CameraInfo and not self._heard[key].count:
                qos = latched_qos(self._node, topic, CameraInfo)
                if qos is not None:
                    self._subscribe(key, topic, qos)

    def image_bytes(self) -> int:
        """Size of a left image, 0 when none came."""
        image = self._heard['left'].newest
        return len(image.data) if image else 0

    def remote(self) -> bool:
        """Whether images come from another machine.

        Fast DDS puts the machine into bytes 2 and 3 of the identifiers of its endpoints.
        """
        own = self._node.get_publishers_info_by_topic('/rosout')
        name = self._node.get_name()
        here = next((bytes(i.endpoint_gid)[:4] for i in own if i.node_name == name), b'')
        gids = [
            bytes(info.endpoint_gid)[:4]
            for side in SIDES
            for info in self._node.get_publishers_info_by_topic(self._topics[side])
        ]
        return bool(here) and any(gid != here for gid in gids)

    def findings(self, seconds: float) -> list[Finding]:
        """Findings on the messages of that time and on the graph."""
        found = [
            f for key, topic in self._topics.items() for f in self._topic(key, topic, seconds)
        ]
        found += self._stamps()
        calibration, calibration_findings = self._calibration()
        found += calibration_findings
        if calibration is not None:
            found += self._views(calibration)
        return [replace(f, subject=self._prefix + f.subject) for f in found]

    def _type(self, key: str, topic: str) -> type:
        if key.endswith('_info'):
            return CameraInfo
        return CompressedImage if topic.endswith('/compressed') else Image

    def _subscribe(self, key: str, topic: str, qos: QoSProfile) -> None:
        heard = self._heard[key]

        def take(msg: Any) -> None:
            heard.count += 1
            heard.arrivals_s.append(time.monotonic())
            heard.newest = msg
            heard.kept.append(msg)
            heard.stamps.append(stamp_ns(msg))
            heard.ages_ns.append(self._node.get_clock().now().nanoseconds - stamp_ns(msg))

        self._node.create_subscription(self._type(key, topic), topic, take, qos)

    def _topic(self, key: str, topic: str, seconds: float) -> list[Finding]:
        publishers = self._node.count_publishers(topic)
        heard = self._heard[key]
        side, _, info = key.partition('_')
        name = f'{self._prefix}{side}/{"camera_info" if info else "image_rect"}'
        if publishers == 0:
            known = [t for t, kinds in self._node.get_topic_names_and_types() if _alike(t, topic)]
            mend = (
                'start the camera, or the node with '
                f'--ros-args -r {name}:={min(known, default="TOPIC")}'
            )
            return [Finding('error', key, f'{topic}: no publisher', mend)]
        qos = next(
            (
                info.qos_profile
                for info in self._node.get_subscriptions_info_by_topic(topic)
                if f'{info.node_namespace.rstrip("/")}/{info.node_name}' == self._owner
            ),
            _SENSOR,
        )
        faults = publisher_faults(self._node, topic, self._type(key, topic), qos)
        found = [replace(fault, subject=key) for fault in faults]
        if publishers > 1:
            text = f'{topic}: {publishers} publishers'
            mend = f'end one of them, or remap one: ros2 topic info -v {topic}'
            found.append(Finding('warn', key, text, mend))
        if heard.count == 0 and not faults:
            text = f'{topic}: {publishers} publisher, but nothing came in {seconds:g} s'
            mend = f'see whether it is sent, and lost on the way: ros2 topic hz {topic}'
            # A camera_info may be sent but seldom; the node tells when it has none.
            level = 'warn' if key.endswith('_info') else 'error'
            found.append(Finding(level, key, text, mend))
        elif heard.count:
            rate = f'{heard.rate_hz():.1f} Hz' if heard.count > 1 else 'one message'
            found.append(Finding('ok', key, f'{topic}: {rate}'))
        return found

    def _stamps(self) -> list[Finding]:
        left, right = self._heard['left'], self._heard['right']
        if not (left.stamps and right.stamps):
            return []
        found = stamp_findings(self._arrivals(), self._topics)
        if found:
            return found
        age_s = statistics.median(left.ages_ns) / _NS_PER_S
        if abs(age_s) > _OFF_CLOCK_S and not self._settings.get('use_sim_time'):
            text = f'images are {age_s:.0f} s off the clock'
            mend = (
                f'a bag: ros2 bag play BAG --clock, and ros2 param set {self._owner} use_sim_time '
                'true; a camera: synchronise its clock (chrony, PTP)'
            )
            found.append(Finding('warn', 'stamps', text, mend))
        lost = self._lost()
        return [*found, *(lost or self._gaps(left.stamps, right.stamps))]

    def _arrivals(self) -> dict[str, list[Arrival]]:
        """The newest images of both sides."""
        heard = {side: self._heard[side] for side in SIDES}
        return {
            side: [
                (stamp, int(arrival_s * _NS_PER_S))
                for stamp, arrival_s in zip(h.stamps, h.arrivals_s, strict=True)
            ][-KEPT:]
            for side, h in heard.items()
        }

    def _lost(self) -> list[Finding]:
        """Loss on the way to us, as a sign of that on the way to the node."""
        intervals = [
            after - before
            for side in SIDES
            for before, after in pairwise(sorted(set(after_jump(self._heard[side].stamps))))
        ]
        rmw, size = get_rmw_implementation_identifier(), self.image_bytes()
        mends = {side: loss_mend(rmw, size, self._topics[side]) for side in SIDES}
        shares = {
            side: lost_beside_infos([(self._heard[side].count, self._heard[f'{side}_info'].count)])
            for side in SIDES
            if mends[side] == LARGE_MESSAGES
        }
        return lost_beside_infos_findings(shares, self._topics, mends) or lost_findings(
            self._arrivals(), period_ns(intervals), self._topics, mends
        )

    def _gaps(self, left: list[int], right: list[int]) -> list[Finding]:
        """Stamps of left images that no right one has."""
        gaps = [min((r - s for r in right), key=abs) for s in left[1:-1]]
        if not gaps:
            return []
        if all(gap == 0 for gap in gaps):
            return [Finding('ok', 'stamps', 'left and right are equal')]
        share = sum(gap != 0 for gap in gaps) / len(gaps)
        gap_ms = statistics.median(abs(g) for g in gaps if g) / 1e6
        text = (
            f'{100 * share:.0f} % of the left images have no right one of the same stamp, the '
            f'nearest is {gap_ms:.3g} ms away'
        )
        if self._settings.get('approximate_sync'):
            return [Finding('ok', 'stamps', text)]
        mend = f'ros2 param set {self._owner} approximate_sync true, or trigger the cameras'
        return [Finding('warn' if share < 0.5 else 'error', 'stamps', text, mend)]

    def _calibration(self) -> tuple[StereoCalibration | None, list[Finding]]:
        infos = {side: self._heard[f'{side}_info'].newest for side in SIDES}
        image = self._heard['left'].newest
        if None in infos.values():
            return None, []
        size = (image.width, image.height) if isinstance(image, Image) else None
        width, height = size or (infos['left'].width, infos['left'].height)
        try:
            calibration = stereo_calibration(infos['left'], infos['right'], width, height)
        except CalibrationError as error:
            return None, [from_line('error', 'calibration', str(error))]
        text = f'f = {calibration.fx_px:.5g} px, baseline = {calibration.baseline_m:.4g} m'
        frame = image.header.frame_id if image else infos['left'].header.frame_id
        warnings = calibration_warnings(infos['left'], infos['right'], frame)
        found = [from_line('warn', 'calibration', warning) for warning in warnings]
        return calibration, [Finding('ok', 'calibration', text), *found]

    def _views(self, calibration: StereoCalibration) -> list[Finding]:
        """Exchanged and raw views, by the newest pairs."""
        infos = {side: self._heard[f'{side}_info'].newest for side in SIDES}
        rectify = bool(self._settings.get('rectify'))
        setting = ViewSetting(self._owner, self._prefix, rectify, self._topics)
        check = ViewCheck()
        found: list[Finding] = []
        for pair in self._pairs():
            try:
                left, right = (
                    to_rgb(msg, self._topics[side]) for side, msg in zip(SIDES, pair, strict=True)
                )
            except StereoError as error:
                return [from_line('error', 'image', str(error))]
            if left.shape != right.shape:
                return []  # the node says so
            found = check.look(
                left,
                right,
                calibration.cx_left_px - calibration.cx_right_px,
                lambda given: rectified_matches(given, infos),
                setting,
            )
        return found

    def _pairs(self) -> list[tuple[Any, Any]]:
        """Images of both sides that belong together, as far as stamps tell."""
        right = list(self._heard['right'].kept)
        pairs = []
        for image in self._heard['left'].kept:
            stamp = stamp_ns(image)
            partner = min(right, key=lambda r: abs(stamp_ns(r) - stamp), default=None)
            if partner is not None and abs(stamp_ns(partner) - stamp) <= _PAIR_NS:
                pairs.append((image, partner))
        return pairs


def _alike(topic: str, wanted: str) -> bool:
    """Whether a topic might have been meant: the same last part, and the same side."""
    side = 'left' if 'left' in wanted else 'right'
    return (
        topic != wanted
        and topic.rsplit('/', 1)[-1] == wanted.rsplit('/', 1)[-1]
        and (side in topic)
    )
