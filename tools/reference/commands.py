"""The page of the commands, from the argument parsers."""

from __future__ import annotations

import argparse
import importlib
import re

from dtp_stereo_ros.cli import COMMANDS
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.markdown import table

from .markdown import code

# A default has a column of its own.
_DEFAULT = re.compile(r' ?\(default: [^()]*\)|(^|[,;]? )[Dd]efault: [^ ]*\.?$')


def sections() -> dict[str, str]:
    """Overview and commands, one section."""
    overview = [[f'[`{name}`](#dtp-stereo-{name})', _module(name).HELP] for name in COMMANDS]
    parts = [table(['command', ''], overview), *(_section(name) for name in COMMANDS)]
    return {'commands': '\n'.join(parts)}


def _module(name: str) -> argparse.Namespace:
    module = importlib.import_module(f'dtp_stereo_ros.commands.{COMMANDS[name]}')
    return argparse.Namespace(**vars(module))


def _section(name: str) -> str:
    module = _module(name)
    parser = argparse.ArgumentParser(prog=f'dtp-stereo {name}', add_help=False)
    module.add_arguments(parser)
    rows = [_row(action) for action in parser._actions if action.help != argparse.SUPPRESS]
    return '\n'.join(
        [
            f'\n## dtp-stereo {name}\n',
            f'```text\n{module.DESCRIPTION.rstrip()}\n```\n',
            table(['argument', 'default', 'meaning'], rows),
        ]
    )


def _row(action: argparse.Action) -> list[str]:
    value = _value(action)
    names = ', '.join(action.option_strings)
    shown = f'{names} {value}'.strip() if names else value
    # As argparse expands it: %(default)s and %%.
    meaning = (action.help or '') % {**vars(action), 'prog': ''}
    if _default(action):
        meaning = _DEFAULT.sub('', meaning).strip()
    if action.choices and not any(str(choice) in meaning for choice in action.choices):
        if meaning and not meaning.endswith('.'):
            meaning += '.'
        meaning += f' One of {", ".join(map(str, action.choices))}.'
    if action.required and action.option_strings:
        meaning += ' Required.'
    return [code(shown), code(_default(action)), meaning.strip()]


def _value(action: argparse.Action) -> str:
    """Placeholder of the value, '' for a switch."""
    if action.nargs == 0:
        return ''
    names = action.metavar or (
        action.dest if not action.option_strings else action.dest.upper().replace('-', '_')
    )
    if isinstance(names, tuple):
        return ' '.join(names)
    return f'[{names}]' if action.nargs in ('?', '*') and not action.option_strings else str(names)


def _default(action: argparse.Action) -> str:
    value = action.default
    if value == argparse.SUPPRESS:
        # What is not typed is not parsed: the parameter file, or else the setting itself, counts.
        dest = 'model' if action.dest == 'models' else action.dest
        value = getattr(PipelineConfig(), dest)
    if action.nargs == 0 or value is None or value == '' or value == []:
        return ''
    return ','.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
