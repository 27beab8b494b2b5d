"""Figures of a replay, by hand."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest

from dtp_stereo_ros.evaluation.replay_figures import (
    LOCKSTEP,
    REAL_TIME,
    Answer,
    DisparityHash,
    Load,
    ReplayFigures,
    percentiles,
)

NAN = float('nan')


def test_percentiles_of_what_is_known() -> None:
    found = percentiles([NAN, *range(101)])
    assert found == {'mean': 50, 'p50': 50, 'p95': 95, 'p99': 99, 'max': 100}
    assert percentiles([NAN]) is None
    assert percentiles([]) is None


def test_every_lost_pair_has_a_cause() -> None:
    figures = ReplayFigures(REAL_TIME, 1.0, sent=10, answers=[Answer(0.1, 20.0)] * 4)
    assert figures.causes() == {'no result': 6}
    figures.dropped = {'busy': 2, 'stale': 0}
    assert figures.causes() == {'busy': 2, 'no result': 4}
    figures.paired = 7
    assert figures.causes() == {'busy': 2, 'images lost': 3, 'no result': 1}
    figures.paired = 5  # all but one of the others were never complete
    assert figures.causes() == {'busy': 2, 'images lost': 4}
    assert sum(figures.causes().values()) == figures.lost == 6


def test_the_hash_is_of_little_endian_floats_in_order() -> None:
    first, second = np.array([[1.5, -1.0]], '>f4'), np.array([[2.0]], np.float32)
    digest = DisparityHash()
    digest.add(first)
    digest.add(second)
    assert digest.text() == hashlib.sha256(struct.pack('<3f', 1.5, -1.0, 2.0)).hexdigest()


def test_long_series_are_thinned_out_and_rates_are_by_wall_time() -> None:
    answers = [Answer(0.01 * i, 20.0, 30.0) for i in range(5000)]
    loads = [Load(0.5 * i, 50.0, 100.0, NAN) for i in range(100)]
    figures = ReplayFigures(REAL_TIME, sent=5500, duration_s=50.0, answers=answers, loads=loads)
    values = figures.as_values()
    assert (values['rate_in_hz'], values['rate_out_hz']) == pytest.approx((110, 100))
    assert 1000 < len(values['answers']['time_s']) <= 2000
    assert len(values['loads']['time_s']) == 100
    assert values['age_ms'] is None
    assert any('5000 answered, 500 lost' in line for line in figures.lines())
    figures.hashes = ['a', 'b']
    assert 'the loops differ' in figures.lines()[-1]
    empty = ReplayFigures(LOCKSTEP).as_values()
    assert (empty['rate_in_hz'], empty['sha256']) == (None, None)
