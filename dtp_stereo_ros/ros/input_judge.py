"""Findings on the input of a camera: publishers that cannot match, silence, loss, no pairs."""

from __future__ import annotations

import time
from collections import deque

from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage

from ..health.dds_settings import LARGE_MESSAGES, loss_mend
from ..health.finding import Finding
from ..health.loss import LOST, lost_beside_infos, lost_beside_infos_findings, lost_findings
from ..health.stamps import stamp_findings
from ..health.sync import late_finding, unpaired_finding, waiting_finding
from ..pairing.image_stream import Arrival
from ..stereo import SIDES
from .output_publishers import OtherPublishers
from .publisher_qos import publisher_faults
from .stereo_camera import StereoCamera

# Silence and missing pairs are judged over this time, or this many frames if that is longer.
_JUDGE_AFTER_S = 1.0
_JUDGE_AFTER_FRAMES = 3
# A camera_info may come so much later than the first image.
_INFO_GRACE_S = 2.0
# Subjects of which something is known while no pair comes.
_WITHOUT_PAIRS = (
    *('publisher', 'outputs', 'name', 'sync', 'stamps', 'lost frames', 'camera_info'),
    *('worker', 'matching'),
)
# Loss must be seen so often in a row: a camera that changes its rate looks like one for a moment.
_LOSS_JUDGEMENTS = 3


