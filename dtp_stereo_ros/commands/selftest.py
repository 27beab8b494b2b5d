"""`dtp-stereo selftest`: whether each backend computes what it should on this machine."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ..backends import TABLE
from ..config import PipelineConfig
from ..errors import ConfigError
from ..evaluation import selftest
from ..image_io import write_json
from ..paths import expanded, make_folder, split_at_commas
from ..pipeline import BACKEND_SETTINGS
from ..sizes import parse_size
from .options import add_pipeline_options, check_result_file, pipeline_config

HELP = 'whether each backend computes what it should on this machine'

DESCRIPTION = """\
Run each backend on one pair (Motorcycle from scikit-image, else a generated one of known
disparity) in a process of its own, and compare it with PyTorch or ONNX Runtime in fp32 on the CPU
and with the truth. The report has the precision that runs, the time of a frame, the time to start
and of the first frame (with TensorRT an engine is built in it), the peak of the memory, and the
versions and the hardware of this machine: paste it into an issue as it is.

exit code: 0 all backends that start here passed, 1 one failed, none started, or one of --backend
did not, 2 a wrong option

examples:
  dtp-stereo selftest
  dtp-stereo selftest --backend tensorrt --precision fp16 --json selftest.json"""

_SMALLEST_PX = 64
# The backends have an option of their own.
_OPTIONS = set(BACKEND_SETTINGS) - {'backend'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        '--backend', dest='backends', metavar='A,B', type=split_at_commas, default=[],
        help='backends to test (default: all)',
    )  # fmt: skip
    parser.add_argument(
        '--generated', action='store_true', help='take the generated pair in any case'
    )
    parser.add_argument(
        '--size', metavar='WxH',
        help='size of the generated pair, which is taken then (default: 640x480)',
    )  # fmt: skip
    parser.add_argument(
        '--runs', metavar='N', type=int, default=10,
        help='timed frames of each backend; 0 only compares: no warm-up and no times '
        '(default: %(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--json', metavar='FILE', type=Path, help='write the result to this file as well'
    )
    names = [field.name for field in dataclasses.fields(PipelineConfig)]
    add_pipeline_options(parser, without=[name for name in names if name not in _OPTIONS])


def run(args: argparse.Namespace) -> int:
    """Test, print the report, and return 1 where something is wrong.

    Raises:
        ConfigError: an unknown backend or a wrong number of runs.
        InputError: the result cannot be written where it shall.
    """
    if args.runs < 0:
        raise ConfigError(f'--runs is {args.runs}, it must be at least 0')
    unknown = [name for name in args.backends if name not in TABLE]
    if unknown:
        raise ConfigError(f'unknown backend {", ".join(unknown)}; choose among {", ".join(TABLE)}')
    written = expanded(args.json) if args.json else None
    if written:
        check_result_file(written)
        make_folder(written.parent)
    pair = _pair(args.generated, args.size)
    result = selftest.examine(pipeline_config(args), args.backends or list(TABLE), pair, args.runs)
    print(result.as_markdown())
    if written:
        write_json(written, result.as_json())
    return int(not result.passed(args.backends))


def _pair(generated: bool, size: str | None) -> selftest.Pair:
    if size is None:
        return selftest.generated_pair() if generated else selftest.shipped_pair()
    width, height = parse_size(size, '--size', 'WIDTHxHEIGHT')
    if min(width, height) < _SMALLEST_PX:
        raise ConfigError(f'--size is {size}, both must be at least {_SMALLEST_PX}')
    return selftest.generated_pair((height, width))
