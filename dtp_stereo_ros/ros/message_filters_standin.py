"""`Subscriber` and `SimpleFilter` as `message_filters` has them, for where it is not installed.

The PyPI wheels of ROS 2 bring rclpy but not `message_filters`. Only what `synchronizer` and
`inputs` use is here, under the upstream names and signatures, so that the code above runs on
either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node


class SimpleFilter:
    """Calls the registered callbacks with each message that it gives out."""

    def __init__(self) -> None:
        self._callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def registerCallback(self, callback: Callable[..., None], *args: Any) -> int:  # noqa: N802
        """Call `callback(*messages, *args)` from now on."""
        self._callbacks.append((callback, args))
        return len(self._callbacks) - 1

    def signalMessage(self, *messages: Any) -> None:  # noqa: N802
        """Give messages to all registered callbacks."""
        for callback, args in self._callbacks:
            callback(*messages, *args)


class Subscriber(SimpleFilter):
    """A subscription whose messages go to the registered callbacks.

    Args:
        node: owner of the subscription.
        *args: as of `Node.create_subscription`, without the callback: type, topic.
        **kwargs: as of `Node.create_subscription`; `qos_profile` is one of them.
    """

    def __init__(self, node: Node, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        kwargs.setdefault('qos_profile', 10)
        self.sub = node.create_subscription(*args, self.callback, **kwargs)

    def callback(self, msg: Any) -> None:
        """Take one message from the subscription."""
        self.signalMessage(msg)
