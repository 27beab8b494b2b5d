"""Times of several backends on this machine: they take turns, so that a load hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import StereoError, one_line
from ..models import ModelSpec
from ..stereo import UInt8Array

_LEAST_ROUNDS = 5
# Rounds end when they tell the candidates apart, or with the budget. Where the fewest rounds
# would exceed the limit, or the first runs of all, which compile, exceed theirs, there are none.
_BUDGET_S = 1.0
_LIMIT_S = 4.0
_FIRST_LIMIT_S = 10.0
# Thread pools spin for a while after a run; the next candidate is not to pay for that.
_PAUSE_S = 0.02
# Medians that differ by no more, on a machine that is quiet to this share, are equal.
_ALIKE = 0.05

# Most pixels of a class of image sizes, its name, and (height, width) of the images that stand
# for it. They are smaller than those of a camera, for small boards; the ratio of two backends
# depends little on the size: ONNX Runtime took 1.8, 1.7 and 2.1 times as long as OpenVINO at
# 320x192, 640x480 and 1280x736 (dtpnet, bf16 and fp32, Zen 4).
_CLASSES = (
    (160_000, 'small', (128, 192)),
    (float('inf'), 'medium', (192, 320)),
)
_USUAL_SIZE = (480, 640)


@dataclass(frozen=True)
class SizeClass:
    """A class of image sizes.

    Attributes:
        name: 'small' or 'medium'.
        size: (height, width) px that stands for it.
    """

    name: str
    size: tuple[int, int]

    @classmethod
    def of(cls, input_scale: float) -> SizeClass:
        """The class of usual images at a scale: their size is not known before the first comes."""
        pixels = _USUAL_SIZE[0] * _USUAL_SIZE[1] * input_scale**2
        return next(cls(name, size) for most, name, size in _CLASSES if pixels <= most)

    def size_for(self, spec: ModelSpec) -> tuple[int, int]:
        """(height, width) px that a model takes: its only ones, or about those of the class."""
        if spec.fixed_size:
            return spec.fixed_size
        multiple = spec.padding_multiple
        least = (0, spec.min_width_px)
        height, width = (
            -(-max(sides) // multiple) * multiple for sides in zip(self.size, least, strict=True)
        )
        return height, width


@dataclass(frozen=True)
class Speeds:
    """Times of candidates that took turns.

    Attributes:
        size: 'WxH' of the images.
        rounds: timed runs of each.
        median_ms: by label; only of those that ran.
        spread_ms: by label, between the quartiles.
        failed: label to reason, of those that did not run.
    """

    size: str
    rounds: int
    median_ms: dict[str, float]
    spread_ms: dict[str, float]
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether the times tell which is the fastest, or that there is no difference."""
        if self.rounds < _LEAST_ROUNDS or not self.median_ms:
            return False
        first = self._first
        if len(first) == 1:
            return True
        medians = [self.median_ms[label] for label in first]
        noise = max(self.spread_ms[label] for label in first)
        return max(noise, max(medians) - min(medians)) <= _ALIKE * min(medians)

    @property
    def why_unsettled(self) -> str:
        """Reason and times, for the log."""
        if self.rounds < _LEAST_ROUNDS:
            return 'runs take too long to be measured'
        times = ', '.join(
            f'{label} {ms:.1f} ms, spread {self.spread_ms[label]:.1f}'
            for label, ms in self.median_ms.items()
        )
        return f'the machine is too busy to measure ({times})'

    def ranked(self, labels: Sequence[str]) -> list[str]:
        """Those of these labels that ran, the fastest first.

        Args:
            labels: in the usual order, which counts among the fastest where their times do not
                differ by more than they spread.
        """
        if self.rounds < _LEAST_ROUNDS:
            return [label for label in labels if label not in self.failed]
        ran = [label for label in labels if label in self.median_ms]
        first = self._first
        return sorted(
            ran,
            key=lambda label: (label not in first, label not in first and self.median_ms[label]),
        )

    @property
    def _first(self) -> list[str]:
        """Labels that cannot be told from the fastest."""
        least = min(self.median_ms, key=lambda label: self.median_ms[label])
        return [
            label
            for label, ms in self.median_ms.items()
            if ms - self.median_ms[least] <= max(self.spread_ms[label], self.spread_ms[least])
        ]


def images_of(size: tuple[int, int]) -> tuple[UInt8Array, UInt8Array]:
    """A pair of noise, (height, width, 3): networks take as long for any image."""
    left, right = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    return left, right


def measure(runs: Mapping[str, Callable[[], object]], size: tuple[int, int]) -> Speeds:
    """Time candidates in turns, for about a second.

    Args:
        runs: label to a run on one pair, in the usual order.
        size: (height, width) px of that pair.
    """
    turns = _Turns(runs)
    # The first run of an image size compiles or allocates, the second still fills caches.
    if turns.take() > _FIRST_LIMIT_S or turns.take() * _LEAST_ROUNDS > _LIMIT_S:
        turns.forget()
        return turns.speeds(size)
    turns.forget()
    begun_s = time.perf_counter()
    found = turns.speeds(size)
    while turns.running > 1 and not found.settled:
        limit_s = _LIMIT_S if found.rounds < _LEAST_ROUNDS else _BUDGET_S
        if time.perf_counter() - begun_s > limit_s:
            break
        turns.take()
        found = turns.speeds(size)
    return found


class _Turns:
    """Runs that take turns; one that fails is out."""

    def __init__(self, runs: Mapping[str, Callable[[], object]]) -> None:
        self._runs = runs
        self._failed: dict[str, str] = {}
        self._times_s: dict[str, list[float]] = {label: [] for label in runs}

    @property
    def running(self) -> int:
        """Number of those that have not failed."""
        return len(self._times_s)

    def take(self) -> float:
        """Time each once; returns the seconds of all."""
        started_s = time.perf_counter()
        for label in list(self._times_s):
            time.sleep(_PAUSE_S)
            begun_s = time.perf_counter()
            try:
                self._runs[label]()
            except StereoError as error:
                self._failed[label] = one_line(error)
                del self._times_s[label]
            else:
                self._times_s[label].append(time.perf_counter() - begun_s)
        return time.perf_counter() - started_s

    def forget(self) -> None:
        """Drop the times so far."""
        for taken in self._times_s.values():
            taken.clear()

    def speeds(self, size: tuple[int, int]) -> Speeds:
        """Medians and spreads of the times."""
        medians, spreads = {}, {}
        for label, taken_s in self._times_s.items():
            if taken_s:
                low, median, high = np.percentile(1e3 * np.array(taken_s), (25, 50, 75))
                medians[label], spreads[label] = (
                    round(float(median), 3),
                    round(float(high - low), 3),
                )
        rounds = min(map(len, self._times_s.values()), default=0)
        return Speeds(f'{size[1]}x{size[0]}', rounds, medians, spreads, dict(self._failed))
