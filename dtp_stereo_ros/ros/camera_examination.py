"""What `doctor` finds at one stereo camera: topics, publishers, stamps, calibration."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..errors import CalibrationError
from .camera_info import calibration_warnings, stereo_calibration
from .dds import Finding
from .graph import latched_qos, publisher_faults
from .sync import SIDES, stamp_ns

_NS_PER_S = 1_000_000_000
_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


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


class CameraExamination:
    """Listens to the inputs of a camera from when it is made.

    Args:
        node: of ours, that listens.
        owner: full name of the examined node.
        camera: its name there, '' for the only one.
        topics: 'left', 'right', 'left_info', 'right_info' to topics.
    """

    def __init__(self, node: Node, owner: str, camera: str, topics: Mapping[str, str]) -> None:
        self._node, self._owner, self._camera = node, owner, camera
        self._topics = topics
        self._heard: dict[str, _Heard] = {}
        for key, topic in topics.items():
            self._listen(key, topic)

    def image_bytes(self) -> int:
        """Size of a left image, 0 when none came."""
        image = self._heard['left'].newest
        return len(image.data) if image else 0

    def findings(self, seconds: float) -> list[Finding]:
        """What was heard in that time, and what the graph says."""
        found = [
            *(f for key, topic in self._topics.items() for f in self._topic(key, topic, seconds)),
            *self._stamps(),
            *self._calibration(),
        ]
        if not self._camera:
            return found
        return [replace(f, subject=f'{self._camera}/{f.subject}') for f in found]

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

        kind = self._type(key, topic)
        qos = latched_qos(self._node, topic, kind) if kind is CameraInfo else None
        self._node.create_subscription(kind, topic, take, qos or _SENSOR)

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
                if f'{info.node_namespace.rstrip("/")}/{info.node_name}' == self._owner
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


def _alike(topic: str, wanted: str) -> bool:
    """Whether a topic might have been meant: the same last part, and the same side."""
    side = 'left' if 'left' in wanted else 'right'
    return (
        topic != wanted
        and topic.rsplit('/', 1)[-1] == wanted.rsplit('/', 1)[-1]
        and (side in topic)
    )
