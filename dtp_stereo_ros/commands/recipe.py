"""`dtp-stereo recipe`: the whole chain from a teacher to a small exported model."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from ..training.options import TORCHRUN_HELP, missing

HELP = 'train a teacher, distil, prune and tune in turns, export and evaluate, from one file'

DESCRIPTION = f"""\
Run the chain that a recipe file describes: train the teacher, distil it into the student, then
(prune 10 %, distil again) several times, evaluate every link, export the last. Each step has its
own folder below `out`; started again, the command goes on where it was stopped. The last line
names the summary.

examples:
  dtp-stereo recipe config/recipes/smoke.yaml
  dtp-stereo recipe config/recipes/default.yaml --set data.textures=photos --set out=runs/mine
  dtp-stereo recipe config/recipes/smoke.yaml --set prune.rounds=1 --set distil.how.loss=kl
{TORCHRUN_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('file', type=Path, metavar='FILE', help='a recipe (YAML)')
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        dest='changes',
        metavar='NAME=VALUE',
        help='replace a setting of the file; may be repeated',
    )


def run(args: argparse.Namespace) -> int:
    """Run the chain; prints where the summary is."""
    changes = dict(_change(text) for text in args.changes)
    try:
        from ..training.chain import Chain
        from ..training.recipe import read_recipe
    except ImportError as error:
        raise missing(error) from error
    recipe = read_recipe(args.file, changes)
    chain = Chain(recipe, shlex.join(['dtp-stereo', *sys.argv[1:]]))
    chain.say(str(chain.run()))
    return 0


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition('=')
    if not equals or not name:
        raise ConfigError(f'--set {text!r}: write NAME=VALUE, such as distil.steps=100')
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f'--set {text!r}: the value is no YAML') from error
