"""The command `dtp-stereo`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from . import __version__
from .paths import remove_empty
from .signals import unwinding
from .user_errors import is_read, print_anything, user_line

# Subcommand -> module in `commands/`, imported only when it is asked for. Each module has HELP
# (a line), DESCRIPTION, add_arguments(parser) and run(args) -> exit code.
COMMANDS: dict[str, str] = {
    'demo': 'demo',
    'infer': 'infer',
    'eval': 'eval',
    'bag': 'bag',
    'replay': 'replay',
    'compare': 'compare',
    'view': 'view',
    'bench': 'bench',
    'selftest': 'selftest',
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

_NAME = 'dtp-stereo'

_DESCRIPTION = 'Stereo depth with DTPnet. `dtp-stereo COMMAND -h` explains a command.'


class _Parser(argparse.ArgumentParser):
    """Reports a wrong call in one line, as all other errors are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'{self.prog}: error: {message} (see {self.prog} -h)\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        argv: arguments, default those of the process.

    Returns:
        What the subcommand returns; 2 after one line on stderr for what a user can mend, 130
        after Ctrl-C or SIGTERM, 141 where nobody reads the output any more.
    """
    print_anything()
    arguments = list(sys.argv[1:] if argv is None else argv)
    program = f'dtp-stereo {arguments[0]}' if arguments[:1] and arguments[0] in COMMANDS else _NAME
    try:
        with unwinding(ignored_too=False):
            code = _run(program, arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f'{program}: interrupted', file=sys.stderr)
        return 130
    except BrokenPipeError:
        if is_read():
            raise
        return 141
    except Exception as error:
        line = user_line(error)
        if line is None:
            raise
        print(f'{program}: error: {line}', file=sys.stderr)
        remove_empty()
        return 2
    return code


def _run(program: str, arguments: list[str]) -> int:
    name = arguments[0] if arguments else ''
    if name not in COMMANDS:
        _top_parser(arguments).parse_args(arguments or ['-h'])
        return 0
    module = _load(name)
    parser = _Parser(
        prog=program,
        description=module.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    args = parser.parse_args(arguments[1:])
    with contextlib.suppress(ImportError):  # the command says so, where it needs OpenCV
        from .image_io import silence_opencv

        silence_opencv()
    logging.basicConfig(format='%(levelname)s: %(message)s')
    return int(module.run(args))


def _top_parser(arguments: list[str]) -> argparse.ArgumentParser:
    """For -h, --version and wrong commands only: lists all commands with their help lines."""
    # The version is printed even where a library is missing.
    listed = () if arguments == ['--version'] else COMMANDS
    lines = [f'  {name:<13} {_load(name).HELP}' for name in listed]
    parser = _Parser(
        prog=_NAME,
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
