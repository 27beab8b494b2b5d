"""Current findings of the node: logged once when they change, and shown in diagnostics."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from ..health.finding import Finding, shape_of

# A state that flaps is logged no more often than this.
_REPEAT_S = 10.0
_REMEMBERED = 200


class Findings:
    """The current findings by subject ('calibration', 'input', ...); safe between threads.

    Args:
        logger: of the node.
        camera: that the findings are about, named in the log; '' where there is but one.
        hold_s: time for which what is wrong with a frame is shown at least.
    """

    def __init__(self, logger: Any, camera: str = '', hold_s: float = 0.0) -> None:
        self._logger = logger
        self._hold_s = hold_s
        self._prefix = f'{camera}: ' if camera else ''
        self._lock = threading.Lock()
        self._current: dict[str, tuple[Finding, ...]] = {}
        # What the log tells of a subject, since it last told that all is fine.
        self._told: dict[str, set[tuple[str, str]]] = {}
        self._logged_at: dict[tuple[str, str], float] = {}
        self._wrong_at: dict[str, float] = {}

    def state_frame(self, subject: str, *findings: Finding) -> None:
        """State all that is wrong with a subject in one frame.

        What comes and goes between frames stays for the time to hold, so that it is not missed in
        between two diagnostics.
        """
        now = time.monotonic()
        with self._lock:
            if findings:
                self._wrong_at[subject] = now
            elif now - self._wrong_at.get(subject, -math.inf) < self._hold_s:
                return
        self.state(subject, *findings)

    def state(self, subject: str, *findings: Finding) -> None:
        """State all that is wrong with a subject; without findings it is fine (again).

        Logged when it differs from what the log tells by more than its numbers.
        """
        if not findings:
            self.clear(subject)
            return
        with self._lock:
            self._current[subject] = findings
            by_shape = {(f.level, shape_of(f.line)): f for f in findings}
            still = self._told.get(subject, set()) & by_shape.keys()
            due = [s for s in by_shape if s not in still and self._due(subject, s[1])]
            if due or subject in self._told:
                self._told[subject] = still.union(due)
            new = [by_shape[shape] for shape in due]
        for finding in new:
            # On two lines: rclpy takes one severity for each line of code, and raises otherwise.
            if finding.level == 'error':
                self._logger.error(self._prefix + finding.line)
            else:
                self._logger.warning(self._prefix + finding.line)

    def clear(self, subject: str) -> None:
        """The subject is fine (again)."""
        with self._lock:
            self._current.pop(subject, None)
            log = subject in self._told and self._due(subject, '')
            if log:
                del self._told[subject]
        if log:
            self._logger.info(f'{self._prefix}{subject} is fine again')

    def keep(self, *subjects: str) -> None:
        """Nothing else is looked at any more, so nothing is known to be wrong with it."""
        with self._lock:
            for subject in [name for name in self._current if name not in subjects]:
                del self._current[subject]
                self._told.pop(subject, None)

    def current(self) -> dict[str, tuple[Finding, ...]]:
        """Subject to its findings."""
        with self._lock:
            return dict(self._current)

    def _due(self, subject: str, text: str) -> bool:
        now = time.monotonic()
        last = self._logged_at.get((subject, text))
        if last is not None and now - last < _REPEAT_S:
            return False
        if len(self._logged_at) >= _REMEMBERED:
            self._logged_at.clear()
        self._logged_at[(subject, text)] = now
        return True
