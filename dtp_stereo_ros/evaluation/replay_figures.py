"""Figures of a replay through the real node: latencies, drops, load and the hash of the results.

Plain numbers, without ROS; `ros/harness/replayer.py` fills them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..stereo import Float32Array

LOCKSTEP = 'lockstep'
REAL_TIME = 'real time'

# Points of a series in the result file; a longer one is thinned out.
_MOST_POINTS = 2000


@dataclass(frozen=True)
class Answer:
    """One result of the node.

    Attributes:
        time_s: when it arrived, since the start of the play, wall time.
        arrival_ms: from sending the last image of the pair to the result, wall time.
        stamp_ms: from the stamp of the pair to the result, in the time of the bag; NaN in
            lockstep, and where the stamps are of another clock than the recording.
    """

    time_s: float
    arrival_ms: float
    stamp_ms: float = float('nan')


@dataclass(frozen=True)
class Load:
    """The node at one moment.

    Attributes:
        time_s: since the start of the play, wall time.
        cpu_percent: since the moment before, of one core; NaN unknown.
        memory_mib: resident, NaN unknown.
        age_ms: of the newest result when it was published, as the node tells; NaN unknown.
    """

    time_s: float
    cpu_percent: float
    memory_mib: float
    age_ms: float


@dataclass
class ReplayFigures:
    """All figures of one replay.

    Attributes:
        mode: `LOCKSTEP` or `REAL_TIME`.
        rate: of the bag's time; None in lockstep.
        loops: how often the bag was to be played.
        sent: pairs.
        paired: of these, pairs that were complete in the node; None unknown.
        duration_s: of the play, wall time, without waiting for the node to start.
        dropped: cause to the number of pairs, as the node counts them.
        images: what the synchroniser of the node counted: 'unmatched', 'duplicate', ...
        answers: in the order of their arrival.
        loads: in order of time.
        late_ms: how late messages were sent, of a machine that cannot keep up with the rate.
        hashes: SHA-256 of the disparities of each whole loop in lockstep.
        ended: why the play ended early, '' where it did not.
    """

    mode: str
    rate: float | None = None
    loops: int = 1
    sent: int = 0
    paired: int | None = None
    duration_s: float = 0.0
    dropped: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    ended: str = ''

    @property
    def lost(self) -> int:
        """Pairs that were sent and brought no result, for whatever cause."""
        return self.sent - len(self.answers)

    def causes(self) -> dict[str, int]:
        """All lost pairs by cause, the node's own first.

        'images lost' never were a pair in the node: the middleware, or its queue in the node,
        dropped an image. 'no result' are those for which the node counts nothing.
        """
        found = {cause: number for cause, number in sorted(self.dropped.items()) if number > 0}
        rest = self.lost - sum(found.values())
        if self.paired is not None and rest > 0:
            unpaired = min(rest, max(0, self.sent - self.paired))
            found |= {'images lost': unpaired} if unpaired else {}
            rest -= unpaired
        return {**found, 'no result': rest} if rest > 0 else found

    def as_values(self) -> dict[str, Any]:
        """For the result file."""
        loads = self.loads[:: -(-len(self.loads) // _MOST_POINTS) or 1]
        answers = self.answers[:: -(-len(self.answers) // _MOST_POINTS) or 1]
        rates = [len(self.answers), self.sent]
        # In lockstep most of the time goes into judging.
        timed = self.mode == REAL_TIME and self.duration_s > 0
        out, into = (count / self.duration_s if timed else None for count in rates)
        return {
            'mode': self.mode,
            'rate': self.rate,
            'loops': self.loops,
            'ended': self.ended,
            'duration_s': self.duration_s,
            'sent': self.sent,
            'answered': len(self.answers),
            'lost': self.lost,
            'dropped': self.causes(),
            'images': self.images,
            'sha256': self.hashes[0] if self.hashes else None,
            'sha256_of_loops': self.hashes,
            'rate_in_hz': into,
            'rate_out_hz': out,
            'arrival_to_result_ms': percentiles([a.arrival_ms for a in self.answers]),
            'stamp_to_result_ms': percentiles([a.stamp_ms for a in self.answers]),
            'age_ms': percentiles([load.age_ms for load in self.loads]),
            'cpu_percent': percentiles([load.cpu_percent for load in self.loads]),
            'memory_mib': percentiles([load.memory_mib for load in self.loads]),
            'sent_late_ms': percentiles(self.late_ms),
            'answers': {
                'time_s': [round(a.time_s, 4) for a in answers],
                'arrival_ms': [round(a.arrival_ms, 3) for a in answers],
                'stamp_ms': [round(a.stamp_ms, 3) for a in answers],
            },
            'loads': {
                'time_s': [round(load.time_s, 3) for load in loads],
                'cpu_percent': [round(load.cpu_percent, 1) for load in loads],
                'memory_mib': [round(load.memory_mib, 2) for load in loads],
                'age_ms': [round(load.age_ms, 1) for load in loads],
            },
        }

    def lines(self) -> list[str]:
        """The figures in words, for the terminal."""
        speed = f'at rate {self.rate:g}' if self.rate is not None else 'pair by pair'
        values = self.as_values()
        lines = [
            f'{self.mode}, {speed}: {self.sent} pairs sent, {len(self.answers)} answered, '
            f'{self.lost} lost'
        ]
        lines += [f'lost, {cause}: {number}' for cause, number in self.causes().items()]
        for key, name in (
            ('arrival_to_result_ms', 'last image sent to result'),
            ('stamp_to_result_ms', 'stamp to result'),
        ):
            found = values[key]
            if found:
                shown = ', '.join(f'{part} {found[part]:.0f} ms' for part in ('p50', 'p95', 'p99'))
                lines.append(f'{name}: {shown}')
        if values['rate_in_hz']:
            lines.append(
                f'rate: {values["rate_in_hz"]:.1f} Hz in, {values["rate_out_hz"]:.1f} Hz out'
            )
        if values['cpu_percent']:
            cpu, memory = values['cpu_percent'], values['memory_mib']
            lines.append(f'node: {cpu["mean"]:.0f} % of a core, {memory["max"]:.0f} MiB at most')
        if self.hashes:
            lines.append(f'sha256 of all disparities: {self.hashes[0]}')
        if len(set(self.hashes)) > 1:
            lines.append('the loops differ: their disparities have other hashes')
        return lines


class DisparityHash:
    """SHA-256 over disparities in the order in which they are added."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, disparity: Float32Array) -> None:
        """Take the values of a published disparity image, (H, W) px, as little-endian float32."""
        self._hash.update(np.ascontiguousarray(disparity, '<f4').tobytes())

    def text(self) -> str:
        """In hexadecimal."""
        return self._hash.hexdigest()


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Mean, p50, p95, p99 and the largest of those that are known; None where none is."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return None
    p50, p95, p99 = (float(v) for v in np.percentile(known, (50, 95, 99)))
    return {
        'mean': float(known.mean()),
        'p50': p50,
        'p95': p95,
        'p99': p99,
        'max': float(known.max()),
    }
