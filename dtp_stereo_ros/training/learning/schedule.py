"""Progress of a run: in steps, or in minutes over several calls."""

from __future__ import annotations

import math
import time

from ..settings import TrainConfig

# Kept free at the end of a call in minutes for the last validation and checkpoint; more where they
# take longer, which differs from time to time by such a share.
RESERVE_S = 4.0
_LONGER = 1.2
_LONGEST_WARMUP_SHARE = 0.1
# Warm-up of a run in minutes.
_LONGEST_WARMUP_S = 30.0
_WARMUP_SHARE = 0.03


class Schedule:
    """Schedule of one call.

    Attributes:
        before_s: spent by earlier calls.
        first: step that this call begins with.
        reserve_s: kept free at the end of a call in minutes.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.begun = self.marked = time.monotonic()
        self.before_s = 0.0
        self.first = 0
        self.reserve_s = RESERVE_S

    @property
    def elapsed_s(self) -> float:
        """Since this call began."""
        return time.monotonic() - self.begun

    @property
    def seconds(self) -> float:
        """Spent on the run so far, over all its calls."""
        return self.before_s + self.elapsed_s

    @property
    def total_s(self) -> float:
        """Length of a run in minutes over all its calls."""
        config = self.config
        return 60 * config.total_minutes or self.before_s + 60 * config.minutes

    def over(self, step: int) -> bool:
        """Whether the call ends before this step."""
        config = self.config
        if 0 < config.max_steps <= step - self.first:
            return True
        if config.minutes:
            return self.elapsed_s >= 60 * config.minutes - self.reserve_s
        return step >= config.steps

    def due(self, step: int) -> bool:
        """Whether it is time for a checkpoint."""
        config = self.config
        if config.minutes and self.elapsed_s >= 60 * config.minutes - 2 * self.reserve_s:
            # It would leave no time for the last one.
            return False
        if config.checkpoint_s:
            return time.monotonic() - self.marked >= config.checkpoint_s
        return step > self.first and (step - self.first) % config.validate_every == 0

    def checkpoint_takes(self, seconds: float) -> None:
        """Keep free what a validation and a checkpoint take."""
        self.reserve_s = max(RESERVE_S, 1 + _LONGER * seconds)

    def mark(self) -> float:
        """A checkpoint is made; seconds since the one before."""
        before, self.marked = self.marked, time.monotonic()
        return self.marked - before

    def rate(self, step: int) -> float:
        """Factor of the learning rate."""
        config = self.config
        if config.minutes:
            return rate_after(self.seconds, self.total_s - self.reserve_s, config.decay_share)
        return rate_at(step, config)

    def progress(self, step: int) -> float:
        """Share of the run that is done, 0..1."""
        if self.config.minutes:
            return min(1.0, self.seconds / max(1e-9, self.total_s))
        return step / max(1, self.config.steps)


def rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate factor of a run in steps; see `rate`."""
    return rate(step, config.steps, config.warmup_steps, config.decay_share, 1.0)


def rate_after(spent_s: float, total_s: float, decay_share: float) -> float:
    """Learning rate factor of a run in minutes; see `rate`."""
    warm = min(_LONGEST_WARMUP_S, _WARMUP_SHARE * total_s)
    return rate(spent_s, total_s, warm, decay_share, 0.02 * warm)


def rate(done: float, total: float, warm: float, decay_share: float, first: float) -> float:
    """Warm-up, plateau, cosine to zero.

    The plateau lets a run be lengthened, or brought home early, by changing its length on resume.

    Args:
        done, total: of the run, in steps or seconds.
        warm: length of the warm-up; of a short run a tenth.
        decay_share: share of the run over which the factor falls to 0.
        first: is added to `done` in the warm-up, so that the first step counts.
    """
    start = total * (1 - decay_share)
    # A short run would end before it has warmed up.
    warm = min(warm, _LONGEST_WARMUP_SHARE * total)
    rising = min(1.0, (done + first) / max(warm, 1e-6))
    if done < start:
        return rising
    progress = min(1.0, (done - start) / max(1e-6, total - start))
    return rising * 0.5 * (1 + math.cos(math.pi * progress))
