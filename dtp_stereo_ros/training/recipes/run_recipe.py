"""A chain of steps from a teacher to an exported, pruned model; resumable at every step.

Each step has a folder ``NN-name`` below the recipe's; see `resumable`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dtp_stereo_ros import models
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.evaluation.datasets import open_datasets
from dtp_stereo_ros.image_io import write_json
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import Network, build
from dtp_stereo_ros.paths import make_folder
from dtp_stereo_ros.settings_file import plain

from ..data.batches import Batch
from ..data.sources import Sources, drawn, held_out
from ..learning.device import accelerator_for
from ..learning.distillation import Distillation
from ..learning.train_config import preset, training_settings
from ..learning.trainer import Trainer, check_fresh
from ..pruning.prune import traced_of
from ..pruning.prune_checkpoint import prune_checkpoint, summary_line
from ..settings import (
    Computing,
    Course,
    DistilConfig,
    GeneratorConfig,
    LossWeights,
    TrainConfig,
    shared,
)
from ..teachers import NetworkTeacher, Teacher, open_teacher
from . import summary
from .judged import judged
from .recipe import DistilStep, Recipe, TrainStep
from .resumable import TEST_SEED, do_once
from .summary import Link


class Chain:
    """A recipe being run.

    Args:
        recipe: what to do.
        command: what was typed, for the cards.
    """

    def __init__(self, recipe: Recipe, command: str) -> None:
        self.recipe = recipe
        self.command = command
        self.links: list[Link] = []
        self.pictures: list[Path] = []
        self._number = 0
        # Also judges real pairs without truth, itself among the networks.
        trained = self._folder('teacher', 1) / 'best.pt'
        self._teacher = recipe.teacher.file or str(trained)
        self._test: tuple[list[Batch], bool] | None = None

    @property
    def total(self) -> int:
        """Number of steps."""
        recipe = self.recipe
        teacher, student = recipe.teacher, recipe.student
        begun = [not teacher.file, student.file or student.steps, recipe.distil.steps]
        return sum(map(bool, begun)) + 2 * recipe.prune.rounds + 2

    def run(self) -> Path:
        """Do what is not done yet.

        Returns:
            The summary, a Markdown file.

        Raises:
            ConfigError: a step was begun with other settings; or there is no student.
            InputError, ModelError: a file, pairs or a data set of any step are missing.
            StereoError: a step fails.
        """
        recipe = self.recipe
        if not (self._folder('export', self.total) / 'metrics.json').exists():
            self._check()
        make_folder(recipe.out)
        if not recipe.teacher.file:
            self._train('teacher', recipe.teacher)
        source: Path | None = recipe.student.init
        if recipe.student.file:
            source = self._take('student', models.resolve(recipe.student.file, ('.pt',)))
        elif recipe.student.steps:
            source = self._train('student', recipe.student)
        if recipe.distil.steps:
            source = self._distil('distil', recipe.distil, source)
        assert source is not None  # checked
        for round_ in range(1, recipe.prune.rounds + 1):
            pruned = self._prune(f'prune{round_}', source)
            tune = recipe.prune.tune_after(round_)
            source = self._distil(f'tune{round_}', tune, pruned)
        settings = {'links': [link.sha256 for link in self.links], 'how': plain(recipe.evaluate)}
        self._step('evaluate', settings, self._evaluate)
        named = {'model': models.sha256(source), 'name': recipe.name}
        exported = self._step('export', named, self._export)
        return exported / 'summary.md'

    def _check(self) -> None:
        """Refuse before the first step, which may take hours, what a later one would refuse."""
        recipe = self.recipe
        teacher, student = recipe.teacher, recipe.student
        if not (student.file or student.steps or student.init or recipe.distil.steps):
            raise ConfigError('there is no student; give distil.steps, student.steps or a file')
        lessons: list[tuple[Course, object, DistilConfig | None]] = [
            (teacher, not teacher.file, None),
            (student, student.steps and not student.file, None),
            (recipe.distil, recipe.distil.steps, recipe.distil.how),
            (recipe.prune.tune, recipe.prune.rounds, recipe.prune.tune.how),
        ]
        cache = recipe.out / 'cache'
        with self._accelerator().main_process_first():
            for course, given, how in lessons:
                sources = Sources.open(course.sources, cache) if given else None
                if sources and (how is None or how.supervision == 'truth'):
                    sources.refuse_unlabelled()
                elif sources and how is not None and how.cache:
                    sources.refuse_cache()
            Sources.open(self._judged_by, cache)
        learner = self._check_network(student)
        if recipe.prune.rounds:
            traced_of(learner)
        says: Teacher = (
            open_teacher(teacher.file)
            if teacher.file
            else NetworkTeacher(self._check_network(teacher), 'of this chain')
        )
        for _, given, how in lessons:
            if given and how is not None and how.supervision != 'truth':
                Distillation(learner, says, how, LossWeights())
        open_datasets(recipe.evaluate.data)

    def _check_network(self, step: TrainStep) -> Network:
        if step.file:
            return checkpoint.load(models.resolve(step.file, ('.pt',)))
        network = checkpoint.load(step.init) if step.init else build(architecture_of(step))
        check_fresh(network, self.recipe.data.sizes, bool(step.init))
        return network

    def say(self, text: str) -> None:
        """Print a line, once over all processes."""
        self._accelerator().print(text, flush=True)

    def _train(self, name: str, step: TrainStep) -> Path:
        config = self._training(step, None, init=step.init, network=architecture_of(step))
        return self._fit(name, config)

    def _take(self, name: str, path: Path) -> Path:
        """A finished checkpoint as a step of its own, so that the summary judges it too."""
        content = checkpoint.read(path)
        settings = {'model': models.sha256(path)}

        def work(folder: Path) -> dict[str, Any]:
            if self._accelerator().is_main_process:
                checkpoint.write(folder / 'best.pt', content)
            return {}

        taken = self._step(name, settings, work) / 'best.pt'
        self._add(name, taken)
        return taken

    def _distil(self, name: str, step: DistilStep, source: Path | None) -> Path:
        network = architecture_of(self.recipe.student)
        how = replace(step.how, teacher=self._teacher)
        return self._fit(name, self._training(step, how, init=source, network=network))

    def _training(
        self, step: TrainStep | DistilStep, how: DistilConfig | None, **more: Any
    ) -> TrainConfig:
        recipe = self.recipe
        return TrainConfig(
            out=recipe.out,
            **shared(step, Course),
            **shared(recipe, Computing),
            data=recipe.data,
            distil=how or DistilConfig(),
            validation_count=recipe.validation_batches,
            cache=recipe.out / 'cache',
            command=self.command,
            **more,
        )

    def _fit(self, name: str, config: TrainConfig) -> Path:
        def work(folder: Path) -> dict[str, Any]:
            return dict(Trainer(replace(config, out=folder)).run())

        folder = self._step(name, training_settings(config), work)
        self._add(name, folder / 'best.pt')
        return folder / 'best.pt'

    def _prune(self, name: str, source: Path) -> Path:
        recipe, prune = self.recipe, self.recipe.prune
        settings = {
            'how': plain(prune.how),
            'init': models.sha256(source),
            'measure_batches': prune.measure_batches,
            'sources': list(self._judged_by),
            'data': plain(recipe.data),
        }

        def work(folder: Path) -> dict[str, Any]:
            accelerator = self._accelerator()
            if not accelerator.is_main_process:
                return {}
            pairs = drawn(
                self._judged_by,
                recipe.data,
                prune.measure_batches,
                recipe.out / 'cache',
                accelerator,
            )
            report = prune_checkpoint(source, folder, prune.how, pairs, accelerator, self.command)
            print(summary_line(report))
            return {'change_px2': report.change_px2}

        folder = self._step(name, settings, work)
        if (folder / 'sensitivity.png').exists():
            self.pictures.append(folder / 'sensitivity.png')
        self._add(name, folder / 'pruned.pt')
        return folder / 'pruned.pt'

    def _evaluate(self, folder: Path) -> dict[str, Any]:
        if not self._accelerator().is_main_process:
            return {}
        return summary.evaluate(folder, self.links, self.recipe.evaluate, self.recipe.threads)

    def _export(self, folder: Path) -> dict[str, Any]:
        if not self._accelerator().is_main_process:
            return {}
        measured = json.loads(
            (self._folder('evaluate', self._number - 1) / 'metrics.json').read_text()
        )
        name = self.recipe.name
        summary.write(folder, name, self.links, measured, self.pictures, self.command)
        return {'model': name}

    def _add(self, name: str, path: Path) -> None:
        """Judge a link of the chain on the test pairs, once."""
        known = path.parent / 'link.json'
        # Links of other test pairs cannot be compared.
        test = {
            'sources': list(self._judged_by),
            'data': plain(self.recipe.data),
            'batches': self.recipe.validation_batches,
            'teacher': self._teacher,
        }
        if known.exists():
            content = json.loads(known.read_text())
            known_test = content.pop('test', None)
            if known_test == test and content['sha256'] == models.sha256(path):
                self.links.append(Link(path=path, **content))
                return
        accelerator = self._accelerator()
        if self._test is None:
            config = replace(self.recipe.data, seed=self.recipe.data.seed + TEST_SEED)
            self._test = self._held_out(config, self.recipe.validation_batches, accelerator)
        batches, real = self._test
        content = {
            'name': name,
            'sha256': models.sha256(path),
            **judged(path, batches, accelerator),
            'real': real,
        }
        if accelerator.is_main_process:
            write_json(known, {**content, 'test': test})
        self.links.append(Link(path=path, **content))

    def _held_out(
        self, config: GeneratorConfig, count: int, accelerator: Accelerator
    ) -> tuple[list[Batch], bool]:
        cache = self.recipe.out / 'cache'
        return held_out(self._judged_by, config, count, cache, accelerator, self._teacher)

    @property
    def _judged_by(self) -> tuple[str, ...]:
        """Sources of the last lessons that the student gets."""
        recipe = self.recipe
        return (recipe.prune.tune if recipe.prune.rounds else recipe.distil).sources

    def _accelerator(self) -> Accelerator:
        return accelerator_for(self.recipe)

    def _folder(self, name: str, number: int) -> Path:
        return self.recipe.out / f'{number:02d}-{name}'

    def _step(
        self, name: str, settings: dict[str, Any], work: Callable[[Path], dict[str, Any]]
    ) -> Path:
        """Run a step, or pass over it where it is done; returns its folder."""
        self._number += 1
        folder = self._folder(name, self._number)
        heading = f'[{self._number}/{self.total}] {name}'
        do_once(folder, heading, settings, work, self._accelerator())
        return folder


def architecture_of(step: TrainStep) -> dict[str, Any]:
    """Network of a step, whose name or settings are given.

    Raises:
        ConfigError: there is no network of that name.
    """
    return preset(step.network) if isinstance(step.network, str) else step.network
