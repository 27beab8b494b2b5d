"""Pairs of messages, and the subscriptions that they come from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.pairing.pair_policy import PairPolicy
from dtp_stereo_ros.ros import synchronizer
from dtp_stereo_ros.ros.synchronizer import StereoSynchronizer, subscribe


def message(stamp: int) -> Any:
    parts = SimpleNamespace(sec=stamp // 10**9, nanosec=stamp % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=parts))


def test_pairs_are_given_out_outside_of_the_lock() -> None:
    pairs: list[tuple[int, int]] = []

    def keep(left: Any, right: Any) -> None:
        assert not joined.lock.locked()
        pairs.append((stamp_ns(left), stamp_ns(right)))

    joined = StereoSynchronizer(PairPolicy(), keep)
    stamps = [10**9, 2 * 10**9, 3 * 10**9]
    for stamp in stamps:
        joined.add('left', message(stamp))
        joined.add('right', message(stamp))
    assert pairs == [(stamp, stamp) for stamp in stamps]


class Filter:
    """`message_filters.Subscriber`, as far as it is used."""

    def __init__(self, node: Any, *args: Any, **kwargs: Any) -> None:
        self.callbacks: list[Any] = []
        self.sub = node.create_subscription(*args, self.callback, **kwargs)

    def registerCallback(self, callback: Any, *args: Any) -> None:  # noqa: N802
        self.callbacks.append(callback)

    def callback(self, msg: Any) -> None:
        for callback in self.callbacks:
            callback(msg)


class Node:
    """Keeps what it is asked to subscribe to."""

    def create_subscription(self, *args: Any, **options: Any) -> tuple[Any, ...]:
        return (*args, options)


@pytest.mark.parametrize('filter_class', [None, Filter])
def test_messages_arrive_with_and_without_message_filters(
    monkeypatch: pytest.MonkeyPatch, filter_class: Any
) -> None:
    monkeypatch.setattr(synchronizer, 'Subscriber', filter_class)
    got: list[str] = []
    made: Any = subscribe(Node(), str, 'left', got.append, qos_profile=5)  # type: ignore[arg-type]
    message_class, topic, callback, options = made
    assert (message_class, topic, options) == (str, 'left', {'qos_profile': 5})
    callback('image')
    assert got == ['image']
