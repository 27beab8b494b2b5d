"""`PairPolicy` over message filters.

Upstream's Python synchronisers call back inside their lock (an exception there ends the stream);
this one calls back outside of it.
"""

from __future__ import annotations

import threading
from typing import Any

try:
    from message_filters import SimpleFilter, Subscriber
except ImportError:
    from .message_filters_standin import SimpleFilter, Subscriber

from ..messages.stamps import stamp_ns
from ..pairing.pair_policy import PairPolicy

__all__ = ['SimpleFilter', 'StereoSynchronizer', 'Subscriber']


class StereoSynchronizer(SimpleFilter):
    """Joins two image filters: gives out (left, right) pairs by `PairPolicy`.

    Args:
        left, right: message filters whose messages have a header.
        policy: how to pair; may be replaced or changed under `lock`.
    """

    def __init__(self, left: SimpleFilter, right: SimpleFilter, policy: PairPolicy) -> None:
        super().__init__()
        self.policy = policy
        self.lock = threading.Lock()
        left.registerCallback(self._add, 'left')
        right.registerCallback(self._add, 'right')

    def _add(self, msg: Any, side: str) -> None:
        with self.lock:
            pairs = self.policy.add(side, stamp_ns(msg), msg)
        for pair in pairs:
            self.signalMessage(*pair)
