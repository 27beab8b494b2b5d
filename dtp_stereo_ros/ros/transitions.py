"""Lifecycle transitions that the state does not allow are refused on every distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode


def refuse_impossible(node: LifecycleNode) -> None:
    """Answer `success: false` to a transition that the node's state does not allow.

    rclpy of Humble (3.3) and Jazzy (7.1) lets an exception out of the service instead, which ends
    the process without a reply; Kilted (9.1) and Lyrical (10.0) refuse by themselves.
    """
    for service in node.services:
        if service.srv_name.endswith('/change_state'):
            service.callback = _refusing(service.callback, node)


def _refusing(answer: Callable[[Any, Any], Any], node: LifecycleNode) -> Callable[[Any, Any], Any]:
    def guarded(request: Any, response: Any) -> Any:
        try:
            return answer(request, response)
        except rclpy_implementation.RCLError:
            wanted = request.transition.label or request.transition.id
            node.get_logger().error(f'transition {wanted} is not possible in this state')
            response.success = False
            return response

    return guarded
