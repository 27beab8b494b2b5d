"""Bounds on a recording of which a method finds nothing in some frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import recorded
from dtp_stereo_ros.evaluation.bounds import parse_bound
from dtp_stereo_ros.evaluation.paired_results import paired_measures
from dtp_stereo_ros.evaluation.recorded import RecordingJudge, RecordingResult
from dtp_stereo_ros.evaluation.result_file import as_document
from dtp_stereo_ros.evaluation.runner import DatasetResult, Method
from dtp_stereo_ros.evaluation.tables import measures_table
from dtp_stereo_ros.recordings.recorded_frames import RecordedFrame
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame, StereoResult

SIZE = HEIGHT, WIDTH = 48, 64
FRAMES = 6
TRUTH = np.full(SIZE, 10, np.float32)
CALIBRATION = StereoCalibration(100.0, 100.0, 32.0, 32.0, 24.0, 0.1, WIDTH, HEIGHT)


class Known:
    """Answers the truth and 0.1 px, and nothing in the frames that `fails` names."""

    def __init__(self, fails: Callable[[int], bool]) -> None:
        self._fails = fails

    def process(self, frame: StereoFrame) -> StereoResult:
        offset = np.nan if self._fails(frame.stamp_ns - 1) else 0.1
        times = {'inference': 0.0}
        return StereoResult(TRUTH + np.float32(offset), None, 0.0, 64.0, times)

    def close(self) -> None:
        pass


def recording(fails: Callable[[int], bool], truths: int = FRAMES) -> RecordingResult:
    """The first frames have a truth."""
    result = RecordingResult('r', scored=DatasetResult('r'))
    whole = Method('sgbm', Known(lambda index: False))
    methods = [Method('good', whole.pipeline), Method('model', Known(fails)), whole]
    judge = RecordingJudge(result, methods, consistency_every=0)
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        image = rng.integers(0, 255, (*SIZE, 3), np.uint8)
        frame = StereoFrame(image, image, index + 1, CALIBRATION)
        judge.add(RecordedFrame(index, frame, TRUTH if index < truths else None))
    return result


@pytest.mark.parametrize(
    'bound', ['bad3>5', 'bad-0.5>5', 'd1>5', 'epe>5', 'depth-rmse>50', 'depth-absrel>90']
)
@pytest.mark.parametrize('failed', [1, 3, FRAMES])
def test_frames_without_an_estimate_break_a_bound(bound: str, failed: int) -> None:
    (line,) = parse_bound(bound).broken([recording(lambda index: index < failed)])
    assert line.startswith('r: model: ')
    assert parse_bound(bound).broken([recording(lambda index: False)]) == []
    # Without a truth in them such frames are no errors, though they cost coverage.
    lost = recording(lambda index: index >= FRAMES - failed, FRAMES - failed)
    if failed < FRAMES:
        assert parse_bound(bound).broken([lost]) == []
    assert parse_bound('coverage<99').broken([lost])


def test_a_method_that_never_finds_anything_breaks_each_bound() -> None:
    never = recording(lambda index: True, truths=0)
    for bound in ('photometric>0.9', 'agreement<1', 'census>99', 'plane_noise>9'):
        (line,) = parse_bound(bound).broken([never])
        assert line == f'r: model: no estimate in 6 of 6 frames, {bound}'


def test_results_show_how_many_frames_are_in_a_mean() -> None:
    half = recording(lambda index: index % 2 == 0)
    good, model, _ = half.measures()
    assert good.values['bad_3'].mean == 0
    assert model.values['bad_3'].mean == 0.5
    assert model.values['epe_px'].mean == pytest.approx(0.1, abs=1e-5)
    _, _, first, second, _ = measures_table(half).splitlines()
    assert ' of ' not in first
    assert second.count('(3 of 6)') == 3  # EPE and both errors of depth
    whole = recording(lambda index: False)
    documents = [as_document([r.scored], recordings=[r]) for r in (whole, half)]
    found = {m.key: m for m in paired_measures(*documents) if m.method == 'model'}
    assert found['bad_3'].difference.images == 6
    assert found['bad_3'].difference.mean == 0.5


def test_why_a_measure_was_not_judged() -> None:
    def refusal(bound: str, result: RecordingResult) -> str:
        with pytest.raises(InputError, match=r'was not judged; ') as caught:
            parse_bound(bound).broken([result])
        return str(caught.value).partition('was not judged; ')[2]

    known, blank = recording(lambda index: False), recording(lambda index: False, truths=0)
    assert refusal('bad3>5', blank) == 'it needs a truth, name one by --truth'
    assert refusal('ause>5', known) == 'it needs a confidence'
    blank.about['topics'] = {'truth': '/gt/depth'}
    for bound in ('bad3>5', 'depth-rmse>5'):
        assert refusal(bound, blank).startswith('no truth of /gt/depth belongs to a pair; ')
    for result in (known, blank):
        result.frames = [frame for frame in result.frames if frame.method == 'sgbm']
        for bound in ('coverage<10', 'bad3>5'):
            assert refusal(bound, result).startswith('only SGBM ran, ')


@pytest.mark.parametrize('bound', ['bad3>90', 'epe>90', 'depth-rmse>90'])
def test_a_recording_that_was_not_judged_breaks_a_bound(bound: str) -> None:
    known, blank = (recording(lambda index: False, truths) for truths in (FRAMES, 0))
    for both in ([known, blank], [blank, known]):
        assert [line.rpartition(' (')[0] for line in parse_bound(bound).broken(both)] == [
            f'r: {method}: {parse_bound(bound).column.name} was not judged'
            for method in ('good', 'model')
        ]
    assert parse_bound('coverage<99').broken([known, blank]) == []
    (line, _) = parse_bound('bad3>90').broken([known, blank])
    assert line.endswith(' was not judged (it needs a truth, name one by --truth), bad3>90')


def test_measures_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result file, the table and the bounds ask for the same ones; more frames have others."""
    result, drawn = recording(lambda index: False), []
    draw = recorded.bootstrap
    monkeypatch.setattr(recorded, 'bootstrap', lambda values: drawn.append(1) or draw(values))
    first = result.measures()
    count = len(drawn)
    assert count > 0
    as_document([result.scored], recordings=[result])
    measures_table(result)
    parse_bound('bad3>5').broken([result])
    assert result.measures() == first
    assert len(drawn) == count
    result.frames = result.frames[:3]
    assert [measures.frames for measures in result.measures()] == [1, 1, 1]