class InputJudge:
    """Reports to the findings of a camera.

    The subjects are 'publisher', 'stamps', 'lost frames', 'sync', 'camera_info' and 'outputs'.

    Args:
        node: counts the publishers of the topics.
        camera: the camera.
    """

    def __init__(self, node: Node, camera: StereoCamera) -> None:
        self._node = node
        self._prefix = camera.titled('')
        self._inputs = camera.inputs
        self._findings = camera.findings
        self._received = dict.fromkeys(SIDES, 0)
        self._infos_before = dict.fromkeys(SIDES, 0)
        # Images and camera infos that came between two judgements.
        self._came: dict[str, deque[tuple[int, int]]] = {
            side: deque(maxlen=_LOSS_JUDGEMENTS) for side in SIDES
        }
        self._paired = 0
        self._lossy = 0
        self._rmw = get_rmw_implementation_identifier()
        self._judged_at = time.monotonic()
        self._others = OtherPublishers(node, camera.titled('disparity'))

    def judge(self) -> None:
        """Look at what came since the last time."""
        faults = []
        for key, name in self._inputs.names.items():
            qos = self._inputs.qos.get(key)
            faults += publisher_faults(self._node, name, self._inputs.types[key], qos)
        self._findings.state('publisher', *faults)
        self._findings.state('outputs', *self._others.findings())
        if self._inputs.listening:
            self._judge_sync()
        else:
            self._judge_idle()

    def begin(self) -> None:
        """Judge what comes from now on."""
        self._judged_at = time.monotonic()
        self._lossy = 0
        for came in self._came.values():
            came.clear()
        self._received = {side: self._inputs.sync.policy.received(side) for side in SIDES}
        self._infos_before = dict(self._inputs.infos.received)

    def _judge_idle(self) -> None:
        """Finding on publishers while no output has a subscriber and no image is subscribed to."""
        self.begin()
        absent = [s for s in SIDES if self._node.count_publishers(self._inputs.topics[s]) == 0]
        # What else was found was seen in images, and none come any more.
        self._findings.keep('publisher', 'outputs', 'name', 'sync')
        self._findings.state('sync', *([self._waiting(absent)] if absent else []))

    def _judge_sync(self) -> None:
        """Say why nothing pairs; stable wording, so that it is logged once."""
        now = time.monotonic()
        with self._inputs.sync.lock:
            policy = self._inputs.sync.policy
            received = {side: policy.received(side) for side in SIDES}
            arrivals = {side: policy.arrivals(side) for side in SIDES}
            paired, gap_ns = policy.counts['paired'], policy.gap_ns()
            tolerance_ns, approximate = policy.tolerance_ns(), policy.approximate
            period_s, queue_size = policy.period_s(), policy.queue_size
        self._judge_infos()
        if now - self._judged_at < max(_JUDGE_AFTER_S, _JUDGE_AFTER_FRAMES * period_s):
            return
        self._judged_at = now
        silent = [side for side in SIDES if received[side] == self._received[side]]
        if silent:
            # What else was found was seen in pairs, and none come any more.
            self._findings.keep(*_WITHOUT_PAIRS)
        no_new_pair = paired == self._paired
        infos = dict(self._inputs.infos.received)
        for side in SIDES:
            counts = (
                received[side] - self._received[side],
                infos[side] - self._infos_before[side],
            )
            self._came[side].append(counts)
        self._received, self._paired, self._infos_before = received, paired, infos
        wrong_stamps = [] if silent else stamp_findings(arrivals, self._inputs.topics)
        self._findings.state('stamps', *wrong_stamps)
        lost = [] if wrong_stamps else self._lost(arrivals, round(period_s * 1e9))
        self._findings.state('lost frames', *lost)
        # Where camera infos come and images do not, loss is about to be told.
        maybe_lost = [side for side in SIDES if self._maybe_lost(side)]
        silent = [] if lost else [side for side in silent if side not in maybe_lost]
        explained = wrong_stamps or lost or maybe_lost or self._lossy
        if silent:
            self._findings.state('sync', self._waiting(silent))
        elif no_new_pair and gap_ns is not None and not explained:
            node = self._node.get_fully_qualified_name()
            late = late_finding(arrivals, self._inputs.topics, queue_size)
            unpaired = unpaired_finding(gap_ns, node, approximate, tolerance_ns)
            self._findings.state('sync', late or unpaired)
        else:
            self._findings.clear('sync')

    def _mend(self, side: str) -> str:
        """Mend of the lost frames of a side."""
        return loss_mend(self._rmw, self._image_bytes(), self._inputs.topics[side])

    def _maybe_lost(self, side: str) -> bool:
        """Whether images, which are too large for the transports, seem to be lost beside infos.

        After `_LOSS_JUDGEMENTS` it is certain, and a finding, or not so.
        """
        came = self._came[side]
        missing = all(images <= (1 - LOST) * infos and infos for images, infos in came)
        return len(came) < _LOSS_JUDGEMENTS and missing and self._can_be_lost(side)

    def _can_be_lost(self, side: str) -> bool:
        """Whether somebody sends the images, and they are too large for the transports."""
        topic, came = self._inputs.topics[side], self._came[side]
        sent = any(images for images, _ in came) or self._node.count_publishers(topic) > 0
        return sent and self._mend(side) == LARGE_MESSAGES

    def _lost(self, arrivals: dict[str, list[Arrival]], period_ns: int) -> list[Finding]:
        """Findings on lost frames, by stamps or beside camera infos, once they are certain."""
        topics = self._inputs.topics
        mends = {side: self._mend(side) for side in SIDES}
        by_stamps = lost_findings(arrivals, period_ns, topics, mends)
        self._lossy = self._lossy + 1 if by_stamps else 0
        shares = {
            side: lost_beside_infos(came)
            for side, came in self._came.items()
            if len(came) == _LOSS_JUDGEMENTS and self._can_be_lost(side)
        }
        by_infos = lost_beside_infos_findings(shares, topics, mends)
        return by_infos or (by_stamps if self._lossy >= _LOSS_JUDGEMENTS else [])

    def _judge_infos(self) -> None:
        """Pairs that wait for camera infos, and none of them got any."""
        gate = self._inputs.gate
        late = gate.lacking_s() > _INFO_GRACE_S
        lacking = sorted(gate.lacking.items()) if late else []
        found = [self._inputs.undescribed(side, stamp) for side, stamp in lacking]
        self._findings.state('camera_info', *found)

    def _waiting(self, sides: list[str]) -> Finding:
        """Finding on sides of which nothing comes."""
        topics = {side: self._inputs.topics[side] for side in sides}
        counts = {side: self._node.count_publishers(topic) for side, topic in topics.items()}
        return waiting_finding(topics, counts, self._prefix)

    def _image_bytes(self) -> int:
        """Size of an image; where none has come, one byte a pixel, unless it is compressed."""
        if self._inputs.image_bytes or self._inputs.types['left'] is CompressedImage:
            return self._inputs.image_bytes
        infos = filter(None, map(self._inputs.infos.newest, SIDES))
        sizes = (info.width * info.height for info in infos)
        return max(sizes, default=0)
