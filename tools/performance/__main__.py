"""Cost of the shipped models beside SGBM, and the roofline: measures docs/reports/performance.md.

    python -m tools.performance
    python -m tools.performance --only pixels,threads

Each part is written into its section as soon as it is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from dtp_stereo_ros import system
from dtp_stereo_ros.errors import ConfigError, StereoError
from dtp_stereo_ros.sizes import parse_size

from ..doc_sections import check_section, write_section
from .parts import disparity_range, node, pixels, publishing, threads
from .roofline import roofline

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'reports' / 'performance.md'
_NAMES = 'dtpnet,dtpnet-small,dtpnet-large'
_SIZES = '320x240,640x480,1280x720,1920x1080'
_NODE_SIZES = '640x480,1280x720,1920x1080'
_CAMERAS = (2, 4)


def main(argv: list[str] | None = None) -> int:
    """Measure the parts and write their sections."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--only', metavar='PART[,PART]', help='parts to measure (default: all)')
    parser.add_argument('--model', default=_NAMES, help='names or files (default: %(default)s)')
    parser.add_argument('--size', default=_SIZES, help='of `pixels` (default: %(default)s)')
    parser.add_argument(
        '--one-size', default='640x480', help='of all other parts (default: %(default)s)'
    )
    parser.add_argument(
        '--node-size', default=_NODE_SIZES, help='of `node` (default: %(default)s)'
    )
    parser.add_argument('--rounds', type=int, default=20, help='timed runs (default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=4.0, help='at each rate of `node`')
    parser.add_argument('--steps', type=int, default=7, help='rates of `node` that are tried')
    parser.add_argument('--write', type=Path, default=PAGE, metavar='PAGE', help='page to write')
    try:
        _write(parser.parse_args(argv))
    except StereoError as error:
        print(f'performance: {error}', file=sys.stderr)
        return 2
    return 0


def _write(args: argparse.Namespace) -> None:
    names = args.model.split(',')
    sizes, node_sizes = (
        [parse_size(size, option, 'WIDTHxHEIGHT') for size in given.split(',')]
        for option, given in (('--size', args.size), ('--node-size', args.node_size))
    )
    one_size = parse_size(args.one_size, '--one-size', 'WIDTHxHEIGHT')
    rounds, cores = args.rounds, os.cpu_count() or 1
    parts: dict[str, Callable[[], str]] = {
        # Large images take seconds.
        'pixels': lambda: pixels(names, sizes, max(1, rounds // 3)),
        'range': lambda: disparity_range(names, one_size, rounds),
        'threads': lambda: threads(names[:1], one_size, rounds, sorted({1, cores})),
        'roofline': lambda: roofline(names, one_size, 2 * rounds),
        'publishing': lambda: publishing(names[0], node_sizes, args.seconds, args.steps),
        'node': lambda: node(names[:1], node_sizes, _CAMERAS, args.seconds, args.steps),
    }
    wanted = args.only.split(',') if args.only else list(parts)
    unknown = set(wanted) - set(parts)
    if unknown:
        raise ConfigError(
            f'--only: no part {", ".join(sorted(unknown))}; there are {", ".join(parts)}'
        )
    for option, count in (('--rounds', rounds), ('--steps', args.steps)):
        if count < 1:
            raise ConfigError(f'{option} is {count}, it must be at least 1')
    for part in wanted:
        check_section(args.write, part)  # in time
    for part in wanted:
        before = os.getloadavg()[0]
        text = parts[part]()
        write_section(args.write, part, f'{text}\n\n{_machine(before)}')
        print(f'{part}: written', flush=True)


def _machine(load: float) -> str:
    """The machine, and what else it did."""
    found = system.describe()
    cores = os.cpu_count() or 1
    versions = ', '.join(
        f'{name} {found[name]}' for name in ('openvino', 'onnxruntime') if name in found
    )
    text = f'{found["processor"]}; {versions}. Load average before: {load:.1f}'
    if load < 0.3:
        return f'{text}.'
    return f'{text}, so other work had a part of the {cores} cores.'


if __name__ == '__main__':
    raise SystemExit(main())
