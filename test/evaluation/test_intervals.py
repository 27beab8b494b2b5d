"""Bootstrap intervals over images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.evaluation import intervals
from dtp_stereo_ros.evaluation.intervals import Sample, bootstrap, paired_difference

NAN = math.nan
VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


def test_two_images_have_the_interval_of_their_three_means() -> None:
    # Draws of two from {0, 1}: means 0, 1/2, 1 with 25, 50, 25 %, so that 95 % is all.
    found = bootstrap([0.0, 1.0])
    assert (found.mean, found.low, found.high, found.images) == (0.5, 0.0, 1.0, 2)


def test_many_images_have_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = bootstrap(values.tolist())
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


@pytest.mark.parametrize('images', [2, 3, 4, 6, 8, 13, 30])
def test_chance_is_called_a_difference_in_one_of_twenty_cases(images: int) -> None:
    rng = np.random.default_rng(images)
    samples = rng.standard_normal((400, images))
    told = np.mean([bootstrap(list(sample), resamples=1000).excludes_zero for sample in samples])
    assert told <= 0.085


def test_images_without_a_value_are_left_out() -> None:
    assert bootstrap([1.0, NAN, 3.0]) == bootstrap([1.0, 3.0])
    one = bootstrap([NAN, 2.0])
    assert (one.mean, one.images) == (2.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    none = bootstrap([NAN])
    assert math.isnan(none.mean)
    assert none.images == 0


def test_a_difference_is_paired() -> None:
    # The images differ by far more than the methods: only the pairing shows who is better.
    baseline = [1.0, 10.0, 40.0, 5.0, 2.0, 30.0]
    values = [0.5, 9.0, 39.5, 4.0, 1.5, 29.0]
    found = paired_difference(values, baseline)
    assert found.mean == pytest.approx(-0.75)
    assert -1.0 <= found.low <= found.high <= -0.5
    assert found.excludes_zero
    # Five of one sign are no evidence.
    assert paired_difference(values[1:], baseline[1:]).high <= -0.5
    assert not paired_difference(values[1:], baseline[1:]).excludes_zero
    assert not paired_difference([1.0, 2.0], [2.0, 1.0]).excludes_zero
    assert not paired_difference([NAN], [1.0]).excludes_zero


def test_a_difference_needs_both_of_an_image() -> None:
    found = paired_difference([1.0, NAN, 3.0], [0.0, 0.0, NAN])
    assert (found.mean, found.images) == (1.0, 1)
    with pytest.raises(ValueError, match='2 values are paired with 1'):
        paired_difference([1.0, 2.0], [1.0])


@given(VALUES)
def test_it_is_the_same_each_time_and_within_the_values(values: list[float]) -> None:
    found = bootstrap(values)
    assert found == bootstrap(values)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


@given(VALUES, st.floats(-5, 5))
def test_a_constant_difference_has_no_width(values: list[float], shift: float) -> None:
    found = paired_difference([value + shift for value in values], values)
    assert found.low == pytest.approx(shift, abs=1e-6)
    assert found.high == pytest.approx(shift, abs=1e-6)


def test_many_images_have_the_interval_that_the_bootstrap_approaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).exponential(2.0, 4000).tolist()
    drawn = intervals.bootstrap(values)
    monkeypatch.setattr(intervals, 'MOST_DRAWN', 100)
    found = intervals.bootstrap(values)
    assert (found.mean, found.images) == (drawn.mean, drawn.images)
    width = drawn.high - drawn.low
    assert found.low == pytest.approx(drawn.low, abs=0.05 * width)
    assert found.high == pytest.approx(drawn.high, abs=0.05 * width)


@given(VALUES)
def test_values_that_come_one_by_one_have_the_same_interval(values: list[float]) -> None:
    sample = Sample()
    for value in [*values, float('nan')]:
        sample.add(value)
    assert sample.interval() == bootstrap(values)


def test_of_many_values_only_moments_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (1e4 + np.random.default_rng(0).normal(size=300)).tolist()
    monkeypatch.setattr(intervals, 'MOST_DRAWN', 100)
    sample = Sample()
    for value in values:
        sample.add(value)
    found, expected = sample.interval(), bootstrap(values)
    assert found.images == sample.count == 300
    assert (found.mean, found.low) == pytest.approx((expected.mean, expected.low), abs=1e-8)


def test_draws_in_pieces_are_those_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=701).tolist()
    whole = bootstrap(values)
    monkeypatch.setattr(intervals, '_CHUNK', 10_000)
    assert bootstrap(values) == whole
