"""`dtp-stereo export`: a checkpoint as ONNX, with its card."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..evaluation import motorcycle
from ..image_io import read_pair
from ..models import resolve
from ..parity import bounds_text
from ..paths import make_folder, plain_name
from ..stereo import StereoFrame
from ..text_files import read_text
from ..training.settings import GeneratorConfig
from .training_options import DATA_HELP, add_settings, made, missing

# That an int8 form is made of.
PAIRS = 24

HELP = 'export a checkpoint to ONNX and write its model card'

DESCRIPTION = f"""\
Write NAME.onnx, NAME.pt and NAME.md (the card) to FOLDER from a checkpoint of `dtp-stereo train`.

The exported model is compared with PyTorch on a real pair (scikit-image's Motorcycle, or --pair);
if it differs by more than {bounds_text('fp32')}, nothing is written.

With --int8 convolutions that bear it are in int8, which is faster on processors with VNNI and
without bf16, and there is no NAME.pt. Ranges of tensors, and what int8 changes, are those on
{PAIRS} pairs like those of the camera, without truth. It takes two minutes. The bounds of the
comparison are then {bounds_text('int8')}.

examples:
  dtp-stereo export runs/first/best.pt -o ~/models --name mycam
  DTP_STEREO_MODEL_PATH=~/models dtp-stereo infer left.png right.png -o d.png --model mycam
  dtp-stereo export runs/first/best.pt -o ~/models --name mycam-int8 --int8 bag:robot.mcap

{DATA_HELP}"""


_DEFAULT_PAIR = 'the Motorcycle pair'
_GENERATOR = ('textures', 'sizes', 'seed')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'checkpoint',
        type=Path,
        metavar='CHECKPOINT',
        help='a .pt file, or the name of a shipped model',
    )
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
    parser.add_argument(
        '--int8', action='append', metavar='SOURCE', help='pairs for an int8 form of the .onnx'
    )
    add_settings(parser, GeneratorConfig, _GENERATOR, sizes=((256, 512),))


def run(args: argparse.Namespace) -> int:
    """Export; prints the parity and where the files are."""
    checkpoint = resolve(str(args.checkpoint), ('.pt',))
    name = plain_name(args.name or checkpoint.stem, '--name')
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
        from ..training.quantize import pairs_of
    except ImportError as error:
        raise missing(error) from error
    make_folder(args.output)
    data = made(GeneratorConfig, args, _GENERATOR, batch_size=1, reuse=1.0, pool=PAIRS)
    int8 = pairs_of(tuple(args.int8), data, PAIRS, args.output / 'cache') if args.int8 else ()
    # Names of the files without their folders, which differ between machines.
    pair = f'the pair {args.pair[0].name}, {args.pair[1].name}' if args.pair else _DEFAULT_PAIR
    parity = export_model(checkpoint, args.output, name, frame, evaluation, pair, int8)
    written = '.onnx, .md' if int8 else '.onnx, .pt, .md'
    print(f'{args.output / name}{written}: ONNX Runtime and PyTorch differ by {parity.text()}')
    return 0


def _frame(pair: list[Path] | None) -> StereoFrame:
    if pair:
        return read_pair(pair[0], pair[1])
    return motorcycle.load()[0]
