"""Options and the report that `bag`, `replay` and `view` share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..config import NodeConfig, PipelineConfig
from ..errors import InputError
from ..evaluation.bounds import Bound
from ..evaluation.columns import RECORDING_KEYS, meanings
from ..evaluation.page_pictures import PagePictures
from ..evaluation.recorded import CONSISTENCY_EVERY, RecordingResult
from ..evaluation.report_page import write_page
from ..evaluation.result_file import as_document
from ..evaluation.tables import measures_table, not_comparable
from ..health.finding import findings_table
from ..image_io import write_json
from ..node_params import read_node_params
from ..paths import make_folder
from ..recordings.recorded_frames import Selection
from ..recordings.stereo_topics import StereoTopics
from ..recordings.written_bag import WrittenBag
from .options import check_result_file, typed_command

BROKEN_BOUND = 3
# Times in ns stay below 2^63.
_MOST_S = 1e9
_PARTS = {
    'left': 'images of the left camera',
    'right': 'images of the right camera',
    'left_info': 'camera_info of the left camera',
    'right_info': 'camera_info of the right camera',
    'truth': 'true disparity or depth',
}
# Options of the topics and of the part of a bag, and what they are where they are not typed.
_OF_BAGS = {
    'camera': '', **dict.fromkeys(_PARTS), 'rectify': False, 'approximate_sync': False,
    'every': 1, 'start': 0.0, 'duration': None,
}  # fmt: skip


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add those of the report, the bounds and the parameter file."""
    parser.add_argument('--report', type=Path, metavar='DIR', help='write report.html there')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the result file')
    parser.add_argument(
        '--fail-if', action='append', default=[], metavar='BOUND',
        help="exit with 3 where a mean breaks it, as 'bad3>5' or 'coverage<60'; may be repeated",
    )  # fmt: skip
    add_params_option(parser)


def add_params_option(parser: argparse.ArgumentParser) -> None:
    """Add that of the parameter file."""
    parser.add_argument(
        '--params', type=Path, metavar='YAML',
        help='parameter file of the node; options that are given come before it',
    )  # fmt: skip


def add_recording_options(parser: argparse.ArgumentParser) -> None:
    """Add those of the topics, of the part of the bag and of what is matched."""
    add_topic_options(parser).add_argument(
        '--consistency-every', type=int, default=CONSISTENCY_EVERY, metavar='N',
        help='take the slower measures on each N-th pair: left-right consistency, for which the '
        'right view is matched too, photometric error, census, flicker in motion and noise on '
        'planes; 0 never matches the right view (default: %(default)s)',
    )  # fmt: skip


