"""Loss of large messages by the settings of Fast DDS.

    python -m tools.transport.run --seconds 10           # the transport alone
    python -m tools.transport.run --seconds 10 --node    # through the real node

The former is `transport_relay`, the latter `transport_node`. Each setting is measured in fresh
processes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException

from dtp_stereo_ros import markdown
from dtp_stereo_ros.errors import InputError, StereoError
from dtp_stereo_ros.ros.harness.node_process import LOCAL_ENV, PROFILE, domain_of, profile_env
from dtp_stereo_ros.sizes import parse_size

from ..doc_sections import check_section, write_section
from .relay import RELAY_COLUMNS, Relay, measure, relay_row, spin
from .through_node import NODE_COLUMNS, measure_node


@dataclass(frozen=True)
class Setting:
    """Environment of both processes, and the cloud that is sent back.

    Attributes:
        name: in the table.
        env: of both processes.
        point_step: bytes of a point, 0 for no cloud.
        decimation: of the cloud.
    """

    name: str
    env: Mapping[str, str]
    point_step: int
    decimation: int = 1


def settings(profile_file: Path) -> list[Setting]:
    """Settings that the table of docs/reports/large_messages.md compares."""
    large = {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}
    tuned = {
        'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA?max_msg_size=1MB&sockets_size=4MB'
        '&non_blocking=true&tcp_negotiation_timeout=50'
    }
    profile = profile_env(profile_file)
    rows = []
    for name, env in (
        ('default', {}),
        ('LARGE_DATA', large),
        ('LARGE_DATA, 1 MB messages', tuned),
        ('our profile', profile),
    ):
        rows.append(Setting(name, env, 32))
        rows.append(Setting(name, env, 16))
        rows.append(Setting(name, env, 16, 2))
    return rows


def main() -> int:
    """Measure all settings and print, or write, a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else '')
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--rate', type=float, default=30.0, metavar='HZ')
    parser.add_argument('--size', default='1280x720', metavar='WxH')
    parser.add_argument('--only', default='', metavar='TEXT', help='settings whose name has this')
    parser.add_argument('--node', action='store_true', help='measure through the real node')
    parser.add_argument('--backend', default='auto', help='of the node')
    parser.add_argument('--input-scale', type=float, default=1.0, help='of the node')
    parser.add_argument(
        '--profile', type=Path, default=PROFILE, help='of the last setting (default: ours)'
    )
    parser.add_argument('--write', type=Path, metavar='PAGE', help='page to put the table into')
    roles = ('camera', 'relay', 'subscriber')
    parser.add_argument('--role', choices=roles, help=argparse.SUPPRESS)
    parser.add_argument('--cloud', default='32,1', help=argparse.SUPPRESS)
    args = parser.parse_args()
    try:
        if args.role:
            _play(args)
        else:
            _table(args)
    except StereoError as error:
        print(f'transport: {error}', file=sys.stderr)
        return 2
    return 0


def _play(args: argparse.Namespace) -> None:
    """Be one of the processes."""
    size = parse_size(args.size, '--size', 'WIDTHxHEIGHT')
    point_step, decimation = (int(n) for n in args.cloud.split(','))
    if args.role == 'relay':
        rclpy.init(args=[])
        with contextlib.suppress(ExternalShutdownException):  # the camera ends us
            spin(Relay(size, point_step, decimation))
    elif args.role == 'camera':
        relay = [*_command(args, 'relay'), '--cloud', args.cloud]
        print(relay_row(measure(size, args.rate, args.seconds, relay)))
    else:
        parameters = {
            'backend': args.backend,
            'input_scale': args.input_scale,
            'avoid_point_cloud_padding': point_step == 16,
            'decimation': decimation,
        }
        print(measure_node(size, args.rate, args.seconds, parameters))


def _command(args: argparse.Namespace, role: str) -> list[str]:
    command = [sys.executable, '-m', 'tools.transport.run', '--role', role]
    command += ['--size', args.size, '--rate', str(args.rate), '--seconds', str(args.seconds)]
    return [*command, '--backend', args.backend, '--input-scale', str(args.input_scale)]


def _table(args: argparse.Namespace) -> None:
    """Measure each setting in processes of its own."""
    if not args.profile.is_file():
        raise InputError(f'{args.profile}: no such profile; name it with --profile')
    name = 'transport node' if args.node else 'transport'
    if args.write:
        check_section(args.write, name)  # in time
    columns = ('Fast DDS', 'cloud', *(NODE_COLUMNS if args.node else RELAY_COLUMNS))
    lines = [markdown.header(columns)]
    print('\n'.join(lines))
    for index, setting in enumerate(settings(args.profile.resolve())):
        if args.only not in setting.name:
            continue
        own = {**LOCAL_ENV, 'ROS_DOMAIN_ID': domain_of(os.getpid() + index)}
        done = subprocess.run(
            [
                *_command(args, 'subscriber' if args.node else 'camera'),
                *('--cloud', f'{setting.point_step},{setting.decimation}'),
            ],
            env={**os.environ, **own, **setting.env},
            capture_output=True,
            text=True,
        )
        pixels = 'every pixel' if setting.decimation == 1 else 'every 2nd row and column'
        cloud = f'{setting.point_step} bytes, {pixels}'
        measured = done.stdout.strip() or ' '.join(done.stderr.split())[-300:]
        # The process prints its cells with the bars between them.
        lines.append(markdown.row([setting.name, cloud, *measured.split(' | ')]))
        print(lines[-1], flush=True)
    if args.write:
        write_section(args.write, name, '\n'.join(lines))


if __name__ == '__main__':
    sys.exit(main())
