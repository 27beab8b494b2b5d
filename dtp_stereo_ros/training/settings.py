"""Every setting of training once: name, type, default, unit, range and description.

Options of the commands, recipe files and docs/reference/training.md are made from the fields
below. Imports neither PyTorch nor NumPy, so that help needs neither.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dtp_stereo_ros.config import Tunable, check_range
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network.presets import PRESETS

SYNTHETIC = 'synthetic'
RAYCAST = 'raycast'
# Kinds of sources with 3D models of others: KIND:PLACE.
ASSETS, RENDERED = 'assets', 'rendered'

# A setting without a default.
REQUIRED = dataclasses.MISSING

Precision = Literal['bf16', 'fp32']
Device = Literal['auto', 'cpu']

_MOST_PX = 8192
_MOST_PROCESSES = 1024


def setting(
    default: Any,
    description: str,
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    option: str = '',
) -> Any:
    """A dataclass field that carries its `Tunable`."""
    spec = Tunable(description, unit, minimum, maximum, live=False, option=option)
    return dataclasses.field(default=default, metadata={'tunable': spec})


def other_default(cls: type, name: str, default: Any) -> Any:
    """The setting `name` of `cls` with another default."""
    (declared,) = (f for f in dataclasses.fields(cls) if f.name == name)
    return dataclasses.field(default=default, metadata=declared.metadata)


def declared(cls: type) -> dict[str, Tunable]:
    """Name to `Tunable` for every setting of a class, in order; settings of settings left out."""
    fields = dataclasses.fields(cls)
    return {f.name: f.metadata['tunable'] for f in fields if 'tunable' in f.metadata}


def option(name: str, spec: Tunable) -> str:
    """The option of a setting on the command line."""
    return spec.option or '--' + name.replace('_', '-')


def shared(settings: Any, cls: type) -> dict[str, Any]:
    """The fields of `cls` in the settings of a class that is built on it, by name."""
    return {f.name: getattr(settings, f.name) for f in dataclasses.fields(cls)}


class Settings:
    """Base of the dataclasses below; refuses values out of range."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: names the setting, its value and what is allowed.
        """
        for name, spec in declared(type(self)).items():
            for value in _numbers(getattr(self, name)):
                check_range(name, value, spec)


def _numbers(value: Any) -> list[float]:
    """The numbers in a value, which may be nested tuples of them."""
    if isinstance(value, (tuple, list)):
        return [number for part in value for number in _numbers(part)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


@dataclass(frozen=True)
class GeneratorConfig(Settings):
    """Generated pairs; sizes, batch size and seed count for pairs on disk as well."""

    textures: Path | None = setting(
        None, 'Folder of photographs that cover surfaces; without it noise and patterns do.'
    )
    sizes: tuple[tuple[int, int], ...] = setting(
        ((160, 512), (256, 320)),
        'HEIGHTxWIDTH of the pairs, one a batch in turn; a width of more than twice the largest '
        'disparity trains better.',
        unit='px',
        minimum=8,
        maximum=_MOST_PX,
    )
    batch_size: int = setting(8, 'Pairs a step.', minimum=1, maximum=4096)
    max_disparity_px: float = setting(
        190.0, 'Nothing that is generated is nearer.', unit='px', minimum=1, maximum=4096
    )
    pool: int = setting(
        300,
        'Pairs of each size that a worker keeps in memory, of each generator. A GPU that learns '
        'from generated pairs alone keeps up to 8192 of each, in at most half of its free memory.',
        minimum=1,
        maximum=100_000,
    )
    reuse: float = setting(
        3.0,
        'Times that a generated pair is learned from, each time distorted anew.',
        minimum=1,
        maximum=1000,
    )
    seed: int = setting(0, 'Seed of all random numbers.', minimum=0, maximum=2**31 - 1)
    photos: int = setting(
        400, 'Largest number of photographs that the ray caster loads.', minimum=0
    )
    samples: Literal[1, 2, 4] = setting(
        1, 'Colour samples a pixel of the ray caster; each costs as much as the first.'
    )
    compiled: bool = setting(
        False,
        'Run the ray caster through torch.compile, which takes a minute or two at the start.',
        option='--compile-generator',
    )


@dataclass(frozen=True)
class LossWeights(Settings):
    """Weights of the terms and pixels of the loss against the truth."""

    distribution: float = setting(
        1.0, 'Cross-entropy of the aggregated distribution; finds the right surface.', minimum=0
    )
    matching: float = setting(
        0.2, 'Cross-entropy of the raw correlation; trains the features directly.', minimum=0
    )
    full: float = setting(
        1.0, 'Robust error at full size; trains sub-pixel precision and edges.', minimum=0
    )
    quarter: float = setting(0.1, 'Robust error before upsampling.', minimum=0)
    occluded: float = setting(
        1.5, 'Pixels that the right image hides, relative to visible ones.', minimum=0
    )
    outside: float = setting(
        1.0,
        'Pixels whose match is outside the right image, relative to visible ones.',
        minimum=0,
    )
    edge: float = setting(1.5, 'Pixels near a step of disparity, relative to others.', minimum=0)
    thin: float = setting(
        3.0, 'Pixels of structures and gaps below 13 px, relative to others.', minimum=0
    )
    error: float = setting(
        0.1, 'Likelihood of the error under the error that the network expects.', minimum=0
    )


@dataclass(frozen=True)
class DistilConfig(Settings):
    """A teacher's part in a training."""

    teacher: str = setting(
        '',
        'Shipped model, checkpoint, ONNX file, published PSMNet weights, or sgbm; empty for none.',
    )
    supervision: Literal['teacher', 'both', 'truth'] = setting(
        'teacher', 'The teacher alone, with the truth, or the truth alone.'
    )
    loss: Literal['l1', 'kl'] = setting(
        'l1', 'Distance between the distributions of student and teacher (l1: Pan et al., Eq. 4).'
    )
    temperature: tuple[float, float] = setting(
        (0.5, 1.0), 'Of both softmaxes at the beginning and at the end of the run.', minimum=0.01
    )
    distribution: float = setting(1.0, 'Weight of that distance.', minimum=0)
    disparity: float = setting(
        1.0,
        "Weight of the robust error against the teacher's disparity; it alone teaches the "
        'upsampling. 0 leaves Eq. 4 alone.',
        minimum=0,
    )
    features: float = setting(
        0.0,
        'Weight of 1 - cosine between the aggregated features of both, for teachers of this '
        'project; 0 for none.',
        minimum=0,
    )
    cache: bool = setting(
        False, 'Ask the teacher once about each pair on disk, and keep the answers.'
    )
    trust_px: float = setting(
        0.0,
        'With supervision both, pixels where the teacher is farther than this from the truth do '
        'not count; 0 counts all.',
        unit='px',
        minimum=0,
        option='--trust',
    )

    def __post_init__(self) -> None:
        """See `Settings`; no setting is without effect, and a cache keeps no features."""
        super().__post_init__()
        if self.cache and self.features:
            raise ConfigError('features are not kept in a cache; set features to 0, or no cache')
        if self.trust_px and self.supervision != 'both':
            raise ConfigError(
                f'trust_px compares the teacher with the truth, and supervision is '
                f'{self.supervision}; set it to both, or trust_px to 0'
            )


