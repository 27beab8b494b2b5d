"""`dtp-stereo prune`: cut the channels of a checkpoint that it misses least."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import models
from ..errors import ConfigError, InputError
from ..paths import make_folder
from ..training.settings import PRUNING_BATCHES, SYNTHETIC, Computing, GeneratorConfig, PruneConfig
from .options import typed_command
from .training_options import DATA_HELP, add_computing_options, add_settings, made, missing

_PRUNE = ('ratio', 'round_to', 'largest_cut')
_GENERATOR = ('textures', 'sizes', 'batch_size', 'seed')
_COMPUTING = ('precision', 'device')

HELP = 'cut whole channels of a checkpoint where that costs least'

DESCRIPTION = f"""\
Cut channels of a checkpoint until --ratio of its multiplications is saved. First every group of
channels that hang together is cut alone, and the change of the disparities is measured; then the
cuts are made where they cost least. Those channels go that the others tell best, and the layers
that read them are fitted anew by least squares. Channels whose index means a disparity stay. Pairs
need no truth. Distil the result afterwards, and prune it again.

examples:
  dtp-stereo prune runs/distilled/best.pt -o runs/pruned1 --ratio 0.1 --textures photos
  dtp-stereo distill --init runs/pruned1/pruned.pt --teacher runs/teacher/best.pt \\
      --data synthetic --textures photos --out runs/tuned1

{DATA_HELP}

DIR gets pruned.pt, prune.json and sensitivity.png."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'checkpoint', metavar='CKPT', help='a .pt file, or the name of a shipped model'
    )
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='DIR')
    add_settings(parser, PruneConfig, _PRUNE)
    parser.add_argument(
        '--even', action='store_true', help='Cut all groups alike, without measuring.'
    )
    parser.add_argument(
        '--by-norm', action='store_true', help='Cut the channels of the least norm; fit nothing.'
    )
    parser.add_argument(
        '--data', action='append', metavar='SOURCE', help='Pairs. Default: synthetic.'
    )
    parser.add_argument('--batches', type=int, default=8, help=f'{PRUNING_BATCHES} Default: 8.')
    add_settings(parser, GeneratorConfig, _GENERATOR)
    add_computing_options(parser, _COMPUTING)


def run(args: argparse.Namespace) -> int:
    """Prune; prints what was saved."""
    config = made(
        PruneConfig, args, _PRUNE, by_sensitivity=not args.even, reconstruct=not args.by_norm
    )
    data = made(GeneratorConfig, args, _GENERATOR, pool=64)
    computing = made(Computing, args, _COMPUTING)
    try:
        from ..training.data.sources import drawn
        from ..training.learning.device import accelerator_for
        from ..training.pruning.prune_checkpoint import prune_checkpoint, summary_line
    except ImportError as error:
        raise missing(error) from error
    if args.batches < 1:
        raise ConfigError(f'--batches is {args.batches}, it must be at least 1')
    out = args.out / 'pruned.pt'
    if out.exists():
        raise InputError(f'{out}: is there already, of an earlier call; give another --out')
    make_folder(args.out)
    accelerator = accelerator_for(computing)
    specs = tuple(args.data or [SYNTHETIC])
    report = prune_checkpoint(
        models.resolve(args.checkpoint, ('.pt',)),
        args.out,
        config,
        drawn(specs, data, args.batches, args.out / 'cache', accelerator),
        accelerator,
        typed_command(),
    )
    print(f'{out}: {summary_line(report)}')
    return 0
