"""`dtp-stereo doctor`: what is wrong with a running node, and how to mend it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..errors import InputError
from ..health.finding import findings_table
from .options import without_ros

HELP = 'examine a running node and report what is wrong'

DESCRIPTION = """\
Examine a running depth_node and its inputs: lifecycle, topics and their publishers, QoS, rates,
stamps, calibration, the diagnostics of the node and the settings of DDS. Prints a table of
findings, each with what to do. Run it with the environment of the node (domain, RMW, transports).

exit code: 0 no errors (there may be warnings), 1 errors, one of them that there is no such node,
2 nothing could be examined: without ROS, or with a wrong option

examples:
  ros2 run dtp_stereo dtp-stereo doctor
  dtp-stereo doctor /front/depth_node --seconds 10"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'node', nargs='?', default='depth_node', metavar='NODE',
        help='name, with or without namespace (default: %(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--seconds', type=float, default=3.0, metavar='S',
        help='time to listen to the topics (default: %(default)s)',
    )  # fmt: skip
    parser.add_argument('--json', action='store_true', help='print the findings as JSON')


def run(args: argparse.Namespace) -> int:
    """Look, print, and return 1 when something is wrong.

    Raises:
        InputError: ROS is not installed, or a wrong duration.
    """
    if not 0 < args.seconds <= 600:
        raise InputError('--seconds must be above 0 and at most 600')
    try:
        from ..ros.doctor import examine
    except ImportError as error:
        raise without_ros('doctor', error) from error
    findings = examine(args.node, args.seconds)
    if args.json:
        print(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        print(findings_table(findings))
    return int(any(f.level == 'error' for f in findings))
