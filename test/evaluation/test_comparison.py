"""Accuracy rows, their tables and the result file, of scenes whose figures are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dtp_stereo_ros.confidence import confidence_of
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import result_file, tables
from dtp_stereo_ros.evaluation.anatomy import CLASSES
from dtp_stereo_ros.evaluation.columns import ACCURACY_KEYS, COLUMNS, SCORE_KEYS
from dtp_stereo_ros.evaluation.comparison import accuracy
from dtp_stereo_ros.evaluation.datasets import Truth
from dtp_stereo_ros.evaluation.intervals import Interval
from dtp_stereo_ros.evaluation.metrics import Score
from dtp_stereo_ros.evaluation.result_file import as_document, json_pieces
from dtp_stereo_ros.evaluation.runner import DatasetResult
from dtp_stereo_ros.evaluation.scene_score import Estimate, judge
from dtp_stereo_ros.stereo import StereoFrame

NAN = np.nan
LEFT = np.random.default_rng(0).integers(0, 255, (20, 70, 3), np.uint8)
FRAME = StereoFrame(LEFT, LEFT)


def wall(value: float) -> np.ndarray:
    return np.full((20, 70), value, np.float32)


def result(truth: Truth | None = None) -> DatasetResult:
    """Two scenes of a wall at 5 px.

    The network is 1 px and 2 px off, but for a fifth of the image, where it is 10 px off and says
    so. SGBM is 2 px and 4 px off, with holes in the same fifth.
    """
    found = DatasetResult('walls')
    for name, off in (('a', 1.0), ('b', 2.0)):
        disparity, sigma = wall(5 + off), wall(off)
        disparity[:4], sigma[:4] = 15, 12
        sgbm = wall(5 + 2 * off)
        sgbm[:4] = NAN
        estimates = [
            Estimate('net', disparity, confidence_of(sigma)),
            Estimate('sgbm', sgbm),
        ]
        given = Truth(wall(5)) if truth is None else truth
        known = np.isfinite(given.disparity_px).any()
        found.add(judge(name, FRAME, given if known else None, estimates, [3.0, 4.0], 'sgbm'))
    return found


def test_values_differences_and_the_error_at_the_density_of_sgbm() -> None:
    net, sgbm = accuracy(result())
    assert (net.dataset, net.method, net.region, net.images) == ('walls', 'net', 'all', 2)
    assert net.values['epe_px'].mean == pytest.approx((0.8 * 1.5) + 0.2 * 10)
    assert net.values['bad_3'].mean == pytest.approx(0.2)
    assert net.values['bad_3_at_density'].mean == 0.0
    assert net.values['epe_px_at_density'].mean == pytest.approx(1.5)
    assert net.values['ause_px'].mean == pytest.approx(0.0, abs=1e-6)
    assert sgbm.values['bad_3_at_density'].mean == pytest.approx(0.5)
    assert sgbm.values['epe_px_at_density'].mean == pytest.approx(3.0)
    assert math.isnan(sgbm.values['ause_px'].mean)
    # SGBM's holes are filled with its wall, so that bad-3 is 0 and 1.
    assert net.differences['bad_3'].mean == pytest.approx(0.2 - 0.5)
    assert (net.differences['bad_3'].low, net.differences['bad_3'].high) == pytest.approx(
        (-0.8, 0.2)
    )
    assert sgbm.differences == {}


def test_the_table_shows_intervals_and_names_what_is_missing() -> None:
    rows = accuracy(result())
    net, sgbm = tables.accuracy_table(rows).splitlines()[2:]
    assert '| 3.20 [2.80, 3.60] |' in net
    assert '20.00 [20.00, 20.00]' in net
    assert sgbm.count(tables.NO_CONFIDENCE) == 1  # AUSE; at its own density it has a number
    (difference,) = tables.difference_table(rows).splitlines()[2:]
    assert '| -30.00 [-80.00, 20.00] ' in difference
    assert '| -50.00 [-100.00, 0.00] ' in difference
    better = {**rows[0].differences, 'bad_3': Interval(-0.1, -0.2, -0.05, 6)}
    bold = tables.difference_table([replace(rows[0], differences=better)])
    assert '| **-10.00 [-20.00, -5.00]** |' in bold
    assert tables.difference_table(rows[1:]) == ''


def test_without_truth_every_cell_says_so() -> None:
    found = result(Truth(wall(NAN)))
    rows = accuracy(found)
    assert [(row.method, row.region, row.values) for row in rows] == [
        ('net', '-', {}),
        ('sgbm', '-', {}),
    ]
    lines = tables.accuracy_table(rows).splitlines()[2:]
    assert all(line.count(tables.NO_TRUTH) == len(ACCURACY_KEYS) for line in lines)
    assert tables.anatomy_table(found) == ''
    assert tables.calibration_table([found]).count(tables.NO_TRUTH) == 2


def test_anatomy_adds_up_to_bad_3() -> None:
    table = tables.anatomy_table(result()).splitlines()
    heads = [cell.strip() for cell in table[0].split('|')[1:-1]]
    assert heads == ['class', 'pixels %', 'net bad-3 %', 'points', 'sgbm bad-3 %', 'points']
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table[2:]]
    assert [row[0] for row in cells] == [*CLASSES.values(), 'all']
    border = next(row for row in cells if row[0] == CLASSES['left_border'])
    # Five of 70 columns; a fifth of them wrong for the network, half of them for SGBM.
    assert border == ['beyond the left border', '7.1', '20.00', '1.43', '50.00', '3.57']
    assert cells[-1] == ['all', '100.0', '20.00', '20.00', '50.00', '50.00']
    assert sum(float(row[3]) for row in cells[:-1]) == pytest.approx(20.0, abs=0.02)


def test_calibration_is_by_predicted_error() -> None:
    net, sgbm = tables.calibration_table([result()]).splitlines()[2:]
    # Predicted 1, 2 and 12; true 1, 2 and 10 for a fifth of the pixels.
    assert [cell.strip() for cell in net.split('|')[1:-1]] == [
        'walls', 'net', '0.40', '-', '-', '-', '1.00 (40 %)', '2.00 (40 %)', '-',
        '10.00 (20 %)', '-',
    ]  # fmt: skip
    assert tables.NO_CONFIDENCE in sgbm


def test_columns_name_every_score() -> None:
    assert set(SCORE_KEYS) == set(Score.__dataclass_fields__)
    assert set(ACCURACY_KEYS) <= set(COLUMNS)
    assert COLUMNS['bad_3'].heading == 'bad-3 %'
    assert COLUMNS['bad_3'].text(0.0123) == '1.23'
    assert COLUMNS['epe_px'].text(NAN) == '-'


def test_the_result_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / 'report.json'
    path.write_text(''.join(json_pieces(as_document([result()], 'dtp-stereo eval'))))
    document = result_file.read(path)
    assert document['version'] == result_file.VERSION
    assert document['command'] == 'dtp-stereo eval'
    net, sgbm = document['accuracy']
    assert net['values']['bad_3']['mean'] == pytest.approx(0.2)
    assert sgbm['values']['ause_px']['mean'] is None
    assert document['columns'][0] == {
        'key': 'epe_px', 'heading': 'EPE px', 'meaning': 'mean |d - d*|',
        'unit': 'px', 'needs_truth': True, 'more_is_better': False,
    }  # fmt: skip
    (curves,) = document['sparsification']
    assert len(curves['kept']) == len(curves['epe_px']) == 100
    assert curves['bad_3'][79] == 0.0
    assert curves['bad_3'][99] == pytest.approx(0.2)
    assert document['calibration'][0]['calibration_error_px'] == pytest.approx(0.4, abs=1e-5)
    assert document['anatomy'][0]['classes']['left_border'] == {'pixels': 100, 'wrong': 20}
    assert document['scenes'][0]['confidence']['all']['bad_3_at_density'] == 0.0
    assert document['times'] is None


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, r'report\.json: cannot be read \(No such file'),
        ('{', r'report\.json: not JSON'),
        ('{"rows": []}', r'report\.json: not a report of dtp-stereo; write it again with'),
        (
            json.dumps({'format': result_file.FORMAT, 'version': 99}),
            r'version 99 of the format, this program reads 2; write it again with',
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / 'report.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        result_file.read(path)
