"""The command `dtp-stereo`."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from . import __version__
from .errors import StereoError

# Subcommand -> module in `commands/`, imported only when it is asked for. Each module has HELP
# (a line), DESCRIPTION, add_arguments(parser) and run(args) -> exit code.
COMMANDS: dict[str, str] = {
    'demo': 'demo',
    'infer': 'infer',
    'eval': 'eval',
    'bag': 'bag',
    'compare': 'compare',
    'bench': 'bench',
    'doctor': 'doctor',
    'render': 'render',
    'setup-backend': 'setup_backend',
    'train': 'train',
    'distill': 'distill',
    'prune': 'prune',
    'recipe': 'recipe',
    'ablation': 'ablation',
    'export': 'export',
}

_DESCRIPTION = 'Stereo depth with DTPnet. `dtp-stereo COMMAND -h` explains a command.'


class _Parser(argparse.ArgumentParser):
    """Reports a wrong call in one line, as all other errors are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'{self.prog}: error: {message} (see {self.prog} -h)\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; a known error is one line on stderr and exit code 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ''
    if name not in COMMANDS:
        _top_parser().parse_args(arguments or ['-h'])
        return 0
    module = _load(name)
    parser = _Parser(
        prog=f'dtp-stereo {name}',
        description=module.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    args = parser.parse_args(arguments[1:])
    logging.basicConfig(format='%(levelname)s: %(message)s')
    try:
        return int(module.run(args))
    except StereoError as error:
        print(f'{parser.prog}: error: {error}', file=sys.stderr)
        return 2


def _top_parser() -> argparse.ArgumentParser:
    """For -h, --version and wrong commands only: lists all commands with their help lines."""
    lines = [f'  {name:<13} {_load(name).HELP}' for name in COMMANDS]
    parser = _Parser(
        prog='dtp-stereo',
        usage='dtp-stereo [-h] [--version] COMMAND ...',
        description=_DESCRIPTION + '\n\ncommands:\n' + '\n'.join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'dtp-stereo {__version__}')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help=argparse.SUPPRESS)
    return parser


def _load(name: str) -> ModuleType:
    return importlib.import_module(f'.commands.{COMMANDS[name]}', __package__)


if __name__ == '__main__':
    sys.exit(main())
