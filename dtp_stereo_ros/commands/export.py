"""`dtp-stereo export`: a checkpoint as ONNX, with its card."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..evaluation import motorcycle
from ..image_io import read_pair
from ..parity import bounds_text
from ..paths import make_folder, plain_name
from ..stereo import StereoFrame
from ..text_files import read_text
from .training_options import missing

HELP = 'export a checkpoint to ONNX and write its model card'

DESCRIPTION = f"""\
Write NAME.onnx, NAME.pt and NAME.md (the card) to FOLDER from a checkpoint of `dtp-stereo train`.

The exported model is compared with PyTorch on a real pair (scikit-image's Motorcycle, or --pair);
if it differs by more than {bounds_text('fp32')}, nothing is written.

examples:
  dtp-stereo export runs/first/best.pt -o ~/models --name mycam
  DTP_STEREO_MODEL_PATH=~/models dtp-stereo infer left.png right.png -o d.png --model mycam"""


_DEFAULT_PAIR = 'the Motorcycle pair'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('checkpoint', type=Path, metavar='CHECKPOINT', help='a .pt file')
    parser.add_argument(
        '-o', '--output', type=Path, required=True, metavar='FOLDER', help='folder for the files'
    )
    parser.add_argument('--name', help='name of the model (default: that of the checkpoint)')
    parser.add_argument(
        '--pair',
        type=Path,
        nargs=2,
        metavar=('LEFT', 'RIGHT'),
        help='pair for the comparison with PyTorch (default: Motorcycle)',
    )
    parser.add_argument(
        '--evaluation',
        type=Path,
        metavar='FILE',
        help='report.md of `dtp-stereo eval` for the card',
    )


def run(args: argparse.Namespace) -> int:
    """Export; prints the parity and where the files are."""
    name = plain_name(args.name or args.checkpoint.stem, '--name')
    evaluation = ''
    if args.evaluation:
        if not args.evaluation.is_file():
            raise InputError(f'{args.evaluation}: no such report; write it with dtp-stereo eval')
        evaluation = read_text(args.evaluation)
        if not evaluation.startswith('# '):
            raise InputError(f'{args.evaluation}: is no report.md of dtp-stereo eval')
    frame = _frame(args.pair)
    try:
        from ..training.export import export_model
    except ImportError as error:
        raise missing(error) from error
    make_folder(args.output)
    # Names of the files without their folders, which differ between machines.
    pair = f'the pair {args.pair[0].name}, {args.pair[1].name}' if args.pair else _DEFAULT_PAIR
    parity = export_model(args.checkpoint, args.output, name, frame, evaluation, pair)
    print(
        f'{args.output / name}.onnx, .pt, .md: ONNX Runtime and PyTorch differ by {parity.text()}'
    )
    return 0


def _frame(pair: list[Path] | None) -> StereoFrame:
    if pair:
        return read_pair(pair[0], pair[1])
    return motorcycle.load()[0]
