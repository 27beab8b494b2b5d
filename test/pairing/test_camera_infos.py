"""Which camera info describes an image, and which pairs wait for theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.pairing.camera_infos import CameraInfos, InfoGate
from dtp_stereo_ros.stereo import SIDES


def stamped(message_type: Any, stamp: int) -> Any:
    return message_type(header=Header(stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9)))


def test_the_stamp_of_the_image_goes_before_the_newest() -> None:
    infos = CameraInfos()
    assert infos.newest('left') is None and infos.of('left', 5, cache=True) is None
    first, second = stamped(CameraInfo, 10), stamped(CameraInfo, 20)
    infos.add('left', first)
    infos.add('left', second)
    assert infos.of('left', 10, cache=True) is infos.of('left', 10, cache=False) is first
    assert infos.of('left', 15, cache=True) is second
    assert infos.of('left', 15, cache=False) is None
    assert infos.of('right', 10, cache=True) is None
    assert infos.gap_ns('left', 13) == 3 and infos.gap_ns('right', 13) is None
    again = stamped(CameraInfo, 10)  # of a looped bag: the newest, though not by its stamp
    infos.add('left', again)
    assert infos.newest('left') is again is infos.stamped('left', 10)
    infos.clear()
    assert infos.newest('left') is None


def test_memory_is_bounded() -> None:
    infos = CameraInfos()
    for stamp in range(1000):
        infos.add('right', stamped(CameraInfo, stamp))
    kept = [stamp for stamp in range(1000) if infos.stamped('right', stamp)]
    assert kept == list(range(1000 - 64, 1000))


class Gate:
    """A gate and what came through."""

    def __init__(self, cache: bool, size: int = 3) -> None:
        self.infos = CameraInfos()
        self.given: list[int] = []
        self.infos_given: list[dict[str, int]] = []
        self.dropped = 0
        self.gate = InfoGate(self.infos, size, self._give, self._drop)
        self.gate.cache = cache

    def _give(self, left: Any, right: Any, infos: dict[str, CameraInfo]) -> None:
        self.given.append(stamp_ns(left))
        self.infos_given.append({side: stamp_ns(info) for side, info in infos.items()})

    def _drop(self) -> None:
        self.dropped += 1

    def images(self, left: int, right: int | None = None) -> None:
        self.gate.pair(stamped(Image, left), stamped(Image, left if right is None else right))

    def info(self, side: str, stamp: int) -> None:
        self.infos.add(side, stamped(CameraInfo, stamp))
        self.gate.look()

    def infos_of(self, stamp: int) -> None:
        for side in SIDES:
            self.info(side, stamp)


def test_with_cache_nothing_waits_once_infos_came() -> None:
    gate = Gate(cache=True)
    gate.info('left', 0)
    gate.images(1)
    assert gate.given == [] and gate.gate.lacking == {'right': 1}
    assert gate.gate.lacking_s() > 0
    gate.info('right', 0)
    assert gate.gate.lacking_s() == 0
    gate.images(2)
    assert (gate.given, gate.dropped) == ([1, 2], 0)
    assert gate.infos_given == [{'left': 0, 'right': 0}] * 2
    gate.info('left', 3)
    gate.images(3)
    assert gate.infos_given[-1] == {'left': 3, 'right': 0}


def test_an_image_that_overtook_its_own_info_waits_for_it() -> None:
    gate = Gate(cache=True)
    gate.infos_of(1)
    gate.images(1)
    gate.images(2)
    gate.info('right', 2)
    assert gate.given == [1]
    assert (gate.gate.lacking, gate.gate.lacking_s()) == ({}, 0)  # that is no fault
    gate.gate.settle(after_s=60)
    assert gate.given == [1]
    gate.info('left', 2)
    assert gate.given == [1, 2] and gate.infos_given[-1] == {'left': 2, 'right': 2}


def test_infos_that_always_come_after_their_images_are_waited_for() -> None:
    """From the second pair on, also where an older info was known when the first pair came."""
    gate = Gate(cache=True)
    gate.infos_of(0)
    for stamp in range(1, 10):
        gate.images(stamp)
        gate.infos_of(stamp)
    assert gate.given == list(range(1, 10))
    own = [{'left': stamp, 'right': stamp} for stamp in range(2, 10)]
    assert gate.infos_given == [{'left': 0, 'right': 0}, *own]


@pytest.mark.parametrize('ended_by', ['the next pair', 'settle'])
def test_an_info_that_was_lost_costs_one_wait(ended_by: str) -> None:
    gate = Gate(cache=True)
    gate.infos_of(1)
    gate.images(1)
    gate.images(2)
    if ended_by == 'settle':
        gate.gate.settle()
        assert gate.given == [1, 2]
    gate.images(3)
    assert (gate.given, gate.dropped) == ([1, 2, 3], 0)
    assert gate.infos_given[1:] == [{'left': 1, 'right': 1}] * 2
    # Infos of each second pair delay nothing from then on.
    for stamp in range(4, 20, 2):
        gate.infos_of(stamp)
        gate.images(stamp)
        gate.images(stamp + 1)
        assert gate.given[-1] == stamp + 1
    # Until they come with each pair again.
    for stamp in range(20, 50):
        gate.infos_of(stamp)
        gate.images(stamp)
    gate.images(50)
    assert gate.given[-1] == 49


def test_infos_with_other_stamps_are_never_waited_for() -> None:
    gate = Gate(cache=True)
    for stamp in range(10, 50, 10):
        gate.infos_of(stamp + 1)
        gate.images(stamp)
        assert gate.given[-1] == stamp


def test_without_cache_a_pair_waits_for_both_infos_of_its_stamps() -> None:
    gate = Gate(cache=False)
    gate.images(10, 11)
    gate.info('left', 10)
    gate.info('right', 10)  # the right image has another stamp
    assert gate.given == []
    gate.info('right', 11)
    assert gate.given == [10]
    gate.info('left', 20)
    gate.info('right', 20)
    gate.images(20)  # infos first
    assert (gate.given, gate.dropped) == ([10, 20], 0)


def test_without_cache_no_older_pair_follows_a_newer_one() -> None:
    gate = Gate(cache=False)
    gate.images(1)
    gate.images(2)
    gate.info('left', 2)
    gate.info('right', 2)
    gate.info('left', 1)
    gate.info('right', 1)
    assert (gate.given, gate.dropped, gate.gate.lacking) == ([2], 1, {})


def test_pairs_without_infos_fall_out_and_say_what_they_lacked() -> None:
    gate = Gate(cache=False, size=3)
    for stamp in range(5):
        gate.info('left', stamp)
        gate.images(stamp)
    assert (gate.given, gate.dropped, gate.gate.lacking) == ([], 2, {'right': 4})
    gate.gate.clear()
    assert (gate.dropped, gate.gate.lacking, gate.gate.lacking_s()) == (5, {}, 0)
    gate.info('right', 5)
    gate.gate.cache = True
    gate.images(7)
    assert gate.given == [7]


@given(
    events=st.lists(
        st.tuples(st.sampled_from(('images', 'left', 'right')), st.integers(0, 8)), max_size=60
    ),
    cache=st.booleans(),
)
def test_every_pair_is_given_once_or_dropped_or_waits(
    events: Sequence[tuple[str, int]], cache: bool
) -> None:
    gate = Gate(cache, size=3)
    came: list[int] = []
    known = {side: set[int]() for side in SIDES}
    for index, (kind, value) in enumerate(events):
        before = len(gate.given)
        if kind == 'images':
            came.append(index)
            gate.images(index)
        else:
            known[kind].add(value * 5)
            gate.info(kind, value * 5)
        for stamp in gate.given[before:]:
            assert cache or all(stamp in known[side] for side in SIDES)
    assert gate.given == sorted(set(gate.given))
    assert set(gate.given) <= set(came)
    waiting = len(came) - len(gate.given) - gate.dropped
    assert 0 <= waiting <= 3
    if cache and all(known.values()):
        assert waiting <= 1
        gate.gate.settle()
        assert len(gate.given) + gate.dropped == len(came)


@pytest.mark.parametrize('cache', [False, True])
def test_with_infos_before_their_images_nothing_is_lost(cache: bool) -> None:
    gate = Gate(cache)
    for stamp in range(50):
        for side in SIDES:
            gate.info(side, stamp)
        gate.images(stamp)
    assert (gate.given, gate.dropped) == (list(range(50)), 0)
