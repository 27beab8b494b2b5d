"""Findings on stamps, on sequences made by hand."""

from __future__ import annotations

import random

import pytest

from dtp_stereo_ros.health.stamps import stamp_findings
from dtp_stereo_ros.pairing.image_stream import KEPT, Arrival

MS, S = 1_000_000, 1_000_000_000
WALL = 1_700_000_000 * S
TOPICS = {'left': '/l', 'right': '/r'}


def arrivals(stamps: list[int], period_ns: int) -> list[Arrival]:
    return [(stamp, 7 * S + i * period_ns) for i, stamp in enumerate(stamps)][-KEPT:]


def said(left: list[int], right: list[int], period_ns: int = 100 * MS) -> list[tuple[str, str]]:
    both = {'left': arrivals(left, period_ns), 'right': arrivals(right, period_ns)}
    found = stamp_findings(both, TOPICS)
    assert all(f.level == 'error' and f.subject == 'stamps' and f.mend for f in found)
    return [(f.text, f.mend) for f in found]


def steady(count: int, period_ns: int = 100 * MS, first: int = WALL) -> list[int]:
    return [first + i * period_ns for i in range(count)]


@pytest.mark.parametrize('period_ns', [8 * MS, 33 * MS, 100 * MS, 1000 * MS, 3000 * MS])
def test_good_cameras_are_silent(period_ns: int) -> None:
    generator = random.Random(0)
    for count in range(300):
        left = steady(count, period_ns, WALL + 123)
        right = [stamp + generator.randrange(5 * MS) for stamp in left]
        assert said(left, right, period_ns) == []


def test_a_time_lapse_in_whole_seconds_is_good() -> None:
    assert said(steady(40, S), steady(40, S), S) == []
    assert said(steady(40, 2 * S), steady(40, 2 * S), 2 * S) == []


def test_a_looped_bag_is_good() -> None:
    once = steady(60)
    for count in range(5, 240):
        looped = (once * 4)[:count]
        assert said(looped, looped) == []


def test_no_stamp() -> None:
    (left,) = said(steady(20) + [0] * 5, steady(25))
    text = '/l: its images have no stamp (header.stamp is 0), so they cannot be paired'
    assert left == (text, 'let the driver set header.stamp to the time of exposure')
    assert said([0] * 5 + steady(5), steady(10)) == []
    assert len(said([0] * 9, [0] * 9)) == 2


@pytest.mark.parametrize('stamp', [WALL, WALL + 5 * MS])
def test_one_stamp_for_ever(stamp: int) -> None:
    (right,) = said(steady(60), steady(30) + [stamp] * 30)
    assert right[0] == '/r: its images all have one stamp, so they cannot be paired'


@pytest.mark.parametrize('period_ns', [16 * MS, 33 * MS, 100 * MS, 300 * MS])
@pytest.mark.parametrize('before', [0, 50])
def test_whole_seconds(period_ns: int, before: int) -> None:
    good = steady(before, period_ns, WALL + 1)
    first = WALL + before * period_ns + S // 2
    every = [(first + i * period_ns) // S * S for i in range(400)]
    told = set()
    for count in range(400):
        came = good + every[:count]
        for text, _ in said(came, came, period_ns):
            told.add(text)
        if count * period_ns > 4 * S:
            texts = [text for text, _ in said(came, came, period_ns)]
            assert len(texts) == 2
    assert told == {
        f'{topic}: its stamps are whole seconds, so several images share one and cannot be paired'
        for topic in TOPICS.values()
    }


def test_two_publishers_of_one_image() -> None:
    twice = sorted(steady(30) * 2)
    texts = said(twice, steady(60))
    assert texts == [
        ('/l: about 50 % of its images repeat the stamp before',
         'see who publishes: ros2 topic info -v /l'),
    ]  # fmt: skip


def test_two_bags_on_one_topic() -> None:
    mixed = [s for pair in zip(steady(30), steady(30, first=S), strict=True) for s in pair]
    ((text, mend),) = said(mixed, steady(60))
    assert text == '/l: its stamps jump back again and again (30 times in 60 images)'
    assert mend.endswith('ros2 topic info -v /l')


@pytest.mark.parametrize(('period_ns', 'off_ns'), [(100 * MS, 2 * S), (200 * MS, 3 * S)])
def test_two_clocks_whose_stamps_are_near(period_ns: int, off_ns: int) -> None:
    """The stamps of other frames are equal, or half of a period apart."""
    left = steady(60, period_ns)
    for apart_ns in (off_ns, off_ns + period_ns // 2, -off_ns):
        ((text, mend),) = said(left, [stamp + apart_ns for stamp in left], period_ns)
        assert text.startswith('the clocks of the cameras differ: the stamps of /l and /r are')
        assert 'synchronise' in mend
    # One side that comes late by less is no matter of clocks, nor is a pause of both.
    assert said(left, [stamp + 9 * period_ns // 2 for stamp in left], period_ns // 2) == []


def test_two_clocks() -> None:
    ((text, mend),) = said(steady(30, first=S), steady(30))
    assert text == (
        'the clocks of the cameras differ: the stamps of /l and /r are about 2e+09 s apart'
    )
    assert mend.startswith('synchronise them')
    # the left one once ran by the clock, too
    ((again, _),) = said(steady(60) + steady(6, first=S), steady(66))
    assert again == text
    ((ahead, _),) = said(steady(60) + steady(30, first=WALL + 100 * S), steady(90))
    assert 'are about 90 s apart' in ahead  # to one digit


def test_triggered_late_is_one_clock() -> None:
    assert said(steady(30), steady(30, first=WALL + 49 * MS)) == []
