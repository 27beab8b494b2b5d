"""The training loop: resumable, stoppable at any time, best weights always on disk."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import Network, build

from .data import Batch, GeneratorConfig, SyntheticBatches, validation_batches
from .losses import LossWeights, Truth, supervised_loss


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes:
        out: folder of the run: `last.pt` (to resume), `best.pt` (to use), TensorBoard events.
        network: architecture, as `network.family.describe` gives it.
        data: the generator.
        loss: weights of the loss.
        steps: length of the run.
        decay_share: share of the steps, at the end, over which the learning rate falls to 0.
        warmup_steps: steps over which it rises.
        learning_rate, weight_decay: of AdamW.
        average_decay: of the moving average of the weights that is validated and kept.
        bf16: run the forward pass in bfloat16 autocast.
        device: 'cpu', 'cuda', ...; 'auto' is CUDA where there is one.
        workers: generator processes.
        validate_every: steps between validations and checkpoints.
        validation_count: validation batches.
        threads: CPU threads of the step; 0 leaves PyTorch's choice.
        init: checkpoint to start from, or None.
        command: what was typed, for the model card.
    """

    out: Path
    network: dict[str, Any] = field(default_factory=lambda: {'member': 'light'})
    data: GeneratorConfig = field(default_factory=GeneratorConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    steps: int = 10000
    decay_share: float = 0.3
    warmup_steps: int = 300
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    average_decay: float = 0.998
    bf16: bool = True
    device: str = 'auto'
    workers: int = 1
    validate_every: int = 500
    validation_count: int = 8
    threads: int = 0
    init: Path | None = None
    command: str = ''


def rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate factor: warm-up, plateau, cosine to zero.

    The plateau lets a run be lengthened, or brought home early, by changing `steps` on resume.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    start = config.steps * (1 - config.decay_share)
    if step < start:
        return 1.0
    progress = min(1.0, (step - start) / max(1.0, config.steps - start))
    return 0.5 * (1 + math.cos(math.pi * progress))


class Trainer:
    """One run. `run()` goes on where the folder's `last.pt` stopped."""

    def __init__(self, config: TrainConfig) -> None:
        if config.device == 'auto':
            found = 'cuda' if torch.cuda.is_available() else 'cpu'
            config = dataclasses.replace(config, device=found)
        self.config = config
        config.out.mkdir(parents=True, exist_ok=True)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.data.seed)
        network = checkpoint.load(config.init) if config.init else build(config.network)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub gap
        self.network: Network = network.to(config.device)
        self.average: Network = copy.deepcopy(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step = 0
        self.samples = 0
        self.seconds = 0.0
        self.best = math.inf
        self._resume()

    def run(self) -> dict[str, float]:
        """Train to the end; returns the last validation figures."""
        config = self.config
        loader: DataLoader[Batch] = DataLoader(
            SyntheticBatches(config.data, skip=self.step),
            batch_size=None,
            num_workers=config.workers,
            prefetch_factor=4 if config.workers else None,
        )
        held_out = validation_batches(config.data, config.validation_count)
        writer = SummaryWriter(str(config.out))
        figures: dict[str, float] = {}
        batches = iter(loader)
        progress = tqdm(total=config.steps, initial=self.step, unit='step', mininterval=10)
        try:
            while self.step < config.steps:
                until = min(config.steps, self.step + config.validate_every)
                losses = self._train(batches, until, progress)
                figures = validate(self.average, held_out, config)
                for name, value in {**losses, **figures}.items():
                    writer.add_scalar(name, value, self.step)
                writer.flush()
                self._save(figures)
                shown = ' '.join(f'{k} {v:.3f}' for k, v in {**losses, **figures}.items())
                progress.write(f'step {self.step} ({self.samples} pairs): {shown}')
        finally:
            progress.close()
            writer.close()
        return figures

    def _train(
        self, batches: Iterator[Batch], until: int, progress: tqdm[Any]
    ) -> dict[str, float]:
        config = self.config
        self.network.train()
        sums: dict[str, torch.Tensor] = {}
        begun, first = time.perf_counter(), self.step
        while self.step < until:
            batch = {k: v.to(config.device, non_blocking=True) for k, v in next(batches).items()}
            for group in self.optimizer.param_groups:
                group['lr'] = config.learning_rate * rate_at(self.step, config)
            phase = (int(torch.randint(4, ())), int(torch.randint(4, ())))
            with torch.autocast(config.device, torch.bfloat16, enabled=config.bf16):
                outputs = self.network(batch['left'].float(), batch['right'].float())
            truth = Truth(batch['disparity'], batch['visible'])
            loss, parts = supervised_loss(
                outputs, truth, config.loss, phase, self.network.max_disparity_px
            )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self._follow()
            for name, part in parts.items():
                sums[f'train/{name}'] = sums.get(f'train/{name}', torch.zeros(())) + part
            self.step += 1
            self.samples += len(batch['left'])
            progress.update()
        self.seconds += time.perf_counter() - begun
        return {name: float(total) / (self.step - first) for name, total in sums.items()}

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

    def _save(self, figures: dict[str, float]) -> None:
        data = self.config.data
        meta = {
            'data': f'procedural pairs, seed {data.seed}, '
            f'{", ".join(f"{w}x{h}" for h, w in data.sizes)} px, batches of {data.batch_size}',
            'command': self.config.command,
            'steps': self.step,
            'pairs': self.samples,
            'train_seconds': round(self.seconds),
            'date': time.strftime('%Y-%m-%d'),
            'validation': {k: round(v, 4) for k, v in figures.items()},
        }
        out = self.config.out
        score = figures['val/epe_px']
        if score < self.best:
            self.best = score
            checkpoint.save(out / 'best.pt', self.average, meta)
        state = {
            'network': self.network.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'step': self.step,
            'samples': self.samples,
            'seconds': self.seconds,
            'best': self.best,
        }
        torch.save(state, out / 'last.pt.tmp')
        (out / 'last.pt.tmp').replace(out / 'last.pt')

    def _resume(self) -> None:
        path = self.config.out / 'last.pt'
        if not path.exists():
            return
        state = torch.load(path, map_location=self.config.device, weights_only=True)
        self.network.load_state_dict(state['network'])
        self.average.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.step, self.samples = state['step'], state['samples']
        self.seconds, self.best = state['seconds'], state['best']


@torch.no_grad()
def validate(network: Network, batches: list[Batch], config: TrainConfig) -> dict[str, float]:
    """EPE (px), bad-1 and bad-3 (shares) over visible pixels of the held-out pairs."""
    network.eval()
    errors = []
    for batch in batches:
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bf16):
            disparity, _ = network(
                batch['left'].float().to(config.device), batch['right'].float().to(config.device)
            )
        error = (disparity[:, 0].float().cpu() - batch['disparity']).abs()
        errors.append(error[batch['visible']])
    error = torch.cat(errors)
    return {
        'val/epe_px': float(error.mean()),
        'val/bad1': float((error > 1).float().mean()),
        'val/bad3': float((error > 3).float().mean()),
    }
