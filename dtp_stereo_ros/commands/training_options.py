"""Options that the training commands share. Imports no PyTorch, so that help needs none."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .. import models
from ..errors import ConfigError, StereoError
from ..sizes import parse_size
from ..user_errors import failed_import, user_line
from .options import typed_command

if TYPE_CHECKING:
    from ..training.learning.train_config import TrainConfig
    from ..training.learning.trainer import Trainer

# What `family.PRESETS` has; a test holds the two together.
NETWORKS = ('light', 'teacher', 'bimodal', 'large', 'paper1', 'paper2', 'paper3', 'psmnet')

DATA_HELP = """\
Data is any number of these, in turn; the last tenth of a folder or bag judges the run:
  synthetic            generated pairs; --textures FOLDER covers them with photographs
  raycast              ray cast rooms, roads and woods, rendered on the GPU where there is one
  assets:FILE          rooms, streets and tracks rendered from the packed 3D assets of FILE
  folder:PATH          NAME_left.* NAME_right.* [NAME_disp.pfm], or left/ right/ [disp/]
  rendered:PATH        pairs of `dtp-stereo render`, rendered from free 3D models
  bag:FILE[,left=TOPIC,right=TOPIC,truth=TOPIC,info=TOPIC]
                       a rosbag; truth is a disparity or depth topic, info the camera_info of depth
  sceneflow:PATH  kitti2012:PATH  kitti2015:PATH  middlebury_v3:PATH  middlebury_2001:PATH (and
  2003)  middlebury_2005:PATH (and 2006)  eth3d:PATH      as published
  middlebury_classic:PATH    SCENE/{left,right,disp}.* with a scale.json"""

TORCHRUN_HELP = """\
Several GPUs: torchrun --nproc_per_node=4 -m dtp_stereo_ros.cli ... (see torchrun for machines)."""


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
    parser.add_argument(
        '--out',
        type=Path,
        required=not out,
        metavar='DIR',
        help=f'of the run (default: {out})' if out else 'of the run',
    )
    parser.add_argument(
        '--data',
        action='append',
        metavar='SOURCE',
        help=f'see above; may be repeated (default: {data or "none"})',
    )
    parser.set_defaults(default_data=data)
    parser.add_argument(
        '--textures', type=Path, metavar='DIR', help='photographs; without it noise and patterns'
    )
    parser.add_argument(
        '--init',
        default=init,
        metavar='CKPT',
        help='checkpoint (.pt), or name of a shipped model, to start from'
        + (f' (default: {init})' if init else ''),
    )
    parser.add_argument('--steps', type=int, default=steps, help='default: %(default)s')
    parser.add_argument(
        '--minutes',
        type=float,
        default=0.0,
        help='length of this call instead of --steps; what is reached is kept',
    )
    parser.add_argument(
        '--total-minutes',
        type=float,
        default=0.0,
        metavar='MINUTES',
        help='length of the run over all its calls, which the learning rate follows',
    )
    parser.add_argument(
        '--resume', type=Path, metavar='DIR', help='of an earlier call, where it is not --out'
    )
    parser.add_argument('--batch-size', type=int, default=8, help='pairs a step (default: 8)')
    parser.add_argument(
        '--sizes',
        default='160x512,256x320',
        help='HEIGHTxWIDTH of the pairs, in turn; width beyond twice the largest disparity is '
        'well spent (default: %(default)s)',
    )
    parser.add_argument(
        '--learning-rate', type=float, default=learning_rate, help='default: %(default)s'
    )
    parser.add_argument(
        '--decay-share',
        type=float,
        default=0.3,
        metavar='SHARE',
        help='of the run, at its end, over which the rate falls to 0 (default: 0.3)',
    )
    parser.add_argument(
        '--validate-every', type=int, default=500, help='steps (default: %(default)s)'
    )
    parser.add_argument(
        '--checkpoint-s',
        type=float,
        default=0.0,
        metavar='SECONDS',
        help='between validations, instead of steps',
    )
    parser.add_argument(
        '--split',
        action='store_true',
        help='rounded moments of the optimizer in a file of their own: none grows large',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='the network, by torch.compile, where that learns the same',
    )
    parser.add_argument(
        '--reuse',
        type=float,
        default=3.0,
        metavar='TIMES',
        help='that a generated pair is learned from, each time distorted anew (default: 3)',
    )
    parser.add_argument('--workers', type=int, default=1, help='processes that make pairs')
    parser.add_argument('--threads', type=int, default=0, help='CPU threads; 0: as PyTorch likes')
    parser.add_argument('--device', choices=('auto', 'cpu'), default='auto')
    parser.add_argument(
        '--only',
        action='append',
        default=[],
        metavar='MODULE',
        help='train this part of the network alone; may be repeated',
    )
    parser.add_argument(
        '--half-upsampling',
        action='store_true',
        help='give a light network learned upsampling to half size (with --only upsampling)',
    )
    parser.add_argument('--fp32', action='store_true', help='do not use bfloat16')
    parser.add_argument('--seed', type=int, default=0)


def train_config(args: argparse.Namespace, **more: Any) -> TrainConfig:
    """The run that the options describe.

    Args:
        args: parsed options of `add_run_options`.
        more: further fields of `TrainConfig`.

    Raises:
        ConfigError: a size is wrong.
        ModelError: there is no such model to start from.
        StereoError: a package is missing.
    """
    sizes = parse_sizes(args.sizes)
    try:
        from ..training.data.batches import GeneratorConfig
        from ..training.learning.train_config import TrainConfig
    except ImportError as error:
        raise missing(error) from error
    return TrainConfig(
        out=args.out,
        sources=tuple(args.data or ([args.default_data] if args.default_data else [])),
        data=GeneratorConfig(
            textures=args.textures,
            sizes=sizes,
            batch_size=args.batch_size,
            reuse=args.reuse,
            seed=args.seed,
        ),
        steps=args.steps,
        minutes=args.minutes,
        total_minutes=args.total_minutes,
        resume=args.resume,
        checkpoint_s=args.checkpoint_s,
        split=args.split,
        compile=args.compile,
        only=tuple(args.only),
        half_upsampling=args.half_upsampling,
        learning_rate=args.learning_rate,
        decay_share=args.decay_share,
        validate_every=args.validate_every,
        workers=args.workers,
        threads=args.threads,
        device=args.device,
        bf16=not args.fp32,
        init=models.resolve(args.init, ('.pt',)) if args.init else None,
        command=typed_command(),
        **more,
    )


def run_to_end(trainer: Trainer) -> None:
    """Train, and print where the best weights are, how good, and of which step."""
    trainer.run()
    if trainer.step == trainer.schedule.first:
        trainer.accelerator.print(f'no step was left to do after {trainer.step}')
    path, meta = trainer.best_weights()
    shown = ', '.join(f'{k} {v:.3f}' for k, v in meta['validation'].items())
    trainer.accelerator.print(f'{path}: {shown} at step {meta["steps"]} of {trainer.step}')


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
    """What `add_changes` gathered: values by dotted names.

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
