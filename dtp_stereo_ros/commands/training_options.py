"""Options that the training commands share. Imports no PyTorch, so that help needs none."""

from __future__ import annotations

import argparse
import dataclasses
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from .. import models
from ..config import Tunable
from ..errors import ConfigError, StereoError
from ..sizes import parse_size
from ..training.settings import Computing, GeneratorConfig, TrainConfig, declared, option
from ..user_errors import failed_import, user_line
from .options import help_text, typed_command

if TYPE_CHECKING:
    from ..training.learning.trainer import Trainer

T = TypeVar('T')
Sizes = tuple[tuple[int, int], ...]

DATA_HELP = """\
Data is any number of these, in turn; the last tenth of a folder or bag judges the run:
  synthetic            generated pairs; --textures FOLDER covers them with photographs
  raycast              ray cast rooms, roads and woods, rendered on the GPU where there is one
  assets:FILE          rooms, streets and tracks rendered from the packed 3D assets of FILE
  folder:PATH          NAME_left.* NAME_right.* [NAME_disp.pfm], or left/ right/ [disp/]
  rendered:PATH        pairs of `dtp-stereo render`, rendered from free 3D models
  bag:FILE[,left=TOPIC,right=TOPIC,truth=TOPIC,info=TOPIC,camera=NAME]
                       a rosbag; truth is a disparity or depth topic, info the right camera_info
  sceneflow:PATH  kitti2012:PATH  kitti2015:PATH  middlebury_v3:PATH  middlebury_2001:PATH (and
  2003)  middlebury_2005:PATH (and 2006)  eth3d:PATH      as published
  middlebury_classic:PATH    SCENE/{left,right,disp}.* with a scale.json"""

TORCHRUN_HELP = """\
Several GPUs: torchrun --nproc_per_node=4 -m dtp_stereo_ros.cli ... (see torchrun for machines)."""


# Settings that are options, by the class that declares them; the commands add what is theirs.
_RUN = (
    'steps',
    'minutes',
    'total_minutes',
    'max_steps',
    'resume',
    'learning_rate',
    'decay_share',
    'weight_decay',
    'average_decay',
    'padded',
    'validate_every',
    'checkpoint_s',
    'validation_count',
    'split',
    'compile',
    'only',
    'fixed_statistics',
    'half_upsampling',
    'one_correlation',
    'magnification',
    'error_head',
    'choice',
)
_COMPUTING = ('precision', 'device', 'workers', 'threads')
_GENERATOR = (
    'textures',
    'sizes',
    'batch_size',
    'reuse',
    'photos',
    'samples',
    'compiled',
    'seed',
)


def add_settings(
    parser: argparse.ArgumentParser, cls: type, names: Sequence[str], **defaults: Any
) -> None:
    """Declare options of settings.

    Args:
        parser: of the command.
        cls: dataclass that declares the settings.
        names: of them.
        defaults: where the command has others.
    """
    fields = {f.name: f.default for f in dataclasses.fields(cls)}
    for name in names:
        _add(parser, cls, name, declared(cls)[name], defaults.get(name, fields[name]))


def _add(
    parser: argparse.ArgumentParser, cls: type, name: str, spec: Tunable, default: Any
) -> None:
    hint = get_type_hints(cls)[name]
    how: dict[str, Any] = {}
    if hint is bool:
        # Of a setting that is on, the option is its opposite.
        how['action'] = 'store_false' if default else 'store_true'
    else:
        how['metavar'] = _metavar(hint, spec)
    shown = default
    if hint == Sizes:
        shown = default = ','.join(f'{height}x{width}' for height, width in default)
    elif hint == tuple[str, ...]:
        spec = dataclasses.replace(spec, description=spec.description + ' May be repeated.')
        how['action'], shown, default = 'append', ' '.join(default), []
    elif get_origin(hint) is Literal:
        how['choices'] = get_args(hint)
        how['type'] = type(get_args(hint)[0])
    elif hint in (int, float, str):
        how['type'] = hint
    elif hint == Path | None:
        how['type'] = Path
    parser.add_argument(
        option(name, spec), dest=name, default=default, help=help_text(spec, shown), **how
    )


def _metavar(hint: Any, spec: Tunable) -> str | None:
    if get_origin(hint) is Literal:
        return None
    units = {'px': 'PX', 'min': 'MINUTES', 's': 'SECONDS'}
    kinds = {Sizes: 'HxW[,HxW]', Path | None: 'PATH', tuple[str, ...]: 'NAME', str: 'NAME'}
    return kinds.get(hint) or units.get(spec.unit, 'N')


