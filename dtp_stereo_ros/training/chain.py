"""A chain of steps from a teacher to an exported, pruned model; resumable at every step.

Each step has a folder ``NN-name`` below the recipe's: ``settings.json`` when it starts,
``metrics.json`` when it is done, and its outputs. A step that is done is not done again; one that
was begun with other settings is not mixed with them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dtp_stereo_ros import models
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network import checkpoint

from . import summary
from .cost import ConvolutionCost
from .data import Batch, GeneratorConfig
from .distil import DistilConfig
from .judge import accelerator_for, validate
from .raycast import RAYCAST, Renderer
from .recipe import DistilStep, Recipe, TrainStep
from .settings import TrainConfig, preset
from .steps import prune_checkpoint, summary_line, write_json
from .streams import SYNTHETIC, Sources
from .strict import plain
from .summary import Link
from .train import Trainer

# Generated test pairs are of a seed of their own: neither trained on nor used to choose.
_TEST_SEED = 7919


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
        self._test: list[Batch] = []

    @property
    def total(self) -> int:
        """Number of steps."""
        recipe = self.recipe
        trained = [s for s in (recipe.teacher, recipe.student) if _is_trained(s)]
        return len(trained) + 1 + 2 * recipe.prune.rounds + 2

    def run(self) -> Path:
        """Do what is not done yet.

        Returns:
            The summary, a Markdown file.

        Raises:
            ConfigError: a step was begun with other settings.
            StereoError: a step fails.
        """
        recipe = self.recipe
        recipe.out.mkdir(parents=True, exist_ok=True)
        teacher = recipe.teacher.file or str(self._train('teacher', recipe.teacher))
        source: Path | None = recipe.student.init
        if recipe.student.file:
            source = Path(recipe.student.file).expanduser()
        elif recipe.student.steps:
            source = self._train('student', recipe.student)
        source = self._distil('distil', recipe.distil, teacher, source)
        for round_ in range(1, recipe.prune.rounds + 1):
            pruned = self._prune(f'prune{round_}', source)
            source = self._distil(f'tune{round_}', recipe.prune.tune, teacher, pruned)
        self._step('evaluate', {'links': [link.sha256 for link in self.links]}, self._evaluate)
        exported = self._step('export', {'model': models.sha256(source)}, self._export)
        return exported / 'summary.md'

    def say(self, text: str) -> None:
        """Print a line, once over all processes."""
        self._accelerator().print(text, flush=True)

    def _train(self, name: str, step: TrainStep) -> Path:
        network = preset(step.network) if isinstance(step.network, str) else step.network
        config = self._training(step, None, init=step.init, network=network)
        return self._fit(name, config)

    def _distil(self, name: str, step: DistilStep, teacher: str, source: Path | None) -> Path:
        network = self.recipe.student.network
        network = preset(network) if isinstance(network, str) else network
        how = replace(step.how, teacher=teacher)
        return self._fit(name, self._training(step, how, init=source, network=network))

    def _training(
        self, step: TrainStep | DistilStep, how: DistilConfig | None, **more: Any
    ) -> TrainConfig:
        recipe = self.recipe
        return TrainConfig(
            out=recipe.out,
            sources=step.sources,
            data=recipe.data,
            loss=step.loss,
            distil=how or DistilConfig(),
            steps=step.steps,
            learning_rate=step.learning_rate,
            warmup_steps=step.warmup_steps,
            validate_every=step.validate_every,
            validation_count=recipe.validation_batches,
            bf16=recipe.precision == 'bf16',
            device=recipe.device,
            workers=recipe.workers,
            threads=recipe.threads,
            cache=recipe.out / 'cache',
            command=self.command,
            **more,
        )

    def _fit(self, name: str, config: TrainConfig) -> Path:
        settings = plain(config)
        for key in ('out', 'command', 'workers', 'threads', 'device', 'cache'):
            del settings[key]
        # By content, so that a folder may be moved while what it was made of may not change.
        settings['init'] = models.sha256(config.init) if config.init else ''
        if Path(config.distil.teacher).is_file():
            settings['distil']['teacher'] = models.sha256(Path(config.distil.teacher))

        def work(folder: Path) -> dict[str, Any]:
            return dict(Trainer(replace(config, out=folder)).run())

        folder = self._step(name, settings, work)
        self._add(name, folder / 'best.pt')
        return folder / 'best.pt'

    def _prune(self, name: str, source: Path) -> Path:
        recipe = self.recipe
        settings = {'how': plain(recipe.prune.how), 'init': models.sha256(source)}

        def work(folder: Path) -> dict[str, Any]:
            accelerator = self._accelerator()
            if not accelerator.is_main_process:
                return {}
            batches = self._held_out(recipe.data, recipe.prune.measure_batches, accelerator)
            report = prune_checkpoint(
                source, folder, recipe.prune.how, batches, accelerator, self.command
            )
            print(summary_line(report))
            return {'error_before': report.error_before, 'error_after': report.error_after}

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
        name, best = self.recipe.name, self.links[-1]
        summary.write(folder, name, best, self.links, measured, self.pictures, self.command)
        return {'model': name}

    def _add(self, name: str, path: Path) -> None:
        """Judge a link of the chain on the generated test pairs, once."""
        known = path.parent / 'link.json'
        if known.exists():
            content = json.loads(known.read_text())
            if content['sha256'] == models.sha256(path):
                self.links.append(Link(path=path, **content))
                return
        accelerator = self._accelerator()
        if not self._test:
            config = replace(self.recipe.data, seed=self.recipe.data.seed + _TEST_SEED)
            self._test = self._held_out(config, self.recipe.validation_batches, accelerator)
        network = checkpoint.load(path)
        gmac = ConvolutionCost.of(network).multiplications(network) / 1e9
        figures = validate(network.to(accelerator.device), self._test, accelerator)
        content = {
            'name': name,
            'sha256': models.sha256(path),
            'parameters': checkpoint.parameter_count(network),
            'gmac': gmac,
            'epe_px': figures['val/epe_px'],
            'bad1': figures['val/bad1'],
            'bad3': figures['val/bad3'],
        }
        if accelerator.is_main_process:
            write_json(known, content)
        self.links.append(Link(path=path, **content))

    def _held_out(
        self, config: GeneratorConfig, count: int, accelerator: Accelerator
    ) -> list[Batch]:
        """Generated pairs by the generators that are trained on, else real ones held out."""
        specs = self.recipe.distil.sources
        generated = tuple(s for s in specs if s in (SYNTHETIC, RAYCAST))
        sources = Sources.open(generated or specs, self.recipe.out / 'cache')
        renderer = Renderer(config, accelerator.device) if RAYCAST in sources.specs else None
        return sources.validation(config, count, renderer=renderer)

    def _accelerator(self) -> Accelerator:
        return accelerator_for(self.recipe.device, self.recipe.precision == 'bf16')

    def _folder(self, name: str, number: int) -> Path:
        return self.recipe.out / f'{number:02d}-{name}'

    def _step(
        self, name: str, settings: dict[str, Any], work: Callable[[Path], dict[str, Any]]
    ) -> Path:
        """Run a step, or pass over it where it is done; returns its folder."""
        self._number += 1
        folder = self._folder(name, self._number)
        heading = f'[{self._number}/{self.total}] {name}'
        begun = folder / 'settings.json'
        accelerator = self._accelerator()
        if begun.exists():
            _compare(folder, json.loads(begun.read_text()), json.loads(json.dumps(settings)))
        if (folder / 'metrics.json').exists():
            self.say(f'{heading}: done before')
            return folder
        self.say(heading)
        folder.mkdir(parents=True, exist_ok=True)
        if accelerator.is_main_process:
            write_json(begun, settings)
        start = time.perf_counter()
        metrics = work(folder)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            seconds = round(time.perf_counter() - start, 1)
            write_json(folder / 'metrics.json', {**metrics, 'seconds': seconds})
        accelerator.wait_for_everyone()
        return folder


def _is_trained(step: TrainStep) -> bool:
    return not step.file and step.steps > 0


def _compare(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    before, now = _flat(before), _flat(now)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise ConfigError(
                f'{folder}: was begun with another {key} ({before.get(key)!r}, now '
                f'{now.get(key)!r}); delete the folder, or give another out'
            )


def _flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested settings by dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= (
            _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {prefix + key: value}
        )
    return found
