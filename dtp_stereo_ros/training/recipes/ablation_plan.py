"""Contents of an ablation file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dtp_stereo_ros.errors import ConfigError

from ..settings import (
    PRUNING_BATCHES,
    REQUIRED,
    Computing,
    Course,
    DistilConfig,
    GeneratorConfig,
    LossWeights,
    PruneConfig,
    Settings,
    TrainConfig,
    other_default,
    setting,
)


@dataclass(frozen=True)
class Budget(Settings):
    """Settings that all runs share."""

    steps: int = other_default(Course, 'steps', 300)
    learning_rate: float = other_default(Course, 'learning_rate', 2e-3)
    warmup_steps: int = other_default(Course, 'warmup_steps', 20)
    round_steps: int = setting(
        100, 'Steps of each round of a run that goes on from another.', minimum=1
    )
    round_rate: float = setting(1e-3, 'Learning rate of such a round.', minimum=0)
    validations: int = setting(
        2, 'Number of validations of a run, which keep its best weights.', minimum=1
    )
    validation_batches: int = other_default(TrainConfig, 'validation_count', 4)
    test_batches: int = setting(
        16, 'Generated batches, of a seed of their own, on which rows are compared.', minimum=1
    )
    seeds: tuple[int, ...] = setting(
        (0,), 'A run is made with each, where it names none itself; rows are means.', minimum=0
    )


@dataclass(frozen=True)
class Run:
    """One training, or rounds that go on from another run.

    Attributes:
        network: a name of `family.PRESETS`, or an architecture, from fresh weights; or
        after: the run that is gone on from.
        rounds: how often, each a training of the budget's `round_steps`.
        prune: what is cut before each round; None cuts nothing.
        how: see `DistilConfig`, its teacher being the plan's; None learns from the truth alone.
        loss: against the truth.
        seeds: see `Budget`.
    """

    network: str | dict[str, Any] = field(default_factory=dict)
    after: str = ''
    rounds: int = 1
    prune: PruneConfig | None = None
    how: DistilConfig | None = None
    loss: LossWeights = field(default_factory=LossWeights)
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        run: its name.
        name: what differs, in words.
        published: what the paper found there, or ''.
    """

    run: str
    name: str
    published: str = ''


@dataclass(frozen=True)
class Group:
    """A table: rows that differ in one thing.

    Attributes:
        title: its heading.
        rows: at least one.
        note: what the reader has to know.
    """

    title: str
    rows: tuple[Row, ...]
    note: str = ''


@dataclass(frozen=True, kw_only=True)
class Plan(Computing):
    """An ablation: runs and tables by name."""

    out: Path = setting(REQUIRED, 'Folder of the runs.')
    teacher: str = other_default(DistilConfig, 'teacher', REQUIRED)
    runs: dict[str, Run]
    groups: dict[str, Group]
    budget: Budget = field(default_factory=Budget)
    data: GeneratorConfig = field(default_factory=GeneratorConfig)
    workers: int = other_default(Computing, 'workers', 0)
    input_scale: float = setting(
        1.0,
        'Real pairs are shrunk by this, so that their disparities fit the networks.',
        minimum=0.125,
        maximum=1,
    )
    measure_batches: int = setting(2, PRUNING_BATCHES, minimum=1)

    def __post_init__(self) -> None:
        """Check the ranges and names."""
        super().__post_init__()
        for name, run in self.runs.items():
            if bool(run.network) == bool(run.after):
                raise ConfigError(f'runs.{name}: give either network or after')
            if run.how and run.how.teacher:
                raise ConfigError(
                    f'runs.{name}.how.teacher is {run.how.teacher!r}, but all runs have one '
                    'teacher; give it as teacher'
                )
            if run.after:
                _known(run.after, self.runs, f'runs.{name}.after')
                if self.runs[run.after].after:
                    raise ConfigError(f'runs.{name}.after: {run.after} itself goes on from a run')
        for name, group in self.groups.items():
            for row in group.rows:
                _known(row.run, self.runs, f'groups.{name}')

    def seeds(self, name: str) -> tuple[int, ...]:
        """The seeds of a run."""
        return self.runs[name].seeds or self.budget.seeds

    def chosen(self, names: Collection[str]) -> list[str]:
        """The runs that groups or runs name; all runs where nothing is named.

        Raises:
            ConfigError: there is no such group or run.
        """
        wanted: list[str] = [] if names else list(self.runs)
        for name in names:
            _known(name, {**self.runs, **self.groups}, '--rows')
            group = self.groups.get(name)
            wanted += [row.run for row in group.rows] if group else [name]
        return list(dict.fromkeys(wanted))


def _known(name: str, among: Collection[str], where: str) -> None:
    if name not in among:
        raise ConfigError(f'{where}: {name!r} is unknown; there are {", ".join(among)}')
