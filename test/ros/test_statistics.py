"""Counts of a camera's pairs."""

from __future__ import annotations

import pytest

from dtp_stereo_ros.ros.statistics import Statistics


def test_a_row_of_drops_is_of_pairs_that_were_taken() -> None:
    """A busy worker takes some of the pairs: those that it never saw do not end the row."""
    statistics = Statistics(lambda _: None)
    for number in range(1, 6):
        statistics.drop('busy')
        statistics.drop('stale')
        statistics.drop('unwanted')
        assert statistics.in_row('stale') == number
    statistics.result(0.1, 0.1, 1.0, 0.5)
    assert statistics.in_row('stale') == 0
    statistics.drop('stale')
    statistics.drop('error')
    assert (statistics.in_row('stale'), statistics.in_row('error')) == (0, 1)


@pytest.mark.parametrize('cause', ['busy', 'unwanted'])
def test_pairs_that_were_not_taken_are_no_row(cause: str) -> None:
    statistics = Statistics(lambda _: None)
    for _ in range(3):
        statistics.drop(cause)
    assert statistics.in_row(cause) == 0
