"""Image subscriptions, and pairs of their messages by `PairPolicy`.

The synchronisers of message_filters call back inside their lock, where an exception ends the
stream; this one calls back outside of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

try:
    from message_filters import Subscriber
except ImportError:  # the wheels of ROS 2 on PyPI have none
    Subscriber = None

from ..messages.stamps import stamp_ns
from ..pairing.pair_policy import PairPolicy


def subscribe(
    node: Node, message: type, topic: str, callback: Callable[[Any], None], **options: Any
) -> Subscription:
    """Subscribe by message_filters, or where it is not installed by the node itself.

    Args:
        node: owner of the subscription.
        message, topic: what is subscribed to.
        callback: called with each message.
        options: of `Node.create_subscription`, `qos_profile` among them.
    """
    if Subscriber is None:
        return node.create_subscription(message, topic, callback, **options)
    source = Subscriber(node, message, topic, **options)
    source.registerCallback(callback)
    return source.sub


class StereoSynchronizer:
    """Pairs of left and right messages.

    Args:
        policy: decides; may be replaced or changed under `lock`.
        on_pair: called with (left, right), outside of the lock.
    """

    def __init__(self, policy: PairPolicy, on_pair: Callable[[Any, Any], None]) -> None:
        self.policy = policy
        self.lock = threading.Lock()
        self._on_pair = on_pair

    def add(self, side: str, msg: Any) -> None:
        """Take a message of 'left' or 'right' that has a header."""
        with self.lock:
            pairs = self.policy.add(side, stamp_ns(msg), msg)
        for left, right in pairs:
            self._on_pair(left, right)
