"""Times of candidates that take turns, under a clock of its own."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator

import pytest

from dtp_stereo_ros.backends import speed
from dtp_stereo_ros.backends.speed import SizeClass, Speeds, measure
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.models import ModelSpec

SIZE = (192, 320)


class Clock:
    """In place of `time`: runs take what they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.log: list[str] = []
        monkeypatch.setattr(speed.time, 'perf_counter', lambda: self.now_s)
        monkeypatch.setattr(speed.time, 'sleep', lambda _: None)

    def run(self, label: str, times_ms: Iterable[float]) -> Callable[[], None]:
        """A run that takes these times in turn, and the last of them from then on."""
        times = iter(times_ms)
        last_ms = 0.0

        def call() -> None:
            nonlocal last_ms
            last_ms = next(times, last_ms)
            self.log.append(label)
            self.now_s += last_ms / 1e3

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_all_take_turns_and_the_first_two_runs_do_not_count(clock: Clock) -> None:
    runs = {'a': clock.run('a', (900, 90, 20)), 'b': clock.run('b', (5, 7, 30))}
    found = measure(runs, SIZE)
    assert found == Speeds('320x192', 5, {'a': 20.0, 'b': 30.0}, {'a': 0.0, 'b': 0.0})
    assert clock.log == ['a', 'b'] * 7
    assert found.settled
    assert found.ranked(['b', 'a']) == ['a', 'b']


def test_medians_and_quartiles(clock: Clock) -> None:
    runs = {
        'a': clock.run('a', (0, 0, 10, 11, 12, 13, 90)),
        'b': clock.run('b', (0, 0, 40, 42, 44, 46, 48)),
    }
    found = measure(runs, SIZE)
    assert found.median_ms == {'a': 12.0, 'b': 44.0}
    assert found.spread_ms == {'a': 2.0, 'b': 4.0}


def test_a_busy_machine_is_measured_for_a_second_and_tells_nothing(clock: Clock) -> None:
    runs = {
        'a': clock.run('a', itertools.cycle((20, 60))),
        'b': clock.run('b', itertools.cycle((60, 22))),
    }
    found = measure(runs, SIZE)
    assert not found.settled
    assert found.rounds > 5
    assert 1.0 < clock.now_s < 1.5
    assert found.ranked(['b', 'a']) == ['b', 'a']
    assert found.why_unsettled.startswith('the machine is too busy to measure (a ')


def test_times_under_load_seldom_decide_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(0)

    def loaded(ms: float) -> Iterator[float]:
        while True:
            yield ms * generator.lognormvariate(0.0, 0.4)

    decided = []
    for _ in range(200):
        clock = Clock(monkeypatch)
        runs = {'slow': clock.run('slow', loaded(48)), 'fast': clock.run('fast', loaded(40))}
        found = measure(runs, SIZE)
        if found.settled:
            decided.append(found.ranked(['slow', 'fast'])[0])
    assert 20 < len(decided) < 100
    assert decided.count('fast') > 5 * decided.count('slow')


def test_equal_times_on_a_quiet_machine_settle_that_there_is_no_difference(clock: Clock) -> None:
    runs = {
        'a': clock.run('a', itertools.cycle((20.0, 20.2))),
        'b': clock.run('b', itertools.cycle((19.9, 20.3))),
    }
    found = measure(runs, SIZE)
    assert found.settled
    assert found.rounds == 5
    assert found.ranked(['a', 'b']) == ['a', 'b']
    assert found.ranked(['b', 'a']) == ['b', 'a']


def test_the_usual_order_counts_among_the_fastest_only() -> None:
    noisy = Speeds('1x1', 9, {'a': 90.0, 'b': 31.0, 'c': 30.0}, {'a': 4.0, 'b': 5.0, 'c': 5.0})
    assert not noisy.settled
    assert noisy.ranked(['a', 'b', 'c']) == ['b', 'c', 'a']
    assert noisy.ranked(['a', 'c', 'b']) == ['c', 'b', 'a']
    assert noisy.ranked(['a', 'c']) == ['c', 'a']


@pytest.mark.parametrize(
    ('times_ms', 'turns'),
    [
        ((900,), 2),  # five rounds do not fit into the limit
        ((6000, 1), 1),  # nor do the first runs into theirs
        ((10, 10, 2100), 3),  # it became slow
    ],
)
def test_runs_that_take_seconds_are_not_measured(
    clock: Clock, times_ms: tuple[float, ...], turns: int
) -> None:
    runs = {'a': clock.run('a', times_ms), 'b': clock.run('b', times_ms)}
    found = measure(runs, SIZE)
    assert clock.log == ['a', 'b'] * turns
    assert not found.settled
    assert found.ranked(['a', 'b']) == ['a', 'b']
    assert found.ranked(['b', 'a']) == ['b', 'a']
    assert found.why_unsettled == 'runs take too long to be measured'


def test_a_slow_start_does_not_prevent_the_measurement(clock: Clock) -> None:
    runs = {'a': clock.run('a', (8000, 90, 20)), 'b': clock.run('b', (5, 7, 30))}
    assert measure(runs, SIZE).settled


@pytest.mark.parametrize('good_runs', [0, 4])
def test_one_that_fails_is_out(clock: Clock, good_runs: int) -> None:
    number = itertools.count()

    def fails() -> None:
        if next(number) >= good_runs:
            raise BackendError('no\nmemory')

    runs = {'a': fails, 'b': clock.run('b', (20,)), 'c': clock.run('c', (10,))}
    found = measure(runs, SIZE)
    assert found.failed == {'a': 'no memory'}
    assert found.median_ms == {'b': 20.0, 'c': 10.0}
    assert found.ranked(['a', 'b', 'c']) == ['c', 'b']


def test_where_all_but_one_fail_that_one_is_not_timed(clock: Clock) -> None:
    def fails() -> None:
        raise BackendError('no memory')

    found = measure({'a': fails, 'b': clock.run('b', (20,))}, SIZE)
    assert clock.log == ['b', 'b']
    assert found.ranked(['a', 'b']) == ['b']


@pytest.mark.parametrize(
    ('scale', 'name', 'size'), [(1.0, 'medium', (192, 320)), (0.5, 'small', (128, 192))]
)
def test_sizes_go_by_the_scale_of_the_images(
    scale: float, name: str, size: tuple[int, int]
) -> None:
    spec = ModelSpec('tiny', padding_multiple=32, max_disparity_px=64, min_width_px=64)
    found = SizeClass.of(scale)
    assert (found.name, found.size_for(spec)) == (name, size)


@pytest.mark.parametrize(
    ('multiple', 'least', 'fixed', 'size'),
    [
        (96, 64, None, (192, 384)),
        (32, 500, None, (192, 512)),
        (32, 64, (48, 80), (48, 80)),
    ],
)
def test_sizes_are_those_that_the_model_takes(
    multiple: int, least: int, fixed: tuple[int, int] | None, size: tuple[int, int]
) -> None:
    spec = ModelSpec('tiny', multiple, 64, min_width_px=least, fixed_size=fixed)
    assert SizeClass.of(1.0).size_for(spec) == size
