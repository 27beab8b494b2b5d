"""What an ablation file says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dtp_stereo_ros.errors import ConfigError

from ..data.batches import GeneratorConfig
from ..learning.distillation import DistilConfig
from ..learning.losses import LossWeights
from ..pruning.prune import PruneConfig


@dataclass(frozen=True)
class Budget:
    """What every run gets alike.

    Attributes:
        steps: of a run from fresh weights.
        learning_rate, warmup_steps: of such a run.
        round_steps, round_rate: of each round of a run that goes on from another.
        validations: how often a run is judged to keep its best weights.
        validation_batches: on which.
        test_batches: of the generator, with a seed of their own, on which rows are compared.
        seeds: a run is made with each, where it names none itself; rows are means over them.
    """

    steps: int = 300
    learning_rate: float = 2e-3
    warmup_steps: int = 20
    round_steps: int = 100
    round_rate: float = 1e-3
    validations: int = 2
    validation_batches: int = 4
    test_batches: int = 16
    seeds: tuple[int, ...] = (0,)


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


@dataclass(frozen=True)
class Plan:
    """What an ablation file says.

    Attributes:
        out: folder of the runs.
        teacher: see `teachers.open_teacher`.
        runs: by name.
        groups: tables by name.
        budget: see `Budget`.
        data: the generator.
        input_scale: real pairs are shrunk by this, so that their disparities fit the networks.
        measure_batches: of the pruning steps.
        precision, device, workers, threads: of training.
    """

    out: Path
    teacher: str
    runs: dict[str, Run]
    groups: dict[str, Group]
    budget: Budget = field(default_factory=Budget)
    data: GeneratorConfig = field(default_factory=GeneratorConfig)
    input_scale: float = 1.0
    measure_batches: int = 2
    precision: Literal['bf16', 'fp32'] = 'bf16'
    device: Literal['auto', 'cpu'] = 'auto'
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        for name, run in self.runs.items():
            if bool(run.network) == bool(run.after):
                raise ConfigError(f'runs.{name}: give either network or after')
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
