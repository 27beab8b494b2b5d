"""`dtp-stereo train`: weights from pairs with truth."""

from __future__ import annotations

import argparse

from dtp_stereo_ros import models

from ..training.learning.train_config import NETWORKS, architecture
from ..training.settings import TrainConfig, declared
from .training_options import (
    DATA_HELP,
    TORCHRUN_HELP,
    add_run_options,
    missing,
    run_to_end,
    train_config,
)

HELP = 'train a network on procedural or recorded stereo pairs'

DESCRIPTION = f"""\
Train a network on pairs with truth; by default on pairs that are generated while it runs, with
exact disparity and occlusion: clutter, rooms and roads covered with photographs of TEXTURES.

examples:
  dtp-stereo train --textures /usr/share/backgrounds --out runs/first
  dtp-stereo train --textures photos --out runs/first --steps 20000     (goes on, longer)
  dtp-stereo train --textures photos --out runs/gpu --data raycast --batch-size 64 --sizes 288x576
      --reuse 1 --workers 6 --minutes 9 --total-minutes 25 --checkpoint-s 60 --split
  dtp-stereo train --out runs/teacher --network teacher --textures photos
  dtp-stereo train --out runs/narrow --network light volume=32 depths=1,3,4,2 --textures photos
  dtp-stereo train --out runs/streets --init dtpnet --data kitti2015:kitti/training

{DATA_HELP}

OUT holds last.pt (to go on: give the same command again), best.pt (the averaged weights with the
best validation so far: use it, or `dtp-stereo export` it), log.txt and TensorBoard events. The run
may be stopped at any time; at most --validate-every steps are lost.
{TORCHRUN_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        '--network',
        nargs='+',
        default=['light'],
        metavar=('NAME', 'WIDTH=N[,N]'),
        help=f'One of {", ".join(NETWORKS)}, and channels, blocks or other numbers of it that are '
        'to be others. Default: light, the shipped one.',
    )
    parser.add_argument(
        '--also',
        nargs='+',
        default=[],
        metavar='NAME',
        help=declared(TrainConfig)['also'].description,
    )
    add_run_options(parser, steps=10000, learning_rate=1.5e-3, data='synthetic')


def config(args: argparse.Namespace) -> TrainConfig:
    """The run that the options describe.

    Raises:
        ConfigError: see `architecture` and `train_config`.
        ModelError: there is no such model to start from.
    """
    also = tuple(
        name if name in NETWORKS else str(models.resolve(name, ('.pt',))) for name in args.also
    )
    return train_config(args, network=architecture(args.network), also=also)


def run(args: argparse.Namespace) -> int:
    """Train; prints where the weights are."""
    settings = config(args)
    try:
        from ..training.learning.trainer import Trainer
    except ImportError as error:
        raise missing(error) from error
    run_to_end(Trainer(settings))
    return 0
