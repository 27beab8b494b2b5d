"""Pairing of left and right images by stamp.

Upstream's Python synchronisers pair greedily under slop, so that a lost frame can shift every
later pair. Here the policy is a plain class; `ros/synchronizer.py` joins message filters by it.

The policy, in order:

1. Equal stamps pair at once.
2. With `approximate`, the left and right image that are each other's nearest pair when they are
   within the tolerance, as soon as no later image can be nearer.
3. What is older than an emitted pair is unmatched: a lost image costs its own frame only.
4. A stamp far behind its stream (looped bag, restarted camera, simulation reset) starts anew.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from typing import Any

from ..stereo import SIDES
from .image_stream import Arrival, Stream, certain, period_ns

_NS_PER_S = 1_000_000_000
# Backward by more than this, or than the queue spans, is a jump of time and not late delivery.
_JUMP_NS = _NS_PER_S
# Nothing but so many old images in a row is a jump as well; a few are a message that came twice.
_REFUSED = 5


class PairPolicy:
    """Decides which images belong together. Knows no ROS; not thread-safe.

    Args:
        queue_size: images of each side kept while waiting for a partner.
        approximate: pair nearest stamps too, not only equal ones.
        tolerance_s: largest stamp difference of an approximate pair; 0 means half of the measured
            frame period. Until that is certain only equal stamps pair: five frames of a steady
            camera, which wait in the queue, or about twelve where images are lost from the start.

    Attributes:
        counts: 'paired', 'unmatched', 'duplicate', 'late' images, and 'jump' resets.
    """

    def __init__(
        self, queue_size: int = 5, approximate: bool = False, tolerance_s: float = 0.0
    ) -> None:
        self.queue_size = queue_size
        self.approximate = approximate
        self.tolerance_s = tolerance_s
        self.counts: Counter[str] = Counter()
        self._pair_gap_ns: int | None = None
        self._period_certain = False
        self._streams = {side: Stream() for side in SIDES}
        self._emitted: dict[str, int] = {}

    def add(self, side: str, stamp: int, item: Any) -> list[tuple[Any, Any]]:
        """Take an image of 'left' or 'right' and return the pairs (left, right) that it completes.

        Pairs come out in order of their stamps.
        """
        stream = self._streams[side]
        stream.received += 1
        stream.came.append((stamp, time.monotonic_ns()))
        if self._jumped_back(stream, stamp):
            self._restart(side, stamp)
        emitted = self._emitted.get(side)
        if stamp in stream.items or (emitted is not None and stamp <= emitted):
            late = emitted is not None and stamp < emitted
            self.counts['late' if late else 'duplicate'] += 1
            stream.refused += 1
            return []
        stream.insert(stamp, item)
        pairs = []
        while match := self._next_match():
            pairs.append(self._emit(*match))
        if len(stream.stamps) > self.queue_size:
            stream.discard(1)
            self.counts['unmatched'] += 1
        return pairs

    def clear(self) -> None:
        """Remove the waiting images, which count as unmatched. The measured period stays."""
        for stream in self._streams.values():
            self.counts['unmatched'] += len(stream.stamps)
            stream.discard(len(stream.stamps))
            stream.newest_ns = None
            stream.came.clear()
        self._emitted = {}

    def received(self, side: str) -> int:
        """Images that side has sent."""
        return self._streams[side].received

    def arrivals(self, side: str) -> list[Arrival]:
        """Stamps of the newest images that side has sent, and when they came (monotonic clock)."""
        return list(self._streams[side].came)

    def period_s(self) -> float:
        """Measured frame period of the faster side, seconds; 0 while unknown."""
        return period_ns(self._intervals_ns()) / _NS_PER_S

    def gap_ns(self) -> int | None:
        """Stamp difference right - left: the smallest among the waiting images, else of a pair.

        None while neither is known.
        """
        rights = sorted(self._streams['right'].stamps)
        gaps = []
        for left in self._streams['left'].stamps:
            place = bisect_left(rights, left)
            gaps += [right - left for right in rights[max(0, place - 1) : place + 1]]
        return min(gaps, key=abs, default=self._pair_gap_ns)

    def tolerance_ns(self) -> int:
        """Largest stamp difference that pairs now."""
        if not self.approximate:
            return 0
        if self.tolerance_s > 0:
            return int(self.tolerance_s * _NS_PER_S)
        intervals_ns = self._intervals_ns()
        self._period_certain = self._period_certain or certain(intervals_ns)
        return period_ns(intervals_ns) // 2 if self._period_certain else 0

    def _intervals_ns(self) -> list[int]:
        return [i for stream in self._streams.values() for i in stream.intervals_ns]

    def _next_match(self) -> tuple[int, int] | None:
        """Stamps of the oldest pair that can be given out now."""
        left, right = self._streams['left'], self._streams['right']
        tolerance = self.tolerance_ns()
        for left_stamp in left.stamps:
            right_stamp = right.nearest(left_stamp)
            if right_stamp is None:
                return None
            if left_stamp == right_stamp:
                return left_stamp, right_stamp
            mutual = left.nearest(right_stamp) == left_stamp
            within = abs(left_stamp - right_stamp) <= tolerance
            if mutual and within and self._settled(left_stamp, right_stamp):
                return left_stamp, right_stamp
        return None

    def _settled(self, left_stamp: int, right_stamp: int) -> bool:
        """Whether no image still to come can be nearer to either of the two.

        Streams come in order, so the earlier side may still bring one between them. It cannot
        when it is already past the later stamp, or when the gap is under half of a frame period.
        """
        early, later = ('left', right_stamp) if left_stamp < right_stamp else ('right', left_stamp)
        newest = self._streams[early].newest_ns
        if newest is not None and newest >= later:
            return True
        return 2 * abs(left_stamp - right_stamp) <= self.period_s() * _NS_PER_S

    def _emit(self, left_stamp: int, right_stamp: int) -> tuple[Any, Any]:
        left, skipped_left = self._streams['left'].take(left_stamp)
        right, skipped_right = self._streams['right'].take(right_stamp)
        self._emitted = {'left': left_stamp, 'right': right_stamp}
        self._pair_gap_ns = right_stamp - left_stamp
        self.counts['paired'] += 1
        self.counts['unmatched'] += skipped_left + skipped_right
        return left, right

    def _jumped_back(self, stream: Stream, stamp: int) -> bool:
        """Whether the stream starts anew: far behind, or nothing but old stamps for a while."""
        if stream.newest_ns is None:
            return False
        behind = stream.newest_ns - stamp > self._late_ns(stream)
        return behind or stream.refused >= max(self.queue_size, _REFUSED)

    def _late_ns(self, stream: Stream) -> int:
        """Largest delay behind its stream at which an image still counts as delivered late."""
        return min(self.queue_size * stream.period_ns() or _JUMP_NS, _JUMP_NS)

    def _restart(self, side: str, stamp: int) -> None:
        """Remove what came before a jump. The other side keeps what is not ahead of the jump."""
        stream = self._streams[side]
        other = self._streams['right' if side == 'left' else 'left']
        self.counts['jump'] += 1
        self.counts['unmatched'] += len(stream.stamps)
        stream.discard(len(stream.stamps))
        stream.newest_ns = None
        self._emitted = {}
        self.counts['unmatched'] += other.discard_after(stamp + self._late_ns(stream))
