"""The page of the launch files' arguments, from `launch/*.launch.py` and `config.py`.

The launch files import `launch`, which is not installed everywhere; so their tables of options are
read from their source.
"""

from __future__ import annotations

import ast
from pathlib import Path

from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.ros import launch_arguments

from .markdown import code

_FOLDER = Path(__file__).resolve().parents[2] / 'launch'
_TABLE = '_OPTIONS'


def sections() -> dict[str, str]:
    """The tables of the page."""
    parameters = ', '.join(map(code, launch_arguments.descriptions()))
    topics = [
        [code(name), code(topic), meaning]
        for name, (topic, meaning) in launch_arguments.TOPICS.items()
    ]
    namespaces = [
        [code(name), '', meaning] for name, meaning in launch_arguments.NAMESPACES.items()
    ]
    return {
        'options': table(['argument', 'default', 'meaning'], _options('depth.launch.py')),
        'replay': table(['argument', 'default', 'meaning'], _options('replay.launch.py')),
        'topics': table(['argument', 'default', 'meaning'], [*topics, *namespaces]),
        'parameters': f'{parameters}.',
    }


def _options(name: str) -> list[list[str]]:
    """Name, default and meaning of the arguments that are neither topic nor parameter."""
    for node in ast.parse((_FOLDER / name).read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == _TABLE:
            assert isinstance(node.value, ast.Dict)
            return [_option(k, v) for k, v in zip(node.value.keys, node.value.values, strict=True)]
    raise LookupError(f'{name} has no {_TABLE}')


def _option(key: ast.expr | None, value: ast.expr) -> list[str]:
    assert key is not None and isinstance(value, ast.Tuple)
    default, meaning = value.elts
    # A text, or PathJoinSubstitution([_SHARE, 'config', 'dtp_stereo.yaml']).
    texts = [str(n.value) for n in ast.walk(default) if isinstance(n, ast.Constant)]
    shown = '/'.join(texts)
    return [code(ast.literal_eval(key)), code(shown), ast.literal_eval(meaning)]
