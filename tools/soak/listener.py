"""Messages of the node and figures of its process, for a soak test."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from stereo_msgs.msg import DisparityImage

from dtp_stereo_ros.messages.stamps import stamp_ns

from .report import Sample

_LISTENER = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class Listener(Node):
    """Subscribes to the disparity, and counts what the camera sends and the node tells.

    Attributes:
        sent: pairs, by the left camera info.
        latencies_ms: of the results since they were last taken.
        told: what diagnostics said last: label to text.
    """

    def __init__(self) -> None:
        super().__init__('soak_listener')
        self.sent = 0
        self.latencies_ms: list[float] = []
        self.told: dict[str, str] = {}
        self.create_subscription(DisparityImage, 'disparity', self._result, _LISTENER)
        self.create_subscription(CameraInfo, 'left/camera_info', self._sent, _LISTENER)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._tell, _LISTENER)

    def _result(self, msg: DisparityImage) -> None:
        self.latencies_ms.append((time.time_ns() - stamp_ns(msg)) / 1e6)

    def _sent(self, _: CameraInfo) -> None:
        self.sent += 1

    def _tell(self, msg: DiagnosticArray) -> None:
        self.told = {v.key: v.value for status in msg.status for v in status.values}

    def facts(self) -> dict[str, str]:
        """For the page."""
        causes = ('dropped ', 'images ')
        dropped = {k: v for k, v in self.told.items() if k.startswith(causes) and v != '0'}
        dropped.pop('images paired', None)
        return {
            'backend': self.told.get('backend', 'unknown'),
            'not matched': ', '.join(f'{k} {v}' for k, v in sorted(dropped.items())) or 'nothing',
        }


class Interval:
    """Makes a sample of what came since the one before."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._began = self._before = time.monotonic()
        self._sent = listener.sent
        listener.latencies_ms.clear()

    def sample(self, pid: int) -> Sample:
        """End the interval; `pid` is the node's."""
        listener, now = self._listener, time.monotonic()
        latencies, listener.latencies_ms = listener.latencies_ms, []
        length_s, sent = now - self._before, listener.sent - self._sent
        self._before, self._sent = now, listener.sent
        p50, p95 = np.percentile(latencies or [np.nan], (50, 95))
        return Sample(
            now - self._began,
            *memory_mib(pid),
            sent / length_s,
            len(latencies) / length_s,
            float(p50),
            float(p95),
        )


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and what of it is neither file nor shared (proc(5))."""
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    sizes = dict(line.split(':', 1) for line in lines)
    resident, own = (int(sizes[key].split()[0]) / 1024 for key in ('VmRSS', 'RssAnon'))
    return resident, own
