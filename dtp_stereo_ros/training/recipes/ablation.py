"""An ablation: small runs that differ in one thing, judged on the same pairs.

Each run has a folder below the plan's for every seed, with the steps of `resumable` in it, so that
a table can be made in parts and goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dtp_stereo_ros import models
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation.datasets import Scene, open_dataset, shared_sets
from dtp_stereo_ros.evaluation.runner import Method, evaluate
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.settings_file import plain

from ..data.batches import Batch
from ..data.sources import drawn, held_out
from ..learning.device import accelerator_for
from ..learning.train_config import preset, training_settings
from ..learning.trainer import Trainer
from ..pruning.prune_checkpoint import prune_checkpoint
from ..settings import SYNTHETIC, DistilConfig, PruneConfig, TrainConfig
from ..teachers import open_teacher
from .ablation_plan import Plan, Run
from .judged import judged
from .resumable import TEST_SEED, do_once, finished
from .summary import filled_scores


@dataclass(frozen=True)
class Outcome:
    """Result of a run with one seed.

    Attributes:
        parameters: their number.
        gmac: multiplications of the convolutions for one 640x480 pair, in 1e9.
        epe_px, bad1, bad3: over visible pixels of the generated test pairs.
        real: data set to (EPE px, bad-3), holes filled; empty where there is none.
    """

    parameters: int
    gmac: float
    epe_px: float
    bad1: float
    bad3: float
    real: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class _Stage:
    """A step of a run; see `resumable.do_once`.

    Attributes:
        output: checkpoint that the next stage starts from, or None where it only measures.
    """

    folder: Path
    settings: dict[str, Any]
    work: Callable[[Path], dict[str, Any]]
    output: Path | None = None


class Ablation:
    """A plan being carried out.

    Args:
        plan: see `Plan`.
        command: what was typed, for the cards.
        shared: folder with real data sets, see `datasets.SHARED_LAYOUT`; None scores none.

    Raises:
        ModelError: there is no such teacher.
        InputError: the folder holds no data set.
    """

    def __init__(self, plan: Plan, command: str, shared: Path | None) -> None:
        self.plan = plan
        self.command = command
        self.real: dict[str, list[Scene]] = dict(
            open_dataset(spec) for spec in (shared_sets(shared) if shared else [])
        )
        self._teacher = open_teacher(plan.teacher).fingerprint
        self._accelerator = accelerator_for(plan)
        self._test: list[Batch] = []

    def run(self, names: Collection[str] = ()) -> None:
        """Do what is not done yet of the runs that `Plan.chosen` finds.

        Raises:
            ConfigError: a run was begun with other settings.
            StereoError: a run fails.
        """
        for name in self.plan.chosen(names):
            for seed in self.plan.seeds(name):
                for stage in self._stages(name, seed):
                    heading = str(stage.folder.relative_to(self.plan.out))
                    do_once(stage.folder, heading, stage.settings, stage.work, self._accelerator)

    def outcome(self, name: str, seed: int) -> Outcome | None:
        """Result of a run, or None where it is not done.

        Raises:
            ConfigError: it was begun with other settings.
        """
        found: dict[str, Any] = {'real': {}}
        for stage in self._stages(name, seed):
            metrics = finished(stage.folder, stage.settings)
            if metrics is None and stage.folder.name == 'real':
                break
            if metrics is None:
                return None
            found |= metrics
        return Outcome(
            found['parameters'],
            found['gmac'],
            found['epe_px'],
            found['bad1'],
            found['bad3'],
            {name: (epe, bad3) for name, (epe, bad3) in found['real'].items()},
        )

    def _stages(self, name: str, seed: int) -> Iterator[_Stage]:
        """The steps of a run in turn; each begins when the one before is done."""
        run = self.plan.runs[name]
        folder = self.plan.out / f'{name}-seed{seed}'
        if run.after:
            before = self.plan.out / f'{run.after}-seed{seed}' / 'train'
            stage = self._training(before, self.plan.runs[run.after], seed, None)
        else:
            stage = self._training(folder / 'train', run, seed, None)
        yield stage
        for number in range(1, 1 + (run.rounds if run.after else 0)):
            if run.prune:
                source = _output(stage)
                stage = self._pruning(folder / f'prune{number}', run.prune, seed, source)
                yield stage
            stage = self._training(folder / f'tune{number}', run, seed, _output(stage))
            yield stage
        source = _output(stage)
        model = models.sha256(source)
        yield _Stage(
            folder / 'test', {'model': model, **self._test_settings()}, self._judge(source)
        )
        if self.real:
            yield _Stage(
                folder / 'real', {'model': model, **self._real_settings()}, self._score(source)
            )

    def _training(self, folder: Path, run: Run, seed: int, init: Path | None) -> _Stage:
        """From fresh weights, or a round that goes on from a checkpoint."""
        plan, budget = self.plan, self.plan.budget
        steps = budget.round_steps if init else budget.steps
        how = replace(run.how, teacher=plan.teacher) if run.how else DistilConfig()
        config = TrainConfig(
            out=folder,
            network=preset(run.network) if isinstance(run.network, str) else run.network,
            data=replace(plan.data, seed=plan.data.seed + seed),
            loss=run.loss,
            distil=how,
            steps=steps,
            warmup_steps=min(budget.warmup_steps, steps // 4),
            learning_rate=budget.round_rate if init else budget.learning_rate,
            precision=plan.precision,
            device=plan.device,
            workers=plan.workers,
            validate_every=-(-steps // budget.validations),
            validation_count=budget.validation_batches,
            threads=plan.threads,
            init=init,
            command=self.command,
        )
        settings = training_settings(config)
        settings['distil']['teacher'] = self._teacher if run.how else ''

        def work(folder: Path) -> dict[str, Any]:
            return Trainer(config).run()

        return _Stage(folder, settings, work, folder / 'best.pt')

    def _pruning(self, folder: Path, how: PruneConfig, seed: int, source: Path) -> _Stage:
        plan = self.plan
        data = replace(plan.data, seed=plan.data.seed + seed)
        settings = {
            'how': plain(how),
            'init': models.sha256(source),
            'measure_batches': plan.measure_batches,
            'data': plain(data),
        }

        def work(folder: Path) -> dict[str, Any]:
            pairs = drawn(
                (SYNTHETIC,), data, plan.measure_batches, plan.out / 'cache', self._accelerator
            )
            report = prune_checkpoint(source, folder, how, pairs, self._accelerator, self.command)
            return {'change_px2': report.change_px2}

        return _Stage(folder, settings, work, folder / 'pruned.pt')

    def _judge(self, source: Path) -> Callable[[Path], dict[str, Any]]:
        def work(folder: Path) -> dict[str, Any]:
            if not self._test:
                data = replace(self.plan.data, seed=self.plan.data.seed + TEST_SEED)
                self._test = self._held_out(data, self.plan.budget.test_batches)
            return judged(source, self._test, self._accelerator)

        return work

    def _score(self, source: Path) -> Callable[[Path], dict[str, Any]]:
        def work(folder: Path) -> dict[str, Any]:
            config = PipelineConfig(
                backend='torch',
                model=str(source),
                input_scale=self.plan.input_scale,
                threads=self.plan.threads,
            )
            method = Method(folder.parent.name, StereoPipeline(config))
            scores = {}
            for name, scenes in self.real.items():
                score = filled_scores(evaluate(name, scenes, [method]))[method.name]
                scores[name] = (score.epe_px, score.bad_3)
            method.pipeline.close()
            return {'real': scores}

        return work

    def _held_out(self, data: Any, count: int) -> list[Batch]:
        cache = self.plan.out / 'cache'
        batches, _ = held_out((SYNTHETIC,), data, count, cache, self._accelerator)
        return batches

    def _test_settings(self) -> dict[str, Any]:
        return {'data': plain(self.plan.data), 'batches': self.plan.budget.test_batches}

    def _real_settings(self) -> dict[str, Any]:
        sets = {name: len(scenes) for name, scenes in self.real.items()}
        return {'sets': sets, 'input_scale': self.plan.input_scale}


def _output(stage: _Stage) -> Path:
    assert stage.output is not None  # it is no measurement
    return stage.output
