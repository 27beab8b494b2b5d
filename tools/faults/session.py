"""A fault of the matrix, and the session that it is injected into."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dtp_stereo_ros.config import Scalar
from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher, camera_messages
from dtp_stereo_ros.ros.harness.probe import Probe
from dtp_stereo_ros.stereo import StereoFrame

_RATE_HZ = 10.0
BAD_FRAMES = 35
# A good frame without a result until then is lost.
_RESULT_S = 2.0

Messages = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One row of the matrix.

    Attributes:
        name: in words.
        change: makes a good frame's messages bad; may remove some.
        node: what the backend does when it sees a black frame, see `faulty_node`.
        during: done once instead of sending bad messages; returns what the node answered.
        parameters: further ones of the node, given a folder for files.
    """

    name: str
    change: Callable[[Messages], None] | None = None
    node: str = ''
    during: Callable[[Session], str] | None = None
    parameters: Callable[[Path], Mapping[str, Scalar]] | None = None


@dataclass
class Session:
    """A node, a camera and a subscriber.

    Attributes:
        frame: what the camera sees.
        start: makes a node process, also again after it has ended.
        sent: good frames' stamps, ns, to the time of sending (monotonic, s).
    """

    camera: FramePublisher
    probe: Probe
    frame: StereoFrame
    start: Callable[[], NodeProcess]
    node: NodeProcess
    folder: Path
    sent: dict[int, float] = field(default_factory=dict)

    def step(self, change: Callable[[Messages], None] | None = None) -> int:
        """Send one frame and receive for a frame period; returns its stamp."""
        stamp = time.time_ns()
        messages = camera_messages(replace(self.frame, stamp_ns=stamp))
        began = time.monotonic()
        if change is None:
            self.sent[stamp] = began
        else:
            change(messages)
            if 'left/image_rect' in messages:
                stamp = stamp_ns(messages['left/image_rect'])
        self.camera.send(messages)
        while (left_s := began + 1 / _RATE_HZ - time.monotonic()) > 0:
            self.probe.spin(left_s)
        return stamp

    def good_frames(self, count: int) -> None:
        """Send good frames at 10 Hz, or at the pace of a node that is slower.

        So a machine that is busy with other work loses none of them.
        """
        for _ in range(count):
            stamp = self.step()
            deadline = time.monotonic() + _RESULT_S
            while stamp not in self.results() and time.monotonic() < deadline:
                self.probe.spin(_RESULT_S, until=('disparity', len(self.results()) + 1))

    def results(self) -> dict[int, float]:
        """Stamps of all disparities to their times of arrival."""
        stamps = [stamp_ns(m) for m in self.probe.messages['disparity']]
        return dict(zip(stamps, self.probe.arrivals_s['disparity'], strict=True))
