"""QoS of publishers and subscriptions that the parameters `qos_overrides` may change."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions

from ..errors import ConfigError, one_line

_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


def overridable(profile: QoSProfile) -> dict[str, Any]:
    """Arguments of `Node.create_publisher` and `Node.create_subscription`.

    rclpy writes the overrides into the profile that it gets: each endpoint has a copy.
    """
    return {
        'qos_profile': copy.copy(profile),
        'qos_overriding_options': QoSOverridingOptions(_OVERRIDABLE),
    }


@contextlib.contextmanager
def refused_in_one_line(node: Node, name: str) -> Iterator[None]:
    """Context in which an endpoint of a topic is made.

    Raises:
        ConfigError: rclpy refuses its QoS; names the topic and the parameters.
    """
    try:
        yield
    except (
        InvalidParameterTypeException,
        InvalidQosOverridesError,
        RuntimeError,
        ValueError,
    ) as error:
        topic = node.resolve_topic_name(name)
        raise ConfigError(
            f'{topic}: {one_line(error)}; check the parameters qos_overrides.{topic}'
        ) from error
