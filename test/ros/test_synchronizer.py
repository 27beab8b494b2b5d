"""Pairs of messages over message filters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.pairing.pair_policy import PairPolicy
from dtp_stereo_ros.ros.message_filters_standin import SimpleFilter as StandInFilter
from dtp_stereo_ros.ros.synchronizer import SimpleFilter, StereoSynchronizer


@pytest.mark.parametrize('filter_class', {SimpleFilter, StandInFilter})
def test_synchronizer_over_filters(filter_class: Any) -> None:
    """On the installed message_filters where there is one, and on the stand-in."""
    left, right = filter_class(), filter_class()
    synchronizer = StereoSynchronizer(left, right, PairPolicy())
    pairs: list[tuple[int, int]] = []

    def keep(l_msg: Any, r_msg: Any) -> None:
        assert not synchronizer.lock.locked()
        pairs.append((stamp_ns(l_msg), stamp_ns(r_msg)))

    synchronizer.registerCallback(keep)
    stamps = [10**9, 2 * 10**9, 3 * 10**9]
    for stamp in stamps:
        left.signalMessage(message(stamp))
        right.signalMessage(message(stamp))
    assert pairs == [(s, s) for s in stamps]


def message(stamp: int) -> Any:
    parts = SimpleNamespace(sec=stamp // 10**9, nanosec=stamp % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=parts))
