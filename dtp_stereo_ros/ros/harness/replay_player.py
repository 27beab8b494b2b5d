"""A part of a bag sent in its own time, or faster or slower, and the results that come in time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.errors import InputError, StereoError
from dtp_stereo_ros.evaluation.replay_figures import Answer
from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.pairing.pair_policy import PairPolicy
from dtp_stereo_ros.recordings.recorded_frames import Selection
from dtp_stereo_ros.recordings.recording import Recording
from dtp_stereo_ros.recordings.stereo_topics import StereoTopics
from dtp_stereo_ros.stereo import SIDES

from .replay_spool import Spool
from .replayer import NS_PER_S, Replayer

# Messages that are read and copied ahead, so that a slow chunk of the bag delays none.
_AHEAD = 48
_CLOCK_S = 0.01
# A thread that waits for another looks so often whether the play was stopped.
_SOON_S = 0.1
_JOIN_S = 10.0
# After the last message: this long without a result ends the wait.
_QUIET_S = 3.0
# Stamps farther from the time of recording are of another clock.
_SAME_CLOCK_NS = 60 * NS_PER_S


@dataclass
class _Sent:
    """A pair: its place among all, and when its last image was sent (monotonic)."""

    index: int
    sent_s: float = float('nan')


@dataclass
class _Play:
    """One time through the bag."""

    shift_ns: int
    start_s: float = 0.0
    first_ns: int = 0
    sent: dict[int, _Sent] = field(default_factory=dict)


class TimedPlayer:
    """Sends the messages of a camera at their recorded times.

    Args:
        replayer: sends and receives; it has begun.
        path: of the bag.
        topics: of the camera in the bag.
        config: of the node, for the pairs.
        selection: the part; every N-th pair is judged, all are sent.
        rate: of the bag's time.
        spool: takes the disparities that are to be judged.
    """

    def __init__(
        self,
        replayer: Replayer,
        path: Path,
        topics: StereoTopics,
        config: NodeConfig,
        selection: Selection,
        rate: float,
        spool: Spool,
    ) -> None:
        self._replayer = replayer
        self._path = path
        self._parts = {topic: part for part, topic in topics.by_part.items() if topic}
        self._config = config
        self._selection = selection
        self._rate = rate
        self._spool = spool
        self._stop = threading.Event()
        self._plays: list[_Play] = []
        self._arrived_s: dict[int, float] = {}
        self._last_s = 0.0
        self._failure: BaseException | None = None
        replayer.on_disparity = self._take

    def play(self, loops: int, seen: Callable[[int, int], None]) -> None:
        """Play the part so many times, each with later stamps than the one before.

        The figures of the replayer are filled in any case.

        Args:
            loops: how many times.
            seen: called now and then with the numbers of pairs and of results so far.

        Raises:
            NodeGoneError: the node has ended.
            InputError: the bag cannot be read.
        """
        thread = threading.Thread(target=self._send_all, args=(loops,), daemon=True)
        self._replayer.figures.duration_s = 0.0
        thread.start()
        try:

            def sent_all() -> bool:
                seen(sum(len(play.sent) for play in self._plays), len(self._arrived_s))
                return not thread.is_alive()

            self._replayer.spin(sent_all, float('inf'))
            self._last_s = max(self._last_s, time.monotonic())
            self._replayer.figures.duration_s = self._replayer.elapsed_s
            self._replayer.spin(self._is_quiet, float('inf'))
        finally:
            self._stop.set()
            thread.join(_JOIN_S)
            self._replayer.figures.duration_s = (
                self._replayer.figures.duration_s or self._replayer.elapsed_s
            )
            self._fill()
        if self._failure is not None:
            raise self._failure

    def is_judged(self, stamp: int) -> bool:
        """Whether a pair is one of those of the first loop that are judged."""
        sent = self._plays[0].sent.get(stamp) if self._plays else None
        return sent is not None and sent.index % self._selection.every == 0

    def latency_s(self, stamp: int) -> float:
        """From sending the last image of a pair of the first loop to its result; NaN unknown."""
        sent = self._plays[0].sent.get(stamp) if self._plays else None
        arrived_s = self._arrived_s.get(stamp)
        if sent is None or arrived_s is None:
            return float('nan')
        return arrived_s - sent.sent_s

    def _is_quiet(self) -> bool:
        sent = sum(len(play.sent) for play in self._plays)
        answered = len(self._arrived_s)
        # The time goes on, or the last results would have no age.
        if self._plays and self._plays[-1].start_s:
            self._replayer.set_clock(round(self._bag_ns(self._plays[-1], time.monotonic())))
        return answered >= sent or time.monotonic() > self._last_s + _QUIET_S

    def _take(self, stamp: int, message: Any, arrived_s: float) -> None:
        """A result has come."""
        if not any(stamp in play.sent for play in self._plays):
            return
        self._arrived_s[stamp] = self._last_s = arrived_s
        if self.is_judged(stamp):
            self._spool.put(stamp, message)

    def _send_all(self, loops: int) -> None:
        try:
            shift_ns = 0
            for _ in range(loops):
                play = _Play(shift_ns)
                self._plays.append(play)
                shift_ns += self._send(play) + NS_PER_S
                if self._stop.is_set():
                    return
        except Exception as error:  # raised in the thread that waits
            self._failure = error

    def _send(self, play: _Play) -> int:
        """Send one time through; returns the length in ns."""
        ready: queue.Queue[Any] = queue.Queue(_AHEAD)
        reader = threading.Thread(target=self._read, args=(ready, play.shift_ns), daemon=True)
        reader.start()
        config, replayer = self._config, self._replayer
        policy = PairPolicy(
            config.queue_size, config.approximate_sync, config.approximate_sync_tolerance_seconds
        )
        last_ns = 0
        while not self._stop.is_set():
            try:
                item = ready.get(timeout=_SOON_S)
            except queue.Empty:
                continue
            if item is None:
                break
            if isinstance(item, Exception):
                raise item
            part, recorded_ns, message = item
            if recorded_ns is None:  # the camera infos before the part
                replayer.send(part, message)
                continue
            if not play.start_s:
                play.start_s, play.first_ns = time.monotonic(), recorded_ns
            last_ns = recorded_ns
            self._wait_until(play, recorded_ns)
            pairs = []
            if part in SIDES:
                stamp = stamp_ns(message)
                pairs = [left for left, _ in policy.add(part, stamp, stamp)]
                self._expect(play, pairs)
            replayer.send(part, message)
            now_s = time.monotonic()
            due_s = play.start_s + (recorded_ns - play.first_ns) / NS_PER_S / self._rate
            replayer.figures.late_ms.append(1e3 * max(0.0, now_s - due_s))
            for left in pairs:
                play.sent[left].sent_s = now_s
        reader.join(_JOIN_S)
        return max(0, last_ns - play.first_ns)

    def _expect(self, play: _Play, pairs: list[int]) -> None:
        """Count pairs, by the stamp of their left image, by which results are found."""
        for left in pairs:
            if left in play.sent:
                raise InputError(
                    f'{self._path}: stamp {left / NS_PER_S:.3f} comes twice, so that results '
                    'cannot be told apart; choose a part by --start and --duration, or leave out '
                    '--rate'
                )
            play.sent[left] = _Sent(len(play.sent))

    def _wait_until(self, play: _Play, recorded_ns: int) -> None:
        """Sleep until a message is due, while the clock goes on."""
        due_s = play.start_s + (recorded_ns - play.first_ns) / NS_PER_S / self._rate
        while (left_s := due_s - time.monotonic()) > 0 and not self._stop.is_set():
            self._replayer.set_clock(recorded_ns - round(left_s * self._rate * NS_PER_S))
            time.sleep(min(left_s, _CLOCK_S))
        self._replayer.set_clock(recorded_ns)

    def _read(self, ready: queue.Queue[Any], shift_ns: int) -> None:
        """Read and copy ahead: (part, time of recording or None, message), at last None."""

        def give(item: Any) -> None:
            while not self._stop.is_set():
                try:
                    ready.put(item, timeout=_SOON_S)
                except queue.Full:
                    continue
                return

        try:
            # A reader of its own: one of sqlite3 belongs to its thread.
            with Recording(self._path) as recording:
                infos = {t: p for t, p in self._parts.items() if p not in SIDES}
                for topic, part in infos.items():
                    for _, _, message in recording.messages([topic]):
                        give((part, None, self._replayer.message(part, message, shift_ns)))
                        break
                start_s, duration_s = self._selection.start_s, self._selection.duration_s
                for topic, recorded_ns, message in recording.messages(
                    self._parts, start_s, duration_s
                ):
                    part = self._parts[topic]
                    made = self._replayer.message(part, message, shift_ns)
                    give((part, recorded_ns + shift_ns, made))
                    if self._stop.is_set():
                        return
        except (StereoError, OSError) as error:
            give(error)
        finally:
            give(None)

    def _bag_ns(self, play: _Play, at_s: float) -> float:
        """Time of the bag at a moment of the monotonic clock."""
        return play.first_ns + (at_s - play.start_s) * self._rate * NS_PER_S

    def _fill(self) -> None:
        """Figures of all results, in the order of their arrival."""
        figures = self._replayer.figures
        began_s = time.monotonic() - self._replayer.elapsed_s
        answers = []
        for play in self._plays:
            figures.sent += len(play.sent)
            for stamp, sent in play.sent.items():
                arrived_s = self._arrived_s.get(stamp)
                if arrived_s is None:
                    continue
                late_ns = self._bag_ns(play, arrived_s) - stamp
                stamp_ms = late_ns / 1e6 if abs(late_ns) < _SAME_CLOCK_NS else float('nan')
                answers.append(
                    Answer(arrived_s - began_s, 1e3 * (arrived_s - sent.sent_s), stamp_ms)
                )
        figures.answers += sorted(answers, key=lambda answer: answer.time_s)
