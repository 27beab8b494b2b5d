"""Stamps of messages."""

from __future__ import annotations

from typing import Any

_NS_PER_S = 1_000_000_000


def stamp_ns(msg: Any) -> int:
    """Stamp of a message's header, nanoseconds."""
    stamp = msg.header.stamp
    return int(stamp.sec) * _NS_PER_S + int(stamp.nanosec)
