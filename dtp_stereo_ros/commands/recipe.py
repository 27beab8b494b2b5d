"""`dtp-stereo recipe`: the whole chain from a teacher to a small exported model."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import typed_command
from .training_options import TORCHRUN_HELP, add_changes, missing, parse_changes

HELP = 'train a teacher, distil, prune and tune in turns, export and evaluate, from one file'

DESCRIPTION = f"""\
Run the chain that a recipe file describes: train the teacher, distil it into the student, then
(prune 10 %, distil again) several times, evaluate the model after each step, export the last. Each
step has its own folder below `out`. The same command continues a call that was stopped. The last
line names the summary.

examples:
  dtp-stereo recipe config/recipes/smoke.yaml
  dtp-stereo recipe config/recipes/default.yaml --set data.textures=photos --set out=runs/mine
  dtp-stereo recipe config/recipes/smoke.yaml --set prune.rounds=1 --set distil.how.loss=kl
{TORCHRUN_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('file', type=Path, metavar='FILE', help='a recipe (YAML)')
    add_changes(parser)


def run(args: argparse.Namespace) -> int:
    """Run the chain; prints where the summary is."""
    changes = parse_changes(args.changes)
    try:
        from ..settings_file import read_settings
        from ..training.recipes.recipe import Recipe
        from ..training.recipes.run_recipe import Chain
    except ImportError as error:
        raise missing(error) from error
    recipe = read_settings(Recipe, args.file, changes)
    chain = Chain(recipe, typed_command())
    chain.say(str(chain.run()))
    return 0
