"""Counters of the node: rates, latency, age, drops by cause."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_WINDOW = 200
# Causes of pairs that were not taken into work.
_UNTAKEN = ('busy', 'unwanted')


def resident_mib() -> float:
    """Memory of this process that is resident, MiB; 0 where there is no /proc."""
    statm = Path('/proc/self/statm')
    if not statm.is_file():
        return 0.0
    return int(statm.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 2**20


@dataclass(frozen=True)
class Snapshot:
    """The state of the counters at one moment; rates are since the snapshot before.

    Attributes:
        pairs, results: since the node started.
        rate_in_hz, rate_out_hz: matched pairs that came in, results that went out.
        latency_p50_s, latency_p95_s: from taking a pair to having published it, last 200 results.
        age_s: of the newest result when it was published, see `age_s`.
        valid_share: of the pixels of the newest result.
        confidence: median of the newest result, NaN where the backend gives none.
        drops: by cause: 'stale', 'busy', 'unwanted', 'fault', 'no camera_info'.
    """

    pairs: int
    results: int
    rate_in_hz: float
    rate_out_hz: float
    latency_p50_s: float
    latency_p95_s: float
    age_s: float
    valid_share: float
    confidence: float
    drops: dict[str, int]


class Statistics:
    """Written by the executor and the worker, read by diagnostics.

    Args:
        log: takes a line for each pair, drop and result.
    """

    def __init__(self, log: Callable[[str], object] = lambda _: None) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._pairs = 0
        self._results = 0
        self._latency_s: deque[float] = deque(maxlen=_WINDOW)
        self._age_s = 0.0
        self._valid_share = 0.0
        self._confidence = float('nan')
        self._drops: Counter[str] = Counter()
        self._row = ('', 0)
        self._before = (time.monotonic(), 0, 0)

    def pair(self) -> None:
        """A matched pair came in."""
        with self._lock:
            self._pairs += 1
            number = self._pairs
        self._log(f'pair {number} is complete')

    def drop(self, cause: str) -> None:
        """A pair was not turned into a result."""
        with self._lock:
            self._drops[cause] += 1
            number = self._drops[cause]
            if cause not in _UNTAKEN:
                before, length = self._row
                self._row = cause, (length + 1 if cause == before else 1)
        self._log(f'pair dropped: {cause} ({number} so far)')

    def in_row(self, cause: str) -> int:
        """Number of pairs that were dropped for this cause since another thing happened to one.

        Those that were never taken, as others came meanwhile or nobody wanted them, do not count.
        """
        with self._lock:
            last, length = self._row
        return length if cause == last else 0

    def result(
        self, latency_s: float, age_s: float, valid_share: float, confidence: float
    ) -> None:
        """A result was published."""
        with self._lock:
            self._results += 1
            self._row = '', 0
            self._latency_s.append(latency_s)
            self._age_s = age_s
            self._valid_share = valid_share
            self._confidence = confidence
            number = self._results
        self._log(
            f'result {number}: {latency_s * 1e3:.1f} ms in work, {age_s * 1e3:.1f} ms after its '
            f'stamp, {valid_share:.1%} valid'
        )

    def snapshot(self) -> Snapshot:
        """Read everything; starts a new window for the rates."""
        now = time.monotonic()
        with self._lock:
            before, pairs, results = self._before
            self._before = (now, self._pairs, self._results)
            window_s = max(now - before, 1e-9)
            latency = np.asarray(self._latency_s or [0.0])
            return Snapshot(
                pairs=self._pairs,
                results=self._results,
                rate_in_hz=(self._pairs - pairs) / window_s,
                rate_out_hz=(self._results - results) / window_s,
                latency_p50_s=float(np.percentile(latency, 50)),
                latency_p95_s=float(np.percentile(latency, 95)),
                age_s=self._age_s,
                valid_share=self._valid_share,
                confidence=self._confidence,
                drops=dict(self._drops),
            )
