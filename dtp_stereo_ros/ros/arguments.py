"""The command line of `depth_node`: its help, and the arguments that ROS would pass over."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from ..config import NodeConfig, PipelineConfig, tunables
from ..errors import ConfigError
from ..node_params import is_for
from ..text_files import read_text
from ..topics import INPUTS, OUTPUTS

_PARAMS_FILE = '--params-file'

# Message of ROS about an argument, and fault and mend by the argument's option.
_REFUSED = re.compile(r"Couldn't parse [a-z ]+: '(\S+) (.*?)'\. Error: (.*?)(?:, at /|$)")
_NO_PARAMETER = 'sets no parameter; write -p NAME:=VALUE, the value as in YAML'
_NO_REMAPPING = (
    'is no remapping; write -r FROM:=TO; a name has letters, digits and _, and a namespace begins '
    'with /'
)
_FAULTS = {
    '-p': _NO_PARAMETER,
    '--param': _NO_PARAMETER,
    '-r': _NO_REMAPPING,
    '--remap': _NO_REMAPPING,
    '--log-level': 'is no level; take debug, info, warn, error or fatal',
}

_USAGE = """\
usage: depth_node [-h] [--ros-args [-p NAME:=VALUE] [--params-file FILE] [-r FROM:=TO] ...]

Rectified stereo images in, disparity, depth image and point cloud out.

subscribes to: {inputs}
publishes:     {outputs}, /diagnostics

examples:
  ros2 run dtp_stereo depth_node
  ros2 run dtp_stereo depth_node --ros-args -p max_depth:=10.0 -r left/image_rect:=/cam/left
  ros2 run dtp_stereo depth_node --ros-args --params-file my.yaml -r __ns:=/front

parameters:
"""


def help_text() -> str:
    """All that `depth_node --help` prints."""
    lines = []
    for cls in (PipelineConfig, NodeConfig):
        defaults = cls()
        for name, spec in tunables(cls).items():
            value = getattr(defaults, name)
            shown = list(value) if isinstance(value, tuple) else value
            shown = str(value).lower() if isinstance(value, bool) else shown
            unit = f' {spec.unit}' if spec.unit else ''
            lines.append(f'  {name} ({shown}{unit})')
            lines.append(f'      {spec.description}')
    usage = _USAGE.format(inputs=', '.join(INPUTS.values()), outputs=', '.join(OUTPUTS))
    return usage + '\n'.join(lines)


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether the arguments, without the program's name, ask for help."""
    return bool({'-h', '--help'}.intersection(_own(arguments)))


def check(arguments: Sequence[str]) -> None:
    """Refuse arguments that would have no effect, and parameter files that nobody can read.

    Raises:
        ConfigError: names the first, and where it should stand.
        InputError: names the parameter file.
    """
    for argument in _own(arguments):
        name, assigned, _ = argument.partition(':=')
        if not assigned:
            raise ConfigError(f'argument {argument!r} is unknown; see depth_node --help')
        # ROS reads it as a remapping, as of other names, which it still understands here.
        if name in (tunables(PipelineConfig) | tunables(NodeConfig)):
            raise ConfigError(
                f'argument {argument!r} sets no parameter; write --ros-args -p {argument}'
            )
    for path in _files(arguments):
        read_text(path)


def refused_by_ros(message: str) -> str:
    """Fault and mend of an argument that ROS cannot read, in one line; '' for other messages."""
    if unknown := re.fullmatch(r"\['(.*)'\]", message):  # all that it says about them
        names = unknown[1].replace("', '", ', ')
        return f'unknown among the arguments of ROS: {names}; see depth_node --help'
    found = _REFUSED.search(message)
    if not found:
        return ''
    option, value, reason = (text.strip() for text in found.groups())
    if option == _PARAMS_FILE:
        return f'{value}: {reason}; write the file as config/dtp_stereo.yaml is'
    fault = _FAULTS.get(option, f'{reason}; see depth_node --help')
    return f'{option} {value}: {fault}'


def unread_files(arguments: Sequence[str], node_name: str) -> Iterator[str]:
    """One line for each parameter file that has nothing for this node, as ROS reads it.

    Args:
        arguments: of the process, without the program's name.
        node_name: full name of the node, as '/front/depth_node'.
    """
    for path in _files(arguments):
        try:
            # Only composed: launch writes tags that a safe loader does not know.
            content = yaml.compose(read_text(path))
        except yaml.YAMLError:  # ROS, whose parser is another, has read it
            continue
        sections = list(_sections(content, ''))
        if content is not None and not sections:
            yield f'{path} has no ros__parameters, it is ignored; see config/dtp_stereo.yaml'
        elif sections and not any(is_for(section, node_name) for section in sections):
            yield (
                f'{path} has nothing for {node_name}, only for {", ".join(sections)}; rename that '
                f"to '/**', or start with -r __node:={sections[0].rpartition('/')[2]}"
            )


def _files(arguments: Sequence[str]) -> Iterator[Path]:
    """Parameter files, in their order, but for pipes, which ROS alone can read."""
    for option, text in itertools.pairwise(arguments):
        path = Path(text)
        if option == _PARAMS_FILE and not path.is_fifo():
            yield path


def _own(arguments: Sequence[str]) -> list[str]:
    """Those outside of --ros-args ... --."""
    own, ours = [], True
    for argument in arguments:
        if argument == '--ros-args':
            ours = False
        elif argument == '--' and not ours:
            ours = True
        elif ours:
            own.append(argument)
    return own


def _sections(content: yaml.Node | None, prefix: str) -> Iterator[str]:
    """Node names, with wildcards, that a parameter file has values for."""
    if isinstance(content, yaml.MappingNode):
        for name, inner in content.value:
            if name.value == 'ros__parameters':
                yield prefix
            else:
                yield from _sections(inner, f'{prefix}/{str(name.value).strip("/")}')