def made(cls: type[T], args: argparse.Namespace, names: Sequence[str], **more: Any) -> T:
    """Settings that options describe.

    Args:
        cls: dataclass of the settings.
        args: parsed options.
        names: of the settings that are options.
        more: the others.

    Raises:
        ConfigError: a value is out of range, or a size is none.
    """
    hints = get_type_hints(cls)
    values = {}
    for name in names:
        value = getattr(args, name)
        if hints[name] == Sizes:
            value = parse_sizes(value)
        values[name] = tuple(value) if isinstance(value, list) else value
    return cls(**values, **more)


def add_run_options(
    parser: argparse.ArgumentParser,
    *,
    steps: int,
    learning_rate: float,
    data: str,
    init: str = '',
    out: str = '',
) -> None:
    """Declare what every training run has.

    Args:
        parser: of the command.
        steps, learning_rate: defaults of the command.
        data: default source.
        init: default model to start from.
        out: what is said of the default folder; without it one has to be given.
    """
    specs = declared(TrainConfig)
    parser.add_argument(
        '--out',
        type=Path,
        required=not out,
        metavar='DIR',
        help=specs['out'].description + (f' Default: {out}.' if out else ''),
    )
    parser.add_argument(
        option('sources', specs['sources']),
        action='append',
        metavar='SOURCE',
        help=f'See above; may be repeated. Default: {data or "none"}.',
    )
    parser.set_defaults(default_data=data)
    parser.add_argument(
        '--init', default=init, metavar='CKPT', help=help_text(specs['init'], init)
    )
    add_settings(parser, TrainConfig, _RUN, steps=steps, learning_rate=learning_rate)
    add_settings(parser, GeneratorConfig, _GENERATOR)
    add_computing_options(parser)


def add_computing_options(
    parser: argparse.ArgumentParser, names: Sequence[str] = _COMPUTING
) -> None:
    """Declare where and with what arithmetic a command computes."""
    add_settings(parser, Computing, names)
    parser.add_argument(
        '--fp32',
        action='store_const',
        const='fp32',
        dest='precision',
        help='The same as --precision fp32.',
    )


def train_config(args: argparse.Namespace, **more: Any) -> TrainConfig:
    """The run that the options describe.

    Args:
        args: parsed options of `add_run_options`.
        more: further fields of `TrainConfig`.

    Raises:
        ConfigError: a value is out of range.
        ModelError: there is no such model to start from.
    """
    return made(
        TrainConfig,
        args,
        (*_RUN, *_COMPUTING),
        out=args.out,
        sources=tuple(args.data or ([args.default_data] if args.default_data else [])),
        data=made(GeneratorConfig, args, _GENERATOR),
        init=models.resolve(args.init, ('.pt',)) if args.init else None,
        command=typed_command(),
        **more,
    )


def run_to_end(trainer: Trainer) -> None:
    """Train, and print where the best weights are, how good, and of which step.

    SIGTERM ends it with a checkpoint.
    """
    from ..training.learning.device import leave_group

    def stop(*_: Any) -> None:
        trainer.stopped = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        trainer.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    if trainer.step == trainer.schedule.first:
        trainer.accelerator.print(f'no step was left to do after {trainer.step}')
    path, meta = trainer.best_weights()
    shown = ', '.join(f'{k} {v:.3f}' for k, v in meta['validation'].items())
    trainer.accelerator.print(f'{path}: {shown} at step {meta["steps"]} of {trainer.step}')
    leave_group(trainer.accelerator)


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Declare ``--set NAME=VALUE`` of commands that read a YAML file."""
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        dest='changes',
        metavar='NAME=VALUE',
        help='replace a setting of the file; may be repeated',
    )


def parse_changes(texts: list[str]) -> dict[str, Any]:
    """Values that `add_changes` gathered, by dotted names.

    Raises:
        ConfigError: not of that form.
    """
    changes = {}
    for text in texts:
        name, equals, value = text.partition('=')
        if not equals or not name:
            raise ConfigError(f'--set {text!r}: write NAME=VALUE, such as distil.steps=100')
        try:
            changes[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f'--set {text!r}: the value is no YAML') from error
    return changes


def missing(error: ImportError) -> StereoError:
    """The one-line error for a training package that is not installed; a bug stays a bug."""
    failed = failed_import(error)
    if failed is None:
        raise error
    if not isinstance(error, ModuleNotFoundError):  # installed, and broken
        return StereoError(user_line(error))
    return StereoError(f"this needs {failed[0]}; install it: pip install 'dtp_stereo[train]'")


def parse_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Parse '160x512,256x320'.

    Raises:
        ConfigError: not of that form, or not multiples of 32.
    """
    return tuple(parse_size(part, '--sizes', 'HEIGHTxWIDTH', 32) for part in text.split(','))
