"""Calls that take turns under the clock."""

from __future__ import annotations

import itertools
import random

import pytest

from dtp_stereo_ros import timing


def test_calls_take_turns_and_the_first_rounds_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, called = [0.0], list[str]()
    seconds = {'a': itertools.count(1), 'b': itertools.count(100)}
    monkeypatch.setattr(timing.time, 'perf_counter', lambda: clock[0])

    def call(name: str) -> None:
        called.append(name)
        clock[0] += next(seconds[name])

    times = timing.in_turn([lambda: call('a'), lambda: call('b')], rounds=3, warm_up=2)
    assert times == [[3, 4, 5], [102, 103, 104]]
    assert ''.join(called) == 'ab' * 5


def test_another_clock() -> None:
    clock = itertools.count(0.0, 7.0)
    assert timing.in_turn([lambda: None], 2, 1, lambda: next(clock)) == [[7, 7]]


@pytest.mark.parametrize('share', [0.0, 0.5, 0.9])
def test_undisturbed_times_are_found_under_load(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """A share of the calls is interrupted, the first ones among them, often by one time slice."""
    clock = Clock(monkeypatch)
    generator = random.Random(0)
    count = itertools.count()

    def call(seconds: float) -> None:
        interrupted = share and (next(count) < 20 or generator.random() < share)
        pause_s = generator.choice((0.004, generator.uniform(0.004, 0.05)))
        clock.now_s += seconds + (pause_s if interrupted else 0.0)

    found = timing.undisturbed([lambda: call(0.001), lambda: call(0.002)], budget_s=60.0)
    assert found == pytest.approx([0.001, 0.002])


def test_times_that_never_agree_end_with_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    number = itertools.count()

    def call() -> None:
        clock.now_s += 16.0 * 0.5 ** next(number)

    assert timing.undisturbed([call], budget_s=25.0) == [4.0]


class Clock:
    """In place of `time.perf_counter`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(timing.time, 'perf_counter', lambda: self.now_s)
