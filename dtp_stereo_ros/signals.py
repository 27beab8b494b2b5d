"""Signals that end a command in an orderly way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwinding() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that what was started is stopped.

    A shell starts what runs in the background with SIGINT ignored; launch sends it all the same.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, signal.default_int_handler) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
