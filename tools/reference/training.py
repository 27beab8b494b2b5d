"""The page of the settings of training, from the dataclasses of `training/`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dtp_stereo_ros.commands import distill, prune, train
from dtp_stereo_ros.config import Tunable
from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.training import settings
from dtp_stereo_ros.training.recipes import ablation_plan, recipe
from dtp_stereo_ros.training.settings import declared, option

from .markdown import code

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


def sections() -> dict[str, str]:
    """All groups of settings, one section."""
    options = {name for command in (train, distill, prune) for name in _options(command)}
    groups = '\n'.join(_section(cls, title, options) for cls, title in _GROUPS)
    return {'settings': groups.strip()}


def _options(command: ModuleType) -> set[str]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return {name for action in parser._actions for name in action.option_strings}


def _section(cls: type, title: str, options: set[str]) -> str:
    hints = get_type_hints(cls)
    defaults = {f.name: f.default for f in dataclasses.fields(cls)}
    command_line = cls.__module__ == settings.__name__
    rows = []
    for name, spec in declared(cls).items():
        typed = option(name, spec)
        shown = typed if command_line and typed in options else ''
        default, kind = _default(defaults[name]), _kind(hints[name])
        rows.append([code(name), code(shown), kind, default, _range(spec), spec.description])
    headings = ['setting', 'option', 'type', 'default', 'range', 'meaning']
    return f'\n## {title}\n\n{table(headings, rows)}\n'


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
