"""The whole evaluation: runner, report and command, on tiny sets and on the real ones."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

import cv2
import layouts
import numpy as np
import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.cli import main
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation import pictures, tables
from dtp_stereo_ros.evaluation.datasets import open_dataset
from dtp_stereo_ros.evaluation.fill import fill_holes
from dtp_stereo_ros.evaluation.report import write_report
from dtp_stereo_ros.evaluation.runner import Method, evaluate
from dtp_stereo_ros.evaluation.scene_score import Estimate
from dtp_stereo_ros.image_io import write_pfm
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.stereo import StereoFrame, StereoResult

SHIPPED = ('dtpnet', 'dtpnet-small')


@pytest.fixture(scope='module')
def sgbm() -> Method:
    return Method('sgbm', StereoPipeline(PipelineConfig(backend='sgbm')))


@pytest.fixture(scope='module')
def shipped() -> list[Method]:
    pytest.importorskip('openvino')
    return [
        Method(m, StereoPipeline(PipelineConfig(backend='openvino', model=m, precision='fp32')))
        for m in SHIPPED
    ]


def test_regions_and_image_counts_of_a_mixed_kitti_set(tmp_path: Path, sgbm: Method) -> None:
    dataset = open_dataset(f'kitti2015:{layouts.kitti2015(tmp_path / "k")}')
    rows = evaluate(*dataset, [sgbm]).rows()
    filled = {row.region: row for row in rows if row.treatment == 'filled'}
    assert {region: row.images for region, row in filled.items()} == {
        'mixed': 3,
        'noc': 2,
        'all': 2,
    }
    score = filled['noc'].score
    assert score is not None
    assert score.epe_px < 0.1  # a noise plane at 16 px, which SGBM finds
    assert score.bad_1 == 0.0


def test_holes_are_judged_in_three_ways(tmp_path: Path, sgbm: Method) -> None:
    dataset = open_dataset(f'middlebury_v3:{layouts.middlebury_v3(tmp_path / "m")}')
    rows = {(row.region, row.treatment): row.score for row in evaluate(*dataset, [sgbm]).rows()}
    own, strict, filled = (rows['all', name] for name in ('own', 'strict', 'filled'))
    assert own is not None
    assert strict is not None
    assert filled is not None
    # The plane is matched right or not at all, so that the holes are the only strict errors.
    assert own.bad_3 == 0.0
    assert 0.8 < own.density < 1.0
    assert strict.bad_3 == pytest.approx(1.0 - own.density)
    assert filled.bad_3 == 0.0
    assert filled.density == own.density


class Blind:
    """Finds nothing in images as dark as `below`."""

    def __init__(self, below: float) -> None:
        self._below = below

    def process(self, frame: StereoFrame) -> StereoResult:
        dark = frame.left.mean() < self._below
        found = np.full(frame.left.shape[:2], np.nan if dark else 16, np.float32)
        return StereoResult(found, None, 0.0, 64.0, {'inference': 0.0})

    def close(self) -> None:
        pass


def test_an_image_in_which_nothing_is_found_is_wrong(tmp_path: Path, sgbm: Method) -> None:
    root = layouts.pairs(tmp_path / 'p')
    black, near = np.zeros_like(layouts.plane_pair()[0]), np.full_like(layouts.truth(), 100)
    for name in ('blank_left.png', 'blank_right.png'):
        assert cv2.imwrite(str(root / name), black)
    write_pfm(root / 'blank_disp.pfm', near)
    dataset = open_dataset(f'pairs:{root}')
    blind, never = Method('blind', Blind(1.0)), Method('never', Blind(1000.0))
    result = evaluate(*dataset, [blind, sgbm, never])
    rows = {row.method: row for row in result.rows() if row.treatment == 'filled'}
    for method, share in (('blind', 0.5), ('sgbm', 0.5), ('never', 1)):
        score = rows[method].score
        assert score is not None
        assert (score.bad_3, score.d1) == pytest.approx((share, share), abs=0.02)
        assert rows[method].images == 2
        assert rows[method].counts['bad_3'] == 2
    assert [rows[method].counts['epe_px'] for method in rows] == [1, 1, 0]
    names = ('times.png', 'thin_other.jpg', 'extremes.jpg', 'mine.jpg')
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / 'report.md').write_text(' '.join(f'![]({name})' for name in names))
    write_report(tmp_path, [result], '')
    # What an earlier report showed is gone, as far as it was its own.
    assert [name for name in names if (tmp_path / name).exists()] == ['mine.jpg']
    report = (tmp_path / 'report.md').read_text()
    accuracy = next(line for line in report.splitlines() if '| blind ' in line)
    assert accuracy.count('(1 of 2)') == 1
    # The ranges of all methods are the same, and so are the pixels in them.
    line = next(line for line in report.splitlines() if line.startswith('| 64 to 128 '))
    cells = [cell.strip() for cell in line.split('|')[2:-1]]
    assert float(cells[0]) == pytest.approx(50, abs=1)
    assert cells[1:] == ['-', '100.00'] * 3
    assert 'nan' not in report


def test_a_set_without_truth_has_one_row_with_density(tmp_path: Path, sgbm: Method) -> None:
    root = layouts.pairs(tmp_path / 'p')
    (root / 'wall_disp.pfm').unlink()
    (row,) = evaluate(*open_dataset(f'pairs:{root}'), [sgbm]).rows()
    assert row.score is None
    assert 0.8 < row.density <= 1.0
    assert f'{100 * row.density:.2f}' in tables.score_table([row])


def test_error_image_tells_right_wrong_hole_and_no_truth_apart() -> None:
    truth = np.array([[10, 10, 10, np.nan]], np.float32)
    estimate = np.array([[10, 20, np.nan, 10]], np.float32)
    right, wrong, hole, unknown = pictures.error_image(estimate, truth)[0].astype(int)
    assert right[2] > right[0]  # dark blue end of the map
    assert wrong[0] > wrong[2]  # dark red end
    assert hole.tolist() == [255, 255, 255]
    assert unknown.tolist() == [0, 0, 0]


def test_panel_has_a_row_for_the_truth_and_one_for_each_method() -> None:
    left = np.full((40, 60, 3), 7, np.uint8)
    disparity = np.linspace(1, 9, 2400, dtype=np.float32).reshape(40, 60)
    picture = pictures.panel(left, disparity, [Estimate('a', disparity), Estimate('b', disparity)])
    assert picture.shape == (120, 120, 3)
    np.testing.assert_array_equal(picture[39, 0], left[39, 0])
    np.testing.assert_array_equal(picture[39, 60:], picture[79, :60])


def test_command_writes_report_json_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = layouts.flyingthings(tmp_path / 'f')
    out = tmp_path / 'out'
    data = f'flyingthings:{root}'
    assert main(['eval', '--data', data, '--backend', 'sgbm', '-o', str(out)]) == 0
    table = capsys.readouterr().out
    assert '| flyingthings | 1      | all    | sgbm   | filled | 0.0' in table
    document = json.loads((out / 'report.json').read_text())
    assert document['rows'][0]['score']['bad_3'] == 0.0
    assert document['scenes'][0]['scene'] == 'TRAIN/A/0000/0006'
    _, scores = (out / 'report.md').read_text().split('## Scores')
    assert scores.count('| flyingthings ') == len(document['rows'])
    picture = cv2.imread(str(out / 'flyingthings' / 'TRAIN_A_0000_0006.png'))
    assert picture is not None
    assert picture.shape == (2 * layouts.HEIGHT, 2 * layouts.WIDTH, 3)


def test_several_models_are_scored_beside_one_sgbm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is a copy under another folder; each keeps its own rows."""
    pytest.importorskip('onnxruntime')
    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    copy = tmp_path / 'dtpnet.onnx'
    copy.write_bytes(models.resolve('dtpnet', ('.onnx',)).read_bytes())
    arguments = ['--backend', 'onnx', '--model', f'dtpnet,{copy}', '--json']
    assert main(['eval', '--data', data, *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)['rows']
    scores = {row['method']: row['score'] for row in rows if row['treatment'] == 'filled'}
    assert list(scores) == ['dtpnet onnx fp32', f'dtpnet onnx fp32 {copy}', 'sgbm']
    assert scores['dtpnet onnx fp32'] == scores[f'dtpnet onnx fp32 {copy}']


def test_damaged_scenes_are_named_and_cost_nothing_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = layouts.pairs(tmp_path / 'good'), layouts.middlebury_v3(tmp_path / 'bad')
    cut = bad / 'Beta' / 'im1.png'
    cut.write_bytes(cut.read_bytes()[:-2000])
    data = ['--data', f'pairs:{good}', '--data', f'middlebury_v3:{bad}']
    out = tmp_path / 'out'
    assert main(['eval', *data, '--backend', 'sgbm', '-o', str(out)]) == 1
    captured = capsys.readouterr()
    assert f'error: left out, middlebury_v3 Beta: {cut}: is ' in captured.err
    document = json.loads((out / 'report.json').read_text())
    assert [(s['dataset'], s['scene']) for s in document['scenes']] == [
        ('pairs', 'blank'),
        ('pairs', 'wall'),
        ('middlebury_v3', 'Alpha'),
    ]
    assert {row['images'] for row in document['rows'] if row['dataset'] != 'pairs'} == {1}
    (line,) = document['left_out']
    assert f'Left out: {line}' in (out / 'report.md').read_text()


def test_a_scene_that_is_too_small_for_a_method_costs_nothing_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = layouts.pairs(tmp_path / 'p')
    for side in ('left', 'right'):
        image = cv2.imread(str(root / f'wall_{side}.png'))
        cv2.imwrite(str(root / f'tiny_{side}.png'), image[:8, :8])
    assert main(['eval', '--data', f'pairs:{root}', '--backend', 'sgbm', '--json']) == 1
    captured = capsys.readouterr()
    assert 'error: left out, pairs tiny: images are 8 px wide, sgbm needs at least' in captured.err
    assert {s['scene'] for s in json.loads(captured.out)['scenes']} == {'blank', 'wall'}


@pytest.mark.parametrize(
    ('kind', 'scene', 'path'),
    [
        ('pairs', 'wall', 'wall_right.png'),
        ('pairs', 'wall', 'wall_left.png'),
        ('middlebury_v3', 'Beta', 'Beta/disp0GT.pfm'),
        ('middlebury_classic', 'Plane', 'Plane/disp.pgm'),
        ('middlebury_classic', 'Plane', 'Plane'),
        ('middlebury_2001', 'venus', 'venus/im6.ppm'),
        ('kitti2015', '000000_10', 'image_3/000000_10.png'),
        ('kitti2015', '000000_10', 'image_2/000000_10.png'),
    ],
)
def test_a_missing_file_costs_its_scene_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, scene: str, path: str
) -> None:
    root = getattr(layouts, kind)(tmp_path / kind)
    shutil.rmtree(root / path, ignore_errors=True)
    (root / path).unlink(missing_ok=True)
    data = [
        '--data',
        f'{kind}:{root}',
        '--data',
        f'flyingthings:{layouts.flyingthings(tmp_path / "f")}',
    ]
    assert main(['eval', *data, '--backend', 'sgbm', '--json']) == 1
    captured = capsys.readouterr()
    assert f'error: left out, {kind} {scene}: {root}' in captured.err
    assert scene not in {s['scene'] for s in json.loads(captured.out)['scenes']}


