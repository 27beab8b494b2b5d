"""`dtp-stereo distill`: a student learns from a teacher, with or without truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from .training_options import (
    DATA_HELP,
    TORCHRUN_HELP,
    add_run_options,
    missing,
    run_to_end,
    train_config,
)

HELP = 'teach a network by another, by an ONNX file or by SGBM; adapts a model to a camera'

DESCRIPTION = f"""\
Teach the network of --init what a teacher knows: the L1 distance between the distributions of both
over disparity, at a temperature that rises from 0.5 to 1 (Pan et al., ICRA 2024, Eq. 4), and a
robust error against the teacher's disparity, which --disparity 0 leaves out. Pairs need no truth.

examples:
  dtp-stereo distill --data bag:my_robot.mcap --teacher big.onnx     (adapts dtpnet to a camera)
  dtp-stereo distill --data synthetic --textures photos --teacher runs/teacher/best.pt \\
      --init runs/first/best.pt --out runs/distilled --steps 5000
  dtp-stereo distill --data folder:pairs --teacher sgbm --init dtpnet-small --out runs/self

{DATA_HELP}

A teacher is a checkpoint of this project (.pt), published PSMNet weights (psmnet:FILE.tar), an
.onnx file that maps (left, right) to disparity, or sgbm, believed where left and right agree.
Where an .onnx file wants another form of images, settings follow it, those that begin with model_
in `dtp-stereo infer -h`: big.onnx,model_input_range=0..1.
--cache asks it once about each pair on disk and keeps the answers.
OUT is as of `dtp-stereo train`: last.pt to go on, best.pt to use or export.
{TORCHRUN_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--teacher', required=True, metavar='FILE', help='see above')
    parser.add_argument(
        '--supervision',
        choices=('teacher', 'both', 'truth'),
        default='teacher',
        help='who teaches: the teacher alone, with the truth, or the truth alone',
    )
    parser.add_argument(
        '--loss', choices=('l1', 'kl'), default='l1', help='between the distributions'
    )
    parser.add_argument(
        '--disparity',
        type=float,
        default=1.0,
        metavar='WEIGHT',
        help="of the error against the teacher's disparity; 0: Eq. 4 alone (default: 1)",
    )
    parser.add_argument(
        '--features',
        type=float,
        default=0.0,
        metavar='WEIGHT',
        help='also align the aggregated features with those of a teacher of ours; 0: no',
    )
    parser.add_argument(
        '--trust',
        type=float,
        default=0.0,
        metavar='PX',
        help='with both: not to hear the teacher where it is farther off the truth; 0: always',
    )
    parser.add_argument('--cache', action='store_true', help='keep the answers of the teacher')
    add_run_options(
        parser,
        steps=5000,
        learning_rate=5e-4,
        data='',
        init='dtpnet',
        out='runs/distill-DATA-by-TEACHER',
    )


def _short(spec: str) -> str:
    """``KIND:PLACE,...`` for a folder's name; of a run its own folder, as all have a best.pt."""
    place = spec.partition(',')[0]
    path = Path(place.partition(':')[2] or place)
    return path.parent.name if path.name == 'best.pt' and path.parent.name else path.stem


def run(args: argparse.Namespace) -> int:
    """Distil; prints where the weights are."""
    if not args.data:
        raise ConfigError('--data is missing: name synthetic, folder:PATH or bag:FILE')
    try:
        from ..training.learning.distillation import DistilConfig
        from ..training.learning.trainer import Trainer
    except ImportError as error:
        raise missing(error) from error
    if args.out is None:
        data, teacher = (_short(text) for text in (args.data[0], args.teacher))
        args.out = Path('runs', f'distill-{data}-by-{teacher}')
    distil = DistilConfig(
        teacher=args.teacher,
        supervision=args.supervision,
        loss=args.loss,
        disparity=args.disparity,
        features=args.features,
        cache=args.cache,
        trust_px=args.trust,
    )
    run_to_end(Trainer(train_config(args, distil=distil)))
    return 0
