"""Signals that end a command in an orderly way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwinding(ignored_too: bool = True) -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that what was started is stopped.

    Python takes signals in its main thread alone; in another one nothing changes.

    Args:
        ignored_too: SIGINT as well, where it was ignored: a shell starts so what runs in the
            background, and launch sends it all the same.
    """
    numbers = [signal.SIGTERM, signal.SIGINT] if ignored_too else [signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    before = {n: signal.signal(n, signal.default_int_handler) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
