"""Times that can be compared on a machine with other work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


def in_turn(calls: Sequence[Callable[[], object]], rounds: int, warm_up: int) -> list[list[float]]:
    """Seconds of each call; all take turns, so that a load hits all alike.

    Args:
        calls: what to time.
        rounds: times that each is timed.
        warm_up: times that each runs before.

    Returns:
        of each call its `rounds` times.
    """
    times: list[list[float]] = [[] for _ in calls]
    for number in range(warm_up + rounds):
        for call, taken in zip(calls, times, strict=True):
            begun = time.perf_counter()
            call()
            if number >= warm_up:
                taken.append(time.perf_counter() - begun)
    return times
