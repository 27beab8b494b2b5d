"""ROS parameters made from the fields of `PipelineConfig` and `NodeConfig`.

A value is checked in one place (`config.validate`) whether it comes from the command line, a YAML
file or a running `ros2 param set`; what is refused leaves the old value and says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..config import NodeConfig, PipelineConfig, Tunable, tunables, validate
from ..errors import ConfigError, StereoError

_TYPE_NAMES = {
    bool: 'true or false',
    int: 'a whole number',
    float: 'a number with a decimal point, as 1.0',
    str: 'text',
    tuple: "a list of texts, as ['front', 'rear']",
}

Apply = Callable[[PipelineConfig, NodeConfig], None]


class Parameters:
    """Declares all tunables on a node and keeps the settings that are in force.

    Args:
        node: owner of the parameters.

    Attributes:
        pipeline, node: the settings in force.

    Raises:
        ConfigError: an override has the wrong type or is out of range.
    """

    def __init__(self, node: Node) -> None:
        self._owner = node
        self.pipeline = PipelineConfig(**_declare(node, PipelineConfig))
        self.node = NodeConfig(**_declare(node, NodeConfig))
        validate(self.pipeline)
        validate(self.node)

    def on_change(self, apply: Apply) -> None:
        """Call `apply(pipeline, node)` with checked settings before they come into force.

        A `StereoError` that it raises refuses the change, with its text as the reason.
        """

        def on_set(parameters: Sequence[Parameter]) -> SetParametersResult:
            values = {p.name: p.value for p in parameters}
            try:
                pipeline = _replaced(self.pipeline, values)
                node = _replaced(self.node, values)
                apply(pipeline, node)
            except StereoError as error:
                return SetParametersResult(successful=False, reason=str(error))
            self.pipeline, self.node = pipeline, node
            return SetParametersResult(successful=True)

        self._owner.add_on_set_parameters_callback(on_set)

    def restore(self, pipeline: PipelineConfig) -> None:
        """Set the parameters back to what is in force, after a change failed late."""
        self.pipeline = pipeline
        self._owner.set_parameters(
            [Parameter(name, value=value) for name, value in dataclasses.asdict(pipeline).items()]
        )


def descriptor(spec: Tunable, default: Any) -> ParameterDescriptor:
    """What rqt_reconfigure and `ros2 param describe` show of a tunable."""
    unit = f' [{spec.unit}]' if spec.unit else ''
    made = ParameterDescriptor(description=spec.description + unit, read_only=not spec.live)
    if spec.choices:
        made.additional_constraints = 'one of: ' + ', '.join(spec.choices)
    if spec.minimum is None or spec.maximum is None:
        return made
    if isinstance(default, float):
        # Any step but 0.0 makes rclpy refuse values that are not whole steps from the minimum.
        made.floating_point_range = [
            FloatingPointRange(from_value=spec.minimum, to_value=spec.maximum, step=0.0)
        ]
    else:
        made.integer_range = [
            IntegerRange(from_value=int(spec.minimum), to_value=int(spec.maximum), step=1)
        ]
    return made


def _declare(node: Node, cls: type) -> dict[str, Any]:
    """Declare every field of a config class; returns the values, overrides applied."""
    defaults = cls()
    values = {}
    for name, spec in tunables(cls).items():
        default = getattr(defaults, name)
        try:
            # rclpy has lists where a config has tuples.
            declared = list(default) if isinstance(default, tuple) else default
            parameter = node.declare_parameter(name, declared, descriptor(spec, default))
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
