"""Pairing on hand-made and random stamp sequences."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.pairing.image_stream import certain
from dtp_stereo_ros.pairing.pair_policy import PairPolicy

MS = 1_000_000
PERIOD = 50 * MS


def feed(policy: PairPolicy, arrivals: list[tuple[str, int]]) -> list[tuple[int, int]]:
    """Feed (side, stamp) in order; the items are their stamps."""
    return [pair for side, stamp in arrivals for pair in policy.add(side, stamp, stamp)]


def both(stamps: list[int], offset: int = 0) -> list[tuple[str, int]]:
    return [a for s in stamps for a in (('left', s), ('right', s + offset))]


def frames(count: int, first: int = 1000 * PERIOD) -> list[int]:
    return [first + PERIOD * i for i in range(count)]


def test_equal_stamps_pair_at_once() -> None:
    policy = PairPolicy()
    assert policy.add('left', 5, 'l') == []
    assert policy.add('right', 5, 'r') == [('l', 'r')]
    assert +policy.counts == {'paired': 1}


def test_right_may_come_first_and_late() -> None:
    policy = PairPolicy()
    a, b, c = frames(3)
    arrivals = [('right', a), ('right', b), ('left', a), ('left', b), ('left', c), ('right', c)]
    assert feed(policy, arrivals) == [(a, a), (b, b), (c, c)]


def test_a_lost_image_costs_its_own_frame_only() -> None:
    policy = PairPolicy(approximate=True)
    stamps = frames(30)
    lost_left, lost_right = stamps[10], stamps[20]
    arrivals = [
        a
        for a in both(stamps, offset=9 * MS)
        if a not in (('left', lost_left), ('right', lost_right + 9 * MS))
    ]
    pairs = feed(policy, arrivals)
    assert all(right - left == 9 * MS for left, right in pairs)
    # the first frames wait until the period is known
    assert [left for left, _ in pairs] == [s for s in stamps if s not in (lost_left, lost_right)]


def test_exact_mode_never_pairs_unequal_stamps_and_says_by_how_much() -> None:
    policy = PairPolicy(queue_size=5)
    assert feed(policy, both(frames(20), offset=3 * MS)) == []
    assert policy.gap_ns() == 3 * MS
    assert policy.counts['unmatched'] == 2 * 20 - 2 * 5


def test_nearest_wins_over_first() -> None:
    """Tolerance over a whole period: greedy pairing would take 100 with 140."""
    policy = PairPolicy(approximate=True, tolerance_s=0.05)
    arrivals = [('right', 140 * MS), ('left', 100 * MS), ('left', 150 * MS)]
    assert feed(policy, arrivals) == []  # a right image at 151 ms would be nearer
    assert feed(policy, [('right', 190 * MS)]) == [(150 * MS, 140 * MS)]
    assert policy.counts['unmatched'] == 1


def test_exact_wins_over_near() -> None:
    policy = PairPolicy(approximate=True, tolerance_s=0.02)
    arrivals = [('left', 100 * MS), ('right', 110 * MS), ('left', 110 * MS)]
    assert feed(policy, arrivals) == [(110 * MS, 110 * MS)]


def test_automatic_tolerance_is_half_of_the_measured_period() -> None:
    policy = PairPolicy(approximate=True)
    feed(policy, both(frames(5)))
    assert policy.period_s() == 0.05
    assert policy.tolerance_ns() == PERIOD // 2
    late = frames(20, first=2000 * PERIOD)
    assert len(feed(policy, both(late, offset=24 * MS))) == 20
    policy = PairPolicy(approximate=True)
    # 26 ms after one left is 24 ms before the next
    pairs = feed(policy, both(frames(20), offset=26 * MS))
    assert all(left - right == 24 * MS for left, right in pairs) and len(pairs) >= 17


def test_period_is_not_stretched_by_losses() -> None:
    policy = PairPolicy()
    generator = random.Random(1)
    feed(policy, both([s for s in frames(200) if generator.random() < 0.5]))
    assert policy.period_s() == 0.05


def test_looped_bag_goes_on() -> None:
    policy = PairPolicy()
    stamps = frames(40)
    pairs = feed(policy, both(stamps) * 3)
    assert pairs == [(s, s) for s in stamps] * 3
    assert policy.counts['jump'] >= 2


@pytest.mark.parametrize(
    ('period', 'queue_size', 'limit'),
    # So far behind as the queue spans, but never more than a second.
    [(50 * MS, 5, 250 * MS), (50 * MS, 8, 400 * MS), (500 * MS, 5, 1000 * MS)],
)
@pytest.mark.parametrize('too_far', [False, True])
def test_what_is_behind_the_queue_is_a_jump(
    period: int, queue_size: int, limit: int, too_far: bool
) -> None:
    policy = PairPolicy(queue_size=queue_size)
    stamps = [period * n for n in range(1, 31)]
    feed(policy, both(stamps))
    policy.add('left', stamps[-1] - limit - too_far, 'behind')
    assert (policy.counts['jump'], policy.counts['late']) == ((1, 0) if too_far else (0, 1))


@pytest.mark.parametrize(('queue_size', 'refused'), [(3, 5), (5, 5), (9, 9)])
def test_so_many_old_images_in_a_row_are_a_jump(queue_size: int, refused: int) -> None:
    policy = PairPolicy(queue_size=queue_size)
    stamps = frames(30)
    feed(policy, both(stamps))
    for _ in range(refused):
        policy.add('left', stamps[-2], 'old')
        assert policy.counts['jump'] == 0
    policy.add('left', stamps[-2], 'old')
    assert (policy.counts['jump'], policy.counts['late']) == (1, refused)


def test_loop_where_one_side_jumps_before_the_other_has_ended() -> None:
    policy = PairPolicy()
    stamps = frames(40)
    arrivals = both(stamps)[:-1] + [('left', s) for s in stamps[:2]] + [('right', stamps[-1])]
    arrivals += [('right', s) for s in stamps[:2]] + both(stamps[2:])
    pairs = feed(policy, arrivals)
    assert pairs[:39] == [(s, s) for s in stamps[:39]]
    assert pairs[39:] == [(s, s) for s in stamps]


def test_loop_shorter_than_the_queue_still_comes_through() -> None:
    policy = PairPolicy(queue_size=5)
    assert len(feed(policy, both(frames(3)) * 20)) >= 12


def test_repeated_stamp_is_counted_and_does_not_starve() -> None:
    policy = PairPolicy(queue_size=5)
    pairs = feed(policy, both([7] * 50))
    assert len(pairs) >= 8
    assert policy.counts['duplicate'] >= 30


def test_one_stamp_far_in_the_future_costs_little() -> None:
    policy = PairPolicy()
    stamps = frames(20)
    arrivals = both(stamps)
    arrivals.insert(20, ('left', stamps[-1] + 3600 * 10**9))
    pairs = feed(policy, arrivals)
    assert [p for p in pairs if p[0] != p[1]] == []
    assert len(pairs) >= 19


def test_zero_stamp_costs_little() -> None:
    policy = PairPolicy()
    arrivals = both(frames(20))
    arrivals.insert(21, ('right', 0))
    assert len(feed(policy, arrivals)) >= 18


def arrivals_strategy() -> st.SearchStrategy[list[tuple[str, int]]]:
    """Anything: bursts, jumps, duplicates, one side silent."""
    stamp = st.one_of(st.integers(0, 40 * PERIOD), st.sampled_from(frames(10)))
    return st.lists(st.tuples(st.sampled_from(['left', 'right']), stamp), max_size=120)


@given(
    arrivals=arrivals_strategy(),
    queue_size=st.integers(1, 8),
    tolerance_ms=st.sampled_from([None, 1, 20, 80]),
)
def test_invariants_on_anything(
    arrivals: list[tuple[str, int]], queue_size: int, tolerance_ms: int | None
) -> None:
    """No pair beyond tolerance, no image twice, memory bounded, every image accounted for."""
    approximate = tolerance_ms is not None
    policy = PairPolicy(queue_size, approximate, (tolerance_ms or 0) / 1e3)
    pairs = []
    for index, (side, stamp) in enumerate(arrivals):
        pairs += policy.add(side, stamp, (stamp, index))
        waiting = {s: len(policy._streams[s].stamps) for s in ('left', 'right')}
        assert max(waiting.values()) <= queue_size
        assert all(len(policy._streams[s].items) == waiting[s] for s in waiting)
    limit = (tolerance_ms or 0) * MS
    assert all(abs(left[0] - right[0]) <= limit for left, right in pairs)
    used = [item for pair in pairs for item in pair]
    assert len(used) == len(set(used))
    counts = policy.counts
    lost = counts['unmatched'] + counts['duplicate'] + counts['late']
    assert 2 * counts['paired'] + lost + sum(waiting.values() if arrivals else ()) == len(arrivals)
    assert counts['paired'] == len(pairs)


@given(
    drop=st.floats(0, 0.5),
    jitter_ms=st.floats(0, 4),
    offset_ms=st.floats(-15, 15),
    seed=st.integers(0, 2**16),
)
def test_pairs_are_the_true_ones(
    drop: float, jitter_ms: float, offset_ms: float, seed: int
) -> None:
    """Two free-running 20 Hz cameras: every frame that both delivered pairs, and no other."""
    generator = random.Random(seed)
    policy = PairPolicy(queue_size=5, approximate=True, tolerance_s=0.024)
    truth, arrivals = [], []
    for frame in range(200):
        stamps = {}
        for side, offset in (('left', 0.0), ('right', offset_ms)):
            jitter = generator.uniform(-jitter_ms, jitter_ms)
            stamp = 10**9 + frame * PERIOD + int((offset + jitter) * MS)
            if generator.random() >= drop:
                stamps[side] = stamp
        arrivals += sorted(stamps.items(), key=lambda item: item[1])
        if len(stamps) == 2:
            truth.append((stamps['left'], stamps['right']))
    pairs = feed(policy, arrivals)
    assert set(pairs) <= set(truth)
    assert len(pairs) >= len(truth) - 1  # the last may still wait for its certainty


@given(drop=st.floats(0, 0.5), seed=st.integers(0, 2**16))
def test_exact_pairs_survive_any_loss(drop: float, seed: int) -> None:
    generator = random.Random(seed)
    arrivals = [a for a in both(frames(100)) if generator.random() >= drop]
    delivered = set(arrivals)
    truth = [s for s in frames(100) if {('left', s), ('right', s)} <= delivered]
    assert feed(PairPolicy(), arrivals) == [(s, s) for s in truth]


@pytest.mark.parametrize('queue_size', [1, 2, 5, 8])
@pytest.mark.parametrize('times', [2, 3])
def test_no_image_is_used_twice_where_messages_come_several_times(
    queue_size: int, times: int
) -> None:
    arrivals = [a for stamp in frames(20) for a in both([stamp]) * times]
    assert feed(PairPolicy(queue_size), arrivals) == [(s, s) for s in frames(20)]


@given(
    left=st.lists(st.integers(0, 10**6), max_size=12),
    right=st.lists(st.integers(0, 10**6), max_size=12),
)
def test_the_gap_is_the_smallest_among_the_waiting_images(
    left: list[int], right: list[int]
) -> None:
    policy = PairPolicy(queue_size=50)
    for side, stamps in (('left', left), ('right', right)):
        for stamp in sorted(set(stamps) - (set(left) & set(right))):
            policy.add(side, stamp, None)
    lefts, rights = ((set(a) - set(b)) for a, b in ((left, right), (right, left)))
    gaps = [abs(b - a) for a in lefts for b in rights]
    found = policy.gap_ns()
    assert (None if found is None else abs(found)) == min(gaps, default=None)


@pytest.mark.parametrize(
    ('periods', 'known'),
    [
        ([1.0] * 8, True),
        ([0.8, 1.2, 1.0, 1.0, 0.75, 1.25, 1.0, 0.9], True),
        ([2, 2, 3, 2, 3, 2, 2, 2], False),
        ([3, 3, 2, 3, 2, 3, 3, 3], False),
        ([1, 2, 1, 1, 1, 1, 1, 1], False),
        ([2, 3, 2, 3] * 5 + [1, 1, 2, 2], True),
        ([1.0] * 7, False),
    ],
)
def test_a_period_is_certain_where_no_interval_may_be_two_or_three(
    periods: list[float], known: bool
) -> None:
    assert certain([int(p * 50_000_000) for p in periods]) is known
