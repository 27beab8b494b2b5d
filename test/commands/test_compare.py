"""`dtp-stereo compare` on results of bags and of data sets."""

from __future__ import annotations

import json
from pathlib import Path

import layouts
import pytest
from scene_bag import planes, write_scene_bag

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation import result_file
from dtp_stereo_ros.evaluation.paired_results import paired_measures

FAST = ['--backend', 'sgbm', '--disparity-range', '64']


def test_a_setting_that_matters_is_found(tmp_path: Path, capsys) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(4))
    files = [tmp_path / 'a.json', tmp_path / 'b.json']
    for file, scale in zip(files, ('1', '0.25'), strict=True):
        assert main(['bag', str(bag), *FAST, '--scale', scale, '--json', str(file)]) == 0
    found = {m.key: m for m in paired_measures(*map(result_file.read, files))}
    epe = found['epe_px']
    assert epe.difference.images == 4
    assert epe.difference.mean == pytest.approx(epe.second.mean - epe.first.mean)
    assert epe.verdict == 'worse'
    assert found['flicker_px'].verdict == ''  # of one still pair: no difference
    assert epe.changed()[0].name.startswith('frame ')
    capsys.readouterr()
    assert main(['compare', *map(str, files), '--changed']) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if ' EPE px ' in line)
    assert row.startswith('| b cam | sgbm ')
    assert row.rstrip(' |').endswith('worse')
    assert 'changed most: frame ' in out
    assert {m.verdict for m in paired_measures(*[result_file.read(files[0])] * 2)} == {''}


def test_results_of_data_sets(tmp_path: Path) -> None:
    data = f'middlebury_v3:{layouts.middlebury_v3(tmp_path / "set")}'
    assert main(['eval', '--data', data, *FAST, '-o', str(tmp_path / 'r')]) == 0
    document = result_file.read(tmp_path / 'r' / 'report.json')
    found = {m.key: m for m in paired_measures(document, document)}
    assert found['bad_3'].difference.images == 2
    assert found['bad_3'].difference.mean == 0


def test_results_that_have_nothing_in_common(tmp_path: Path, capsys) -> None:
    file = tmp_path / 'a.json'
    file.write_text(result_file.as_json([]))
    assert main(['compare', str(file), str(file)]) == 2
    assert 'no frame, recording or data set is in both files' in capsys.readouterr().err


@pytest.mark.parametrize('scenes', [None, 'x', [1]])
def test_reports_with_other_parts_are_refused(tmp_path: Path, capsys, scenes) -> None:
    file = tmp_path / 'a.json'
    document = json.loads(result_file.as_json([]))
    document['recordings'] = scenes
    file.write_text(json.dumps(document))
    assert main(['compare', str(file), str(file)]) == 2
    assert capsys.readouterr().err.count('\n') == 1
