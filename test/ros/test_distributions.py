"""The names of rclpy and the Python that every supported distribution has."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
# Looked up in the sources of each distribution by tools/rclpy_names.py.
_TABLE = json.loads((Path(__file__).parent / 'rclpy_names.json').read_text())
_NAMES: dict[str, list[str]] = _TABLE['names']
_SOURCES = [
    path
    for folder in ('dtp_stereo_ros', 'launch', 'tools')
    for path in sorted((_REPOSITORY / folder).rglob('*.py'))
]


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports from rclpy."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'rclpy':
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def test_every_import_from_rclpy_was_looked_up_in_every_distribution() -> None:
    assert set(_TABLE['checked']) == {'humble', 'jazzy', 'kilted', 'lyrical'}
    assert all(_TABLE['checked'].values())
    used = {name for path in _SOURCES for name in imported(path)}
    assert len(used) > 20
    assert used <= set(_NAMES), 'add them to rclpy_names.json and run tools/rclpy_names.py'


@pytest.mark.parametrize('full', _NAMES)
def test_the_rclpy_that_is_installed_has_it(full: str) -> None:
    module, _, name = full.rpartition('.')
    owner = getattr(importlib.import_module(module), name) if module else __import__(full)
    # Attributes that a constructor sets are not seen on the class.
    seen = {*dir(owner), *instance_attributes(owner)}
    assert set(_NAMES[full]) <= seen


def instance_attributes(owner: object) -> set[str]:
    """Names that a class written in Python stores on `self`."""
    module = importlib.import_module(getattr(owner, '__module__', None) or 'builtins')
    if not isinstance(owner, type) or not (module.__file__ or '').endswith('.py'):
        return set()
    tree = ast.parse(Path(str(module.__file__)).read_text())
    body = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == owner.__name__)
    stores = (n for n in ast.walk(body) if isinstance(n, ast.Attribute))
    return {n.attr for n in stores if isinstance(n.ctx, ast.Store)}


@pytest.mark.parametrize('path', _SOURCES, ids=lambda p: str(p.relative_to(_REPOSITORY)))
def test_the_syntax_is_that_of_python_3_10(path: Path) -> None:
    """Humble's. Names of the standard library are checked by mypy, which is set to 3.10."""
    ast.parse(path.read_text(), feature_version=(3, 10))
