"""Trains the light network on a GPU with pairs that the GPU itself generates.

``python -m dtp_stereo_ros.training.gpu_train --textures DIR --out DIR --minutes 9`` needs this
repository, a folder of photographs, PyTorch, NumPy and OpenCV. Worker processes draw scenes, the
device renders them on a stream of its own while the step before is under way. The length is in
minutes, the last checkpoint is written before they are over, and a following call goes on.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dtp_stereo_ros.errors import InputError, StereoError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import Network, build, describe

from .losses import LossWeights, Truth, supervised_loss
from .synthetic.atlas import Atlas, build_atlas
from .synthetic.materials import Bank
from .synthetic.raycast import RayCaster
from .synthetic.stream import Batch, Drawer, Drawn, DrawnBatches, make_batch

VALIDATION_SEED = 1_000_003
# Kept free at the end of a call for the last validation and checkpoint.
RESERVE_S = 4.0


@dataclass(frozen=True)
class GpuTrainConfig:
    """A call.

    Attributes:
        out: folder of `best.pt` (to use), `last.pt` and `moments.pt` (to go on from), `log.txt`.
        textures: folder of photographs, or None for noise and patterns.
        minutes: length of this call, its start included.
        total_minutes: length of the whole run over all calls, which the learning rate follows;
            None for what is spent so far and this call.
        resume: folder of an earlier call; None for `out`.
        init: checkpoint of the weights to start from, or None.
        network: architecture, where neither `init` nor an earlier call gives it.
        sizes: (height, width) px, multiples of 32; batches take them in turn.
        batch: pairs a step.
        learning_rate, weight_decay: of AdamW.
        decay_share: share of the run, at its end, over which the learning rate falls to 0.
        average_decay: of the moving average of the weights, which is validated and kept.
        checkpoint_s: seconds between checkpoints.
        validation: batches that choose the best checkpoint.
        samples: colour samples a pixel (1, 2, 4); each costs as much as the first.
        workers: processes that draw scenes; 0 draws in this one.
        photos: most photographs that are loaded.
        seed: of everything.
        device: 'auto' is CUDA where there is one.
        compile: run the network through `torch.compile`.
        compile_generator: run the ray caster through it; takes a minute or two to begin with.
        max_steps: stop after so many steps of this call; 0 for none.
        loss: weights of the loss.
    """

    out: Path
    textures: Path | None = None
    minutes: float = 9.0
    total_minutes: float | None = None
    resume: Path | None = None
    init: Path | None = None
    network: dict[str, Any] = field(default_factory=lambda: {'member': 'light'})
    sizes: tuple[tuple[int, int], ...] = ((288, 576),)
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    decay_share: float = 0.4
    average_decay: float = 0.998
    checkpoint_s: float = 60.0
    validation: int = 4
    samples: int = 1
    workers: int = 6
    photos: int = 400
    seed: int = 0
    device: str = 'auto'
    compile: bool = False
    compile_generator: bool = False
    max_steps: int = 0
    loss: LossWeights = field(default_factory=LossWeights)


def rate_at(spent_s: float, total_s: float, decay_share: float) -> float:
    """Learning rate factor after `spent_s`: warm-up, plateau, cosine to zero at `total_s`."""
    warm = min(30.0, 0.03 * total_s)
    start = total_s * (1 - decay_share)
    if spent_s < start:
        return min(1.0, (spent_s + 0.02 * warm) / max(warm, 1e-6))
    progress = min(1.0, (spent_s - start) / max(1e-6, total_s - start))
    return 0.5 * (1 + math.cos(math.pi * progress))


class GpuTrainer:
    """One call of a run; `run()` trains until its minutes are over."""

    def __init__(self, config: GpuTrainConfig) -> None:
        self.begun = time.monotonic()
        self.config = config
        config.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.step, self.pairs, self.spent, self.best = 0, 0, 0.0, math.inf
        self.stopped = False
        self.sums: dict[str, Tensor] = {}
        found = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.device = torch.device(found if config.device == 'auto' else config.device)
        self.amp = self.device.type == 'cuda'
        atlas = build_atlas(config.textures, config.seed, config.photos)
        self.drawer = Drawer(
            Bank.of(atlas), config.sizes, config.batch, config.seed, self.device.type
        )
        state, moments = self._read()
        self.number = state.get('number', 0)
        # First, so that the workers draw while the device is set up.
        self.drawn = self._draw_ahead()
        self._build(state)
        self._restore(state, moments)
        total = config.total_minutes
        self.total_s = 60 * total if total else self.spent + 60 * config.minutes
        self.caster = RayCaster(
            atlas, self.device, samples=config.samples, compiled=config.compile_generator
        )
        self.side = torch.cuda.Stream(self.device) if self.amp else None
        self.held_out = self._held_out()
        self._check(atlas)
        self._time_generator()

    def _draw_ahead(self) -> Iterator[Drawn]:
        workers = self.config.workers
        loader = DataLoader(
            DrawnBatches(self.drawer, self.number),
            batch_size=None,
            num_workers=workers,
            # As in `Trainer`: a forked worker inherits the threads of OpenCV as locks.
            multiprocessing_context='spawn' if workers else None,
            prefetch_factor=3 if workers else None,
        )
        return iter(loader)

    def _build(self, state: dict[str, Any]) -> None:
        config = self.config
        torch.backends.cudnn.benchmark = True
        self.network: Network = self._start(state).to(self.device)
        self.average: Network = copy.deepcopy(self.network)
        if state:
            self.average.load_state_dict(state['average'])
        self.forward = torch.compile(self.network) if config.compile else self.network
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.amp,
        )

    def run(self) -> dict[str, float]:
        """Train; returns the last validation figures."""
        config = self.config
        self._note(
            f'{checkpoint.parameter_count(self.network)} parameters on {self._device_name()}, '
            f'from step {self.step}; set up in {self._elapsed():.0f} s'
        )
        end = 60 * config.minutes - RESERVE_S
        first_step, spent_before = self.step, self.spent
        mark, marked_step = time.monotonic(), self.step
        waiting = self._next()
        while True:
            self.spent = spent_before + self._elapsed()
            over = self._elapsed() >= end or self.stopped
            over |= 0 < config.max_steps <= self.step - first_step
            if over or time.monotonic() - mark >= config.checkpoint_s:
                speed = (self.step - marked_step) * config.batch / (time.monotonic() - mark)
                figures = self._checkpoint(speed)
                mark, marked_step = time.monotonic(), self.step
            if over:
                return figures
            batch = self._take(waiting)
            # Its kernels queue up beside those of the step.
            waiting = self._next()
            self._train(batch)

    def _next(self) -> tuple[Batch, Any]:
        """The following batch, being rendered on the side stream."""
        drawn = next(self.drawn)
        self.number += 1
        if self.side is None:
            return make_batch(self.caster, drawn), None
        with torch.cuda.stream(self.side):
            batch = make_batch(self.caster, drawn)
            done = torch.cuda.Event()
            done.record(self.side)
        return batch, done

    def _take(self, waiting: tuple[Batch, Any]) -> Batch:
        batch, done = waiting
        if done is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(done)
            for tensor in batch.values():
                tensor.record_stream(stream)
        return batch

    def _train(self, batch: Batch) -> None:
        config = self.config
        self.network.train()
        factor = rate_at(self.spent, self.total_s - RESERVE_S, config.decay_share)
        for group in self.optimizer.param_groups:
            group['lr'] = config.learning_rate * factor
        phase = (int(torch.randint(4, ())), int(torch.randint(4, ())))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            outputs = self.forward(_image(batch['left']), _image(batch['right']))
        truth = Truth(batch['disparity'], batch['visible'])
        loss, parts = supervised_loss(
            outputs, truth, config.loss, phase, self.network.max_disparity_px
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self._follow()
        for name, part in {'loss': loss.detach(), **parts}.items():
            self.sums[name] = self.sums[name] + part if name in self.sums else part.clone()
        self.sums['steps'] = self.sums.get('steps', torch.zeros(())) + 1
        self.step += 1
        self.pairs += len(batch['left'])

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights towards the trained ones; quickly at first."""
        keep = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        mean, now = self.average.state_dict(), self.network.state_dict()
        floating = [name for name, value in mean.items() if value.is_floating_point()]
        torch._foreach_lerp_([mean[n] for n in floating], [now[n] for n in floating], 1 - keep)
        for name in mean.keys() - set(floating):
            mean[name].copy_(now[name])

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """EPE (px), bad-1 and bad-3 (shares) of the averaged weights on the held-out pairs."""
        self.average.eval()
        errors = []
        for batch in self.held_out:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
                disparity, _ = self.average(_image(batch['left']), _image(batch['right']))
            error = (disparity[:, 0].float() - batch['disparity']).abs()
            errors.append(error[batch['visible']])
        error = torch.cat(errors)
        return {
            'val/epe_px': float(error.mean()),
            'val/bad1': float((error > 1).float().mean()),
            'val/bad3': float((error > 3).float().mean()),
        }

    def _checkpoint(self, speed: float) -> dict[str, float]:
        steps = float(self.sums.pop('steps', torch.ones(())))
        losses = {name: float(value) / steps for name, value in self.sums.items()}
        self.sums = {}
        if not all(math.isfinite(value) for value in losses.values()):
            raise StereoError(
                f'training diverged before step {self.step}; '
                f'go on from {self.config.out}/last.pt with a smaller --rate'
            )
        figures = self.validate()
        self._save(figures)
        shown = ' '.join(f'{k} {v:.4f}' for k, v in {**losses, **figures}.items())
        rate = self.optimizer.param_groups[0]['lr']
        memory = torch.cuda.max_memory_allocated(self.device) / 1e9 if self.amp else 0.0
        self._note(
            f'step {self.step} pairs {self.pairs} {speed:.0f}/s {memory:.1f} GB '
            f'rate {rate:.1e} {shown}'
        )
        return {**figures, **{f'train/{k}': v for k, v in losses.items()}}

    def _save(self, figures: dict[str, float]) -> None:
        out, config = self.config.out, self.config
        if figures['val/epe_px'] < self.best:
            self.best = figures['val/epe_px']
            meta = {
                'data': f'procedural pairs, ray-cast, seed {config.seed}, '
                f'{", ".join(f"{w}x{h}" for h, w in config.sizes)} px, '
                f'batches of {config.batch}',
                'command': 'python -m dtp_stereo_ros.training.gpu_train',
                'steps': self.step,
                'pairs': self.pairs,
                'train_seconds': round(self.spent),
                'device': self._device_name(),
                'date': time.strftime('%Y-%m-%d'),
                'validation': {k: round(v, 4) for k, v in figures.items()},
            }
            checkpoint.save(out / 'best.pt', self.average, meta)
        # Two files, the moments rounded: neither grows beyond what is easily carried about.
        entries = self.optimizer.state_dict()['state']
        short = {'step': self.step, 'state': {k: _rounded(v) for k, v in entries.items()}}
        checkpoint.write(out / 'moments.pt', short)
        state = {
            'config': describe(self.network),
            'network': self.network.state_dict(),
            'average': self.average.state_dict(),
            'step': self.step,
            'number': self.number,
            'pairs': self.pairs,
            'spent': self.spent,
            'best': self.best,
        }
        checkpoint.write(out / 'last.pt', state)

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        folder = self.config.resume or self.config.out
        last, moments = folder / 'last.pt', folder / 'moments.pt'
        if not last.exists():
            if self.config.resume:
                raise InputError(f'--resume: {folder} holds no last.pt')
            return {}, {}
        state = torch.load(last, map_location='cpu', weights_only=True)
        if not moments.exists():
            return state, {}
        return state, torch.load(moments, map_location='cpu', weights_only=True)

    def _start(self, state: dict[str, Any]) -> Network:
        if state:
            network = build(state['config'])
            network.load_state_dict(state['network'])
        elif self.config.init:
            network = checkpoint.load(self.config.init)
        else:
            network = build(self.config.network)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub gap
        return network

    def _restore(self, state: dict[str, Any], moments: dict[str, Any]) -> None:
        if not state:
            return
        self.step, self.pairs = state['step'], state['pairs']
        self.spent, self.best = state['spent'], state['best']
        if moments.get('step') != self.step:
            self._note(f'moments.pt is not of step {self.step}: the optimizer starts afresh')
            return
        groups = self.optimizer.state_dict()['param_groups']
        entries = {
            number: {name: value.float() for name, value in entry.items()}
            for number, entry in moments['state'].items()
        }
        self.optimizer.load_state_dict({'state': entries, 'param_groups': groups})

    def _held_out(self) -> list[Batch]:
        small, bank = max(1, min(16, self.config.batch)), self.drawer.bank
        drawer = Drawer(bank, self.config.sizes, small, VALIDATION_SEED, self.device.type)
        return [make_batch(self.caster, drawer.draw(i)) for i in range(self.config.validation)]

    def _check(self, atlas: Atlas) -> None:
        """A device that renders otherwise than the CPU would teach nonsense."""
        if self.device.type == 'cpu':
            return
        drawer = Drawer(self.drawer.bank, ((64, 128),), 4, VALIDATION_SEED)
        scenes = drawer.draw(0).scenes
        here, there = (
            torch.cat([caster.render([part]).disparity_left.cpu() for part in scenes])
            for caster in (RayCaster(atlas), self.caster)
        )
        off = float(((here - there).abs() > 1e-3 * here + 1e-3).float().mean())
        self._note(f'{100 * off:.3f} % of pixels differ between {self.device} and the CPU')
        if off > 0.005:
            raise StereoError(
                f'{self.device} renders {100 * off:.1f} % of pixels otherwise than the CPU; '
                'do not train on it with this version of PyTorch'
            )

    def _time_generator(self) -> None:
        """How fast the device generates when it does nothing else."""
        if self.device.type == 'cpu':
            return
        drawn = [self.drawer.draw(i) for i in range(2)]
        make_batch(self.caster, drawn[0])
        torch.cuda.synchronize(self.device)
        begun, rounds = time.perf_counter(), 3
        for item in drawn * rounds:
            make_batch(self.caster, item)
        torch.cuda.synchronize(self.device)
        speed = len(drawn) * rounds * self.config.batch / (time.perf_counter() - begun)
        self._note(f'generates {speed:.0f} pairs/s by itself')

    def _elapsed(self) -> float:
        return time.monotonic() - self.begun

    def _device_name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.amp else 'CPU'

    def _note(self, line: str) -> None:
        line = f'{time.strftime("%H:%M:%S")} {self._elapsed():6.1f} s  {line}'
        print(line, flush=True)
        with (self.config.out / 'log.txt').open('a') as log:
            log.write(line + '\n')


