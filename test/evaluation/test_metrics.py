"""Metrics against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import metrics

NAN = np.nan


def px(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


# Errors: 0, 1, 2, 3.5 / hole, 6, no truth, 20 px.
TRUTH = px([10, 10, 10, 10], [10, 130, NAN, 30])
ESTIMATE = px([10, 11, 8, 13.5], [NAN, 136, 5, 50])


def test_epe_is_the_mean_over_pixels_with_truth_and_estimate() -> None:
    assert metrics.epe_px(ESTIMATE, TRUTH) == pytest.approx((0 + 1 + 2 + 3.5 + 6 + 20) / 6)


@pytest.mark.parametrize(
    ('threshold', 'own', 'strict'),
    [(0.5, 5 / 6, 6 / 7), (1.0, 4 / 6, 5 / 7), (2.0, 3 / 6, 4 / 7), (3.0, 3 / 6, 4 / 7)],
)
def test_bad_counts_errors_above_and_not_at_the_threshold(
    threshold: float, own: float, strict: float
) -> None:
    assert metrics.bad(ESTIMATE, TRUTH, threshold) == pytest.approx(own)
    assert metrics.bad(ESTIMATE, TRUTH, threshold, 'error') == pytest.approx(strict)
    name = f'bad_{threshold:g}'.replace('.', '_')
    assert getattr(metrics.score(ESTIMATE, TRUTH), name) == pytest.approx(own)


def test_d1_needs_more_than_3_px_and_more_than_5_percent() -> None:
    # 3.5 of 10 and 20 of 30 are wrong; 6 of 130 is more than 3 px but 4.6 %.
    assert metrics.d1(ESTIMATE, TRUTH) == pytest.approx(2 / 6)
    assert metrics.d1(ESTIMATE, TRUTH, 'error') == pytest.approx(3 / 7)


def test_density_is_over_pixels_with_truth() -> None:
    assert metrics.density(ESTIMATE, TRUTH) == pytest.approx(6 / 7)


def test_an_infinite_estimate_is_a_hole() -> None:
    estimate = px([np.inf, 4.0])
    truth = px([4.0, 4.0])
    assert metrics.epe_px(estimate, truth) == 0.0
    assert metrics.bad(estimate, truth, 1.0, 'error') == 0.5


def test_nothing_to_judge_is_nan_and_not_zero() -> None:
    empty = px([NAN, NAN])
    no_truth = metrics.score(px([1, 2]), empty)
    assert all(math.isnan(value) for value in vars(no_truth).values())
    no_estimate = metrics.score(empty, px([1, 2]))
    assert math.isnan(no_estimate.epe_px)
    assert math.isnan(no_estimate.bad_3)
    assert no_estimate.density == 0.0
    assert metrics.bad(empty, px([1, 2]), 3.0, 'error') == 1.0


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match=r'estimate is 3x1 but the truth is 2x1'):
        metrics.epe_px(px([1, 2, 3]), px([1, 2]))


def mean_of(*scores: metrics.Score) -> metrics.Score:
    found = metrics.MeanScore()
    for score in scores:
        found.add(score)
    assert found.images == len(scores)
    return found.mean()


def test_average_weighs_images_and_not_pixels() -> None:
    small = metrics.score(px([1, 5]), px([1, 1]))
    large = metrics.score(px([1] * 100), px([1] * 100))
    mean = mean_of(small, large)
    assert mean.epe_px == pytest.approx((2 + 0) / 2)
    assert mean.bad_3 == pytest.approx((0.5 + 0) / 2)


def test_average_leaves_out_images_without_a_value() -> None:
    judged = metrics.score(px([1, 3]), px([1, 1]))
    not_judged = metrics.score(px([NAN, NAN]), px([1, 1]))
    mean = mean_of(judged, not_judged)
    assert mean.epe_px == pytest.approx(1.0)
    assert mean.density == pytest.approx(0.5)
    assert math.isnan(mean_of(not_judged).epe_px)
