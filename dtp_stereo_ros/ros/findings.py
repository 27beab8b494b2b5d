"""Current findings of the node: logged once when they change, and shown in diagnostics."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

from ..health.finding import Finding

# A state that flaps is logged no more often than this.
_REPEAT_S = 10.0
_REMEMBERED = 200


class Findings:
    """The current findings by subject ('calibration', 'input', ...); safe between threads.

    Args:
        logger: of the node.
        camera: that the findings are about, named in the log; '' where there is but one.
    """

    def __init__(self, logger: Any, camera: str = '') -> None:
        self._logger = logger
        self._prefix = f'{camera}: ' if camera else ''
        self._lock = threading.Lock()
        self._current: dict[str, tuple[Finding, ...]] = {}
        self._logged_at: dict[tuple[str, str], float] = {}

    def state(self, subject: str, *findings: Finding) -> None:
        """State all that is wrong with a subject; without findings it is fine (again).

        Logged when it differs from what was stated by more than its numbers.
        """
        if not findings:
            self.clear(subject)
            return
        with self._lock:
            stated = {(f.level, _shape(f.line)) for f in self._current.get(subject, ())}
            self._current[subject] = findings
            new = [
                f
                for f in findings
                if (f.level, _shape(f.line)) not in stated and self._due(subject, _shape(f.line))
            ]
        for finding in new:
            # On two lines: rclpy takes one severity for each line of code, and raises otherwise.
            if finding.level == 'error':
                self._logger.error(self._prefix + finding.line)
            else:
                self._logger.warning(self._prefix + finding.line)

    def clear(self, subject: str) -> None:
        """The subject is fine (again)."""
        with self._lock:
            gone = self._current.pop(subject, None)
            log = gone is not None and self._due(subject, '')
        if log:
            self._logger.info(f'{self._prefix}{subject} is fine again')

    def keep(self, *subjects: str) -> None:
        """Nothing else is looked at any more, so nothing is known to be wrong with it."""
        with self._lock:
            for subject in [name for name in self._current if name not in subjects]:
                del self._current[subject]

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


def _shape(text: str) -> str:
    """A text without its numbers, which jitter; those within a name, as of a topic, stay."""
    return re.sub(r'(?<!\w)(?<![A-Za-z_]/)\d+(\.\d+)?', '#', text)
