"""`dtp-stereo bag` on bags of known pairs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest
from scene_bag import Pair, planes, write_scene_bag, write_two_cameras

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation import result_file
from dtp_stereo_ros.evaluation.datasets import open_dataset
from dtp_stereo_ros.evaluation.metrics import bad, epe_px
from dtp_stereo_ros.evaluation.recorded import JudgedFrame, RecordingJudge
from dtp_stereo_ros.recordings.recorded_frames import RecordedFrame
from dtp_stereo_ros.recordings.recording import Recording

FAST = ['--backend', 'sgbm', '--disparity-range', '64']
# Neither near nor far points are cut off.
NO_LIMITS = ['--min-depth', '0', '--max-depth', '100000']
KEYS = ('epe_px', 'bad_0_5', 'bad_1', 'bad_2', 'bad_3', 'd1', 'density')


def judged(tmp_path: Path, bag: Path, *options: str) -> dict:
    file = tmp_path / 'result.json'
    assert main(['bag', str(bag), *FAST, *options, '--json', str(file)]) == 0
    return result_file.read(file)


def agree(document: dict, capsys, data: str) -> None:
    """The means of the bag are those of eval on the same pairs, of all pixels."""
    capsys.readouterr()
    options = ['--backend', 'sgbm', '--disparity-range', '64', '--json']
    assert main(['eval', '--data', data, *options]) == 0
    other = json.loads(capsys.readouterr().out)
    rows = {}
    for name, found in (('bag', document), ('eval', other)):
        for row in found['rows']:
            if row['region'] == 'all':
                rows[name, row['treatment']] = row['score']
    assert ('bag', 'filled') in rows
    for treatment in ('filled', 'own', 'strict'):
        for key in KEYS:
            assert rows['bag', treatment][key] == pytest.approx(
                rows['eval', treatment][key], abs=1e-4
            ), (treatment, key)


def test_bag_and_eval_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = layouts.pairs(tmp_path / 'pairs')
    left, right = (cv2.cvtColor(i, cv2.COLOR_BGR2RGB) for i in layouts.plane_pair())
    (root / 'blank_left.png').unlink()
    (root / 'blank_right.png').unlink()
    bag = write_scene_bag(tmp_path / 'b', [Pair(left, right, layouts.truth())] * 2, offset_px=1.5)
    agree(judged(tmp_path, bag, *NO_LIMITS), capsys, f'pairs:{root}')


def test_bag_and_eval_agree_on_real_scenes(
    tmp_path: Path, data_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f'middlebury_v3:{data_root / "middlebury" / "MiddEval3" / "trainingQ"}'
    scenes = open_dataset(data)[1]
    pairs = []
    for scene in scenes:
        frame = scene.load_frame()
        assert scene.load_truth is not None
        pairs.append(Pair(frame.left, frame.right, scene.load_truth().disparity_px))
    # The principal points differ as in that data set: infinity is at a negative disparity.
    bag = write_scene_bag(tmp_path / 'b', pairs, offset_px=-12.5)
    document = judged(tmp_path, bag, *NO_LIMITS)
    agree(document, capsys, data)
    assert len(document['recordings'][0]['frames']) == len(scenes)


def test_a_bag_with_truth_by_hand(tmp_path: Path) -> None:
    pairs = planes(4)
    truth = pairs[0].truth_px.copy()
    truth[:, 100:] += 4
    bag = write_scene_bag(tmp_path / 'b', [Pair(pairs[0].left, pairs[0].right, truth)] * 4)
    recording = judged(tmp_path, bag, '--consistency-every', '2')['recordings'][0]
    (measures,) = recording['measures']
    estimate = np.full(truth.shape, 8, np.float32)
    assert measures['values']['epe_px']['mean'] == pytest.approx(epe_px(estimate, truth), abs=0.1)
    assert measures['values']['bad_3']['mean'] == pytest.approx(bad(estimate, truth, 3), abs=0.02)
    assert measures['values']['flicker_px']['mean'] == 0
    assert measures['values']['photometric']['mean'] < 0.01
    assert measures['values']['inconsistent']['mean'] < 0.02
    assert measures['values']['inconsistent']['images'] == 2
    # f T = 20 px m: 2.5 m at 8 px; 1.67 m at 12 px.
    wrong = (truth == 12).mean()
    rmse_m = np.sqrt(wrong * (20 / 8 - 20 / 12) ** 2)
    assert measures['values']['depth_rmse_m']['mean'] == pytest.approx(rmse_m, abs=0.02)
    assert measures['values']['depth_abs_rel']['mean'] == pytest.approx(wrong * 0.5, abs=0.02)
    near, far = recording['by_range']
    assert (near['from_m'], far['from_m']) == (1, 2)
    assert near['pixels'] + far['pixels'] == pytest.approx(4 * truth.size, rel=0.01)
    assert (near['bad_3'], far['bad_3']) == pytest.approx((1, 0), abs=0.02)
    assert recording['by_region'][0]['bad_3'] < 0.02 < 0.98 < recording['by_region'][-1]['bad_3']
    assert recording['pairs'] == 4
    assert recording['calibration']['baseline_m'] == pytest.approx(0.1)
    assert [f['time_s'] for f in recording['frames']] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert recording['rows'][0]['rows_rms_px'] < 0.2


def test_a_model_stands_beside_sgbm(tmp_path: Path, make_onnx) -> None:
    pytest.importorskip('onnxruntime')
    bag = write_scene_bag(tmp_path / 'b', planes(2))
    file = tmp_path / 'result.json'
    arguments = ['--backend', 'onnx', '--models', str(make_onnx()), '--json', str(file)]
    assert main(['bag', str(bag), *arguments]) == 0
    recording = result_file.read(file)['recordings'][0]
    model, sgbm = recording['measures']
    assert (model['method'], sgbm['method']) == ('tiny onnx fp32', 'sgbm')
    assert model['differences']['epe_px']['mean'] == pytest.approx(
        model['values']['epe_px']['mean'] - sgbm['values']['epe_px']['mean']
    )
    # Its disparity is a quarter of the left image's brightness.
    assert model['values']['agreement']['mean'] < 0.2


@pytest.mark.parametrize(
    ('bound', 'code'),
    [
        ('bad3>5', 0),
        ('bad-3 < 5 %', 3),
        ('EPE>0.000001', 3),
        ('coverage<10', 0),
        ('depth-rmse<99', 3),
        ('depth-absrel>90', 0),
    ],
)
def test_bounds(tmp_path: Path, bound: str, code: int, make_onnx, capsys) -> None:
    pytest.importorskip('onnxruntime')
    model = make_onnx()
    pair = planes(1)[0]
    # The model answers a quarter of the brightness: 25 px of a grey wall.
    grey = np.full_like(pair.left, 100)
    bag = write_scene_bag(tmp_path / 'b', [Pair(grey, grey, np.full(grey.shape[:2], 25.1))] * 2)
    arguments = ['bag', str(bag), '--backend', 'onnx', '--models', str(model), '--fail-if', bound]
    assert main(arguments) == code
    assert ('broken bound: b cam: tiny onnx fp32: ' in capsys.readouterr().err) == (code == 3)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--fail-if', 'bad3'], "--fail-if 'bad3': write it as 'bad3>5'"),
        (['--fail-if', 'beauty>3'], 'no measure beauty; choose one of '),
        (['--left', '/x', '--right', '/y'], 'no topic /x; it has /cam/ground_truth/disparity, '),
        (['--left', '/cam/left/image_rect'], 'name both: --left TOPIC and --right TOPIC'),
        (['--truth', '/cam/left/camera_info'], '/cam/left/camera_info is sensor_msgs/msg/CameraI'),
        (['--camera', 'rear'], "no camera 'rear'; choose --camera NAME from 'cam'"),
        (['--every', '0'], '--every must be at least 1'),
        (['--start', '100'], 'no image in this part of the bag; see --start'),
        (['--params', 'missing.yaml'], 'missing.yaml: cannot be read'),
    ],
)
def test_wrong_calls_are_one_line(
    tmp_path: Path, capsys, options: list[str], message: str
) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(2))
    assert main(['bag', str(bag), *FAST, *options]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize('command', ['bag', 'replay', 'selftest'])
@pytest.mark.parametrize('what', ['bag', 'folder', 'text'])
def test_a_result_file_takes_the_place_of_no_other(
    command: str, what: str, tmp_path: Path, capsys
) -> None:
    """`--json run1.mcap run2.mcap` names a recording where other commands take no value."""
    bag = write_scene_bag(tmp_path / 'b', planes(2))
    kept = {'bag': next(bag.glob('*.db3')), 'folder': bag, 'text': bag / 'metadata.yaml'}[what]
    before = {path: path.read_bytes() for path in bag.iterdir()}
    arguments = ['--runs', '0'] if command == 'selftest' else [str(bag)]
    assert main([command, '--json', str(kept), *arguments]) == 2
    captured = capsys.readouterr()
    assert f'--json {kept}: is ' in captured.err
    assert captured.out == '', 'it is told before anything is done'
    assert {path: path.read_bytes() for path in bag.iterdir()} == before


@pytest.mark.parametrize('command', ['bag', 'replay'])
@pytest.mark.parametrize('bound', ['bad3>5', 'depth_rmse>1', 'd1>=3'])
def test_a_bound_that_needs_a_truth_is_refused_before_anything_is_judged(
    command: str, bound: str, tmp_path: Path, capsys
) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(2), leave_out=['truth'])
    assert main([command, str(bag), '--backend', 'sgbm', '--fail-if', bound]) == 2
    captured = capsys.readouterr()
    assert 'needs a truth, and the bag has none; name one by --truth' in captured.err
    assert captured.out == ''


def test_unusable_bags_are_one_line(tmp_path: Path, capsys) -> None:
    late = write_scene_bag(tmp_path / 'late', planes(6), late_ns=4_000_000)
    alone = write_scene_bag(tmp_path / 'alone', planes(2), leave_out=['right', 'right_info'])
    for bag, message in (
        (tmp_path / 'none', 'no such bag'),
        (late, '--approximate-sync'),
        (alone, 'no left and right image topic that belong together; name them by --left TOPIC'),
    ):
        assert main(['bag', str(bag), *FAST]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    # Of several bags, those that can be used are judged.
    good = write_scene_bag(tmp_path / 'good', planes(2))
    assert main(['bag', str(late), str(good), *FAST]) == 1
    captured = capsys.readouterr()
    assert '--approximate-sync' in captured.err
    assert 'good cam' in captured.out


def test_the_parameter_file_of_the_node_counts(tmp_path: Path, capsys) -> None:
    params = tmp_path / 'node.yaml'
    params.write_text(
        '/**:\n  ros__parameters:\n    approximate_sync: true\n    disparity_range: 32\n'
        '    max_depth: 50.0\n    use_sim_time: true\n    dispairty_range: 3\n'
    )
    bag = write_scene_bag(tmp_path / 'b', planes(30), late_ns=4_000_000)
    document = judged(tmp_path, bag, '--params', str(params), '--every', '10')
    assert 'dispairty_range is no setting of dtp_stereo' in capsys.readouterr().err
    recording = document['recordings'][0]
    settings = recording['methods']['sgbm']['settings']
    # An option that is typed comes before the file.
    assert (settings['disparity_range'], settings['max_depth']) == (64, 50)
    assert recording['node']['approximate_sync']
    assert recording['pairs'] == 30
    assert len(recording['frames']) == 3


def test_only_the_truth_within_the_depth_limits_is_judged(tmp_path: Path) -> None:
    """F T is 20 px m: 8 px are 2.5 m, and 16 px are 1.25 m."""
    near, far = planes(1, 16)[0], planes(1, 8)[0]
    half = [np.concatenate(images, axis=0) for images in zip(
        (near.left, near.right, near.truth_px), (far.left, far.right, far.truth_px), strict=True
    )]  # fmt: skip
    bag = write_scene_bag(tmp_path / 'b', [Pair(*half)] * 2)

    def epe(*options: str) -> tuple[float, int]:
        recording = judged(tmp_path, bag, *options)['recordings'][0]
        (measures,) = recording['measures']
        pixels = sum(line['pixels'] for line in recording['by_disparity'])
        return measures['values']['epe_px']['mean'], pixels

    whole, pixels = epe()
    for options in (['--max-depth', '2.0'], ['--min-depth', '2.0']):
        part, share = epe(*options)
        assert part < 0.2 and whole < 0.2
        assert share == pixels / 2


def test_an_estimate_of_the_robot_is_no_truth(tmp_path: Path, capsys) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(2), names={'truth': '/cam/disparity'})
    document = judged(tmp_path, bag)
    assert 'epe_px' not in document['recordings'][0]['measures'][0]['values']
    assert 'if it is the truth, add --truth /cam/disparity' in capsys.readouterr().out
    document = judged(tmp_path, bag, '--truth', '/cam/disparity')
    assert document['recordings'][0]['measures'][0]['values']['epe_px']['mean'] < 0.2


def test_a_written_bag_is_judged_alike(tmp_path: Path, make_onnx, capsys) -> None:
    pytest.importorskip('onnxruntime')
    bag, out = write_scene_bag(tmp_path / 'b', planes(4)), tmp_path / 'out.mcap'
    models = ['--backend', 'onnx', '--models', str(make_onnx())]
    files = [tmp_path / 'a.json', tmp_path / 'b.json']
    assert main(['bag', str(bag), *models, '--json', str(files[0]), '--write', str(out)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if 'written: ' in line)
    assert f'{out}: results of tiny onnx fp32: ' in line
    assert '/disparity/compressed (4)' in line and '/cam/ground_truth/disparity (4)' in line
    assert main(['bag', str(out), *models, '--json', str(files[1])]) == 0
    first, second = (result_file.read(file)['recordings'][0]['frames'] for file in files)
    assert len(first) == 8
    for old, new in zip(first, second, strict=True):
        assert (old['method'], old['stamp_ns']) == (new['method'], new['stamp_ns'])
        assert old['values'] == new['values']
    # The model's disparity is a quarter of the brightness of the left image; SGBM's is 8 px.
    for name, options in (('tiny', []), ('sgbm', ['--write-method', 'sgbm'])):
        assert main(['bag', str(bag), *models, '--write', str(out), *options]) == 0
        with Recording(out) as recording:
            _, _, message = next(recording.messages(['/disparity']))
            topics = list(recording.types)
        values = np.frombuffer(message.image.data, '<f4')
        assert (abs(np.median(values) - 8) < 0.2) == (name == 'sgbm')
        assert ('/confidence' in topics) == (name == 'tiny')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--write', 'out.bag'], 'out.bag: a bag is written as one .mcap file'),
        (['--write', 'b/b.mcap'], 'is the bag that is read; name another file'),
        (['b', '--write', 'o.mcap'], 'takes the pairs of one bag'),
        (['--write', 'o.mcap', '--write-method', 'dtpnet'], "'dtpnet': choose one of 'sgbm'"),
        (['--write-method', 'sgbm'], 'give both'),
        (['--write', 'o.mcap', '--start', '100'], 'no image in this part of the bag'),
    ],
)
def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch, capsys, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scene_bag(Path('b'), planes(2), storage='mcap')
    before = sorted(Path().rglob('*'))
    assert main(['bag', 'b', *options, *FAST]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert len(lines) == 1 and message in lines[0]
    assert sorted(Path().rglob('*')) == before


@pytest.mark.parametrize('others', [[], ['good']])
def test_one_camera_that_cannot_be_used_costs_nothing_of_the_other(
    tmp_path: Path, others: list[str], capsys
) -> None:
    bag, out = write_two_cameras(tmp_path / 'b', 100 * 10**9), tmp_path / 'out.mcap'
    more = [str(write_scene_bag(tmp_path / name, planes(2))) for name in others]
    write = [] if others else ['--write', str(out)]
    file = tmp_path / 'result.json'
    arguments = [str(bag), *more, *FAST, '--json', str(file), '--report', str(tmp_path / 'r')]
    assert main(['bag', *arguments, *write]) == 1
    document = result_file.read(file)
    names = [recording['name'] for recording in document['recordings']]
    assert names == ['b front', *(f'{name} cam' for name in others)]
    (line,) = document['left_out']
    assert '/rear/left/image_rect' in line
    assert f'error: {line}' in capsys.readouterr().err
    assert line[:40] in (tmp_path / 'r' / 'report.html').read_text()
    assert out.exists() == (not others)
    assert main(['bag', str(bag), *FAST, '--camera', 'rear']) == 2
    good = write_two_cameras(tmp_path / 'g', 0)
    assert main(['bag', str(good), *FAST]) == 0


def test_a_bag_that_breaks_off_is_judged_and_told(tmp_path: Path, capsys) -> None:
    pytest.importorskip('mcap')
    whole = next(write_scene_bag(tmp_path / 'b', planes(9), storage='mcap').glob('*.mcap'))
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(whole.read_bytes()[: int(0.7 * whole.stat().st_size)])
    assert main(['bag', str(whole), *FAST]) == 0
    for bags in ([cut], [whole, cut]):
        assert main(['bag', *map(str, bags), *FAST]) == 1
        captured = capsys.readouterr()
        assert f'error: {cut}: ends early' in captured.err
        assert 'cut cam' in captured.out


@pytest.mark.parametrize(('pairs', 'judged'), [(0, []), (3, ['a cam']), (7, ['a cam', 'b cam'])])
def test_ctrl_c_ends_with_what_was_judged(
    tmp_path: Path, pairs: int, judged: list[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    bags = [str(write_scene_bag(tmp_path / name, planes(6))) for name in 'abc']
    add, count = RecordingJudge.add, 0

    def interrupted(self: RecordingJudge, recorded: RecordedFrame) -> JudgedFrame:
        nonlocal count
        count += 1
        if count > pairs:
            raise KeyboardInterrupt
        return add(self, recorded)

    monkeypatch.setattr(RecordingJudge, 'add', interrupted)
    file = tmp_path / 'result.json'
    options = [*FAST, '--json', str(file), '--report', str(tmp_path / 'r')]
    assert main(['bag', *bags, *options]) == 1
    assert count == pairs + 1
    captured = capsys.readouterr()
    assert 'pairs could not be used' not in captured.out
    if not judged:
        assert f'error: {bags[0]}: stopped by the user after 0 pairs' in captured.err
        return
    document = result_file.read(file)
    assert [recording['name'] for recording in document['recordings']] == judged
    finding = document['recordings'][-1]['findings'][0]
    assert (finding['level'], finding['text']) == (
        'error',
        f'stopped by the user after {pairs - 6 * (len(judged) - 1)} pairs',
    )
    assert document['left_out'] == [
        f'{bag}: not begun, stopped by the user' for bag in bags[len(judged) :]
    ]
    monkeypatch.undo()
    assert main(['bag', *bags, *options]) == 0
    assert [r['pairs'] for r in result_file.read(file)['recordings']] == [6, 6, 6]
    again = f'{len(judged) - 1} of 3 bags were judged before'
    assert (again in capsys.readouterr().err) == (len(judged) > 1)


def test_ctrl_c_ends_the_cameras_of_a_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: RecordingJudge, recorded: RecordedFrame) -> JudgedFrame:
        if recorded.index == 2:
            raise KeyboardInterrupt
        return add(self, recorded)

    add, file = RecordingJudge.add, tmp_path / 'result.json'
    monkeypatch.setattr(RecordingJudge, 'add', interrupted)
    bag = write_two_cameras(tmp_path / 'b', 0)
    assert main(['bag', str(bag), *FAST, '--json', str(file)]) == 1
    document = result_file.read(file)
    assert [recording['name'] for recording in document['recordings']] == ['b front']
    assert document['left_out'] == [
        f'{bag}: /rear/left/image_rect: not begun, stopped by the user'
    ]