# Of whatever prunes: a command, a chain, an ablation.
PRUNING_BATCHES = 'Batches of pairs: half of each to fit weights on, half to measure on.'


@dataclass(frozen=True)
class PruneConfig(Settings):
    """One round of pruning."""

    ratio: float = setting(
        0.1,
        'Share of the multiplications to save, widths counted as multiples of round_to.',
        minimum=0,
        maximum=1,
    )
    round_to: int = setting(
        16,
        'Widths become multiples of this. A processor with AVX-512 computes 56 channels in the '
        'time of 64.',
        minimum=1,
    )
    largest_cut: float = setting(
        0.5, 'No group of channels loses more than this share in one round.', minimum=0, maximum=1
    )
    by_sensitivity: bool = setting(
        True, 'Cut where the measured error grows least; else all groups lose the same share.'
    )
    reconstruct: bool = setting(
        True,
        'Cut the channels that the others tell best, and fit the layers that read them anew; '
        'else those of the least norm go.',
    )

    def __post_init__(self) -> None:
        """See `Settings`; a share must lie inside its range."""
        super().__post_init__()
        for name in ('ratio', 'largest_cut'):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(
                    f'{name} is {getattr(self, name)}; give a share between 0 and 1, such as 0.1'
                )


@dataclass(frozen=True, kw_only=True)
class Computing(Settings):
    """Device and arithmetic of a training."""

    precision: Precision = setting('bf16', 'Arithmetic of the forward pass; bf16 is autocast.')
    device: Device = setting('auto', 'auto takes CUDA where there is a GPU.')
    workers: int = setting(1, 'Processes that make pairs.', minimum=0, maximum=_MOST_PROCESSES)
    threads: int = setting(
        0, "CPU threads of a step; 0 is PyTorch's choice.", minimum=0, maximum=_MOST_PROCESSES
    )


