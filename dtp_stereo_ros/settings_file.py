"""Plain values (of YAML) to dataclasses, with one-line errors that name the setting.

By hand: OmegaConf has no ranges and pydantic tells an error in several lines, and a robot would
need another package for either.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError, InputError
from .paths import expanded
from .text_files import read_yaml

T = TypeVar('T')


def read_settings(cls: type[T], path: Path, changes: Mapping[str, Any]) -> T:
    """Build a dataclass from a YAML file.

    Args:
        cls: see `parse`.
        path: YAML.
        changes: settings that differ from the file, by dotted names.

    Raises:
        InputError: no such file, or no YAML.
        ConfigError: see `parse`.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError(f'{path}: holds no settings; see config/recipes')
    try:
        return parse(cls, with_changes(values, changes))
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error


def parse(cls: type[T], values: Any, where: str = '') -> T:
    """Build a dataclass, whose fields may be dataclasses, from nested mappings.

    Args:
        cls: the dataclass; its annotations are the types that are accepted.
        values: as YAML gives it.
        where: path of the setting, for errors.

    Raises:
        ConfigError: an unknown or missing setting, or a value of another type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f'{where or "recipe"}: expected settings, got {values!r}')
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is one
    for key in values:
        if key not in fields:
            raise ConfigError(f'{_at(where, key)}: unknown setting; there are {", ".join(fields)}')
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in values:
            raise ConfigError(f'{_at(where, name)}: is missing')
    parsed = {k: _value(hints[k], v, _at(where, k)) for k, v in values.items()}
    try:
        return cls(**parsed)
    except ConfigError as error:
        # It begins with the name of the setting.
        raise ConfigError(_at(where, str(error))) from None


def with_changes(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings with some replaced, by dotted names such as ``distil.steps``.

    Raises:
        ConfigError: a name goes through something that has no settings.
    """
    copy = {k: with_changes(v, {}) if isinstance(v, dict) else v for k, v in values.items()}
    for name, value in changes.items():
        *parents, last = name.split('.')
        target = copy
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ConfigError(f'{name}: {parent} has no settings')
        target[last] = value
    return copy


def plain(value: Any) -> Any:
    """Dataclasses, paths and tuples as what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _at(where: str, name: str) -> str:
    return f'{where}.{name}' if where else str(name)


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return parse(hint, value, where)  # type: ignore[arg-type]  # it is a class here
    if origin in (Union, types.UnionType):
        return _union(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f'{where}: {value!r} is none of {", ".join(map(str, arguments))}')
        return value
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f'{where}: expected settings, got {value!r}')
        return {str(k): _value(arguments[1], v, _at(where, str(k))) for k, v in value.items()}
    return _scalar(hint, value, where)


def _union(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    reasons = []
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _value(choice, value, where)
        except ConfigError as error:
            reasons.append(error)
    raise reasons[-1]


def _tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f'{where}: expected a list, got {value!r}')
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise ConfigError(f'{where}: expected {len(items)} values, got {len(value)}')
    return tuple(
        _value(item, v, f'{where}[{i}]')
        for i, (item, v) in enumerate(zip(items, value, strict=True))
    )


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Path and isinstance(value, str):
        return expanded(value)
    if hint is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        # YAML 1.1 takes 1e-3 for text, because it has no point.
        try:
            return float(value)
        except ValueError:
            raise ConfigError(f'{where}: expected a number, got {value!r}') from None
    if type(value) is not hint:
        kinds = {int: 'a whole number', float: 'a number', bool: 'true or false', str: 'text'}
        raise ConfigError(f'{where}: expected {kinds.get(hint, hint)}, got {value!r}')
    return value