def test_a_new_report_leaves_pictures_that_the_one_before_did_not_show(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    data = ['--data', f'pairs:{layouts.pairs(tmp_path / "p")}', '--backend', 'sgbm']
    assert main(['eval', *data, '-o', str(out)]) == 0
    own = [out / name for name in ('calibration.png', 'times.png', 'thin_ice.jpg')]
    for picture in own:
        picture.write_bytes(b'of the user')
    with (out / 'report.md').open('a') as report:
        report.write('![](times.png)')
    assert main(['eval', *data, '-o', str(out)]) == 0
    assert [picture.exists() for picture in own] == [True, False, True]


@pytest.mark.parametrize('name', ['set one', 'a (b) [c]', 'ü#%20?', 'no \udcff utf-8'])
def test_folders_of_any_name_have_a_whole_report(tmp_path: Path, name: str) -> None:
    data = []
    for folder in (tmp_path / name, tmp_path / f'{name} 2'):
        # OpenCV itself cannot write to such a folder.
        root = layouts.pairs(tmp_path / 'plain').rename(folder)
        truth = np.full((48, 160), 16, np.float32)
        truth[:, 100:104] = 40  # a thin structure, so that there is a picture of it
        write_pfm(root / 'wall_disp.pfm', truth)
        data += ['--data', f'pairs:{root}']
    out = tmp_path / 'out'
    assert main(['eval', *data, '--backend', 'sgbm', '-o', str(out)]) == 0
    links = re.findall(r'!\[.*\]\((\S+)\)', (out / 'report.md').read_text())
    assert sum('thin_' in link for link in links) == 2
    for link in links:
        assert (out / unquote(link, errors='surrogateescape')).is_file()
    shutil.rmtree(tmp_path / name)
    assert main(['eval', *data[2:], '--backend', 'sgbm', '-o', str(out)]) == 0
    assert len(list(out.glob('thin_*'))) == 1


def test_the_baseline_has_the_threads_of_the_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    monkeypatch.setattr(
        'dtp_stereo_ros.commands.eval.opened',
        lambda configs: threads.extend(c.threads for c in configs) or sys.exit(3),
    )
    data = ['--data', f'pairs:{layouts.pairs(tmp_path / "p")}']
    with pytest.raises(SystemExit):
        main(['eval', *data, '--backend', 'onnx', '--threads', '1'])
    assert threads == [1, 1]


def test_a_data_set_of_which_nothing_can_be_read_has_no_rows(tmp_path: Path) -> None:
    good, bad = layouts.pairs(tmp_path / 'good'), layouts.flyingthings(tmp_path / 'bad')
    for path in bad.glob('frames_cleanpass/**/*.png'):
        path.write_bytes(b'')
    data = ['--data', f'flyingthings:{bad}', '--data', f'pairs:{good}']
    out = tmp_path / 'out'
    assert main(['eval', *data, '--backend', 'sgbm', '-o', str(out)]) == 1
    document = json.loads((out / 'report.json').read_text())
    assert {row['dataset'] for row in document['rows']} == {'pairs'}
    assert len(document['left_out']) == 1


def test_nothing_that_can_be_read_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = layouts.pairs(tmp_path / 'p')
    for path in root.glob('*_left.png'):
        path.write_bytes(b'')
    assert main(['eval', '--data', f'pairs:{root}', '--backend', 'sgbm']) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert 'error: no scene can be read; the first: pairs blank: ' in error
    assert 'blank_left.png: is no image' in error


def test_data_sets_of_one_kind_have_rows_and_pictures_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = [layouts.pairs(tmp_path / name) for name in ('day', 'night')]
    data = [word for root in roots for word in ('--data', f'pairs:{root}')]
    out = tmp_path / 'out'
    assert main(['eval', *data, '--backend', 'sgbm', '-o', str(out)]) == 0
    table = capsys.readouterr().out
    assert '| pairs-day ' in table
    assert '| pairs-night ' in table
    assert (out / 'pairs-day' / 'wall.png').exists()
    assert (out / 'pairs-night' / 'wall.png').exists()


def test_json_goes_to_stdout_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = f'pairs:{layouts.pairs(tmp_path / "p")}'
    assert main(['eval', '--data', data, '--backend', 'sgbm', '--json']) == 0
    document = json.loads(capsys.readouterr().out)
    assert {row['method'] for row in document['rows']} == {'sgbm'}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'no data; give --data NAME:PATH or --shared ROOT'),
        (['--data', 'kitti2015:/none'], '/none: no such folder'),
        (['--shared', '/none'], '/none: none of middlebury/MiddEval3/trainingQ'),
        (['--data', 'DATA', '--backend', 'magic'], "backend is 'magic', choose one of auto"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    data = f'pairs:{layouts.pairs(tmp_path / "p")}'
    out = tmp_path / 'out'
    arguments = [data if argument == 'DATA' else argument for argument in arguments]
    assert main(['eval', *arguments, '-o', str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
    assert not out.exists()


# bad-2 and bad-3 in %, holes filled, of OpenCV's SGBM as known for these scenes.
@pytest.mark.parametrize(
    ('name', 'folder', 'region', 'bad_2', 'bad_3'),
    [
        ('middlebury_v3', 'middlebury/MiddEval3/trainingQ', 'noc', 6.3, 5.0),
        ('middlebury_classic', 'middlebury/classic', 'all', 5.8, 4.7),
        ('kitti2015', 'kitti2015/training', 'mixed', None, 7.8),
        ('flyingthings', 'sceneflow/FlyingThings3D', 'all', None, 10.1),
    ],
)
def test_sgbm_and_both_models_on_real_data(
    data_root: Path,
    sgbm: Method,
    shipped: list[Method],
    name: str,
    folder: str,
    region: str,
    bad_2: float | None,
    bad_3: float,
) -> None:
    """SGBM has its known errors, and what is shipped has fewer on every family of images."""
    rows = evaluate(*open_dataset(f'{name}:{data_root / folder}'), [*shipped, sgbm]).rows()
    scores = {
        row.method: row.score
        for row in rows
        if row.score and (row.region, row.treatment) == (region, 'filled')
    }
    rival = scores.pop('sgbm')
    assert 100 * rival.bad_3 == pytest.approx(bad_3, abs=0.15)
    if bad_2 is not None:
        assert 100 * rival.bad_2 == pytest.approx(bad_2, abs=0.15)
    assert set(scores) == set(SHIPPED)
    for model, score in scores.items():
        assert score.epe_px < rival.epe_px, model
        assert score.bad_3 < rival.bad_3, model


def test_errors_by_disparity_and_depth_of_a_published_scene(data_root: Path, sgbm: Method) -> None:
    """By the published calib.txt: Z = f B / (d + doffs)."""
    dataset, scenes = open_dataset(f'middlebury_v3:{data_root / "middlebury/MiddEval3/trainingQ"}')
    scene = scenes[0]
    places = evaluate(dataset, [scene], [sgbm]).places['sgbm']
    frame, truth = scene.load()
    lines = (scene.left.parent / 'calib.txt').read_text().splitlines()
    values = {name.strip(): value for name, value in (line.split('=') for line in lines)}
    focal_px = float(values['cam0'].strip('[').split()[0])
    doffs_px, baseline_m = float(values['doffs']), float(values['baseline']) / 1e3
    assert truth is not None
    truth_px = truth.region('noc')
    assert truth_px is not None
    errors_px = np.abs(fill_holes(sgbm.pipeline.process(frame).disparity_px) - truth_px)
    depth_m = focal_px * baseline_m / (truth_px + doffs_px)
    for lines_found, measure, keys in (
        (places.by_disparity(), truth_px, ('from_px', 'to_px')),
        (places.by_range(), depth_m, ('from_m', 'to_m')),
    ):
        assert sum(line['pixels'] for line in lines_found) == np.isfinite(truth_px).sum()
        for line in lines_found:
            low, high = (line[key] for key in keys)
            inside = (measure > low) & (measure < high)
            assert line['pixels'] == pytest.approx(inside.sum(), abs=3)  # those at its ends
            assert line['epe_px'] == pytest.approx(errors_px[inside].mean(), rel=1e-3)
            assert line['bad_3'] == pytest.approx((errors_px[inside] > 3).mean(), abs=1e-4)


def test_a_model_that_is_not_there_is_named_though_no_backend_takes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f'pairs:{layouts.pairs(tmp_path / "p")}'
    assert main(['eval', '--data', data, '--backend', 'sgbm', '--model', 'dtpnett']) == 2
    error = capsys.readouterr().err
    assert "'dtpnett'" in error and error.count('\n') == 1
