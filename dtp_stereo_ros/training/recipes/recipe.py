"""What a recipe file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dtp_stereo_ros.settings_file import read_settings

from ..data.batches import GeneratorConfig
from ..learning.distillation import DistilConfig
from ..learning.losses import LossWeights
from ..pruning.prune import PruneConfig


@dataclass(frozen=True)
class TrainStep:
    """Training against truth.

    Attributes:
        network: a name of `family.PRESETS`, or an architecture.
        file: a finished checkpoint or the name of a shipped model (for the teacher, whatever
            `open_teacher` takes) that is used as it is; nothing is trained.
        init: checkpoint to start from.
        steps, learning_rate, warmup_steps, decay_share, validate_every, sources: see
            `TrainConfig`.
        loss: see `LossWeights`.
    """

    network: str | dict[str, Any] = 'light'
    file: str = ''
    init: Path | None = None
    steps: int = 10000
    learning_rate: float = 1.5e-3
    warmup_steps: int = 300
    decay_share: float = 0.3
    validate_every: int = 500
    sources: tuple[str, ...] = ('synthetic',)
    loss: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True)
class DistilStep:
    """Teaching the student.

    Attributes:
        steps: see `TrainConfig`; the recipe's own distillation is left out where they are 0.
        learning_rate, warmup_steps, decay_share, validate_every, sources: see `TrainConfig`.
        loss: against the truth, where it takes part.
        how: see `DistilConfig`; its teacher is the recipe's.
    """

    steps: int = 10000
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    decay_share: float = 0.3
    validate_every: int = 500
    sources: tuple[str, ...] = ('synthetic',)
    loss: LossWeights = field(default_factory=LossWeights)
    how: DistilConfig = field(default_factory=DistilConfig)


@dataclass(frozen=True)
class PruneStep:
    """Pruning and teaching again, several times.

    Attributes:
        rounds: how often; 0 prunes nothing.
        how: of one round.
        measure_batches: on which the error is measured.
        tune: the distillation after each round.
        last_steps: of the distillation after the last round; 0: as many as after the others.
    """

    rounds: int = 5
    how: PruneConfig = field(default_factory=PruneConfig)
    measure_batches: int = 4
    tune: DistilStep = field(default_factory=DistilStep)
    last_steps: int = 0

    def tune_after(self, number: int) -> DistilStep:
        """The distillation after a round, counted from 1."""
        if self.last_steps and number == self.rounds:
            return replace(self.tune, steps=self.last_steps)
        return self.tune


@dataclass(frozen=True)
class EvaluateStep:
    """How the links of the chain are judged.

    Attributes:
        data: data sets of `dtp-stereo eval`, ``NAME:PATH``, besides the Motorcycle pair; SGBM is
            scored beside the links.
        backends: latency is measured in them.
        latency_size: (height, width) px.
        runs: timed inferences of each model in each backend.
    """

    data: tuple[str, ...] = ()
    backends: tuple[Literal['openvino', 'onnx', 'torch'], ...] = ('openvino', 'onnx', 'torch')
    latency_size: tuple[int, int] = (480, 640)
    runs: int = 10


@dataclass(frozen=True)
class Recipe:
    """What a recipe file says.

    Attributes:
        out: folder of the steps.
        name: of the exported model.
        teacher: trained, or a file.
        student: its architecture; trained against truth first where its steps are not 0.
        distil, prune, evaluate: the steps.
        data: the generator; its sizes and batch size count for all sources.
        precision: of training.
        device: 'auto' or 'cpu'.
        workers, threads, validation_batches: of training.
    """

    out: Path
    teacher: TrainStep
    student: TrainStep
    name: str = 'student'
    distil: DistilStep = field(default_factory=DistilStep)
    prune: PruneStep = field(default_factory=PruneStep)
    evaluate: EvaluateStep = field(default_factory=EvaluateStep)
    data: GeneratorConfig = field(default_factory=GeneratorConfig)
    precision: Literal['bf16', 'fp32'] = 'bf16'
    device: Literal['auto', 'cpu'] = 'auto'
    workers: int = 1
    threads: int = 0
    validation_batches: int = 8


def read_recipe(path: Path, changes: Mapping[str, Any]) -> Recipe:
    """Parse a recipe file.

    Args:
        path: YAML.
        changes: settings that differ from the file, by dotted names.

    Raises:
        InputError: no such file, or no YAML.
        ConfigError: see `strict.parse`.
    """
    return read_settings(Recipe, path, changes)
