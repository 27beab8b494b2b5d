"""Pairs of a recorded stereo camera, by the synchroniser of the node."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from ..config import NodeConfig
from ..messages.camera_info import left_of
from ..messages.stamps import stamp_ns
from ..pairing.camera_infos import CameraInfos, InfoGate
from ..pairing.image_stream import Arrival
from ..pairing.pair_policy import PairPolicy
from ..stereo import SIDES
from .recording import Recording
from .stereo_topics import StereoTopics

# A pair waits for a truth that was recorded later until there is a pair of so much later a stamp,
# or until so many wait; and as many truths wait for their pairs.
_WAIT_NS = 1_000_000_000
_WAITING = 32
# Without a frame period, a truth is at most so far away.
_TRUTH_NS = 25_000_000


@dataclass(frozen=True)
class RecordedPair:
    """Two image messages that belong together.

    Attributes:
        infos: side to its camera info; empty for a camera without.
        truth: the message of the nearest stamp within half of a frame period, or None.
    """

    left: Any
    right: Any
    infos: Mapping[str, Any]
    truth: Any = None


class ArrivalLog(Sequence[Arrival]):
    """Arrivals in 16 bytes each: a recording has hundreds of thousands."""

    def __init__(self) -> None:
        self._stamps, self._recorded = array('q'), array('q')

    def append(self, arrival: Arrival) -> None:
        """Add one at the end."""
        self._stamps.append(arrival[0])
        self._recorded.append(arrival[1])

    def __len__(self) -> int:
        return len(self._stamps)

    @overload
    def __getitem__(self, place: int) -> Arrival: ...
    @overload
    def __getitem__(self, place: slice) -> list[Arrival]: ...
    def __getitem__(self, place: int | slice) -> Arrival | list[Arrival]:
        if isinstance(place, slice):
            return list(zip(self._stamps[place], self._recorded[place], strict=True))
        return self._stamps[place], self._recorded[place]


@dataclass
class PairLog:
    """Counts and stamps of a recording that was read.

    Attributes:
        arrivals: side to the stamp and time of recording of each image.
        infos: side to the number of camera infos.
        truths: number of truths.
        matched: number of pairs that have one.
        nearest_ns: least distance of a truth's stamp from a pair that has none, or None.
        undescribed: pairs without a camera info.
        policy: the synchroniser, with its counts.
    """

    arrivals: dict[str, ArrivalLog] = field(
        default_factory=lambda: {side: ArrivalLog() for side in SIDES}
    )
    infos: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    truths: int = 0
    matched: int = 0
    nearest_ns: int | None = None
    undescribed: int = 0
    policy: PairPolicy = field(default_factory=PairPolicy)


def recorded_pairs(
    recording: Recording,
    topics: StereoTopics,
    config: NodeConfig,
    log: PairLog,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Iterator[RecordedPair]:
    """Pairs in the order of their stamps. No more than a few are held at a time.

    Args:
        recording: an open bag.
        topics: of one camera.
        config: of the node: tolerance, queues and the use of camera infos.
        log: is filled.
        start_s, duration_s: part of the bag, from its start.
    """
    synchroniser = _Synchroniser(topics, config, log, recording.counts)
    if start_s > 0:
        # A latched calibration was recorded once, before the part that is read.
        for topic in synchroniser.info_sides:
            for _, _, message in recording.messages([topic]):
                synchroniser.add_info(topic, message)
                break
    truths = _Truths(bool(topics.truth), log)
    wanted = {*synchroniser.topics, topics.truth} - {''}
    for topic, recorded_ns, message in recording.messages(wanted, start_s, duration_s):
        if topic in synchroniser.topics:
            truths.wait(synchroniser.add(topic, recorded_ns, message))
        if topic == topics.truth:
            log.truths += 1
            truths.add(message)
        truths.bound_ns = round(log.policy.period_s() * 5e8) or _TRUTH_NS
        yield from truths.ready()
    truths.wait(synchroniser.end())
    yield from truths.ready(at_end=True)


class _Synchroniser:
    """Messages of one camera in, pairs with their infos out: the policy and gate of the node."""

    def __init__(
        self, topics: StereoTopics, config: NodeConfig, log: PairLog, counts: Mapping[str, int]
    ) -> None:
        log.policy = PairPolicy(
            config.queue_size, config.approximate_sync, config.approximate_sync_tolerance_seconds
        )
        self._log = log
        self._infos = CameraInfos()
        self._complete: list[RecordedPair] = []
        self._gate = InfoGate(self._infos, config.queue_size, self._give, self._drop)
        self._gate.cache = config.cache_camera_info
        self._image_sides = {topics.left: 'left', topics.right: 'right'}
        # The right info alone says all that disparity needs.
        self._right_alone = not counts.get(topics.left_info)
        self.info_sides: dict[str, list[str]] = {}
        if counts.get(topics.right_info):
            for side in SIDES:
                info_topic = topics.by_part[f'{side}_info']
                if counts.get(info_topic):
                    self.info_sides.setdefault(info_topic, []).append(side)
        self.topics = {*self._image_sides, *self.info_sides}

    def add(self, topic: str, recorded_ns: int, message: Any) -> list[RecordedPair]:
        """Take a message; returns the pairs that it completes."""
        if topic in self.info_sides:
            for side in self.info_sides[topic]:
                self._log.infos[side] += 1
            self.add_info(topic, message)
        else:
            self._add_image(self._image_sides[topic], recorded_ns, message)
        return self._taken()

    def end(self) -> list[RecordedPair]:
        """Pairs that waited for an info of their own when the bag ended."""
        self._gate.settle()
        return self._taken()

    def _taken(self) -> list[RecordedPair]:
        complete, self._complete = self._complete, []
        return complete

    def add_info(self, topic: str, message: Any) -> None:
        """Take a camera info."""
        for side in self.info_sides[topic]:
            self._infos.add(side, message)
        if self._right_alone:
            self._infos.add('left', left_of(message))
        self._gate.look()

    def _add_image(self, side: str, recorded_ns: int, message: Any) -> None:
        stamp = stamp_ns(message)
        self._log.arrivals[side].append((stamp, recorded_ns))
        for left, right in self._log.policy.add(side, stamp, message):
            if self.info_sides:
                self._gate.pair(left, right)
            else:
                self._complete.append(RecordedPair(left, right, {}))

    def _give(self, left: Any, right: Any, infos: dict[str, Any]) -> None:
        self._complete.append(RecordedPair(left, right, infos))

    def _drop(self) -> None:
        self._log.undescribed += 1


class _Truths:
    """Joins pairs and truths by the nearest stamp.

    Args:
        wanted: False lets all pairs through at once.
        log: is filled.
    """

    def __init__(self, wanted: bool, log: PairLog) -> None:
        self.bound_ns = _TRUTH_NS
        self._wanted = wanted
        self._log = log
        self._pairs: deque[RecordedPair] = deque()
        self._messages: deque[Any] = deque(maxlen=_WAITING)

    def add(self, message: Any) -> None:
        self._messages.append(message)

    def wait(self, pairs: list[RecordedPair]) -> None:
        self._pairs.extend(pairs)

    def ready(self, at_end: bool = False) -> Iterator[RecordedPair]:
        """Pairs whose truth is found, or can no longer come."""
        while self._pairs:
            pair = self._pairs[0]
            if not self._wanted:
                yield self._pairs.popleft()
                continue
            stamp = stamp_ns(pair.left)
            nearest = min(self._messages, key=lambda m: abs(stamp_ns(m) - stamp), default=None)
            gap_ns = None if nearest is None else abs(stamp_ns(nearest) - stamp)
            later = any(0 <= stamp_ns(m) - stamp <= _WAIT_NS for m in self._messages)
            late = stamp_ns(self._pairs[-1].left) - stamp > _WAIT_NS
            late = late or len(self._pairs) > _WAITING
            if not (later or late or at_end):
                return
            self._pairs.popleft()
            matches = gap_ns is not None and gap_ns <= self.bound_ns
            if matches:
                self._log.matched += 1
            elif gap_ns is not None:
                known_ns = self._log.nearest_ns
                self._log.nearest_ns = gap_ns if known_ns is None else min(gap_ns, known_ns)
            yield RecordedPair(pair.left, pair.right, pair.infos, nearest if matches else None)
