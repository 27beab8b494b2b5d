"""`dtp-stereo ablation`: small runs that differ in one thing, as tables."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..paths import make_folder
from .options import typed_command
from .training_options import add_changes, missing, parse_changes

HELP = 'compare architectures, supervision, losses and pruning by short runs of equal length'

DESCRIPTION = """\
Make the runs of an ablation file and write its tables as Markdown. All runs get the same pairs and
the same number of steps. Each has its own folder below `out` and is made once; the same command
continues a run that was stopped. Text by hand between the two marks of OUT is kept.

examples:
  dtp-stereo ablation config/recipes/ablation.yaml -o ablation.md --shared DATA
  dtp-stereo ablation config/recipes/ablation.yaml -o ablation.md --rows loss,supervision"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('file', type=Path, metavar='FILE', help='an ablation (YAML)')
    parser.add_argument(
        '-o', '--out', type=Path, required=True, metavar='OUT', help='Markdown file'
    )
    parser.add_argument(
        '--rows',
        default='',
        metavar='NAME[,NAME]',
        help='make only these groups or runs of FILE; others are shown if they were made',
    )
    parser.add_argument(
        '--shared',
        type=Path,
        metavar='ROOT',
        help='also evaluate on the data sets below this folder, see dtp-stereo eval -h',
    )
    add_changes(parser)


def run(args: argparse.Namespace) -> int:
    """Run what is missing; prints where the tables are."""
    changes = parse_changes(args.changes)
    try:
        from ..settings_file import read_settings
        from ..training.recipes import ablation_report
        from ..training.recipes.ablation import Ablation
        from ..training.recipes.ablation_plan import Plan
    except ImportError as error:
        raise missing(error) from error
    plan = read_settings(Plan, args.file, changes)
    ablation = Ablation(plan, typed_command(), args.shared)
    rows = [name for name in args.rows.split(',') if name]
    plan.chosen(rows)  # wrong names, before anything is written
    make_folder(args.out.parent)
    ablation_report.write(args.out, ablation)
    ablation.run(rows)
    ablation_report.write(args.out, ablation)
    print(args.out)
    return 0
