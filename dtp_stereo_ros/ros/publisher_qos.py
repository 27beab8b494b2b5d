"""QoS of the publishers of a topic, and whether it fits a subscription."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from ..health.finding import Finding


def publisher_faults(
    node: Node, name: str, message_type: type, qos: QoSProfile | None
) -> list[Finding]:
    """One finding for each publisher of a topic that can never reach a subscription of that kind.

    Args:
        node: looks at the graph.
        name: of the topic, before remapping.
        message_type: of the subscription.
        qos: of the subscription; None where it is not known, then only the type is compared.
    """
    expected, topic = type_name(message_type), node.resolve_topic_name(name)
    faults = []
    for info in node.get_publishers_info_by_topic(name):
        if info.topic_type != expected:
            text = (
                f'{topic}: {endpoint_name(info)} publishes {info.topic_type}, expected {expected}'
            )
            mend = f'use a topic of that type: ros2 topic find {expected}'
            faults.append(Finding('error', 'publisher', text, mend))
        elif qos is not None:
            compatible, reason = qos_check_compatible(info.qos_profile, qos)
            if compatible == QoSCompatibility.ERROR:
                text = (
                    f'{topic}: QoS of publisher {endpoint_name(info)} cannot match '
                    f'({_one_line(reason)})'
                )
                faults.append(Finding('error', 'publisher', text, _qos_mend(topic, reason)))
    return faults


def latched_qos(node: Node, name: str, message_type: type) -> QoSProfile | None:
    """The profile that also receives what was sent before, where a publisher keeps that.

    Only such a publisher (transient local) matches it. The name is that before remapping.
    """
    keeps = any(
        info.topic_type == type_name(message_type)
        and info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        for info in node.get_publishers_info_by_topic(name)
    )
    if not keeps:
        return None
    return QoSProfile(
        depth=1,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        reliability=ReliabilityPolicy.RELIABLE,
    )


def type_name(message_type: Any) -> str:
    """'sensor_msgs/msg/Image' of the class."""
    package = message_type.__module__.split('.')[0]
    return f'{package}/msg/{message_type.__name__}'


def endpoint_name(info: Any) -> str:
    """Full name of the node that owns an endpoint, as `get_publishers_info_by_topic` gives it."""
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def _one_line(reason: str) -> str:
    """The reasons of rclpy end in ';' and hold the word ERROR."""
    return ' '.join(reason.replace('ERROR: ', '').split()).rstrip(';')


def _qos_mend(topic: str, reason: str) -> str:
    """Argument that lets our subscription match; it asks for too much only by its overrides."""
    policies = {'reliab': 'reliability:=best_effort', 'durab': 'durability:=volatile'}
    words = reason.lower().replace('transient local', 'durable').replace('best effort', 'reliable')
    values = [
        f'-p qos_overrides.{topic}.subscription.{value}'
        for policy, value in policies.items()
        if policy in words
    ]
    if not values:
        return f'change the QoS of the publisher: ros2 topic info -v {topic}'
    return f'start the node with --ros-args {" ".join(values)}'
