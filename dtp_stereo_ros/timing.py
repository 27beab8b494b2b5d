"""Times that can be compared on a machine with other work."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

# Times count as undisturbed after so many rounds, when so many of the shortest agree by so much.
_LEAST_ROUNDS = 20
_AGREEING = 3
_AGREEMENT = 1.1


def in_turn(
    calls: Sequence[Callable[[], object]],
    rounds: int,
    warm_up: int,
    clock: Callable[[], float] | None = None,
) -> list[list[float]]:
    """Seconds of each call; all take turns, so that a load hits all alike.

    Args:
        calls: what to time.
        rounds: times that each is timed.
        warm_up: times that each runs before.
        clock: seconds; default `time.perf_counter`. That of the process's CPU time,
            `time.process_time`, stands while other processes have the cores.

    Returns:
        of each call its `rounds` times.
    """
    times: list[list[float]] = [[] for _ in calls]
    now = clock or time.perf_counter
    for number in range(warm_up + rounds):
        for call, taken in zip(calls, times, strict=True):
            begun = now()
            call()
            if number >= warm_up:
                taken.append(now() - begun)
    return times


def undisturbed(calls: Sequence[Callable[[], object]], budget_s: float) -> list[float]:
    """Shortest time of each call, in seconds, on a machine that may be busy.

    All take turns, at least 20 times and until the three shortest times of each agree to 10 %.
    With other work on all cores a call of milliseconds is interrupted most of the time, and the
    shortest of a fixed few may be several times too long.

    Args:
        calls: what to time; each should take less than a time slice of the scheduler, about 3 ms.
        budget_s: ends the search where they do not agree.
    """
    times: list[list[float]] = [[] for _ in calls]
    end_s = time.perf_counter() + budget_s
    for number in itertools.count(1):
        for shortest, (taken,) in zip(times, in_turn(calls, rounds=1, warm_up=0), strict=True):
            shortest.append(taken)
            shortest.sort()
            del shortest[_AGREEING:]
        settled = all(
            len(shortest) == _AGREEING and shortest[-1] <= _AGREEMENT * shortest[0]
            for shortest in times
        )
        if (settled and number >= _LEAST_ROUNDS) or time.perf_counter() >= end_s:
            break
    return [shortest[0] for shortest in times]
