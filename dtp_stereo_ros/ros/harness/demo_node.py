"""The ROS side of the demo: rclpy in a domain of its own, and the node that sends and listens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from .node_process import LARGE_MESSAGES_ENV, domain_of


@contextmanager
def running_rclpy() -> Iterator[None]:
    """A session of rclpy, which is ended whatever happens.

    A domain of its own is neither heard by, nor disturbed by, what else runs in the network.
    """
    domain = domain_of(os.getpid())
    for name, value in {**LARGE_MESSAGES_ENV, 'ROS_DOMAIN_ID': domain}.items():
        os.environ.setdefault(name, value)

    # Ours stay, so that Ctrl-C and SIGTERM unwind the stack and take the node down.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.try_shutdown()


def demo_node(namespace: str) -> Node:
    """The node of the demo, in its namespace."""
    return rclpy.create_node('demo', namespace=namespace)
