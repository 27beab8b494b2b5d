"""Findings on the messages of one stereo camera: stamps, loss, views, calibration."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..calibration import Camera
from ..errors import CalibrationError, StereoError
from ..messages.camera_info import calibration_warnings, stereo_calibration
from ..messages.images import to_rgb
from ..messages.stamps import stamp_ns
from ..pairing.image_stream import KEPT, Arrival, period_ns
from ..stereo import SIDES, StereoCalibration
from .dds_settings import LARGE_MESSAGES, loss_mend
from .finding import Finding, from_line
from .loss import lost_beside_infos, lost_beside_infos_findings, lost_findings
from .stamps import OFF_CLOCK_S, after_jump, clock_mend, stamp_findings
from .sync import gap_findings
from .view_check import ViewCheck, ViewSetting, rectified_matches

_NS_PER_S = 1_000_000_000
# Images of each side that are kept, to find pairs among them.
_KEPT = 8
# Where stamps differ, images of a pair are at most so far apart.
_PAIR_NS = 50_000_000


@dataclass
class Heard:
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


class CameraMessages:
    """The messages of a stereo camera during some time, and the findings on them.

    Args:
        owner: full name of the node that takes them.
        prefix: of the camera's topics, 'front/' of the camera 'front', else ''.
        topics: 'left', 'right', 'left_info', 'right_info' to topics.
        settings: parameters of the node by name, as far as they are known.
        rmw: identifier of the middleware, '' where none is used.

    Attributes:
        heard: the same keys to what came.
    """

    def __init__(
        self,
        owner: str,
        prefix: str,
        topics: Mapping[str, str],
        settings: Mapping[str, Any],
        rmw: str,
    ) -> None:
        self._owner, self._prefix = owner, prefix
        self._topics = topics
        self._settings = settings
        self._rmw = rmw
        self.heard = {key: Heard() for key in topics}

    def image_bytes(self) -> int:
        """Size of a left image, 0 when none came."""
        image = self.heard['left'].newest
        return len(image.data) if image else 0

    def findings(self) -> list[Finding]:
        """Findings on all that came; the subjects are without the prefix."""
        found = self._stamps()
        calibration, calibration_findings = self._calibration()
        found += calibration_findings
        if calibration is not None:
            found += self._views(calibration)
        return found

    def _stamps(self) -> list[Finding]:
        left, right = self.heard['left'], self.heard['right']
        if not (left.stamps and right.stamps):
            return []
        found = stamp_findings(self._arrivals(), self._topics)
        if found:
            return found
        age_s = statistics.median(left.ages_ns) / _NS_PER_S
        if abs(age_s) > OFF_CLOCK_S and not self._settings.get('use_sim_time'):
            text = f'images are {age_s:.0f} s off the clock'
            found.append(Finding('warn', 'stamps', text, clock_mend(self._owner)))
        lost = self._lost()
        approximate = bool(self._settings.get('approximate_sync'))
        gaps = gap_findings(left.stamps, right.stamps, self._owner, approximate)
        return [*found, *(lost or gaps)]

    def _arrivals(self) -> dict[str, list[Arrival]]:
        """The newest images of both sides."""
        heard = {side: self.heard[side] for side in SIDES}
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
            for before, after in pairwise(sorted(set(after_jump(self.heard[side].stamps))))
        ]
        rmw, size = self._rmw, self.image_bytes()
        mends = {side: loss_mend(rmw, size, self._topics[side]) for side in SIDES}
        shares = {
            side: lost_beside_infos([(self.heard[side].count, self.heard[f'{side}_info'].count)])
            for side in SIDES
            if mends[side] == LARGE_MESSAGES
        }
        return lost_beside_infos_findings(shares, self._topics, mends) or lost_findings(
            self._arrivals(), period_ns(intervals), self._topics, mends
        )

    def _calibration(self) -> tuple[StereoCalibration | None, list[Finding]]:
        infos = {side: self.heard[f'{side}_info'].newest for side in SIDES}
        image = self.heard['left'].newest
        if None in infos.values():
            return None, []
        size = (image.width, image.height) if hasattr(image, 'encoding') else None
        other = self.heard['right'].newest
        if size and hasattr(other, 'encoding') and size != (other.width, other.height):
            return None, []  # the node names the sizes; each info may be right
        width, height = size or Camera.of_message(infos['left'], 'left').published_size_px
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
        infos = {side: self.heard[f'{side}_info'].newest for side in SIDES}
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
                calibration.disparity_offset_px,
                lambda given: rectified_matches(given, infos),
                setting,
            )
        return found

    def _pairs(self) -> list[tuple[Any, Any]]:
        """Images of both sides that belong together, as far as stamps tell."""
        right = list(self.heard['right'].kept)
        pairs = []
        for image in self.heard['left'].kept:
            stamp = stamp_ns(image)
            partner = min(right, key=lambda r: abs(stamp_ns(r) - stamp), default=None)
            if partner is not None and abs(stamp_ns(partner) - stamp) <= _PAIR_NS:
                pairs.append((image, partner))
        return pairs
