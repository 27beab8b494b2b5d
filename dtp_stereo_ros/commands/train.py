"""`dtp-stereo train`: weights from procedural pairs."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from ..errors import ConfigError, StereoError

HELP = 'train a network on procedural stereo pairs'

DESCRIPTION = """\
Train a network from nothing on stereo pairs that are generated while it runs, with exact
disparity and occlusion: clutter, rooms and roads covered with photographs of TEXTURES.

examples:
  dtp-stereo train --textures /usr/share/backgrounds --out runs/first
  dtp-stereo train --textures photos --out runs/first --steps 20000     (goes on, longer)
  dtp-stereo train --out runs/paper3 --network paper --setting 3 --steps 2000

OUT holds last.pt (to go on: give the same command again), best.pt (the averaged weights with the
best validation so far: use it, or `dtp-stereo export` it) and TensorBoard events. The run may be
stopped at any time; at most --validate-every steps are lost."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--out', type=Path, required=True, help='folder of the run')
    parser.add_argument(
        '--textures', type=Path, help='folder of photographs; without it noise and patterns only'
    )
    parser.add_argument('--network', choices=('light', 'paper'), default='light')
    parser.add_argument('--setting', type=int, choices=(1, 2, 3), default=3, help='of paper')
    parser.add_argument('--init', type=Path, help='checkpoint (.pt) to start from')
    parser.add_argument('--steps', type=int, default=10000, help='length of the run')
    parser.add_argument('--batch-size', type=int, default=8, help='pairs a step')
    parser.add_argument(
        '--sizes',
        default='160x512,256x320',
        help='HEIGHTxWIDTH of the generated pairs, in turn; width beyond twice the largest '
        'disparity is well spent (default: %(default)s)',
    )
    parser.add_argument('--learning-rate', type=float, default=1.5e-3)
    parser.add_argument('--validate-every', type=int, default=500, help='steps')
    parser.add_argument('--workers', type=int, default=1, help='generator processes')
    parser.add_argument('--threads', type=int, default=0, help='CPU threads; 0: as PyTorch likes')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1, ...')
    parser.add_argument('--fp32', action='store_true', help='do not use bfloat16')
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Train; prints where the weights are."""
    sizes = _sizes(args.sizes)
    try:
        from ..training.data import GeneratorConfig
        from ..training.train import TrainConfig, Trainer
    except ImportError as error:
        raise StereoError(
            f"training needs {error.name}; install it with: pip install 'dtp_stereo[train]'"
        ) from error
    network: dict[str, str | int] = {'member': args.network}
    if args.network == 'paper':
        network['setting'] = args.setting
    config = TrainConfig(
        out=args.out,
        network=network,
        data=GeneratorConfig(
            textures=args.textures, sizes=sizes, batch_size=args.batch_size, seed=args.seed
        ),
        steps=args.steps,
        learning_rate=args.learning_rate,
        validate_every=args.validate_every,
        workers=args.workers,
        threads=args.threads,
        device=args.device,
        bf16=not args.fp32,
        init=args.init,
        command=shlex.join(['dtp-stereo', *sys.argv[1:]]),
    )
    figures = Trainer(config).run()
    print(f'{args.out / "best.pt"}: ' + ', '.join(f'{k} {v:.3f}' for k, v in figures.items()))
    return 0


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Parse '160x512,256x320'.

    Raises:
        ConfigError: not of that form, or not multiples of 32.
    """
    sizes = []
    for part in text.split(','):
        numbers = part.lower().split('x')
        if len(numbers) != 2 or not all(n.isdecimal() and int(n) > 0 for n in numbers):
            raise ConfigError(f'--sizes: {part!r} is not HEIGHTxWIDTH, for example 160x512')
        if any(int(n) % 32 for n in numbers):
            raise ConfigError(f'--sizes: {part} must be multiples of 32')
        sizes.append((int(numbers[0]), int(numbers[1])))
    return tuple(sizes)
