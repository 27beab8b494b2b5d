"""Parameter files of the node, read without ROS."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from .config import NodeConfig, PipelineConfig, nearest_name, validate
from .errors import ConfigError, InputError
from .text_files import read_yaml

_PARAMETERS = 'ros__parameters'
# Last part of the name of a section that counts; namespaces of a robot are not known here.
_OURS = ('depth_node', '*', '**')


def read_node_params(path: Path) -> tuple[PipelineConfig, NodeConfig, list[str]]:
    """Settings of a ROS parameter file; what it does not name has its default.

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
        try:
            own = {n: _value(n, hints[n], values.pop(n)) for n in names if n in values}
            config: Any = cls(**own)
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


def read_parameters(path: Path, node_name: str = '') -> dict[str, Any]:
    """Parameters of the node in a ROS parameter file, by name.

    Later sections stand above earlier ones. What a file has for other nodes does not count, as
    ROS does not give it to ours.

    Args:
        path: of the file.
        node_name: full name, as '/front/depth_node'; '' takes sections of `depth_node` in any
            namespace, and those with wildcards.

    Raises:
        InputError: no such file, no parameter file, or it has nothing for the node.
    """
    content = read_yaml(path)
    sections = dict(_sections(content, ''))
    if not sections:
        raise InputError(f'{path}: has no {_PARAMETERS}; see config/dtp_stereo.yaml')
    ours = [
        values
        for name, values in sections.items()
        if (is_for(name, node_name) if node_name else name.rpartition('/')[2] in _OURS)
    ]
    if not ours:
        raise InputError(
            f'{path}: has nothing for {node_name or "depth_node"}, only for '
            f"{', '.join(sections)}; rename that to '/**'"
        )
    return {name: value for values in ours for name, value in values.items()}


def is_for(section: str, node_name: str) -> bool:
    """Whether ROS gives a section to a node: `*` stands for one part of a name, `**` for any.

    Args:
        section: name of it, as '/**/depth_node'.
        node_name: full name of the node, as '/front/depth_node'.
    """

    def match(patterns: list[str], parts: list[str]) -> bool:
        if not patterns:
            return not parts
        if patterns[0] == '**':
            return any(match(patterns[1:], parts[i:]) for i in range(len(parts) + 1))
        return bool(parts) and patterns[0] in ('*', parts[0]) and match(patterns[1:], parts[1:])

    return match(section.strip('/').split('/'), node_name.strip('/').split('/'))


def _sections(content: Any, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Full name of the node, with wildcards, and parameters of each section."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name == _PARAMETERS and isinstance(value, dict):
                yield prefix, value
            else:
                yield from _sections(value, f'{prefix}/{str(name).strip("/")}')


def _value(name: str, hint: Any, value: Any) -> Any:
    if hint is float and type(value) is int:
        # As rclpy does: a file that is judged here shall start there.
        raise ConfigError(f'{name} is {value}; it must have a decimal point, as {value}.0')
    return tuple(value) if hint == tuple[str, ...] and isinstance(value, list) else value
