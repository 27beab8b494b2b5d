"""ROS parameters made from the fields of `PipelineConfig` and `NodeConfig`.

A value is checked in one place (`config.validate`) whether it comes from the command line, a YAML
file or a running `ros2 param set`; what is refused leaves the old value and says why.

rclpy knows no ranges of ours. Tools are shown those of the sliders, which are narrower than what
is accepted: a slider over all of it would move by tens of metres.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterEvent,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameter_events

from ..config import (
    BACKENDS,
    WITHOUT_COUNTERPART,
    NodeConfig,
    PipelineConfig,
    Tunable,
    nearest_name,
    tunables,
    validate,
)
from ..errors import ConfigError, refusal

_TYPE_NAMES = {
    bool: 'true or false',
    int: 'a whole number',
    float: 'a number with a decimal point, as 1.0',
    str: 'text',
    tuple: "a list of strings, as ['front', 'rear']",
}

# Begins the names of the parameters that rclpy declares for a topic.
_QOS = 'qos_overrides.'

Apply = Callable[[PipelineConfig, NodeConfig], None]


class Parameters:
    """Declares all tunables on a node and keeps the settings that are in force.

    Args:
        node: owner of the parameters.
        overrides: what was given on the command line and in parameter files, for the names that
            nobody declares.

    Attributes:
        pipeline, node: the settings in force.

    Raises:
        ConfigError: an override has the wrong type or is out of range.
    """

    def __init__(self, node: Node, overrides: Mapping[str, Parameter]) -> None:
        self._owner = node
        self._specs = tunables(PipelineConfig) | tunables(NodeConfig)
        self._events = node.create_publisher(
            ParameterEvent, '/parameter_events', qos_profile_parameter_events
        )
        self.pipeline = PipelineConfig(**_declare(node, PipelineConfig))
        self.node = NodeConfig(**_declare(node, NodeConfig))
        try:
            validate(self.pipeline)
            validate(self.node)
        except ConfigError as error:
            raise ConfigError(f'parameter {error}') from error
        self.warn_of_unknown(
            name
            for name in overrides
            # Those of the topics are declared with them.
            if not (node.has_parameter(name) or name.startswith(_QOS))
        )
        self._qos = [name for name in overrides if name.startswith(_QOS)]
        chosen = self.pipeline.backend
        # `auto` takes any that runs a network.
        read = {*BACKENDS} - {'sgbm'} if chosen == 'auto' else {chosen}
        unread = [
            f'{name} (of {self._specs[name].backend})'
            for name in sorted({*overrides} & {*self._specs})
            if self._specs[name].backend not in {'', *read}
        ]
        if unread:
            node.get_logger().info(f'not read by backend {chosen}: {", ".join(unread)}')

    def on_change(self, apply: Apply) -> None:
        """Call `apply(pipeline, node)` with checked settings before they come into force.

        What it raises refuses the change, with its text as the reason.
        """

        def on_set(parameters: Sequence[Parameter]) -> SetParametersResult:
            values = {p.name: p.value for p in parameters}
            try:
                pipeline = _replaced(self.pipeline, values)
                node = _replaced(self.node, values)
                apply(pipeline, node)
            except Exception as error:
                return SetParametersResult(successful=False, reason=str(refusal(error)))
            self.pipeline, self.node = pipeline, node
            return SetParametersResult(successful=True)

        self._owner.add_on_set_parameters_callback(on_set)

    def restore(self, pipeline: PipelineConfig, reason: str) -> None:
        """Set the parameters back to what is in force, after a change failed late."""
        changed = {
            name: value
            for name, value in dataclasses.asdict(pipeline).items()
            if value != getattr(self.pipeline, name)
        }
        self._owner.set_parameters_atomically([Parameter(n, value=v) for n, v in changed.items()])
        self._warn(f'{_listed(changed)}: {reason}')

    def tell_refused(self, refused: Sequence[Parameter], reason: str) -> None:
        """Log why values are refused and send those in force, for tools that show the refused."""
        kept = [self._owner.get_parameter(parameter.name) for parameter in refused]
        self._warn(f'{_listed({parameter.name: parameter.value for parameter in kept})}: {reason}')
        self._events.publish(
            ParameterEvent(
                stamp=self._owner.get_clock().now().to_msg(),
                node=self._owner.get_fully_qualified_name(),
                changed_parameters=[parameter.to_parameter_msg() for parameter in kept],
            )
        )

    def warn_of_unknown(self, names: Iterable[str]) -> None:
        """Log the names that no parameter has, with the nearest that one has."""
        declared = self._owner.get_parameters_by_prefix(_QOS.rstrip('.'))
        topics = [f'{_QOS}{name}' for name in declared]
        found = [
            _unknown(name, topics) for name in sorted(names) if not self._owner.has_parameter(name)
        ]
        if found:
            self._warn(f'no such parameter, it is ignored: {"; ".join(found)}')

    def warn_of_unread_qos(self) -> None:
        """Log the overrides of QoS that no topic has, once all topics have theirs."""
        self.warn_of_unknown(self._qos)
        self._qos = []

    def with_slider(self, described: ParameterDescriptor) -> ParameterDescriptor:
        """A descriptor with the range of the parameter's slider, if it has one.

        Where the value in force is beyond the slider, the range is all that is accepted.
        """
        spec = self._specs.get(described.name)
        if spec is None or spec.minimum is None or spec.maximum is None:
            return described
        value = self._owner.get_parameter(described.name).value
        low, high = spec.slider or (spec.minimum, spec.maximum)
        if not low <= value <= high:
            low, high = spec.minimum, spec.maximum
        shown = copy.deepcopy(described)
        if isinstance(value, float):
            shown.floating_point_range = [
                FloatingPointRange(from_value=low, to_value=high, step=spec.step)
            ]
        else:
            shown.integer_range = [
                IntegerRange(from_value=int(low), to_value=int(high), step=int(spec.step))
            ]
        return shown

    def _warn(self, text: str) -> None:
        # In one place: rclpy takes one severity for each line of code.
        self._owner.get_logger().warning(text)


def descriptor(spec: Tunable) -> ParameterDescriptor:
    """Description and constraints of a tunable, without the range of its slider."""
    text, constraints = spec.description, ''
    if spec.choices:
        text += f' One of {", ".join(spec.choices)}.'
        constraints = f'one of: {", ".join(spec.choices)}'
    if spec.backend:
        text += f' Of backend {spec.backend} only.'
    if spec.minimum is not None:
        constraints = f'accepted: {spec.minimum:g} .. {spec.maximum:g}'
    unit = f' [{spec.unit}]' if spec.unit else ''
    return ParameterDescriptor(
        description=text + unit, additional_constraints=constraints, read_only=not spec.live
    )


def _listed(values: Mapping[str, Any]) -> str:
    stay = 'stay' if len(values) > 1 else 'stays'
    return f'{", ".join(values)} {stay} {", ".join(map(str, values.values()))}'


def _unknown(name: str, qos: Sequence[str]) -> str:
    if name in WITHOUT_COUNTERPART:
        return f"{name} (stereo_image_proc's: {WITHOUT_COUNTERPART[name]})"
    if name.startswith(_QOS):
        nearest = next(iter(difflib.get_close_matches(name, qos, n=1)), '')
    else:
        nearest = nearest_name(name)
    return f'{name} (is {nearest} meant?)' if nearest else name


def _declare(node: Node, cls: type) -> dict[str, Any]:
    """Declare every field of a config class; returns the values, overrides applied."""
    defaults = cls()
    values = {}
    for name, spec in tunables(cls).items():
        default = getattr(defaults, name)
        try:
            # rclpy has lists where a config has tuples.
            declared = list(default) if isinstance(default, tuple) else default
            parameter = node.declare_parameter(name, declared, descriptor(spec))
        except InvalidParameterTypeException as error:
            wanted = _TYPE_NAMES[type(default)]
            raise ConfigError(f'parameter {name}: must be {wanted}') from error
        except InvalidParameterValueException as error:
            raise ConfigError(f'parameter {name}: {error}') from error
        values[name] = parameter.value
        if isinstance(default, tuple):
            values[name] = tuple(parameter.value or default)  # an empty list comes as None
    return values


def _replaced(config: Any, values: dict[str, Any]) -> Any:
    """The settings with those of the values that are its fields, checked."""
    known = tunables(type(config))
    changed = dataclasses.replace(config, **{k: v for k, v in values.items() if k in known})
    validate(changed)
    return changed
