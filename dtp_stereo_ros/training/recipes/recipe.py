"""The settings of a recipe file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.paths import plain_name

from ..settings import (
    PRUNING_BATCHES,
    REQUIRED,
    Computing,
    Course,
    DistilConfig,
    GeneratorConfig,
    PruneConfig,
    Settings,
    TrainConfig,
    other_default,
    setting,
)


@dataclass(frozen=True, kw_only=True)
class TrainStep(Course):
    """Training against truth."""

    network: str | dict[str, Any] = setting('light', 'Name of a network, or an architecture.')
    file: str = setting(
        '',
        'Finished checkpoint or shipped model that is used as it is, for the teacher any teacher; '
        'nothing is trained.',
    )
    init: Path | None = setting(None, 'Checkpoint to start from.')


@dataclass(frozen=True, kw_only=True)
class DistilStep(Course):
    """Distillation of the student; left out where its steps are 0."""

    learning_rate: float = other_default(Course, 'learning_rate', 1e-3)
    how: DistilConfig = field(default_factory=DistilConfig)

    def __post_init__(self) -> None:
        """See `Settings`; the teacher is the recipe's."""
        super().__post_init__()
        if self.how.teacher:
            raise ConfigError(
                f'how.teacher is {self.how.teacher!r}, but all steps have one teacher; give it as '
                'teacher.file'
            )


@dataclass(frozen=True)
class PruneStep(Settings):
    """Pruning and distillation, several times."""

    rounds: int = setting(5, 'Number of rounds; 0 prunes nothing.', minimum=0, maximum=100)
    how: PruneConfig = field(default_factory=PruneConfig)
    measure_batches: int = setting(8, PRUNING_BATCHES, minimum=1)
    tune: DistilStep = field(default_factory=DistilStep)
    last_steps: int = setting(
        0,
        'Steps of the distillation after the last round; 0: as many as after the others.',
        minimum=0,
    )

    def tune_after(self, number: int) -> DistilStep:
        """The distillation after a round, counted from 1."""
        if self.last_steps and number == self.rounds:
            return replace(self.tune, steps=self.last_steps)
        return self.tune


@dataclass(frozen=True)
class EvaluateStep(Settings):
    """Evaluation of the links of the chain, beside SGBM."""

    data: tuple[str, ...] = setting(
        (), 'Data sets of `dtp-stereo eval`, NAME:PATH, besides the Motorcycle pair.'
    )
    backends: tuple[Literal['openvino', 'onnx', 'torch'], ...] = setting(
        ('openvino', 'onnx', 'torch'), 'Backends in which latency is measured.'
    )
    latency_size: tuple[int, int] = setting(
        (480, 640), 'Height and width of the pair.', unit='px', minimum=32, maximum=8192
    )
    runs: int = setting(10, 'Timed inferences of each model in each backend.', minimum=1)


@dataclass(frozen=True, kw_only=True)
class Recipe(Computing):
    """A chain from a teacher to an exported, pruned model.

    The student is trained against truth first where its steps are not 0. Sizes and batch size of
    the generator count for all sources.
    """

    out: Path = setting(REQUIRED, 'Folder of the steps.')
    name: str = setting('student', 'Name of the exported model.')
    teacher: TrainStep
    student: TrainStep
    distil: DistilStep = field(default_factory=DistilStep)
    prune: PruneStep = field(default_factory=PruneStep)
    evaluate: EvaluateStep = field(default_factory=EvaluateStep)
    data: GeneratorConfig = field(default_factory=GeneratorConfig)
    validation_batches: int = other_default(TrainConfig, 'validation_count', 8)

    def __post_init__(self) -> None:
        """See `Settings`; the name must be one of a file."""
        super().__post_init__()
        plain_name(self.name, 'name')
