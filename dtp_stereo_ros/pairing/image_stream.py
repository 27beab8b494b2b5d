"""Images of one side that wait for their partners, and the frame period that they show."""

from __future__ import annotations

import statistics
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

# Stamp of an image and when it came, both in ns; the second of any clock that runs on.
Arrival = tuple[int, int]

# Images of a side of which that is kept, to judge the stamps.
KEPT = 128
_PERIOD_WINDOW = 32
# Intervals of both sides together after which the measured period is trusted: where all are about
# equal, and where images are being lost.
_STEADY_INTERVALS = 8
_LOSSY_INTERVALS = 24
# An interval of more than this times the shortest is more than one frame period.
_ONE_PERIOD = 1.6
# Intervals of one period each differ from their median by a smaller share. Of those of two and
# three periods, which are at times all that lost images leave, one differs by a third or more.
_STEADY_SHARE = 0.3


@dataclass
class Stream:
    """Images of one side that wait for a partner, by stamp, and what is known of their rate."""

    stamps: list[int] = field(default_factory=list)
    items: dict[int, Any] = field(default_factory=dict)
    newest_ns: int | None = None
    received: int = 0
    came: deque[Arrival] = field(default_factory=lambda: deque(maxlen=KEPT))
    refused: int = 0  # late or duplicate images since the last one that was taken
    intervals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_PERIOD_WINDOW))

    def insert(self, stamp: int, item: Any) -> None:
        """Add an item; the first of a stream, or after a jump, gives no interval."""
        insort(self.stamps, stamp)
        self.items[stamp] = item
        self.refused = 0
        if self.newest_ns is None or stamp > self.newest_ns:
            if self.newest_ns is not None:
                self.intervals_ns.append(stamp - self.newest_ns)
            self.newest_ns = stamp

    def take(self, stamp: int) -> tuple[Any, int]:
        """Remove an item and all older ones; returns it and how many older there were."""
        index = self.stamps.index(stamp)
        item = self.items[stamp]
        self.discard(index + 1)
        return item, index

    def discard(self, count: int) -> None:
        """Remove the oldest `count` items."""
        for stamp in self.stamps[:count]:
            del self.items[stamp]
        del self.stamps[:count]

    def discard_after(self, stamp: int) -> int:
        """Remove the items newer than that; returns how many there were."""
        index = bisect_left(self.stamps, stamp + 1)
        newer = self.stamps[index:]
        for old in newer:
            del self.items[old]
        del self.stamps[index:]
        return len(newer)

    def nearest(self, stamp: int) -> int | None:
        """Waiting stamp closest to that one; the older of two equally close."""
        index = bisect_left(self.stamps, stamp)
        around = self.stamps[max(0, index - 1) : index + 1]
        return min(around, key=lambda s: abs(s - stamp), default=None)

    def period_ns(self) -> int:
        """Frame period of this side, 0 while unknown."""
        return period_ns(self.intervals_ns)


def period_ns(intervals_ns: Collection[int]) -> int:
    """Frame period that intervals between received frames show, 0 while unknown.

    Lost frames only ever lengthen an interval, so it is the median of those that are about as
    short as the shortest; the very shortest may be an outlier once there are some.
    """
    if len(intervals_ns) < 2:
        return 0
    shortest = sorted(intervals_ns)[1 if len(intervals_ns) >= _STEADY_INTERVALS else 0]
    return int(statistics.median(i for i in intervals_ns if i <= _ONE_PERIOD * shortest))


def certain(intervals_ns: Collection[int]) -> bool:
    """Whether the shortest interval is one frame period for sure.

    With half of the images lost each interval is longer with a chance of a half.
    """
    if len(intervals_ns) < _STEADY_INTERVALS:
        return False
    middle = statistics.median_low(intervals_ns)
    steady = all(abs(i - middle) <= _STEADY_SHARE * middle for i in intervals_ns)
    return steady or len(intervals_ns) >= _LOSSY_INTERVALS
