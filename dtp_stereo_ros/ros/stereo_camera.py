"""`StereoCamera`: one stereo camera of the node, with all that is its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo

from ..config import NodeConfig
from ..health.brightness import BrightnessCheck
from ..health.view_check import ViewCheck
from ..messages.rectify import Rectifier
from ..stereo import SIDES
from .findings import Findings
from .inputs import Inputs
from .outputs import Outputs
from .statistics import Statistics

# Images stay subscribed to for this long after the last subscriber left, and at the start: tools
# come and go, and the state of the input is logged once.
_LINGER_S = 2.0
# An info that comes later than this after its images is lost; the next pair ends the wait before.
# A reliable writer of Fast DDS may repeat what was lost only after its heartbeat period of 3 s.
_OWN_INFO_S = 5.0


class StereoCamera:
    """A stereo camera: its topics, synchroniser, calibration, counters and findings.

    Args:
        node: owner of the topics.
        name: the topics lie under it; '' for the only camera of a node.
        config: of the node.
        on_pair: called with (camera, left, right, infos) from the executor; must return at once
            and never raise.

    Attributes:
        inputs, outputs, statistics, findings: see their classes.
        rectifiers: of each side, used by the worker when `rectify` is set.
        view_check: used by the worker, too.
        brightness: of each side, used by the worker.
        activation: grows whenever the camera is deactivated.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        config: NodeConfig,
        on_pair: Callable[[StereoCamera, Any, Any, dict[str, CameraInfo]], None],
    ) -> None:
        self.name = name
        prefix = self.titled('')
        self.findings = Findings(node.get_logger(), name, 1.5 * config.diagnostics_period)
        logger = node.get_logger()
        title = f'{name}: ' if name else ''
        self.statistics = Statistics(lambda text: logger.debug(title + text))
        self.outputs = Outputs(node, prefix)
        self.inputs = Inputs(
            node,
            prefix,
            config,
            on_pair=lambda left, right, infos: on_pair(self, left, right, infos),
            on_undescribed=lambda: self.statistics.drop('no camera_info'),
        )
        self.rectifiers = {side: Rectifier(side) for side in SIDES}
        self.view_check = ViewCheck()
        self.brightness = {side: BrightnessCheck() for side in SIDES}
        self.activation = 0
        self._wanted_at = 0.0

    def titled(self, part: str) -> str:
        """'front/PART' of the camera 'front', 'PART' of one without a name."""
        return f'{self.name}/{part}' if self.name else part

    def activate(self) -> None:
        """Subscribe, and publish from now on."""
        self.inputs.open()
        self.inputs.listen()
        self.outputs.enabled = True
        self._wanted_at = time.monotonic()

    def deactivate(self) -> None:
        """Unsubscribe; a frame in work is not published any more."""
        self.outputs.enabled = False
        self.activation += 1
        self.inputs.close()
        self.findings.keep()
        self.view_check = ViewCheck()

    def follow_demand(self, max_age_s: float) -> None:
        """Subscribe to the images only while an output has a subscriber; end waits for infos.

        A wait takes half of the age at which a frame is dropped (0: never) at most.
        """
        self.inputs.gate.settle(min(_OWN_INFO_S, max_age_s / 2 or _OWN_INFO_S))
        now = time.monotonic()
        if self.outputs.wanted():
            self._wanted_at = now
            self.inputs.catch_latched()
            if not self.inputs.listening:
                self.inputs.listen()
        elif self.inputs.listening and now - self._wanted_at > _LINGER_S:
            self.inputs.pause()
