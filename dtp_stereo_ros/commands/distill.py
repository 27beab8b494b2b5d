"""`dtp-stereo distill`: a student learns from a teacher, with or without truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from ..training.settings import DistilConfig
from ..training.teacher_names import ENDINGS
from .training_options import (
    DATA_HELP,
    TORCHRUN_HELP,
    add_run_options,
    add_settings,
    made,
    missing,
    run_to_end,
    train_config,
)

_DISTIL = ('supervision', 'loss', 'disparity', 'features', 'trust_px', 'cache')

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
  dtp-stereo distill --data raycast --teacher dtpnet-large --supervision both

{DATA_HELP}

A teacher is the name of a shipped model, a checkpoint of this project (.pt), published PSMNet
weights (.tar), an .onnx file that maps (left, right) to disparity, or sgbm, believed where left
and right agree. An .onnx file, and a network that enlarges its pairs, as dtpnet-large does, teach
their disparity alone. KIND:FILE names a file of another ending, and onnx:NAME the .onnx of a
shipped model; kinds are {', '.join(ENDINGS)}.
Where an .onnx file takes another form of images, settings follow it, those that begin with model_
in `dtp-stereo infer -h`: big.onnx,model_input_range=0..1.
--cache asks it once about each pair on disk and keeps the answers.
OUT is as of `dtp-stereo train`: last.pt to go on, best.pt to use or export.
{TORCHRUN_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--teacher', required=True, metavar='TEACHER', help='See above.')
    add_settings(parser, DistilConfig, _DISTIL)
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
    if args.out is None:
        data, teacher = (_short(text) for text in (args.data[0], args.teacher))
        args.out = Path('runs', f'distill-{data}-by-{teacher}')
    if not args.teacher:
        raise ConfigError('--teacher is empty; name one, see dtp-stereo distill -h')
    distil = made(DistilConfig, args, ('teacher', *_DISTIL))
    config = train_config(args, distil=distil)
    try:
        from ..training.learning.trainer import Trainer
    except ImportError as error:
        raise missing(error) from error
    run_to_end(Trainer(config))
    return 0
