"""The picture of the best and the worst scene."""

import cv2
import numpy as np

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation.datasets import Truth
from dtp_stereo_ros.evaluation.extremes import Extremes
from dtp_stereo_ros.evaluation.scene_score import Estimate

from . import layouts


def scene(bad_rows, height=40):
    """Truth of 10 px, and an estimate that is 8 px off in so many of its rows."""
    truth = np.full((height, 92), 10, np.float32)
    truth[:, ::2] = 11
    estimate = truth.copy()
    estimate[:bad_rows] += 8
    return Truth(truth), [Estimate('net openvino bf16', estimate), Estimate('sgbm', truth)]


def test_the_first_method_orders_the_scenes():
    extremes = Extremes()
    assert extremes.picture() is None
    for name, bad in (('a', 10), ('b', 0), ('c', 30), ('d', 20)):
        extremes.see(name, *scene(bad))
    extremes.see('unknown', None, scene(40)[1])
    picture = extremes.picture()
    assert picture.shape == (2 * 200, 4 * 460, 3)
    best, worst = picture[:200], picture[200:]
    # Errors of the first method: none in the best scene, three quarters of the worst; none of the
    # second method.
    red = lambda part: (part[60:, :, 0].astype(int) > part[60:, :, 2]).mean()  # noqa: E731
    assert red(best[:, 460:920]) == 0
    assert abs(red(worst[:, 460:920]) - 90 / 140) < 0.02
    assert red(worst[:, 1380:]) == 0


def test_a_scene_in_which_nothing_was_found_is_the_worst():
    """As in the tables, where all of it is wrong."""
    extremes = Extremes()
    extremes.see('good', *scene(0))
    truth, (estimate, sgbm) = scene(0)
    nothing = Estimate(estimate.method, np.full_like(estimate.disparity_px, np.nan))
    extremes.see('nothing', truth, [nothing, sgbm])
    extremes.see('bad', *scene(30))
    best, worst = extremes._best, extremes._worst
    assert (best.bad_3, worst.bad_3) == (0.0, 1.0)


def test_pixels_that_both_cameras_see_decide_where_they_are_known():
    truth, estimates = scene(20)
    hidden = np.zeros((40, 92), bool)
    hidden[20:] = True
    extremes = Extremes()
    extremes.see('some', *scene(5))
    # Its wrong half is occluded.
    extremes.see('occluded', Truth(truth.disparity_px, hidden), estimates)
    picture = extremes.picture()
    assert (picture[40:90, 460:920, 0] > picture[40:90, 460:920, 2]).all()


def test_the_command_writes_it(tmp_path, capsys):
    data = f'flyingthings:{layouts.flyingthings(tmp_path / "f")}'
    out = tmp_path / 'out'
    assert main(['eval', '--data', data, '--backend', 'sgbm', '-o', str(out)]) == 0
    picture = cv2.imread(str(out / 'extremes.jpg'))
    assert picture.shape == (2 * 138, 2 * 460, 3)
    assert '![Best and worst scene](extremes.jpg)' in (out / 'report.md').read_text()
