"""`dtp-stereo train`: weights from pairs with truth."""

from __future__ import annotations

import argparse

from .training_options import (
    DATA_HELP,
    NETWORKS,
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
      --workers 6 --minutes 9 --total-minutes 25 --checkpoint-s 60 --split
  dtp-stereo train --out runs/teacher --network teacher --textures photos
  dtp-stereo train --out runs/streets --init dtpnet.pt --data kitti2015:kitti/training

{DATA_HELP}

OUT holds last.pt (to go on: give the same command again), best.pt (the averaged weights with the
best validation so far: use it, or `dtp-stereo export` it), log.txt and TensorBoard events. The run
may be stopped at any time; at most --validate-every steps are lost.
{TORCHRUN_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        '--network', choices=NETWORKS, default='light', help='default: light, the shipped one'
    )
    add_run_options(parser, steps=10000, learning_rate=1.5e-3, data='synthetic')


def run(args: argparse.Namespace) -> int:
    """Train; prints where the weights are."""
    try:
        from ..training.learning.train_config import preset
        from ..training.learning.trainer import Trainer
    except ImportError as error:
        raise missing(error) from error
    run_to_end(Trainer(train_config(args, network=preset(args.network))))
    return 0
