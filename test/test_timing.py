"""Calls that take turns under the clock."""

from __future__ import annotations

import itertools

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
