"""What a training run is told."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dtp_stereo_ros import models
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network.family import PRESETS
from dtp_stereo_ros.settings_file import plain

from ..data.batches import GeneratorConfig
from ..data.sources import SYNTHETIC
from .distillation import DistilConfig
from .losses import LossWeights


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes:
        out: folder of the run: `last.pt` (to resume), `best.pt` (to use), `log.txt`, TensorBoard
            events.
        network: architecture, as `network.family.describe` gives it; that of `init` or of an
            earlier call goes before it.
        sources: what is learned from, in turn: ``synthetic``, ``raycast`` or ``NAME:PLACE`` (see
            `readers`).
        data: the generator; its sizes, batch size and seed also count for pairs on disk.
        loss: weights of the loss against the truth.
        distil: how a teacher takes part; by default there is none.
        steps: length of the run, where it is not given in minutes.
        minutes: length of this call, its start included; the last checkpoint is written before
            they are over. 0 counts steps.
        total_minutes: length of the run over all its calls, which the learning rate follows; 0
            for what was spent before and this call.
        max_steps: stop after so many steps of this call; 0 for none.
        decay_share: share of the run, at its end, over which the learning rate falls to 0.
        warmup_steps: steps over which it rises; of a run in minutes it is a small share.
        learning_rate, weight_decay: of AdamW.
        average_decay: of the moving average of the weights that is validated and kept.
        padded: share of the batches that are padded as images of odd sizes are, see `padding`.
        bf16: run the forward pass in bfloat16 autocast.
        device: 'cpu', or 'auto': CUDA where there is one.
        workers: generator processes.
        compile: run the network through `torch.compile`, where that learns the same.
        validate_every: steps between validations and checkpoints.
        checkpoint_s: seconds between them instead; 0 counts steps.
        split: keep the optimizer's moments, rounded, in a file of their own, see `state`.
        validation_count: validation batches.
        threads: CPU threads of the step; 0 leaves PyTorch's choice.
        init: checkpoint to start from, or None.
        resume: folder of an earlier call to go on from, where it is not `out`.
        cache: folder for unpacked bags and teachers' answers; None is `out`/cache.
        only: modules that are trained, by the beginning of their names; () for all. The others
            keep their weights and statistics.
        half_upsampling: give `init`, a light network, learned upsampling to half size.
        also: networks that are trained on the same batches, each in a folder of its name below
            `out`.
        command: what was typed, for the model card.
    """

    out: Path
    network: dict[str, Any] = field(default_factory=lambda: {'member': 'light'})
    sources: tuple[str, ...] = (SYNTHETIC,)
    data: GeneratorConfig = field(default_factory=GeneratorConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    distil: DistilConfig = field(default_factory=DistilConfig)
    steps: int = 10000
    minutes: float = 0.0
    total_minutes: float = 0.0
    max_steps: int = 0
    decay_share: float = 0.3
    warmup_steps: int = 300
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    average_decay: float = 0.998
    padded: float = 0.5
    bf16: bool = True
    device: str = 'auto'
    workers: int = 1
    compile: bool = False
    validate_every: int = 500
    checkpoint_s: float = 0.0
    split: bool = False
    validation_count: int = 8
    threads: int = 0
    init: Path | None = None
    resume: Path | None = None
    cache: Path | None = None
    only: tuple[str, ...] = ()
    half_upsampling: bool = False
    also: tuple[str, ...] = ()
    command: str = ''


# Smallest and largest value of each number among the settings, by its name.
_POSITIVE = 1e-12
_LIMITS: dict[str, tuple[float, float]] = {
    'steps': (1, 1e9),
    'minutes': (0, 1e6),
    'total_minutes': (0, 1e6),
    'max_steps': (0, 1e9),
    'decay_share': (0, 1),
    'warmup_steps': (0, 1e9),
    'learning_rate': (_POSITIVE, math.inf),
    'weight_decay': (0, math.inf),
    'average_decay': (0, 1),
    'padded': (0, 1),
    'workers': (0, 256),
    'validate_every': (1, 1e9),
    'checkpoint_s': (0, 1e7),
    'validation_count': (1, 1e5),
    'threads': (0, 1024),
    'batch_size': (1, 1e5),
    'max_disparity_px': (1, 4096),
    'pool': (1, 1e6),
    'reuse': (1, 1e6),
    'seed': (0, 2**31),
    'photos': (1, 1e6),
    'temperature': (_POSITIVE, 1e3),
    'distribution': (0, math.inf),
    'disparity': (0, math.inf),
    'features': (0, math.inf),
    'trust_px': (0, math.inf),
    'measure_batches': (1, 1e5),
}


def check(settings: Any) -> None:
    """Refuse numbers that no run can have, of a dataclass and of those in it.

    Raises:
        ConfigError: names the setting, its value and what is allowed.
    """
    for part in dataclasses.fields(settings):
        value = getattr(settings, part.name)
        if dataclasses.is_dataclass(value):
            check(value)
        low, high = _LIMITS.get(part.name, (-math.inf, math.inf))
        for number in value if isinstance(value, tuple) else (value,):
            if part.name in _LIMITS and not (low <= number <= high and math.isfinite(number)):
                least = 'above 0' if low == _POSITIVE else f'{low:g} or more'
                most = f' and at most {high:g}' if high < 1e6 else ''
                raise ConfigError(f'{part.name} is {number}, it must be {least}{most}')


# Of a run: where it computes, and how long and how often it does what it does. All else decides
# what it learns.
_WHERE = ('out', 'command', 'workers', 'threads', 'device', 'cache')
_PACE = (
    'steps', 'minutes', 'total_minutes', 'max_steps', 'validate_every', 'checkpoint_s', 'split',
    'compile', 'bf16', 'resume', 'also',
)  # fmt: skip


def training_settings(config: TrainConfig) -> dict[str, Any]:
    """What a training run depends on; files by content, so that a folder may be moved."""
    settings = plain(config)
    for key in _WHERE:
        del settings[key]
    settings['init'] = models.sha256(config.init) if config.init else ''
    if Path(config.distil.teacher).is_file():
        settings['distil']['teacher'] = models.sha256(Path(config.distil.teacher))
    return dict(settings)


def lesson(config: TrainConfig) -> dict[str, Any]:
    """What every call of a run has to agree on, as plain values: all but its length and pace."""
    settings = {k: v for k, v in training_settings(config).items() if k not in _PACE}
    # Of a run from a checkpoint that decides.
    if settings['init']:
        del settings['network']
    return dict(json.loads(json.dumps(settings)))


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first setting that differs and its values, '' where none does.

    Args:
        before, now: plain values, nested.
    """
    before, now = _flat(before), _flat(now)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            return f'{key} ({before.get(key)!r}, now {now.get(key)!r})'
    return ''


def _flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested settings by dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= (
            _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {prefix + key: value}
        )
    return found


def preset(name: str) -> dict[str, Any]:
    """The architecture that a name stands for.

    Raises:
        ConfigError: there is no such network.
    """
    if name not in PRESETS:
        raise ConfigError(f'network {name!r} is unknown; choose one of {", ".join(PRESETS)}')
    return PRESETS[name]
