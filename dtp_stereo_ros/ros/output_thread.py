"""A thread that publishes results while the worker matches the next pair."""

from __future__ import annotations

import threading
from collections.abc import Callable


class OutputThread:
    """Runs calls in the order in which they come, one at a time.

    A call that comes while one is at work waits for its end, and its caller with it: no result is
    left out, and none grows old in a queue.
    """

    def __init__(self) -> None:
        self._call: Callable[[], None] | None = None
        self._stopping = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='stereo outputs', daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], None]) -> None:
        """Hand a call over, which must not raise; after `stop` it is left out."""
        with self._wake:
            self._wake.wait_for(lambda: self._call is None or self._stopping)
            if not self._stopping:
                self._call = call
            self._wake.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """End after the call at work. Returns whether it ended in time."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._call is not None or self._stopping)
                call = self._call
            if call is None:
                return
            call()
            with self._wake:
                self._call = None
                self._wake.notify_all()
