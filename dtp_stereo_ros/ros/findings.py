"""What is wrong now: logged once when it changes, and shown in diagnostics for as long."""

from __future__ import annotations

import threading
import time
from typing import Any

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
        self._current: dict[str, tuple[bool, str]] = {}
        self._logged_at: dict[tuple[str, str], float] = {}

    def report(self, subject: str, text: str, error: bool = True) -> None:
        """State what is wrong with a subject. Logged when it differs from what was stated."""
        with self._lock:
            changed = self._current.get(subject) != (error, text)
            self._current[subject] = (error, text)
            log = changed and self._due(subject, text)
        # On two lines: rclpy takes one severity for each line of code, and raises otherwise.
        if log and error:
            self._logger.error(self._prefix + text)
        elif log:
            self._logger.warning(self._prefix + text)

    def clear(self, subject: str) -> None:
        """The subject is fine (again)."""
        with self._lock:
            gone = self._current.pop(subject, None)
            log = gone is not None and self._due(subject, '')
        if log:
            self._logger.info(f'{self._prefix}{subject} is fine again')

    def clear_all(self) -> None:
        """Nothing is looked at any more, so nothing is known to be wrong."""
        with self._lock:
            self._current.clear()

    def current(self) -> dict[str, tuple[bool, str]]:
        """Subject to (whether it is an error, text)."""
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