@dataclass(frozen=True, kw_only=True)
class Course(Settings):
    """Pairs, length and learning rate of a training."""

    sources: tuple[str, ...] = setting(
        (SYNTHETIC,),
        'Sources of pairs, in turn: synthetic, raycast or NAME:PLACE.',
        option='--data',
    )
    steps: int = setting(10000, 'Length of the run, unless it is given in minutes.', minimum=0)
    learning_rate: float = setting(1.5e-3, 'Learning rate of AdamW.', minimum=0)
    warmup_steps: int = setting(
        300,
        'Steps over which the rate rises, at most a tenth of the run; one in minutes has less.',
        minimum=0,
    )
    decay_share: float = setting(
        0.3,
        'Share of the run, at its end, over which the rate falls to 0.',
        minimum=0,
        maximum=1,
    )
    fixed_statistics: bool = setting(
        False,
        'Keep the statistics of the normalisations as they are: for a trained network, where '
        'batches are small.',
    )
    validate_every: int = setting(500, 'Steps between validations and checkpoints.', minimum=1)
    loss: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Course, Computing):
    """A training run. `out` holds last.pt (to resume), best.pt (to use), log.txt and events."""

    out: Path = setting(REQUIRED, 'Folder of the run.')
    network: dict[str, Any] = field(default_factory=lambda: dict(PRESETS['light']))
    data: GeneratorConfig = field(default_factory=GeneratorConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    minutes: float = setting(
        0.0,
        'Length of this call, its start included; the last checkpoint is written before they are '
        'over. 0 counts steps.',
        unit='min',
        minimum=0,
    )
    total_minutes: float = setting(
        0.0,
        'Length of the run over all its calls, which the learning rate follows; 0 for the calls '
        'before and this one.',
        unit='min',
        minimum=0,
    )
    max_steps: int = setting(0, 'Largest number of steps of this call; 0 for any.', minimum=0)
    weight_decay: float = setting(1e-2, 'Weight decay of AdamW.', minimum=0)
    average_decay: float = setting(
        0.998,
        'Decay of the moving average of the weights, which is validated and kept.',
        minimum=0,
        maximum=1,
        option='--average',
    )
    padded: float = setting(
        0.5,
        'Share of the batches that are padded, as images of odd sizes are.',
        minimum=0,
        maximum=1,
    )
    compile: bool = setting(
        False, 'Run the network through torch.compile, where its gradients stay the same.'
    )
    checkpoint_s: float = setting(
        0.0, 'Time between validations and checkpoints; 0 counts steps.', unit='s', minimum=0
    )
    split: bool = setting(
        False, "Keep the optimizer's moments, rounded, in a file of their own: smaller files."
    )
    validation_count: int = setting(
        8, 'Batches of the validation, of each generator.', minimum=1, option='--validation'
    )
    init: Path | None = setting(
        None, 'Checkpoint (.pt), or name of a shipped model, to start from.'
    )
    resume: Path | None = setting(
        None, 'Folder of an earlier call to go on from, where it is not the folder of the run.'
    )
    cache: Path | None = setting(
        None, 'Folder of unpacked bags and answers of teachers; by default below the run.'
    )
    only: tuple[str, ...] = setting(
        (), 'Parts of the network that are trained, by the beginning of their names; else all.'
    )
    half_upsampling: bool = setting(
        False, 'Give a light network learned upsampling to half size (with --only upsampling).'
    )
    one_correlation: bool = setting(False, 'Take the second correlation of a light network away.')
    magnification: float = setting(
        1.0,
        'Let a light network match pairs that are enlarged by this factor: finer, and slower by '
        'its square. Crops must be multiples of 64 px with 1.5.',
        minimum=1.0,
        maximum=4.0,
    )
    error_head: int = setting(
        0,
        'Give a light network a head of this many channels that learns its expected error '
        '(with --only error); 0 leaves the network as it is.',
        minimum=0,
        maximum=256,
    )
    choice: int = setting(
        0,
        'Let a light network look at each pair in two sizes, enlarged by the magnification and '
        'half of that, and give it this many channels that choose between both (with --only '
        'choice); 0 leaves the network as it is.',
        minimum=0,
        maximum=256,
    )
    also: tuple[str, ...] = setting(
        (),
        'Networks that are trained on the same batches from the first step on, each in a folder '
        'of its name; a checkpoint (.pt) goes on from its weights. They are not compiled.',
    )
    command: str = ''

    def __post_init__(self) -> None:
        """See `Settings`; no setting is without effect."""
        super().__post_init__()
        if self.total_minutes and not self.minutes:
            raise ConfigError(
                'total_minutes is of a run in minutes; set minutes too, the length of this call'
            )
