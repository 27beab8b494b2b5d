"""Depth errors, and errors by range and image region, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dtp_stereo_ros.evaluation.depth_score import depth_errors_m, depth_score
from dtp_stereo_ros.evaluation.places import GRID_COLUMNS, GRID_ROWS, PlaceErrors
from dtp_stereo_ros.stereo import StereoCalibration

NAN = float('nan')
# f T = 40 px m, and infinity at a raw disparity of 2 px: 4 m at 12 px, 10 m at 6 px.
CALIBRATION = StereoCalibration(100.0, 100.0, 4.0, 2.0, 2.0, 0.4, 8, 6)


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_depth_errors_by_hand() -> None:
    truth = row(12, 12, 6, 6, NAN, 2.4, 2.0)
    estimate = row(12, 6, 12, NAN, 12, 12, 12)
    errors, truth_m = depth_errors_m(estimate, truth, CALIBRATION)
    # 2.4 px is 100 m and 2 px infinity: too far to be judged.
    np.testing.assert_allclose(truth_m, row(4, 4, 10, 10, NAN, NAN, NAN))
    np.testing.assert_allclose(errors, row(0, 6, -6, NAN, NAN, NAN, NAN))
    found = depth_score(estimate, truth, CALIBRATION)
    assert found.depth_rmse_m == pytest.approx(np.sqrt((36 + 36) / 3))
    assert found.depth_abs_rel == pytest.approx((6 / 4 + 6 / 10) / 3)


def test_an_estimate_beyond_infinity_is_cut_at_80_m() -> None:
    found = depth_score(row(1, 2.1), row(12, 12), CALIBRATION)
    assert found.depth_rmse_m == pytest.approx(76)
    assert found.depth_abs_rel == pytest.approx(19)


def test_nothing_to_judge_is_nan() -> None:
    found = depth_score(row(NAN, 12), row(12, NAN), CALIBRATION)
    assert np.isnan(found.depth_rmse_m) and np.isnan(found.depth_abs_rel)


def test_errors_by_range() -> None:
    places = PlaceErrors()
    # 4 m belongs to the range that ends there.
    places.add(row(12, 6, 6, 12), row(12, 12, 6, NAN), CALIBRATION)
    places.add(row(6, 2.1, 6, 6), row(6, 6, 1, 2.1), CALIBRATION)
    near, far = places.by_range()
    assert (near['from_m'], near['to_m'], near['pixels']) == (2, 4, 2)
    assert (near['epe_px'], near['bad_3']) == (3, 0.5)
    assert near['depth_rmse_m'] == pytest.approx(np.sqrt(18))
    assert near['depth_abs_rel'] == pytest.approx(0.75)
    assert (far['from_m'], far['to_m'], far['pixels']) == (8, 16, 3)
    assert far['epe_px'] == pytest.approx(3.9 / 3)
    assert far['depth_rmse_m'] == pytest.approx(np.sqrt(70**2 / 3))


def test_errors_by_disparity() -> None:
    """Ranges begin at their lower end, and the last one has no upper one."""
    first, second = PlaceErrors(), PlaceErrors()
    first.add(row(9, 8, 4, 250), row(8, 7.9, NAN, 200), None)
    second.add(row(NAN, 20, 14, 196), row(12, 15, 10, 192), None)
    assert first.by_disparity() == [
        {'from_px': 0, 'to_px': 8, 'pixels': 1, 'epe_px': pytest.approx(0.1), 'bad_3': 0},
        {'from_px': 8, 'to_px': 16, 'pixels': 1, 'epe_px': 1, 'bad_3': 0},
        {'from_px': 192, 'to_px': float('inf'), 'pixels': 1, 'epe_px': 50, 'bad_3': 1},
    ]
    first.merge(second)
    low, middle, last = first.by_disparity()
    assert low['pixels'] == 1
    # The hole has no part in the EPE, and is wrong.
    assert (middle['pixels'], middle['epe_px']) == (4, pytest.approx((1 + 5 + 4) / 3))
    assert middle['bad_3'] == pytest.approx(3 / 4)
    assert (last['pixels'], last['bad_3']) == (2, 1)
    assert sum(line['pixels'] for line in first.by_region()) == 7


def test_errors_by_region() -> None:
    truth = np.full((6, 8), 12, np.float32)
    truth[:2, :2] = NAN
    estimate = truth.copy()
    estimate[4:, 6:] += 4
    estimate[4, 6] = NAN
    places = PlaceErrors()
    places.add(estimate, truth, None)
    assert places.by_range() == []
    regions = places.by_region()
    assert len(regions) == GRID_ROWS * GRID_COLUMNS
    first, last = regions[0], regions[-1]
    assert first['pixels'] == 0 and np.isnan(first['bad_3'])
    assert (last['row'], last['column'], last['pixels']) == (2, 3, 4)
    assert (last['epe_px'], last['bad_3']) == (4, 1)
    assert sum(region['pixels'] for region in regions) == 48 - 4
    assert all(region['bad_3'] == 0 for region in regions[1:-1])
    assert PlaceErrors().by_region() == []


def test_what_was_not_found_is_wrong_in_the_same_places() -> None:
    truth = row(12, 12, 6, 250, NAN)
    found, nothing = PlaceErrors(), PlaceErrors()
    found.add(row(12, 6, 6, 250, 3), truth, CALIBRATION)
    nothing.add(np.full_like(truth, NAN), truth, CALIBRATION)
    for kind in ('by_disparity', 'by_range', 'by_region'):
        lines, others = getattr(found, kind)(), getattr(nothing, kind)()
        assert [line['pixels'] for line in lines] == [line['pixels'] for line in others]
        for line in others:
            if line['pixels']:
                assert line['bad_3'] == 1
            for key in ('epe_px', 'depth_rmse_m', 'depth_abs_rel'):
                assert np.isnan(line.get(key, NAN))
