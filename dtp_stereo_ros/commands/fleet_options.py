"""Options of commands whose work is divided among processes or the machines of a cluster."""

from __future__ import annotations

import argparse

from ..fleet.fleet import Fleet


def add_fleet_options(parser: argparse.ArgumentParser, part: str, report: str) -> None:
    """Add `--jobs` and `--ray`.

    Args:
        parser: of the command.
        part: what one process does at a time.
        report: option of the folder beside which results of parts are kept.
    """
    group = parser.add_argument_group('several processes')
    group.add_argument(
        '--jobs', type=int, default=1, metavar='N',
        help=f'processes that each judge a {part} at a time (default: %(default)s)',
    )  # fmt: skip
    group.add_argument(
        '--ray', default='', metavar='ADDRESS',
        help="the same on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or 'local'; data and "
        f'{report} must lie under the same paths on all machines. Needs ray, of the extra fleet',
    )  # fmt: skip


def fleet_of(args: argparse.Namespace) -> Fleet:
    """The fleet that is asked for.

    Raises:
        InputError: the options contradict each other.
    """
    return Fleet(args.jobs, args.ray)