def _image(batch: Tensor) -> Tensor:
    return batch.float().contiguous(memory_format=torch.channels_last)


def _rounded(entry: dict[str, Any]) -> dict[str, Tensor]:
    """Moments in half the bytes; the step count as it is."""
    return {name: value if name == 'step' else value.bfloat16() for name, value in entry.items()}


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not HEIGHTxWIDTH') from None
    if height % 32 or width % 32 or min(height, width) < 32:
        raise argparse.ArgumentTypeError(f'{text}: both must be multiples of 32')
    return height, width


def _width(text: str) -> tuple[str, Any]:
    name, _, value = text.partition('=')
    try:
        numbers = [int(part) for part in value.split(',')]
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=NUMBER[,NUMBER]') from None
    return name, numbers[0] if len(numbers) == 1 else tuple(numbers)


def parse(arguments: list[str] | None = None) -> GpuTrainConfig:
    """The command line as a config."""
    default = GpuTrainConfig(Path())
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n\n')[0])
    add = parser.add_argument
    add('--textures', type=Path, help='folder of photographs')
    add('--out', type=Path, required=True, help='folder of checkpoints and log')
    add('--minutes', type=float, default=default.minutes, help='length of this call')
    add('--total-minutes', type=float, help='length of the run over all its calls')
    add('--resume', type=Path, help='folder of an earlier call, if not --out')
    add('--init', type=Path, help='checkpoint of the first weights')
    add(
        '--network', type=_width, nargs='*', default=[], help='widths, as volume=64 depths=1,2,3,2'
    )
    add('--size', type=_size, nargs='*', default=default.sizes, dest='sizes', help='288x576 ...')
    add('--batch', type=int, default=default.batch)
    add('--rate', type=float, default=default.learning_rate, dest='learning_rate')
    add('--decay-share', type=float, default=default.decay_share)
    add('--average', type=float, default=default.average_decay, dest='average_decay')
    add('--checkpoint-s', type=float, default=default.checkpoint_s)
    add('--validation', type=int, default=default.validation, help='batches')
    add('--samples', type=int, choices=(1, 2, 4), default=default.samples)
    add('--workers', type=int, default=default.workers)
    add('--photos', type=int, default=default.photos)
    add('--seed', type=int, default=default.seed)
    add('--device', default=default.device)
    add('--compile', action='store_true', help='the network')
    add('--compile-generator', action='store_true', help='the ray caster')
    add('--max-steps', type=int, default=0)
    values = vars(parser.parse_args(arguments))
    values['network'] = {'member': 'light', **dict(values['network'])}
    values['sizes'] = tuple(values['sizes'])
    return dataclasses.replace(default, **values)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    try:
        trainer = GpuTrainer(parse(arguments))

        def stop(*_: Any) -> None:
            trainer.stopped = True

        signal.signal(signal.SIGTERM, stop)
        trainer.run()
    except StereoError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
