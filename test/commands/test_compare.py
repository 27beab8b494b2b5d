"""`dtp-stereo compare` on results of bags and of data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import layouts
import pytest
from scene_bag import planes, write_scene_bag

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation import result_file
from dtp_stereo_ros.evaluation.paired_results import paired_measures
from dtp_stereo_ros.evaluation.report_page import shown_on
from dtp_stereo_ros.evaluation.result_file import as_document, json_pieces

EMPTY = ''.join(json_pieces(as_document([], '')))
FAST = ['--backend', 'sgbm', '--disparity-range', '64']


def test_a_setting_that_matters_is_found(tmp_path: Path, capsys) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(6))
    files = [tmp_path / 'a.json', tmp_path / 'b.json']
    for file, scale in zip(files, ('1', '0.25'), strict=True):
        assert main(['bag', str(bag), *FAST, '--scale', scale, '--json', str(file)]) == 0
    found = {m.key: m for m in paired_measures(*map(result_file.read, files))}
    epe = found['epe_px']
    assert epe.difference.images == 6
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


def test_changes_between_frames_need_the_same_step(tmp_path: Path) -> None:
    """The pair before was another with another --every."""
    bag = write_scene_bag(tmp_path / 'b', planes(8))
    files = [tmp_path / f'{every}.json' for every in (1, 2, 2)]
    for file in set(files):
        arguments = ['--every', file.stem, '--consistency-every', '1', '--json', str(file)]
        assert main(['bag', str(bag), *FAST, *arguments]) == 0
    one, two, _ = map(result_file.read, files)
    flicker = {'flicker_px', 'followed_flicker_px'}
    assert flicker <= {m.key for m in paired_measures(two, two)}
    other = {m.key for m in paired_measures(one, two)}
    assert not flicker & other and {'epe_px', 'photometric'} <= other


def test_other_depth_limits_judge_other_pixels(tmp_path: Path, capsys) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(6))
    files = [tmp_path / 'a.json', tmp_path / 'b.json']
    for file, depth, scale in zip(files, ('2.5', '100'), ('1', '0.25'), strict=True):
        arguments = ['--max-depth', depth, '--scale', scale, '--json', str(file)]
        assert main(['bag', str(bag), *FAST, *arguments]) == 0
    capsys.readouterr()
    assert main(['compare', *map(str, files)]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if ' EPE px ' in line)
    assert row.rstrip(' |').endswith('other depths')
    told = 'sgbm on b cam: judged between other depths, 0.2 to 2.5 m and 0.2 to 100 m, '
    assert out.count(told) == 1
    assert {m.verdict for m in paired_measures(*map(result_file.read, files))} == {''}


def test_methods_without_a_partner_are_named(tmp_path: Path, capsys) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(6))
    assert main(['bag', str(bag), *FAST, '--json', str(tmp_path / 'a.json')]) == 0
    text = (tmp_path / 'a.json').read_text()
    document = json.loads(text)
    recording = document['recordings'][0]
    recording['frames'] += [
        {**frame, 'method': name} for frame in recording['frames'] for name in ('one', 'two')
    ]
    (tmp_path / 'b.json').write_text(json.dumps(document))
    capsys.readouterr()
    files = [str(tmp_path / f'{name}.json') for name in 'ab']
    for order in (files, files[::-1]):
        assert main(['compare', *order]) == 0
        told = f'in {files[1]} only, so not compared: one on b cam, two on b cam'
        assert [line for line in capsys.readouterr().out.splitlines() if 'only' in line] == [told]


def test_recordings_of_one_file_are_named(tmp_path: Path, capsys) -> None:
    bags = [str(write_scene_bag(tmp_path / name, planes(4))) for name in ('first', 'second')]
    files = [str(tmp_path / 'one.json'), str(tmp_path / 'two.json')]
    for count, file in enumerate(files, 1):
        assert main(['bag', *bags[:count], *FAST, '--json', file]) == 0
    for order in (files, files[::-1]):
        capsys.readouterr()
        assert main(['compare', *order]) == 0
        told = f'in {files[1]} only, so not compared: second cam'
        assert [line for line in capsys.readouterr().out.splitlines() if 'only' in line] == [told]


def test_frames_of_another_start_are_the_same(tmp_path: Path, capsys) -> None:
    """They are numbered from where each file begins, and paired by their stamps."""
    bag = str(write_scene_bag(tmp_path / 'b', planes(5)))
    folders = [tmp_path / 'whole', tmp_path / 'late']
    for folder, more in zip(folders, ([], ['--start', '0.15']), strict=True):
        folder.mkdir()
        out = ['--report', str(folder), '--json', str(folder / 'r.json')]
        assert main(['bag', bag, *FAST, *out, *more]) == 0
    files = [str(folder / 'r.json') for folder in folders]
    whole, late = (result_file.read(Path(file)) for file in files)
    count = len(late['recordings'][0]['frames'])
    skipped = len(whole['recordings'][0]['frames']) - count
    assert 0 < skipped < count
    for order in ((whole, late), (late, whole)):
        epe = next(m for m in paired_measures(*order) if m.key == 'epe_px')
        assert len(epe.frames) == count
        assert [frame.difference for frame in epe.frames] == [0] * count
        first = 0 if order[0] is late else skipped
        assert [frame.index for frame in epe.frames] == list(range(first, first + count))

    capsys.readouterr()
    assert main(['compare', *files, '--report', str(tmp_path)]) == 0
    told = [line.rstrip(' |') for line in capsys.readouterr().out.splitlines()]
    assert all(line.endswith('few frames') for line in told if line.startswith('| b cam '))
    shown = [shown_on(folder / 'report.html')['recordings'][0]['pictures'] for folder in folders]
    one, other = ({frame['index']: frame for frame in frames} for frames in shown)
    (both,) = shown_on(tmp_path / 'compare.html')['pictures'].values()
    assert both
    for frame in both:
        assert frame['left'] == one[frame['index']]['left']
        partner = other[frame['index'] - skipped]
        assert frame['methods'] == [one[frame['index']]['methods'], partner['methods']]


def test_frames_of_one_stamp_are_paired_by_number() -> None:
    def document(stamps: list[int], values: list[float]) -> dict[str, Any]:
        frames = [
            {'index': i, 'stamp_ns': stamp, 'time_s': 0.0, 'method': 'm', 'values': {'bad_3': v}}
            for i, (stamp, v) in enumerate(zip(stamps, values, strict=True))
        ]
        recording = {'name': 'r', 'frames': frames}
        return {'recordings': [recording], 'scenes': [], 'baseline': ''}

    played_twice = document([1, 2, 1, 2], [0.1, 0.2, 0.3, 0.4])
    (found,) = paired_measures(played_twice, document([1, 2, 1, 2], [0.5] * 4))
    assert [frame.first for frame in found.frames] == [0.1, 0.2, 0.3, 0.4]
    short = document([1, 2], [0.1, 0.2])
    for order in ((played_twice, short), (short, played_twice)):
        (found,) = paired_measures(*order)
        assert [frame.name for frame in found.frames] == [
            'frame 0 at 0.000 s', 'frame 1 at 0.000 s',
        ]  # fmt: skip
        assert [frame.difference for frame in found.frames] == [0, 0]
    without = document([0] * 3, [0.1, 0.2, 0.3])
    (found,) = paired_measures(without, document([0] * 2, [0.5] * 2))
    assert [frame.first for frame in found.frames] == [0.1, 0.2]


def test_results_of_data_sets(tmp_path: Path) -> None:
    data = f'middlebury_v3:{layouts.middlebury_v3(tmp_path / "set")}'
    assert main(['eval', '--data', data, *FAST, '-o', str(tmp_path / 'r')]) == 0
    document = result_file.read(tmp_path / 'r' / 'report.json')
    found = {m.key: m for m in paired_measures(document, document)}
    assert found['bad_3'].difference.images == 2
    assert found['bad_3'].difference.mean == 0


def test_results_that_have_nothing_in_common(tmp_path: Path, capsys) -> None:
    file = tmp_path / 'a.json'
    file.write_text(EMPTY)
    assert main(['compare', str(file), str(file)]) == 2
    assert 'no frame, recording or data set is in both files' in capsys.readouterr().err


@pytest.mark.parametrize('scenes', [None, 'x', [1]])
def test_reports_with_other_parts_are_refused(tmp_path: Path, capsys, scenes) -> None:
    file = tmp_path / 'a.json'
    document = json.loads(EMPTY)
    document['recordings'] = scenes
    file.write_text(json.dumps(document))
    assert main(['compare', str(file), str(file)]) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_scenes_are_compared_over_the_pixels_that_both_files_judge(tmp_path: Path) -> None:
    """The same results, once with a mask of what both cameras see and once without."""
    roots = [layouts.middlebury_v3(tmp_path / name / 'set') for name in ('masked', 'bare')]
    for mask in roots[1].glob('*/mask0nocc.png'):
        mask.unlink()
    documents = []
    for root in roots:
        out = tmp_path / f'report-{root.parent.name}'
        assert main(['eval', '--data', f'middlebury_v3:{root}', *FAST, '-o', str(out)]) == 0
        documents.append(result_file.read(out / 'report.json'))
    regions = [{r for scene in d['scenes'] for r in scene['scores']} for d in documents]
    assert 'noc/filled' in regions[0] - regions[1]
    for pair in (documents, documents[::-1]):
        found = {m.key: m for m in paired_measures(*pair)}
        assert found['epe_px'].difference.images == 2
        assert found['epe_px'].difference.mean == 0
        assert {measure.verdict for measure in found.values()} == {''}
    both = {m.key: m for m in paired_measures(documents[0], documents[0])}
    of_noc = [scene['scores']['noc/filled']['epe_px'] for scene in documents[0]['scenes']]
    assert both['epe_px'].first.mean == pytest.approx(sum(of_noc) / 2)


@pytest.mark.parametrize('wrong', ['x', [1], {}])
def test_scores_that_are_no_numbers_are_one_line(tmp_path: Path, capsys, wrong) -> None:
    data = f'pairs:{layouts.pairs(tmp_path / "set")}'
    assert main(['eval', '--data', data, *FAST, '-o', str(tmp_path / 'r')]) == 0
    file = tmp_path / 'r' / 'report.json'
    document = json.loads(file.read_text())
    scene = next(scene for scene in document['scenes'] if scene['scores'])
    scene['scores']['all/filled']['epe_px'] = wrong
    file.write_text(json.dumps(document))
    capsys.readouterr()
    assert main(['compare', str(file), str(file)]) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_a_file_without_its_command_is_one_line(tmp_path: Path, capsys) -> None:
    data = f'pairs:{layouts.pairs(tmp_path / "set")}'
    assert main(['eval', '--data', data, *FAST, '-o', str(tmp_path / 'r')]) == 0
    file, page = tmp_path / 'r' / 'report.json', tmp_path / 'page'
    document = json.loads(file.read_text())
    del document['command']
    file.write_text(json.dumps(document))
    capsys.readouterr()
    assert main(['compare', str(file), str(file), '--report', str(page)]) == 2
    assert capsys.readouterr().err.count('\n') == 1
    assert not page.exists()