def add_topic_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add those of the topics and of the part of the bag; returns their group."""
    topics = parser.add_argument_group('topics and pairs')
    topics.add_argument('--camera', metavar='NAME', help='one of several cameras')
    for part, meaning in _PARTS.items():
        topics.add_argument(
            f'--{part.replace("_", "-")}', dest=part, metavar='TOPIC',
            help=f'{meaning} (default: found by type and name)',
        )  # fmt: skip
    topics.add_argument('--rectify', action='store_true', help='the images are raw')
    topics.add_argument(
        '--approximate-sync', action='store_true', help='pair images whose stamps differ'
    )
    topics.add_argument('--every', type=int, metavar='N', help='take each N-th pair (default: 1)')
    topics.add_argument('--start', type=float, metavar='S', help='from the start')
    topics.add_argument('--duration', type=float, metavar='S', help='default: to the end')
    parser.set_defaults(**_OF_BAGS)
    return topics


def refuse_options_of_bags(args: argparse.Namespace) -> None:
    """Refuse options of `add_topic_options` beside a pair of images.

    Raises:
        InputError: one is typed; names it.
    """
    for name, default in _OF_BAGS.items():
        if getattr(args, name) != default:
            raise InputError(
                f'--{name.replace("_", "-")} is of a bag; a pair is taken as it is, rectified'
            )


def new_bag(option: str, target: Path, bag: Path) -> WrittenBag:
    """The bag of an option that writes one.

    Raises:
        InputError: it is the bag that is read, or see `WrittenBag`.
    """
    read, written = bag.resolve(), target.resolve()
    if read in (written, written.parent):
        raise InputError(f'{option} {target}: is the bag that is read; name another file')
    return WrittenBag(target)


def given_topics(args: argparse.Namespace) -> dict[str, str]:
    """'left', 'right', 'left_info', 'right_info', 'truth' to the topics that are typed."""
    return {part: value for part in _PARTS if (value := getattr(args, part))}


def read_settings(args: argparse.Namespace) -> tuple[PipelineConfig, NodeConfig]:
    """Settings of the parameter file, and of the node's those that are typed.

    Unknown names are printed to stderr.

    Raises:
        InputError: the file cannot be read.
        ConfigError: a value is wrong.
    """
    pipeline, node, unknown = (
        read_node_params(args.params) if args.params else (PipelineConfig(), NodeConfig(), [])
    )
    for line in unknown:
        print(f'note: {line}', file=sys.stderr)
    node = replace(
        node,
        rectify=args.rectify or node.rectify,
        approximate_sync=args.approximate_sync or node.approximate_sync,
    )
    return pipeline, node


def check_truth(bounds: Sequence[Bound], cameras: Sequence[StereoTopics]) -> None:
    """Refuse bounds that nothing in a bag can be judged by, before it is read.

    Raises:
        InputError: one of them needs a truth, and no camera has any.
    """
    for bound in bounds:
        if bound.needs_truth and not any(topics.truth for topics in cameras):
            raise InputError(
                f'--fail-if {bound.text}: {bound.column.name} needs a truth, and the bag has '
                'none; name one by --truth, or take a measure without truth'
            )


def make_folders(args: argparse.Namespace) -> None:
    """Make those of the report and of the result file.

    Raises:
        InputError: they cannot be made, or there is another file in place of the result file.
    """
    if args.json:
        check_result_file(args.json)
    for folder in {args.report, args.json.parent if args.json else None} - {None}:
        make_folder(folder)


def selection(args: argparse.Namespace) -> Selection:
    """The part of the bag that is asked for.

    Raises:
        InputError: an option is out of range.
    """
    if args.every < 1:
        raise InputError('--every must be at least 1')
    # Written so that they hold for no NaN.
    if not 0 <= args.start <= _MOST_S:
        raise InputError(f'--start is {args.start:g}, it must be 0 to {_MOST_S:g} s')
    if args.duration is not None and not 0 < args.duration <= _MOST_S:
        raise InputError(f'--duration is {args.duration:g}, it must be above 0, to {_MOST_S:g} s')
    if getattr(args, 'consistency_every', 0) < 0:
        raise InputError('--consistency-every must not be negative')
    return Selection(args.every, args.start, args.duration)


def report(
    args: argparse.Namespace,
    results: Sequence[RecordingResult],
    pictures: Sequence[PagePictures],
    bounds: Sequence[Bound],
    jobs: int = 1,
    left_out: Sequence[str] = (),
) -> int:
    """Print the tables, write the result file and the page, and look at the bounds.

    Args:
        args: parsed.
        results, pictures: of each recording.
        bounds: of --fail-if.
        jobs: number of recordings that were judged at the same time.
        left_out: a line for each recording that could not be judged.

    Returns:
        0, or `BROKEN_BOUND`.

    Raises:
        InputError: nothing was judged, or a file cannot be written.
    """
    if not results:
        raise InputError('no bag could be judged')
    scored = [result.scored for result in results if result.scored.scores]
    document = as_document(scored, typed_command(), None, results, jobs, left_out)
    # First what no folder or disk can keep from being told.
    for result in results:
        print(f'{result.name}\n\n{findings_table(result.findings)}\n')
        print(f'{measures_table(result, jobs)}\n')
        if result.replay is not None:
            print('\n'.join(result.replay.lines()) + '\n')
    known = {key for result in results for key in result.measured_keys()}
    print(meanings(tuple(key for key in RECORDING_KEYS if key in known)))
    if jobs > 1:
        print(not_comparable(jobs))
    sys.stdout.flush()
    if args.report:
        write_page(args.report / 'report.html', document, pictures)
    if args.json:
        write_json(args.json, document)
    if args.report:
        print(f'\nreport: {(args.report / "report.html").resolve()}')
    broken = [line for bound in bounds for line in bound.broken(results)]
    for line in broken:
        print(f'broken bound: {line}', file=sys.stderr)
    return BROKEN_BOUND if broken else 0
