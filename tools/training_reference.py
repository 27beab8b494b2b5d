"""``python -m tools.training_reference`` writes docs/reference/training.md."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dtp_stereo_ros.commands import distill, prune, train
from dtp_stereo_ros.config import Tunable
from dtp_stereo_ros.training import settings
from dtp_stereo_ros.training.recipes import ablation_plan, recipe
from dtp_stereo_ros.training.settings import declared, option

TARGET = Path(__file__).resolve().parents[1] / 'docs/reference/training.md'

_HEAD = """# Settings of training

Made by `python -m tools.training_reference` from the declarations in
`dtp_stereo_ros/training/settings.py`, `recipes/recipe.py` and `recipes/ablation_plan.py`.
A recipe file has the names of the first column, by dotted names in `--set`; the commands have the
options. A command may have another default than the one given here: `-h` shows it.
"""

_GROUPS: tuple[tuple[type, str], ...] = (
    (settings.TrainConfig, 'Training run'),
    (settings.GeneratorConfig, 'Generated pairs: `data`'),
    (settings.LossWeights, 'Loss against the truth: `loss`'),
    (settings.DistilConfig, 'Teacher: `distil`, in a recipe `how`'),
    (settings.PruneConfig, 'Pruning: in a recipe `prune.how`'),
    (recipe.Recipe, 'Recipe'),
    (recipe.TrainStep, 'Recipe: `teacher`, `student`'),
    (recipe.DistilStep, 'Recipe: `distil`, `prune.tune`'),
    (recipe.PruneStep, 'Recipe: `prune`'),
    (recipe.EvaluateStep, 'Recipe: `evaluate`'),
    (ablation_plan.Plan, 'Ablation'),
    (ablation_plan.Budget, 'Ablation: `budget`'),
)


def reference() -> str:
    """The page."""
    options = {name for command in (train, distill, prune) for name in _options(command)}
    return _HEAD + ''.join(_section(cls, title, options) for cls, title in _GROUPS)


def _options(command: ModuleType) -> set[str]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return {name for action in parser._actions for name in action.option_strings}


def _section(cls: type, title: str, options: set[str]) -> str:
    hints = get_type_hints(cls)
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    lines = [
        f'\n## {title}\n',
        '| setting | option | type | default | range | |',
        '|---|---|---|---|---|---|',
    ]
    command_line = cls.__module__ == settings.__name__
    for name, spec in declared(cls).items():
        typed = option(name, spec)
        shown = f'`{typed}`' if command_line and typed in options else ''
        cells = (f'`{name}`', shown, _kind(hints[name]), _default(defaults[name]), _range(spec))
        lines.append('| ' + ' | '.join((*cells, spec.description)) + ' |')
    return '\n'.join(lines) + '\n'


def _kind(hint: Any) -> str:
    names = {int: 'whole number', float: 'number', bool: 'yes or no', str: 'text', Path: 'path'}
    if hint in names:
        return names[hint]
    parts = [part for part in get_args(hint) if part not in (type(None), Ellipsis)]
    if get_origin(hint) is Literal:
        return ', '.join(f'`{part}`' for part in parts)
    if get_origin(hint) is tuple:
        return 'list of: ' + _kind(parts[0])
    if get_origin(hint) is dict:
        return 'architecture'
    return ' or '.join(_kind(part) for part in parts)


def _default(value: Any) -> str:
    if value is dataclasses.MISSING:
        return 'required'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if value is None or value in ('', ()):
        return ''
    if isinstance(value, tuple):
        return '`[' + ', '.join(_default(part).strip('`') for part in value) + ']`'
    return f'`{value}`'


def _range(spec: Tunable) -> str:
    unit = f' {spec.unit}' if spec.unit else ''
    if spec.minimum is None:
        return unit.strip()
    if spec.maximum is None:
        return f'from {spec.minimum}{unit}'
    return f'{spec.minimum} .. {spec.maximum}{unit}'


def main() -> None:
    """Write the page."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(reference(), encoding='utf-8')
    print(TARGET)


if __name__ == '__main__':
    main()
