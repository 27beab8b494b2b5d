"""Whose clock a stamp is read in."""

from __future__ import annotations

import pytest

from dtp_stereo_ros.ros.processor import age_s

S = 1_000_000_000
NOW = 1_795_000_000 * S


@pytest.mark.parametrize(
    ('stamp', 'received', 'now', 'expected_s'),
    [
        (NOW - 2 * S, NOW - S, NOW, 2.0),  # live: from the stamp
        (NOW - 50 * S, NOW - S, NOW, 50.0),  # live, and very late
        (1_403_715_273 * S, NOW - S, NOW, 1.0),  # a bag of 2014: from reception
        (5 * S, NOW - S // 2, NOW, 0.5),  # a camera that stamps by its uptime
        (NOW + S, NOW - S // 4, NOW, -1.0),  # a camera whose clock is ahead
        (1_403_715_273 * S, 0, 0, 0.0),  # use_sim_time before the first /clock
    ],
)
def test_age(stamp: int, received: int, now: int, expected_s: float) -> None:
    assert age_s(stamp, received, now) == expected_s
