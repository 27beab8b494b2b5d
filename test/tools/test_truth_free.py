"""The report on measures without truth."""

from __future__ import annotations

import math

import pytest

pytest.importorskip('tqdm')

from tools.truth_free import MEASURES, Figures, correlation, report  # needs tqdm


def test_rank_correlation_by_hand() -> None:
    assert correlation([1, 2, 3, 4], [10, 20, 300, 4000]) == pytest.approx(1)
    assert correlation([4, 3, 2, 1], [1, 2, 3, 4]) == pytest.approx(-1)
    # Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
    assert correlation([1, 2, 2, 5], [1, 2, 3, 4]) == pytest.approx(0.9487, abs=1e-4)
    assert correlation([1, 2, 3, 4, math.nan], [1, 2, 3, 4, 0]) == pytest.approx(1)
    assert math.isnan(correlation([1, 2, 3], [1, 2, 3]))


def test_the_best_measure_comes_first() -> None:
    figures = [
        Figures(
            f'scene {scene}',
            f'method {method}',
            {
                'epe_px': method + scene / 10,
                'bad_3': method / 10 + scene / 100,
                'census': method + scene / 10,
                'photometric': -method - scene / 10,
                'agreement': -method - scene / 10,
            },
        )
        for scene in range(4)
        for method in range(5)
    ]
    lines = [line.split('|')[1:] for line in report(figures, 'made').splitlines() if '|' in line]
    rows = {
        cells[0].strip(): [c.strip() for c in cells[1:5]] for cells in lines[2 : 2 + len(MEASURES)]
    }
    assert rows['census'] == ['+1.00'] * 4
    assert rows['SGBM agrees'] == ['+1.00'] * 4  # more is better
    assert rows['photometric'] == ['-1.00'] * 4
    assert rows['flicker'] == ['-'] * 4  # not known
