"""The one thread that computes: newest frame of each camera, settings change between frames."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from ..errors import BackendError


class Worker:
    """Runs `process` on the newest item of each lane, and calls between items.

    The lanes are served in turn: one that was served stands behind all that wait, however fast
    its items come.

    Args:
        process: handles one item. It shall catch what can go wrong with one frame; whatever it
            lets through ends the worker.
        on_death: called from the thread when it ends by an exception.

    Attributes:
        failure: traceback of what ended the worker, or '' while all is well.
    """

    def __init__(self, process: Callable[[Any], None], on_death: Callable[[], None]) -> None:
        self.failure = ''
        self._process = process
        self._on_death = on_death
        self._items: dict[Hashable, Any] = {}  # in the order in which the lanes began to wait
        self._calls: list[tuple[Callable[[], None], Future[None]]] = []
        self._stopping = False
        self._began_s: float | None = None
        self._counted_from_s = 0.0
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='stereo worker', daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it takes items: it has neither been told to end nor died."""
        return not (self._stopping or self.failure)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def offer(self, item: Any, lane: Hashable = None) -> bool:
        """Put the newest item of a lane into its slot.

        Returns whether it displaced an older one, whose turn it then takes.
        """
        with self._wake:
            displaced = lane in self._items
            self._items[lane] = item
            self._wake.notify()
        return displaced

    def forget(self) -> None:
        """Empty all slots."""
        with self._wake:
            self._items.clear()

    def busy_s(self) -> float:
        """For how long the item in work has been there, seconds; 0 when there is none."""
        began = self._began_s
        return 0.0 if began is None else time.monotonic() - max(began, self._counted_from_s)

    def restart_count(self) -> None:
        """Count `busy_s` of the item in work, if there is one, from now on."""
        self._counted_from_s = time.monotonic()

    def between_frames(self, call: Callable[[], None]) -> Future[None]:
        """Run `call` in the worker before the next frame; the future has its outcome."""
        future: Future[None] = Future()
        with self._wake:
            if self._stopping or self.failure:
                future.set_exception(BackendError('the node is shutting down'))
            else:
                self._calls.append((call, future))
            self._wake.notify()
        return future

    def stop(self, timeout_s: float) -> bool:
        """End after the frame in work. Returns whether it ended in time."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except BaseException:
            with self._wake:
                self.failure = traceback.format_exc()
                calls, self._calls = self._calls, []
            for _, future in calls:
                future.set_exception(BackendError('the worker has ended'))
            self._on_death()

    def _step(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._stopping or self._calls or self._items)
            if self._stopping:
                for _, future in self._calls:
                    future.set_exception(BackendError('the node is shutting down'))
                return False
            calls, self._calls = self._calls, []
            item = None
            if not calls:
                item = self._items.pop(next(iter(self._items)))
        for call, future in calls:
            try:
                call()
            except Exception as error:  # the one who waits for the future decides
                future.set_exception(error)
            else:
                future.set_result(None)
        if item is not None:
            self._began_s = time.monotonic()
            self._process(item)
            self._began_s = None
        return True
