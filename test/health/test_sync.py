"""Causes of images that do not pair; their mends can be typed as they stand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.health.sync import late_finding, unpaired_finding
from dtp_stereo_ros.pairing.image_stream import Arrival
from dtp_stereo_ros.pairing.pair_policy import PairPolicy

TOPICS = {'left': '/l', 'right': '/r'}


@given(st.integers(1, 4_999_999_999))
def test_the_tolerance_is_a_number_that_the_parameter_takes(gap_ns: int) -> None:
    """A node refuses a whole number, and a number that YAML takes for text."""
    found = unpaired_finding(gap_ns, '/depth_node', approximate=True, tolerance_ns=0)
    *_, name, value = found.mend.split()
    assert name == 'approximate_sync_tolerance_seconds'
    assert re.fullmatch(r'\d+\.\d+', value)
    assert float(value) >= 1e-9 * gap_ns


@pytest.mark.parametrize(('behind', 'late'), [(5, 'right'), (5, 'left'), (9, 'right')])
def test_a_side_that_comes_too_late_is_told_and_its_mend_pairs(behind: int, late: str) -> None:
    early = 'left' if late == 'right' else 'right'
    arrivals: dict[str, list[Arrival]] = {'left': [], 'right': []}
    for now in range(30):
        arrivals[early].append((33 * now, 2 * now))
        if now >= behind:
            arrivals[late].append((33 * (now - behind), 2 * now + 1))

    def pairs(queue_size: int) -> int:
        policy = PairPolicy(queue_size)
        order = sorted((at, side, stamp) for side in arrivals for stamp, at in arrivals[side])
        return sum(len(policy.add(side, stamp, None)) for _, side, stamp in order)

    found = late_finding(arrivals, TOPICS, queue_size=5)
    assert found is not None
    assert f'{TOPICS[late]} comes {behind} frames after the other side' in found.text
    needed = int(found.mend.rpartition(':=')[2])
    assert (pairs(5), pairs(needed)) == (0, 30 - behind)
    assert late_finding(arrivals, TOPICS, needed) is None


def test_other_stamps_are_not_called_late() -> None:
    arrivals = {
        'left': [(33 * n, n) for n in range(30)],
        'right': [(33 * n + 5, n) for n in range(30)],
    }
    assert late_finding(arrivals, TOPICS, queue_size=5) is None
