"""`dtp-stereo prune`: cut the channels of a checkpoint that it misses least."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from .options import typed_command
from .training_options import DATA_HELP, missing, parse_sizes

HELP = 'cut whole channels of a checkpoint where that costs least'

DESCRIPTION = f"""\
Cut channels of a checkpoint until --ratio of its multiplications is saved. First every group of
channels that hang together is cut alone and the error is measured; then the cuts are made where
they cost least. Channels whose index means a disparity stay. Distil the result afterwards, and
prune it again.

examples:
  dtp-stereo prune runs/distilled/best.pt -o runs/pruned1 --ratio 0.1 --textures photos
  dtp-stereo distill --init runs/pruned1/pruned.pt --teacher runs/teacher/best.pt \\
      --data synthetic --textures photos --out runs/tuned1

{DATA_HELP}

DIR gets pruned.pt, prune.json and sensitivity.png."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('checkpoint', type=Path, metavar='CKPT', help='a .pt file')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='DIR')
    parser.add_argument(
        '--ratio', type=float, default=0.1, help='of the multiplications to save (default: 0.1)'
    )
    parser.add_argument(
        '--round-to', type=int, default=8, metavar='N', help='widths are multiples (default: 8)'
    )
    parser.add_argument(
        '--largest-cut',
        type=float,
        default=0.5,
        metavar='SHARE',
        help='no group loses more of its channels (default: 0.5)',
    )
    parser.add_argument(
        '--even', action='store_true', help='cut all groups alike, without measuring'
    )
    parser.add_argument(
        '--data', action='append', metavar='SOURCE', help='to measure on (default: synthetic)'
    )
    parser.add_argument('--textures', type=Path, metavar='DIR', help='photographs')
    parser.add_argument('--sizes', default='160x512,256x320', help='default: %(default)s')
    parser.add_argument('--batch-size', type=int, default=8, help='default: 8')
    parser.add_argument('--batches', type=int, default=4, help='to measure on (default: 4)')
    parser.add_argument('--device', choices=('auto', 'cpu'), default='auto')
    parser.add_argument('--fp32', action='store_true', help='do not use bfloat16')
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Prune; prints what was saved."""
    sizes = parse_sizes(args.sizes)
    try:
        from ..training.data.batches import GeneratorConfig
        from ..training.data.raycast_source import RAYCAST, Renderer
        from ..training.data.sources import Sources
        from ..training.learning.device import accelerator_for
        from ..training.learning.train_config import check
        from ..training.pruning.prune import PruneConfig
        from ..training.pruning.prune_checkpoint import prune_checkpoint, summary_line
    except ImportError as error:
        raise missing(error) from error
    config = PruneConfig(args.ratio, args.round_to, args.largest_cut, not args.even)
    check(config)
    if args.batches < 1:
        raise ConfigError(f'--batches is {args.batches}, it must be at least 1')
    sources = Sources.open(tuple(args.data or ['synthetic']), args.out / 'cache')
    data = GeneratorConfig(
        textures=args.textures, sizes=sizes, batch_size=args.batch_size, seed=args.seed, pool=64
    )
    check(data)
    accelerator = accelerator_for(args.device, not args.fp32)
    renderer = Renderer(data, accelerator.device) if RAYCAST in sources.specs else None
    batches = sources.validation(data, args.batches, renderer=renderer)
    report = prune_checkpoint(
        args.checkpoint,
        args.out,
        config,
        batches,
        accelerator,
        typed_command(),
    )
    print(f'{args.out / "pruned.pt"}: {summary_line(report)}')
    return 0
