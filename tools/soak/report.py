"""Verdict, Markdown and plot of the samples of a soak test."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.image_io import atomic
from dtp_stereo_ros.markdown import table

# What the model compiles and allocates for its first frames is not judged.
_WARM_UP_S = 60.0
_WARM_UP_SHARE = 0.2
# Memory may change and rate may fall by this share.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Sample:
    """Counts since the sample before.

    Attributes:
        time_s: since the first result.
        rss_mib: resident memory of the node's process, shared memory of DDS included.
        anon_mib: of that, what only the node has.
        sent_hz, out_hz: pairs that the camera sent, disparities that came.
        latency_p50_ms, latency_p95_ms: from the stamp of the camera to the arrival of the result;
            NaN where none came.
    """

    time_s: float
    rss_mib: float
    anon_mib: float
    sent_hz: float
    out_hz: float
    latency_p50_ms: float
    latency_p95_ms: float


@dataclass
class Soak:
    """A run, complete or not.

    Attributes:
        title: size and rate of the pairs, and how long the run was to be.
        planned_s: that, in seconds.
        samples: in order.
        facts: label to text for the page: backend, drops by cause, ...
        failure: why it ended, if not by itself or by the user.
    """

    title: str
    planned_s: float
    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    failure: str = ''


@dataclass(frozen=True)
class Verdict:
    """Changes as shares, of the samples after the warm-up.

    Attributes:
        warm_up_s: what was left out.
        memory_change: median of the last fifth against that of the first.
        memory_spread: largest distance of any sample from the median of all.
        rate_change: mean rate of the last fifth against that of the first.
    """

    warm_up_s: float
    memory_change: float
    memory_spread: float
    rate_change: float

    @property
    def memory_flat(self) -> bool:
        """Within the tolerance, in the end and all the while."""
        return max(abs(self.memory_change), self.memory_spread) <= TOLERANCE

    @property
    def rate_kept(self) -> bool:
        """No fall beyond the tolerance."""
        return self.rate_change >= -TOLERANCE


def judge(samples: Sequence[Sample]) -> Verdict | None:
    """The verdict; None while there are too few samples for fifths."""
    if not samples:
        return None
    warm_up_s = min(_WARM_UP_S, _WARM_UP_SHARE * samples[-1].time_s)
    judged = [s for s in samples if s.time_s >= warm_up_s]
    count = len(judged) // 5
    if count == 0:
        return None
    first, last = judged[:count], judged[-count:]
    middle = median(s.rss_mib for s in judged)
    return Verdict(
        warm_up_s,
        median(s.rss_mib for s in last) / median(s.rss_mib for s in first) - 1,
        max(abs(s.rss_mib - middle) for s in judged) / middle,
        mean(s.out_hz for s in last) / max(mean(s.out_hz for s in first), 1e-9) - 1,
    )


def section(soak: Soak, plot: str, command: str) -> str:
    """The run in Markdown.

    Args:
        soak: the run.
        plot: file name of its plot.
        command: that made it.
    """
    verdict = judge(soak.samples)
    rows = {**_measured(soak), **soak.facts}
    lines = [f'{soak.title}; made by `{command}`.', '']
    lines.append(table(('', ''), list(rows.items())))
    return '\n'.join(
        [*lines, '', *_judged(verdict, soak.failure), '', f'![Memory and rate]({plot})']
    )


def _measured(soak: Soak) -> Mapping[str, str]:
    samples = soak.samples
    if not samples:
        return {'duration': 'nothing was measured'}
    ran_s = samples[-1].time_s
    early = (
        '' if ran_s >= 0.99 * soak.planned_s else f', stopped of {soak.planned_s / 60:g} planned'
    )
    known = [s for s in samples if s.latency_p50_ms == s.latency_p50_ms]
    memory = [s.rss_mib for s in samples]
    return {
        'duration': f'{ran_s / 60:.1f} min{early}',
        'pairs sent': f'{mean(s.sent_hz for s in samples):.2f} Hz',
        'disparities received': f'{mean(s.out_hz for s in samples):.2f} Hz',
        'latency, camera to subscriber': f'p50 {median(s.latency_p50_ms for s in known):.0f} ms, '
        f'p95 {median(s.latency_p95_ms for s in known):.0f} ms (medians over the samples)'
        if known
        else 'no result came',
        'memory of the node (RSS)': f'{min(memory):.1f} to {max(memory):.1f} MiB, '
        f'at the end {memory[-1]:.1f} MiB, of it {samples[-1].anon_mib:.1f} MiB its own',
        'machine': f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end',
    }


def _judged(verdict: Verdict | None, failure: str) -> list[str]:
    if failure:
        return [f'- **Failed**: {failure}']
    if verdict is None:
        return ['- Too short for a verdict.']
    limit = f'{100 * TOLERANCE:g} %'
    return [
        f'- Memory {"**is flat**" if verdict.memory_flat else "**is not flat**"} within {limit}: '
        f'{100 * verdict.memory_change:+.2f} % from the first to the last fifth (medians), '
        f'no sample further than {100 * verdict.memory_spread:.2f} % from the median; the first '
        f'{verdict.warm_up_s:.0f} s are warm-up.',
        f'- Rate {"**is kept**" if verdict.rate_kept else "**falls**"}: '
        f'{100 * verdict.rate_change:+.2f} % from the first to the last fifth.',
    ]


def check_plot(page: Path) -> None:
    """Say early that the plot beside a page cannot be made.

    Raises:
        InputError: matplotlib is not installed.
    """
    if find_spec('matplotlib') is None:
        raise InputError(f'{page}: its plot needs matplotlib; pip install matplotlib')


def draw(path: Path, samples: Sequence[Sample]) -> None:
    """Memory and rate over time, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=100, layout='constrained')
    memory, rate = figure.subplots(2, 1, sharex=True)
    minutes = [s.time_s / 60 for s in samples]
    memory.plot(minutes, [s.rss_mib for s in samples], label='resident')
    memory.plot(minutes, [s.anon_mib for s in samples], label="of it the node's own")
    memory.set_ylabel('memory of the node, MiB')
    rate.plot(minutes, [s.sent_hz for s in samples], label='pairs sent')
    rate.plot(minutes, [s.out_hz for s in samples], label='disparities received')
    rate.set_ylabel('rate, Hz')
    rate.set_xlabel('time, min')
    for axes in (memory, rate):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(loc='lower left')
    content = io.BytesIO()
    figure.savefig(content, format='png')
    with atomic(path) as file:
        file.write(content.getvalue())
