"""Highest rate that a node sustains without losing a pair, and the figures at that rate."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .. import system
from ..markdown import table

SHORTEST_STEP_S, LONGEST_STEP_S = 1.0, 120.0
# A camera that sends this much slower than it was told to is itself the limit.
_CAMERA_HELD = 0.95
_FASTER = 1.5
_VERSION = 1


@dataclass(frozen=True)
class NodeSetting:
    """A node to be measured.

    Attributes:
        width_px, height_px: of the images.
        cameras: that it serves; all send at the same rate.
        parameters: of the node, those that are not its defaults.
    """

    width_px: int
    height_px: int
    cameras: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RateStep:
    """Pairs at one rate.

    Attributes:
        asked_hz: rate that the cameras were told to send at.
        sent_hz: that they sent at; a machine may be too slow for what was asked.
        sent: pairs, of all cameras.
        received: disparities of these pairs that came back.
        dropped: pairs that the node did not answer, by the cause that it tells.
        ages_ms: of the disparities, from the stamp of the pair to their arrival.
        cpu_percent: of one core, that the node took; NaN where it is not told.
        memory_mib: of the node, resident.
    """

    asked_hz: float
    sent_hz: float
    sent: int
    received: int
    dropped: Mapping[str, int]
    ages_ms: Sequence[float]
    cpu_percent: float
    memory_mib: float

    @property
    def sustained(self) -> bool:
        """Whether each pair came back."""
        return self.sent > 0 and self.received == self.sent

    @property
    def camera_held(self) -> bool:
        """Whether the camera sent at the rate that it was told."""
        return self.sent_hz >= _CAMERA_HELD * self.asked_hz


@dataclass(frozen=True)
class NodeFigures:
    """A node measured at several rates.

    Attributes:
        setting: of the node.
        backend, device, model, precision: that it tells.
        steps: in the order in which they were tried.
    """

    setting: NodeSetting
    backend: str
    device: str
    model: str
    precision: str
    steps: Sequence[RateStep]

    @property
    def best(self) -> RateStep | None:
        """The fastest step in which no pair was lost; None where there is none."""
        sustained = [step for step in self.steps if step.sustained]
        return max(sustained, key=lambda step: step.sent_hz, default=None)


def search(try_rate: Callable[[float], RateStep], first_hz: float, steps: int) -> list[RateStep]:
    """Steps that close in on the highest sustained rate.

    The rate grows by half until a step loses a pair; then the interval between the fastest rate
    that was sustained and the slowest that was not is halved. It ends early where the camera
    cannot send any faster.

    Args:
        try_rate: sends at a rate in Hz.
        first_hz: of the first step.
        steps: number of steps, at most.
    """
    done: list[RateStep] = []
    low_hz, high_hz, rate_hz = 0.0, None, first_hz
    for _ in range(steps):
        step = try_rate(rate_hz)
        done.append(step)
        if not step.sustained:
            high_hz = rate_hz
        elif not step.camera_held:
            break
        else:
            low_hz = rate_hz
        rate_hz = _FASTER * low_hz if high_hz is None else (low_hz + high_hz) / 2
    return done


def node_document(figures: Sequence[NodeFigures], seconds: float, command: str) -> dict[str, Any]:
    """The result of ``bench --node`` as plain values; unknown numbers are null.

    Args:
        figures: of all settings.
        seconds: that each rate was tried for.
        command: what was typed.
    """
    return {
        'format': 'dtp_stereo bench of the node',
        'version': _VERSION,
        'command': command,
        'seconds_per_step': seconds,
        'machine': system.describe(),
        # Of the last minute, with the bench itself in it.
        'load_average': round(os.getloadavg()[0], 2),
        'cores': os.cpu_count(),
        'nodes': [_row(found) for found in figures],
    }


def node_text(result: Mapping[str, Any]) -> str:
    """Table for the terminal."""
    return (
        f'the node over DDS, {result["seconds_per_step"]:g} s at each rate\n'
        f'{node_table(result)}\n'
        'rate: the highest of those tried at which each pair came back; age: from the stamp of '
        f'the pair to the arrival of its disparity; CPU: of the node, of {result["cores"]} cores'
    )


def node_table(result: Mapping[str, Any], *, even: bool = True) -> str:
    """Table of a result."""
    lines = []
    for row in result['nodes']:
        cells = [f'{row["width_px"]}x{row["height_px"]}', str(row['cameras'])]
        cells += [row['backend'], row['model'], row['precision']]
        if row['rate_hz'] is None:
            lines.append([*cells, f'below {min(s["sent_hz"] for s in row["steps"]):.1f}'])
            lines[-1] += ['-'] * 4
            continue
        cells.append(('' if row['limit'] == 'node' else 'over ') + f'{row["rate_hz"]:.1f}')
        cells += [f'{row["age_p50_ms"]:.0f}', f'{row["age_p95_ms"]:.0f}']
        share = row['cpu_share']
        cells.append('-' if share is None else f'{100 * share:.0f} %')
        lines.append([*cells, '-' if row['memory_mib'] is None else f'{row["memory_mib"]:.0f}'])
    headings = ['size', 'cameras', 'backend', 'model', 'precision', 'rate Hz', 'age p50 ms']
    return table([*headings, 'age p95 ms', 'CPU', 'memory MiB'], lines, even=even)


def _row(found: NodeFigures) -> dict[str, Any]:
    setting, best = found.setting, found.best
    # The fastest that was tried was sustained: the camera or the number of steps ended it.
    unlimited = best is not None and best.sent_hz == max(step.sent_hz for step in found.steps)
    ages_ms = best.ages_ms if best else []
    p50_ms, p95_ms = np.percentile(ages_ms, (50, 95)) if ages_ms else (None, None)
    return {
        'width_px': setting.width_px,
        'height_px': setting.height_px,
        'cameras': setting.cameras,
        'backend': found.backend,
        'device': found.device,
        'model': found.model,
        'precision': found.precision,
        'parameters': dict(setting.parameters),
        'rate_hz': _number(best.sent_hz if best else None),
        'limit': ('camera or steps' if unlimited else 'node'),
        'age_p50_ms': _number(p50_ms),
        'age_p95_ms': _number(p95_ms),
        'cpu_percent': _number(best.cpu_percent if best else None),
        'cpu_share': _number(best.cpu_percent / 100 / (os.cpu_count() or 1) if best else None, 4),
        'memory_mib': _number(best.memory_mib if best else None),
        'steps': [_step(step) for step in found.steps],
    }


def _step(step: RateStep) -> dict[str, Any]:
    values = asdict(step)
    del values['ages_ms']
    return {
        **{k: _number(v) if isinstance(v, float) else v for k, v in values.items()},
        'sustained': step.sustained,
    }


def _number(value: float | None, digits: int = 2) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)
