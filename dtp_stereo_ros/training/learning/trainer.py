"""The training loop: resumable, stoppable at any time, best weights always on disk.

Processes, devices and mixed precision are Accelerate's: `torchrun` or `accelerate launch` before
the command trains on several GPUs or machines, and without them one GPU or the CPU is used.
Nothing in a step waits for the device: losses are added up there, and read with a checkpoint.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dtp_stereo_ros.errors import ConfigError, InputError, StereoError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.changed import (
    magnified,
    with_choice,
    with_error_head,
    with_half_upsampling,
    with_one_correlation,
)
from dtp_stereo_ros.network.family import Network, build, describe, magnification_of, try_out
from dtp_stereo_ros.network.light import DTPNetLight
from dtp_stereo_ros.network.memory import channels_last, lay_out
from dtp_stereo_ros.paths import make_folder

from ..data.batches import Batch
from ..data.device_pool import PooledFeed, is_assets
from ..data.enlarged import enlarged_batch
from ..data.padding import pad_some
from ..data.prefetch import Feed
from ..data.raycast_source import Renderer
from ..data.sources import GENERATORS, Sources
from ..data.teacher_cache import TaughtCache
from ..settings import TrainConfig
from ..teachers import Teacher, open_teacher
from . import run_state
from .compiled import compiled
from .device import accelerator_for, bf16_cost
from .distillation import Distillation
from .ema import Average
from .run_card import describe_run, history_of
from .run_log import Log
from .schedule import Schedule
from .supervised import Objective, Parts, supervised
from .train_config import difference, lesson, preset
from .validation import LIKELIHOOD, check_size, draw, validate

_Normalisation = nn.modules.batchnorm._BatchNorm
# Settings that change a trained network.
_CHANGES = ('half_upsampling', 'one_correlation', 'magnification', 'error_head', 'choice')
_DEFAULTS = {f.name: f.default for f in dataclasses.fields(TrainConfig)}
# Settings that decide which weights a run has, and which of them it trains.
_WEIGHTS = ('network', 'init', 'only', *_CHANGES)
# Batches that a teacher is looked at on, and what its answers differ by at least.
_ASKED = 2
_SPREAD_PX = 0.05
# Between the greatest disparity of the pairs and of a network, as its peak has a width.
_SPARE_PX = 2


class Trainer:
    """One run. `run()` goes on where the folder's `last.pt` stopped.

    Attributes:
        stopped: set it from anywhere, in one process or more, to end the call with a checkpoint
            after this step.

    Raises:
        ConfigError: a number that no run can have; another run in the folder; pairs without
            truth and no teacher; minutes for several processes; networks beside it in one folder
            or at other steps; or see `Distillation`.
        InputError: a source, or the folder to resume, is missing.
        ModelError: `init` or the teacher is unusable.
        StereoError: the device renders otherwise than the CPU.
    """

    _prepared: nn.Module

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        folders: dict[Path, str] = {}
        for name in config.also:
            folder = beside(config, name).out
            if folder in folders:
                raise ConfigError(
                    f'also: {folders[folder]} and {name} would both be trained in {folder}; copy '
                    'one of them to a file of another name'
                )
            folders[folder] = name
        self.schedule = Schedule(config)
        self.accelerator = accelerator_for(config)
        if config.minutes and self.accelerator.num_processes > 1:
            raise ConfigError('minutes are counted by one process only; give steps')
        self.device: torch.device = self.accelerator.device
        make_folder(config.out)
        self.log = Log(config.out, self.accelerator.is_main_process)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.data.seed + self.accelerator.process_index)
        self.lesson = lesson(config)
        before, self.history = self._read()
        # First what is quickly found wrong: unpacking a bag may take minutes.
        network, teacher = self._network(before), self._teacher()
        self.config = config = _within_range(config, network)
        self._cache_folder = config.cache or config.out / 'cache'
        with self.accelerator.main_process_first():
            self.sources = Sources.open(config.sources, self._cache_folder)
        self._card = describe_run(config, teacher, self.history)
        self._build(network, teacher)
        self.step = self.samples = 0
        self.stopped = False
        self.best = self.begun_at = math.inf
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._told = 0
        self._restore(before)
        if self.step:
            # A call that goes on pads and labels by other chances than the one before.
            seeds = (config.data.seed, self.accelerator.process_index, self.step)
            torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        self.renderer: Renderer | None = None
        self.others = [Trainer(beside(config, name)) for name in config.also]
        for other in self.others:
            # Its checkpoints are written after those of this run: an interruption between both
            # leaves it behind, never ahead.
            if other.step > self.step or (self.step and not other.step):
                raise ConfigError(
                    f'also: {other.config.out} is at step {other.step}, and {config.out} at '
                    f'{self.step}; networks that learn together begin together, so give another '
                    '--out, or leave it out of --also'
                )

    @property
    def seconds(self) -> float:
        """Spent on the run so far, over all its calls."""
        return self.schedule.seconds

    def run(self) -> dict[str, float]:
        """Train to the end; returns the last figures of validation, and the mean losses."""
        alone = self.accelerator.is_main_process
        with run_state.locked(self.config.out) if alone else nullcontext():
            if alone and run_state.version(self.config.out) != self._found:
                raise InputError(
                    f'{self.config.out}: another run has gone on there meanwhile; call again'
                )
            return self._run()

    def _run(self) -> dict[str, float]:
        config = self.config
        process = self.accelerator.process_index
        cache = self._fill_cache()
        self.renderer = self.sources.renderer(config.data, self.device, process)
        # First, so that the workers draw while the device is set up.
        feed = self._feed(cache, process)
        trainers = [self, *self.others]
        try:
            held_out = self._begin(feed)
            while True:
                over = self._any_stopped() or self.schedule.over(self.step)
                if over or self.schedule.due(self.step):
                    begun_s = time.monotonic()
                    judged = [trainer._checkpoint(held_out) for trainer in trainers]
                    self._keep_free(time.monotonic() - begun_s)
                if over:
                    for trainer in trainers:
                        trainer._tell_gain()
                    return judged[0]
                batch = self._next(feed, held_out)
                for trainer in trainers:
                    trainer._train(batch)
        finally:
            if isinstance(feed, PooledFeed):
                feed.close()
            for trainer in trainers:
                trainer.log.close()

    def _next(self, feed: Feed | PooledFeed, held_out: list[Batch]) -> Batch:
        """The next batch; where its pairs cannot be read, what is learned is kept first."""
        try:
            return next(feed)
        except StereoError:
            if self.accelerator.num_processes == 1 and self._counts:
                for trainer in (self, *self.others):
                    trainer._checkpoint(held_out)
            raise

    def _any_stopped(self) -> bool:
        """Whether a process is to end; all do at one step, as each needs the gradients of all."""
        if self.accelerator.num_processes > 1:
            stopped = torch.tensor(int(self.stopped), device=self.device)
            self.stopped = bool(self.accelerator.reduce(stopped))
        return self.stopped

    def _begin(self, feed: Feed | PooledFeed) -> list[Batch]:
        """Get ready for the first step; returns the batches of validation."""
        config = self.config
        self._examine()
        held_out = self._held_out()
        self._check_lessons(held_out)
        if config.compile:
            self._compile(next(feed))
        for trainer in (self, *self.others):
            trainer.log.start(0 if config.minutes else config.steps, self.step, config.out.name)
            if trainer.config.init and not self.step:
                trainer._judge_init(held_out)
            trainer.schedule.mark()
        if config.minutes:
            self._keep_free(self._validation_s(held_out))
        return held_out

    def _keep_free(self, seconds: float) -> None:
        """Keep what a checkpoint of all networks takes for the last one of a call in minutes."""
        for trainer in (self, *self.others):
            trainer.schedule.checkpoint_takes(seconds)

    def _feed(self, cache: TaughtCache | None, process: int) -> Feed | PooledFeed:
        """Batches on the device: of pools there where a GPU trains on generated pairs alone."""
        config = self.config
        pooled = all(spec in GENERATORS or is_assets(spec) for spec in config.sources)
        if pooled and self.device.type == 'cuda':
            return PooledFeed(
                config.sources, config.data, self.device, self.renderer, config.workers,
                self.step, process,
            )  # fmt: skip
        stream = self.sources.stream(config.data, self.step, process, cache, self.renderer)
        return Feed(stream, config.workers, self.device, self.renderer)

    def _held_out(self) -> list[Batch]:
        """Batches of validation, on the device; the same in every process and call of a run."""
        config = self.config
        held_out = self.sources.validation(
            config.data, config.validation_count, self._ask(), self.renderer
        )
        return [{k: v.to(self.device) for k, v in batch.items()} for batch in held_out]

    def _validation_s(self, held_out: list[Batch]) -> float:
        """Time that the first validation will take, by that of one batch."""
        one = next([batch] for batch in held_out if bool(batch['visible'].any()))
        took_s = 0.0
        # The first of all takes longer.
        for _ in range(2):
            begun_s = time.monotonic()
            for trainer in (self, *self.others):
                validate(trainer.average.network, one, self.accelerator)
            took_s = time.monotonic() - begun_s
        return took_s * len(held_out)

    def best_weights(self) -> tuple[Path, dict[str, Any]]:
        """Path of best.pt, and its card."""
        self.accelerator.wait_for_everyone()
        path = self.config.out / 'best.pt'
        return path, dict(checkpoint.read(path)['meta'])

    def _train(self, batch: Batch) -> None:
        """One step."""
        config = self.config
        self._to_training()
        factor = self.schedule.rate(self.step)
        for group in self.optimizer.param_groups:
            group['lr'] = config.learning_rate * factor
        batch = pad_some(batch, config.padded, self.network.padding_multiple)
        batch = enlarged_batch(batch, magnification_of(self.network))
        phase = (int(torch.randint(4, ())), int(torch.randint(4, ())))
        loss, parts = self._backward(self._prepared, batch, phase)
        self.accelerator.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.follow(self.step)
        for name, part in {'loss': loss.detach(), **parts}.items():
            before = self._sums.get(name)
            self._sums[name] = part.clone() if before is None else before + part
            self._counts[name] = self._counts.get(name, 0) + 1
        self.step += 1
        self.samples += len(batch['left']) * self.accelerator.num_processes
        self.log.update()

    def _backward(
        self, network: nn.Module, batch: Batch, phase: tuple[int, int]
    ) -> tuple[Tensor, Parts]:
        """Loss, its parts, and in the parameters its gradient."""
        try:
            with self.accelerator.autocast():
                outputs = network(image(batch['left']), image(batch['right']))
        except ValueError as error:
            if 'more than 1 value per channel' not in str(error):
                raise
            height, width = batch['left'].shape[2:]
            raise ConfigError(
                f'{len(batch["left"])} pair of {width}x{height} px leaves a normalisation one '
                'value; give more pairs a batch, or larger sizes'
            ) from error
        loss, parts = self.objective(outputs, batch, phase, self.schedule.progress(self.step))
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        return loss, parts

    def _compile(self, batch: Batch) -> None:
        batch = enlarged_batch(batch, magnification_of(self.network))

        def gradients(network: nn.Module) -> list[Tensor]:
            self._backward(network, batch, (0, 0))
            return [p.grad.clone() for p in self.network.parameters() if p.grad is not None]

        self._to_training()
        # The trial is no step: the statistics stay.
        statistics = [buffer.clone() for buffer in self.network.buffers()]
        chosen, off = compiled(self._prepared, gradients)
        for buffer, before in zip(self.network.buffers(), statistics, strict=True):
            buffer.copy_(before)
        what = 'not compiled, as' if chosen is self._prepared else 'compiled;'
        self._prepared = chosen
        self.log.line(f'{what} {100 * off:.0f} % of the layers get another gradient then')

    def _to_training(self) -> None:
        """Put the network in training mode; what is frozen keeps its statistics."""
        self.network.train()
        for module in self._frozen:
            module.eval()

    def _network(self, before: dict[str, Any]) -> Network:
        """The network to train, changed as asked; `before` is what an earlier call left."""
        config = self.config
        if config.fixed_statistics and not (config.init or before):
            raise ConfigError(
                'fixed statistics are those of a trained network; name one with --init, or leave '
                'out --fixed-statistics'
            )
        network: Network
        if config.init:
            network = checkpoint.load(config.init)
        else:
            network = build(before.get('config', config.network))
        changes = [name for name in _CHANGES if getattr(config, name) != _DEFAULTS[name]]
        if config.init and isinstance(network, DTPNetLight):
            network = with_half_upsampling(network) if config.half_upsampling else network
            network = with_one_correlation(network) if config.one_correlation else network
            if config.choice:
                network = with_choice(network, config.choice, config.magnification)
            elif config.magnification != 1.0:
                network = magnified(network, config.magnification)
            if config.error_head:
                network = with_error_head(network, config.error_head)
        elif changes:
            raise ConfigError(
                f'{changes[0]}: changes a trained light network, and {config.init or config.out} '
                'does not start from one; name one with --init'
            )
        check_fresh(network, config.data.sizes, bool(config.init))
        return network

    def _teacher(self) -> Teacher | None:
        distil = self.config.distil
        if not distil.teacher or distil.supervision == 'truth':
            return None
        return open_teacher(distil.teacher)

    def _build(self, network: Network, teacher: Teacher | None) -> None:
        """Average, objective and optimizer."""
        config = self.config
        lay_out(network)
        # Before the objective, whose hooks the average does not need.
        average = copy.deepcopy(network)
        self.objective = self._objective(network, teacher)
        self.learned = self.objective.learned.to(self.device)
        self.network: Network = network.to(self.device)
        self._frozen = freeze_others(network, config.only)
        if config.fixed_statistics:
            self._frozen = [m for m in network.modules() if isinstance(m, _Normalisation)]
        learned = [p for p in network.parameters() if p.requires_grad]
        learned += self.learned.parameters()
        cuda = self.device.type == 'cuda'
        torch.backends.cudnn.benchmark = cuda
        # To try every algorithm took half a minute for each network.
        torch.backends.cudnn.benchmark_limit = 2
        optimizer = torch.optim.AdamW(
            learned, lr=config.learning_rate, weight_decay=config.weight_decay, fused=cuda
        )
        self._prepared, self.optimizer = self.accelerator.prepare(network, optimizer)
        # Several processes share gradients only of a module that has some.
        if checkpoint.parameter_count(self.learned):
            self.objective.learned = self.accelerator.prepare_model(self.learned)
        # Only now: where several processes train, other tensors have taken the weights' place.
        self.average = Average(average.to(self.device), network, config.average_decay)

    def _objective(self, network: Network, teacher: Teacher | None) -> Objective:
        distil = self.config.distil
        if teacher is None:
            self.sources.refuse_unlabelled()
            return supervised(network, self.config.loss)
        objective = Distillation(network, teacher, distil, self.config.loss)
        objective.teacher.to(self.device)
        return objective

    def _fill_cache(self) -> TaughtCache | None:
        """Ask the teacher about all pairs on disk where its answers are to be kept."""
        objective = self.objective
        if not (isinstance(objective, Distillation) and self.config.distil.cache):
            return None
        self.sources.refuse_cache()
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
        return lambda batch: objective.ask({k: v.to(self.device) for k, v in batch.items()})

    def _check_lessons(self, held_out: list[Batch]) -> None:
        """Refuse a truth or a teacher that teaches nothing, before anything is learned.

        Raises:
            ConfigError: no held-out pixel is known, or the teacher says the same everywhere.
        """
        teacher = self.objective.teacher if isinstance(self.objective, Distillation) else None
        places = ', '.join(self.config.sources)
        if not any(bool(batch['visible'].any()) for batch in held_out):
            who = f'teacher {teacher.name} and the truth have' if teacher else 'the truth has'
            raise ConfigError(
                f'{who} no known pixel in the pairs that are held out of {places}; check them, or '
                'add synthetic to the data'
            )
        if teacher is None:
            return
        answers = []
        with torch.no_grad():
            for batch in held_out[:_ASKED]:
                taught = self._ask()(batch)
                answers.append(taught.disparity_px[taught.valid])
        told = torch.cat(answers)
        if not len(told):
            raise ConfigError(f'teacher {teacher.name} is sure of no pixel of {places}')
        if float(told.max() - told.min()) < _SPREAD_PX:
            raise ConfigError(
                f'teacher {teacher.name} says {float(told.mean()):.2f} px everywhere in {places}; '
                'check which form of images it takes (see its warnings)'
            )

    def _examine(self) -> None:
        """Tell what trains on what; on a GPU the ray caster is held against the CPU."""
        if self.renderer and self.device.type != 'cpu':
            off = self.renderer.check()
            self.log.line(f'{100 * off:.3f} % of pixels differ between {self.device} and the CPU')
            self.log.line(f'generates {self.renderer.pairs_per_second():.0f} pairs/s by itself')
        for other in self.others:
            if other.step < self.step:
                self.log.line(
                    f'{other.config.out} is at step {other.step}, and ends so much before '
                    f'{self.config.out}, which is at {self.step}'
                )
        for spec in self.sources.alone:
            self.log.line(f'{spec} has one scene: it is trained on, and judges the run')
        self.log.line(
            f'{checkpoint.parameter_count(self.network)} parameters on {self._device_name()}, '
            f'from step {self.step}; set up in {self.schedule.elapsed_s:.0f} s'
        )
        if (
            self.device.type == 'cpu'
            and self.config.precision == 'bf16'
            and (cost := bf16_cost()) > 1.2
        ):
            self.log.line(
                f'bfloat16 convolutions take {cost:.1f} times as long as float32 on this '
                'processor; --precision fp32 (in a recipe, precision: fp32) trains faster'
            )

    def _device_name(self) -> str:
        cuda = self.device.type == 'cuda'
        return str(torch.cuda.get_device_name(self.device)) if cuda else 'CPU'

    def _checkpoint(self, held_out: list[Batch]) -> dict[str, float]:
        """Judge, tell and save.

        Raises:
            StereoError: the losses are no numbers any more.
        """
        losses = {f'train/{k}': float(v) / self._counts[k] for k, v in self._sums.items()}
        speed = (self.samples - self._told) / max(1e-9, self.schedule.mark())
        self._sums, self._counts, self._told = {}, {}, self.samples
        weights = self.average.network.state_dict().values()
        whole = all(bool(value.isfinite().all()) for value in weights)
        if not (whole and all(math.isfinite(value) for value in losses.values())):
            last = self.config.out / 'last.pt'
            where = 'begin again'
            if last.exists():
                where = f'go on by --resume {self.config.out} and another --out'
            raise StereoError(
                f'training diverged before step {self.step}; {where}, with a smaller learning rate'
            )
        if losses.get('train/loss') == 0:
            raise ConfigError(
                f'no pixel of the pairs before step {self.step} was known to the truth or the '
                'teacher: they teach nothing; check them'
            )
        figures = validate(self.average.network, held_out, self.accelerator)
        shown = ' '.join(f'{k} {v:.4f}' for k, v in {**losses, **figures}.items())
        cuda = self.device.type == 'cuda'
        memory = f'{torch.cuda.max_memory_allocated(self.device) / 1e9:.1f} GB ' if cuda else ''
        rate = self.optimizer.param_groups[0]['lr']
        self.log.line(
            f'step {self.step} pairs {self.samples} {speed:.0f}/s {memory}rate {rate:.1e} {shown}'
        )
        if self.accelerator.is_main_process:
            self.log.figures(
                {**losses, **figures},
                self.step,
                lambda: draw(self.average.network, held_out[0], self.accelerator),
            )
            self._save(figures)
        self.schedule.mark()
        return {**figures, **losses}

    def _score(self, figures: dict[str, float]) -> float:
        """The figure by which checkpoints are chosen, the smallest."""
        # Where the head of the expected error learns alone, the disparity stays.
        alone = self.config.only == ('error',)
        return figures[LIKELIHOOD if alone else 'val/epe_px']

    def _judge_init(self, held_out: list[Batch]) -> None:
        """Tell how good the network is that the run begins with."""
        figures = validate(self.average.network, held_out, self.accelerator)
        self.begun_at = self._score(figures)
        shown = ' '.join(f'{k} {v:.4f}' for k, v in figures.items())
        self.log.line(f'{self.config.init} before: {shown}')

    def _tell_gain(self) -> None:
        """Warn where no checkpoint is better than what the run began with."""
        if self.begun_at <= self.best < math.inf:
            self.log.line(
                f'no checkpoint is better on the held-out pairs than {self.config.init}; train '
                'longer, or on more pairs'
            )

    def _save(self, figures: dict[str, float]) -> None:
        out = self.config.out
        score = self._score(figures)
        if score < self.best:
            self.best = score
            done = {
                'date': time.strftime('%Y-%m-%d'),
                'steps': self.step,
                'pairs': self.samples,
                'train_seconds': round(self.seconds),
                'device': self._device_name(),
                'validation': {k: round(v, 4) for k, v in figures.items()},
            }
            checkpoint.save(out / 'best.pt', self.average.network, {**self._card, **done})
        content = {
            'config': describe(self.network),
            'network': self.network.state_dict(),
            'learned': self.learned.state_dict(),
            'average': self.average.network.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'step': self.step,
            'samples': self.samples,
            'seconds': self.seconds,
            'best': self.best,
            'begun_at': self.begun_at,
            'settings': self.lesson,
            'history': self.history,
        }
        run_state.write(out, content, self.config.split)

    def _read(self) -> tuple[dict[str, Any], list[str]]:
        """State of an earlier call, and the runs before it, for the card.

        Raises:
            ConfigError: it had other settings. Those of a run in another folder may differ,
                unless they decide which weights there are.
        """
        resume = self.config.resume
        if resume and not (resume / 'last.pt').exists():
            raise InputError(f'resume: {resume} holds no last.pt')
        out = self.config.out
        self._found = run_state.version(out)
        before = run_state.read(out)
        if not before and (out / 'best.pt').exists():
            raise InputError(
                f'{out}: holds the best.pt of a run whose last.pt is gone; give another --out, or '
                'delete it'
            )
        if before and (other := difference(before.get('settings', self.lesson), self.lesson)):
            raise ConfigError(
                f'{out}: this run was begun with another {other}; give another --out, or the '
                'settings of before'
            )
        if before or not resume:
            return before, before.get('history', [])
        before = run_state.read(resume)
        history = before.get('history', [])
        earlier = before.get('settings', self.lesson)
        both = [name for name in _WEIGHTS if name in earlier and name in self.lesson]
        theirs, ours = ({name: of[name] for name in both} for of in (earlier, self.lesson))
        if other := difference(theirs, ours):
            raise ConfigError(
                f'resume: {resume} was begun with another {other}, so that its weights are not '
                f'those of this run; give the same, or start from --init {resume}/best.pt'
            )
        if difference(earlier, self.lesson):
            history = [*history, history_of(resume / 'best.pt', before['step'])]
        return before, history

    def _restore(self, before: dict[str, Any]) -> None:
        """Go on where an earlier call stopped."""
        if before:
            self.network.load_state_dict(before['network'])
            layers = before.get('learned', {})
            if _shapes(layers) != _shapes(self.learned.state_dict()):
                raise ConfigError(
                    f'resume: {self.config.resume} was begun without features, with features, or '
                    'with those of another teacher; give the same --features and --teacher, or '
                    'start from its weights by --init'
                )
            self.learned.load_state_dict(layers)
            self.average.network.load_state_dict(before['average'])
            self.step, self.samples = before['step'], before['samples']
            self.schedule.before_s = before['seconds']
            # The best of another folder is not among the files of this one.
            if (self.config.out / 'best.pt').exists():
                self.best = before['best']
                self.begun_at = before.get('begun_at', math.inf)
            moments = before.get('optimizer')
            if 'moments' in before:
                groups = self.optimizer.state_dict()['param_groups']
                moments = {'state': before['moments'], 'param_groups': groups}
            if moments:
                self.optimizer.load_state_dict(moments)
            else:
                self.log.line(
                    f'moments.pt is not of step {self.step}: the optimizer starts afresh'
                )
        self.schedule.first, self._told = self.step, self.samples


def check_fresh(network: Network, sizes: tuple[tuple[int, int], ...], trained: bool) -> None:
    """Refuse a network that does not fit the crops, or whose settings do not fit one another.

    Raises:
        ConfigError: a side is no multiple of what the network asks for.
        ModelError: a network that was never trained does not work.
    """
    for size in sizes:
        check_size(network, size)
    if not trained:
        try_out(network, sizes[0])


def beside(config: TrainConfig, name: str) -> TrainConfig:
    """The run of a network that learns from the same batches, in a folder of its name.

    Args:
        config: of the run that makes the batches.
        name: of an architecture, or a checkpoint (.pt) to start from.

    Raises:
        ConfigError: there is no such network.
    """
    init = Path(name) if name.endswith('.pt') else None
    folder = Path(name).stem
    return replace(
        config,
        out=config.out / folder,
        network=config.network if init else preset(name),
        init=init,
        resume=config.resume / folder if config.resume else None,
        also=(),
    )


def _within_range(config: TrainConfig, network: Network) -> TrainConfig:
    """Settings by which nothing is shown that is nearer than what the network searches."""
    most_px = min(config.data.max_disparity_px, network.max_disparity_px - _SPARE_PX)
    return replace(config, data=replace(config.data, max_disparity_px=most_px))


def freeze_others(network: nn.Module, only: tuple[str, ...]) -> list[nn.Module]:
    """Freeze all modules whose names do not begin with one of `only`; () freezes none.

    Returns:
        the frozen modules with statistics, which have to stay in `eval` mode.

    Raises:
        ConfigError: a name is that of no module.
    """
    if not only:
        return []

    def within(name: str, wanted: str) -> bool:
        return name == wanted or name.startswith(wanted + '.')

    def chosen(name: str) -> bool:
        return any(within(name, wanted) for wanted in only)

    for wanted in only:
        if not any(within(name, wanted) for name, _ in network.named_modules()):
            raise ConfigError(f'only: the network has no module {wanted!r}')
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(chosen(name))
    return [
        module
        for name, module in network.named_modules()
        if isinstance(module, _Normalisation) and not chosen(name)
    ]


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def image(batch: Tensor) -> Tensor:
    """Images as float32 in channels-last memory, in which convolutions are fastest."""
    return channels_last(batch.float())
