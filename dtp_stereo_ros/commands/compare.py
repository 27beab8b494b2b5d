"""`dtp-stereo compare`: which differences between two result files are real."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..evaluation import result_file
from ..evaluation.columns import ALL_COLUMNS
from ..evaluation.comparison_page import ComparedFile, write_comparison
from ..evaluation.intervals import FEWEST_TOLD
from ..evaluation.paired_results import PairedMeasure, paired_measures, without_partner
from ..markdown import table
from ..paths import make_folder
from .options import typed_command

HELP = 'which differences between two result files are real'

DESCRIPTION = """\
Compares two result files of `dtp-stereo bag --json` or `dtp-stereo eval -o`, frame by frame: the
means, the difference B - A with its paired 95 % interval, and the frames that changed most. A
difference is called better or worse only where its interval leaves out zero and there are six
frames or more. Frames of one recording resemble each other, so that its intervals are too narrow.
Bags that were judged between other depths have no verdict. Scenes are compared over the pixels
that both cameras see where both files have these, else over all. With --report the same as one
page, with the differences over time or by scene; where a report.html of bag --report lies beside
each file, frames that both show stand side by side.

examples:
  dtp-stereo bag robot.mcap --json a.json
  dtp-stereo bag robot.mcap --params new.yaml --json b.json
  dtp-stereo compare a.json b.json --report comparison
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('first', type=Path, metavar='A.json', help='result file')
    parser.add_argument('second', type=Path, metavar='B.json', help='the one to compare with it')
    parser.add_argument('--changed', action='store_true', help='list the frames that changed most')
    parser.add_argument('--report', type=Path, metavar='DIR', help='write compare.html there')


def run(args: argparse.Namespace) -> int:
    """Compare and print.

    Raises:
        InputError: a file is no result file, the two have nothing in common, or the page cannot
            be written.
    """
    first, second = (
        ComparedFile(path, result_file.read(path)) for path in (args.first, args.second)
    )
    try:
        found = paired_measures(first.document, second.document)
        if args.report:
            page = make_folder(args.report) / 'compare.html'
            write_comparison(page, typed_command(), first, second, found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f'{args.first}, {args.second}: a part is missing or of another kind ({error}); write '
            'them again with dtp-stereo eval -o DIR, or bag --json FILE'
        ) from error
    print(
        table(
            ['data', 'method', 'frames', 'measure', 'A', 'B', 'B - A', ''],
            [_row(measure) for measure in found],
            even=True,
        )
    )
    left = without_partner(first.document, second.document)
    for path, names in zip((args.first, args.second), left, strict=True):
        if names:
            print(f'in {path} only, so not compared: {", ".join(names)}')
    for line in dict.fromkeys(
        f'{measure.method} on {measure.source}: judged between other depths, {measure.depths}, '
        'so over other pixels; judge both with the same min_depth and max_depth'
        for measure in found
        if measure.depths
    ):
        print(line)
    if args.changed:
        for measure in found:
            column = ALL_COLUMNS[measure.key]
            frames = ', '.join(
                f'{frame.name} ({column.shown(frame.difference):+.3g})'
                for frame in measure.changed()
            )
            if frames:
                print(f'{measure.method}, {column.heading}, changed most: {frames}')
    if args.report:
        print(f'\nreport: {page.resolve()}')
    return 0


def _row(measure: PairedMeasure) -> list[str]:
    column = ALL_COLUMNS[measure.key]
    few = 'few frames' if measure.difference.images < FEWEST_TOLD else ''
    return [
        measure.source,
        measure.method,
        str(measure.difference.images),
        column.heading,
        column.text(measure.first.mean),
        column.text(measure.second.mean),
        column.interval_text(measure.difference, sign=True),
        'other depths' if measure.depths else measure.verdict or few,
    ]
