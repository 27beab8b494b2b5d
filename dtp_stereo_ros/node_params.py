"""Parameter files of the node, read without ROS."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from .config import NodeConfig, PipelineConfig, nearest_name, validate
from .errors import ConfigError, InputError, one_line

_PARAMETERS = 'ros__parameters'


def read_node_params(path: Path) -> tuple[PipelineConfig, NodeConfig, list[str]]:
    """Settings of a ROS parameter file; what it does not name has its default.

    All sections of the file count, whatever node they name, later ones before earlier ones.

    Returns:
        Settings of the pipeline and of the node, and a line for each name that neither knows.

    Raises:
        InputError: no such file, or no parameter file.
        ConfigError: a value has the wrong type or is out of range.
    """
    values = read_parameters(path)
    configs: list[Any] = []
    for cls in (PipelineConfig, NodeConfig):
        hints = get_type_hints(cls)
        names = [field.name for field in dataclasses.fields(cls)]
        own = {name: _value(hints[name], values.pop(name)) for name in names if name in values}
        config: Any = cls(**own)
        try:
            validate(config)
        except ConfigError as error:
            raise ConfigError(f'{path}: {error}') from error
        configs.append(config)
    unknown = []
    for name in values:
        near = nearest_name(name)
        if name != 'use_sim_time' and not name.startswith('qos_overrides'):
            hint = f'; did you mean {near}?' if near else ''
            unknown.append(f'{path}: {name} is no setting of dtp_stereo{hint}')
    return configs[0], configs[1], unknown


def read_parameters(path: Path) -> dict[str, Any]:
    """All parameters of a ROS parameter file by name, of all sections, later ones first.

    Raises:
        InputError: no such file, or no parameter file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'no text'
        raise InputError(f'{path}: cannot be read ({reason}); check the path') from error
    except yaml.YAMLError as error:
        raise InputError(f'{path}: is no YAML ({one_line(error)[:160]})') from error
    values = _sections(content)
    if not values:
        raise InputError(f'{path}: has no {_PARAMETERS}; see config/dtp_stereo.yaml')
    return values


def _sections(content: Any) -> dict[str, Any]:
    """The parameters of all sections, at any depth of namespaces."""
    found: dict[str, Any] = {}
    if isinstance(content, dict):
        for name, value in content.items():
            if name == _PARAMETERS and isinstance(value, dict):
                found |= value
            else:
                found |= _sections(value)
    return found


def _value(hint: Any, value: Any) -> Any:
    if hint == tuple[str, ...] and isinstance(value, list):
        return tuple(value)
    return float(value) if hint is float and type(value) is int else value
