"""The training loop: resumable, stoppable at any time, best weights always on disk.

Processes, devices and mixed precision are Accelerate's: `torchrun` or `accelerate launch` before
the command trains on several GPUs or machines, and without them one GPU or the CPU is used.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import Network, build

from .cache import TaughtCache
from .data import Batch
from .distil import Distillation
from .judge import accelerator_for, draw, validate
from .objectives import Objective, supervised
from .raycast import RAYCAST, Item, Renderer
from .settings import TrainConfig, rate_at
from .streams import SYNTHETIC, Sources
from .synthetic.stream import Drawn
from .teachers import open_teacher


class Trainer:
    """One run. `run()` goes on where the folder's `last.pt` stopped.

    Raises:
        ConfigError: pairs without truth and no teacher; or see `Distillation`.
        InputError: a source is missing.
        ModelError: `init` or the teacher is unusable.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.accelerator = accelerator_for(config.device, config.bf16)
        config.out.mkdir(parents=True, exist_ok=True)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.data.seed + self.accelerator.process_index)
        self._cache_folder = config.cache or config.out / 'cache'
        with self.accelerator.main_process_first():
            self.sources = Sources.open(config.sources, self._cache_folder)
        self.renderer = (
            Renderer(config.data, self.accelerator.device, self.accelerator.process_index)
            if RAYCAST in config.sources
            else None
        )
        network = checkpoint.load(config.init) if config.init else build(config.network)
        channels_last(network)
        self.average: Network = copy.deepcopy(network).to(self.accelerator.device)
        self.objective = self._objective(network)
        self.network: Network = network.to(self.accelerator.device)
        self.objective.learned.to(self.accelerator.device)
        learned = [*network.parameters(), *self.objective.learned.parameters()]
        optimizer = torch.optim.AdamW(
            learned, lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._prepared, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.step = 0
        self.samples = 0
        self.seconds = 0.0
        self.best = math.inf
        self._resume()

    def run(self) -> dict[str, float]:
        """Train to the end; returns the last validation figures."""
        config = self.config
        process = self.accelerator.process_index
        stream = self.sources.stream(
            config.data, self.step, process, self._fill_cache(), self.renderer
        )
        loader: DataLoader[Item] = DataLoader(
            stream,
            batch_size=None,
            num_workers=config.workers,
            prefetch_factor=4 if config.workers else None,
            # A forked worker would inherit the threads of OpenCV and CUDA as locks that nobody
            # opens again.
            multiprocessing_context='spawn' if config.workers else None,
        )
        held_out = self.sources.validation(
            config.data, config.validation_count, self._ask(), self.renderer
        )
        writer = SummaryWriter(str(config.out)) if self.accelerator.is_main_process else None
        figures: dict[str, float] = {}
        batches = iter(loader)
        progress = tqdm(
            total=config.steps,
            initial=self.step,
            unit='step',
            desc=config.out.name,
            mininterval=10,
            disable=not self.accelerator.is_main_process,
        )
        try:
            while self.step < config.steps:
                until = min(config.steps, self.step + config.validate_every)
                losses = self._train(batches, until, progress)
                figures = validate(self.average, held_out, self.accelerator)
                if writer:
                    self._report(writer, {**losses, **figures}, held_out[0])
                    self._save(figures)
                shown = ' '.join(f'{k} {v:.3f}' for k, v in {**losses, **figures}.items())
                if writer:
                    progress.write(f'step {self.step} ({self.samples} pairs): {shown}')
        finally:
            progress.close()
            if writer:
                writer.close()
        return figures or validate(self.average, held_out, self.accelerator)

    def _objective(self, network: Network) -> Objective:
        distil = self.config.distil
        if not distil.teacher or distil.supervision == 'truth':
            if self.sources.unlabelled:
                raise ConfigError(
                    'data without truth teaches nothing by itself; give a teacher, or take out '
                    'the pairs without truth'
                )
            return supervised(network, self.config.loss)
        objective = Distillation(network, open_teacher(distil.teacher), distil, self.config.loss)
        objective.teacher.to(self.accelerator.device)
        if self.accelerator.num_processes > 1 and distil.features:
            raise ConfigError('features are distilled in one process only; set features to 0')
        return objective

    def _fill_cache(self) -> TaughtCache | None:
        """Ask the teacher about all pairs on disk where its answers are to be kept."""
        objective = self.objective
        if not (isinstance(objective, Distillation) and self.config.distil.cache):
            return None
        folder = self._cache_folder / 'teacher'
        cache = TaughtCache.of(folder, objective.teacher, objective.grid)
        if self.accelerator.is_main_process:
            cache.fill(
                self.sources.all_scenes, objective.teacher, objective.grid, self.accelerator.device
            )
        self.accelerator.wait_for_everyone()
        return cache

    def _ask(self) -> Any:
        objective = self.objective
        if not isinstance(objective, Distillation):
            return None
        return lambda batch: objective.ask(self._moved(batch))

    def _moved(self, item: Item) -> Batch:
        """A batch on the device, rendered there where it is only drawn so far."""
        batch = item if isinstance(item, dict) else self._rendered(item)
        return {k: v.to(self.accelerator.device, non_blocking=True) for k, v in batch.items()}

    def _rendered(self, drawn: Drawn) -> Batch:
        assert self.renderer is not None  # it is what draws
        return self.renderer.batch(drawn)

    def _train(self, batches: Iterator[Item], until: int, progress: tqdm[Any]) -> dict[str, float]:
        config = self.config
        self.network.train()
        sums: dict[str, torch.Tensor] = {}
        counts: dict[str, int] = {}
        begun = time.perf_counter()
        while self.step < until:
            batch = self._moved(next(batches))
            for group in self.optimizer.param_groups:
                group['lr'] = config.learning_rate * rate_at(self.step, config)
            phase = (int(torch.randint(4, ())), int(torch.randint(4, ())))
            with self.accelerator.autocast():
                outputs = self._prepared(batch['left'].float(), batch['right'].float())
            loss, parts = self.objective(outputs, batch, phase, self.step / config.steps)
            self.optimizer.zero_grad(set_to_none=True)
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self._follow()
            for name, part in parts.items():
                name = f'train/{name}'
                sums[name] = sums.get(name, torch.zeros((), device=part.device)) + part
                counts[name] = counts.get(name, 0) + 1
            self.step += 1
            self.samples += len(batch['left']) * self.accelerator.num_processes
            progress.update()
        self.seconds += time.perf_counter() - begun
        return {name: float(total) / counts[name] for name, total in sums.items()}

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights towards the trained ones; quickly at first."""
        keep = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        for mean, now in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)

    def _report(self, writer: SummaryWriter, figures: dict[str, float], batch: Batch) -> None:
        """Figures, and a picture of the first held-out pair, for TensorBoard."""
        for name, value in figures.items():
            writer.add_scalar(name, value, self.step)
        picture = draw(self.average, batch, self.accelerator)
        writer.add_image('val/pair', picture, self.step, dataformats='HWC')
        writer.flush()

    def _meta(self, figures: dict[str, float]) -> dict[str, Any]:
        """How the weights were made, for the checkpoint and its card."""
        config, data = self.config, self.config.data
        meta: dict[str, Any] = {
            'data': f'{_named(config.sources)}, seed {data.seed}, '
            f'{", ".join(f"{w}x{h}" for h, w in data.sizes)} px, batches of {data.batch_size}',
            'command': config.command,
            'steps': self.step,
            'pairs': self.samples,
            'train_seconds': round(self.seconds),
            'date': time.strftime('%Y-%m-%d'),
            'validation': {k: round(v, 4) for k, v in figures.items()},
        }
        objective = self.objective
        if isinstance(objective, Distillation):
            distil = config.distil
            meta['teacher'] = f'{objective.teacher.name} ({distil.supervision}, {distil.loss})'
        if config.init:
            before = checkpoint.read(config.init)['meta']
            meta['before'] = [*before.get('before', []), _history(config.init, before)]
            if 'pruned' in before:
                meta['pruned'] = before['pruned']
        return meta

    def _save(self, figures: dict[str, float]) -> None:
        out = self.config.out
        score = figures['val/epe_px']
        if score < self.best:
            self.best = score
            checkpoint.save(out / 'best.pt', self.average, self._meta(figures))
        state = {
            'network': self.network.state_dict(),
            'learned': self.objective.learned.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'step': self.step,
            'samples': self.samples,
            'seconds': self.seconds,
            'best': self.best,
        }
        checkpoint.write(out / 'last.pt', state)

    def _resume(self) -> None:
        path = self.config.out / 'last.pt'
        if not path.exists():
            return
        state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
        self.network.load_state_dict(state['network'])
        self.objective.learned.load_state_dict(state.get('learned', {}))
        self.average.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.step, self.samples = state['step'], state['samples']
        self.seconds, self.best = state['seconds'], state['best']


def channels_last(network: Network) -> None:
    """Lay kernels out as convolutions like them best; those of 3D convolutions stay."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _named(sources: tuple[str, ...]) -> str:
    """Sources for a card: the last folder of a path, not where this machine keeps it."""
    names = []
    for spec in dict.fromkeys(sources):
        kind, _, place = spec.partition(':')
        kind = 'procedural' if kind == SYNTHETIC else kind
        names.append(f'{kind} {Path(place).name if place else "pairs"}')
    return ' + '.join(names)


def _history(path: Path, meta: dict[str, Any]) -> str:
    return f'{path.stem}: {meta.get("steps", 0)} steps, {meta.get("data", "unknown data")}'
