"""Looks up every name of rclpy that this package uses in the sources of each ROS 2 distribution.

`python tools/rclpy_names.py CHECKOUT`: a checkout of rclpy's release repository (ros2-gbp), which
has one branch per distribution. The names stand in `test/ros/rclpy_names.json`; where all are
found, the versions that were looked at are written there. No ROS is needed.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

TABLE = Path(__file__).resolve().parents[1] / 'test/ros/rclpy_names.json'


class Sources:
    """The Python files of rclpy in one distribution.

    Args:
        checkout: a git repository.
        distribution: 'humble', ...
    """

    def __init__(self, checkout: str, distribution: str) -> None:
        self._checkout = checkout
        self._branch = f'release/{distribution}/rclpy'

    def text(self, path: str) -> str:
        """The content of a file of that branch, '' where it is not there."""
        command = ['git', '-C', self._checkout, 'show', f'{self._branch}:{path}']
        return subprocess.run(command, capture_output=True, text=True).stdout

    @cache  # noqa: B019 - as long-lived as the process
    def module(self, name: str) -> ast.Module | None:
        """A module by its dotted name."""
        text = self.text(f'{name.replace(".", "/")}.py') or self.text(_package(name))
        return ast.parse(text) if text else None

    @cache  # noqa: B019
    def compiled(self) -> str:
        """The C++ sources of the extension module, which has the enumerations."""
        folder = f'{self._branch}:src/rclpy/'
        command = ['git', '-C', self._checkout, 'ls-tree', '--name-only', folder]
        files = subprocess.run(command, capture_output=True, text=True).stdout.split()
        return '\n'.join(self.text(f'src/rclpy/{f}') for f in files if f.endswith('.cpp'))

    def find(self, module: str, name: str) -> tuple[str, ast.AST] | None:
        """Definition of a name of a module: (module, node); follows imports within rclpy."""
        tree = self.module(module)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return module, node
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(t, ast.Name) and t.id == name for t in targets):
                    return module, node
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        # `from .node import` of a package looks into the package itself.
                        up = node.level - bool(self.text(_package(module)))
                        parent = '.'.join(module.split('.')[: -up or None])
                        source = f'{parent}.{node.module}' if node.level else str(node.module)
                        return self.find(source, alias.name) or (module, node)
        return None

    def members(self, module: str, name: str) -> set[str]:
        """Members of a class, its bases in rclpy included; a name bound to a class is followed."""
        found = self.find(module, name)
        if found is None:
            return set()
        home, node = found
        value = getattr(node, 'value', None)
        if isinstance(value, ast.Name):
            return self.members(home, value.id)
        if isinstance(value, ast.Attribute):  # of the extension module
            return set(re.findall(r'\(\s*"(\w+)"', self.compiled()))
        names: set[str] = set()
        for part in ast.walk(node):
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                names.add(part.name)
            elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                names.add(part.attr)
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                names.add(part.id)
        for base in getattr(node, 'bases', ()):
            base = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(base, ast.Name):
                names |= self.members(home, base.id)
        return names


def _package(module: str) -> str:
    return f'{module.replace(".", "/")}/__init__.py'


def missing(sources: Sources, names: dict[str, list[str]]) -> list[str]:
    """The names of the table that a distribution does not have."""
    absent = []
    for full, members in names.items():
        module, _, name = full.rpartition('.')
        if not module:
            absent += [f'{full}.{m}' for m in members if sources.find(full, m) is None]
        elif sources.find(module, name) is None:
            absent.append(full)
        else:
            absent += [f'{full}.{m}' for m in sorted({*members} - sources.members(module, name))]
    return absent


def main() -> int:
    """Check all distributions of the table; 1 where a name is missing."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    table = json.loads(TABLE.read_text())
    failed = False
    for distribution in table['checked']:
        sources = Sources(sys.argv[1], distribution)
        version = re.search(r'<version>(.+)</version>', sources.text('package.xml'))
        if version is None:
            print(f'{sys.argv[1]}: no branch of {distribution}', file=sys.stderr)
            return 2
        absent = missing(sources, table['names'])
        print(f'{distribution} {version[1]}: {"missing " + ", ".join(absent) if absent else "ok"}')
        table['checked'][distribution] = version[1]
        failed |= bool(absent)
    if not failed:
        text = TABLE.read_text()
        for distribution, version in table['checked'].items():
            text = re.sub(rf'("{distribution}": )"[^"]*"', rf'\1"{version}"', text)
        TABLE.write_text(text)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
