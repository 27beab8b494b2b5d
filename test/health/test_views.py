"""Exchanged and raw views, found by points that both images show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dtp_stereo_ros.evaluation.datasets import open_dataset
from dtp_stereo_ros.health.view_check import (
    ViewCheck,
    ViewSetting,
    pair_findings,
    rectification_findings,
)
from dtp_stereo_ros.health.views import (
    Matches,
    Rectification,
    exchanged,
    rectification,
    sparse_matches,
)
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame, UInt8Array

MakeFrame = Callable[..., StereoFrame]
SIZE = (240, 320)
RECT = {'left': '/cam/left/image_rect', 'right': '/cam/right/image_rect'}
INFOS = {'left_info': '/cam/left/camera_info', 'right_info': '/cam/right/camera_info'}


def setting(rectify: bool = False, **topics: str) -> ViewSetting:
    return ViewSetting('/depth_node', '', rectify, {**RECT, **INFOS, **topics})


def shifted(matches: Matches, rows_px: float) -> Matches:
    """The points of the right image some rows lower."""
    return replace(matches, right_px=matches.right_px + np.array((0, rows_px)))


def test_points_are_found_to_a_tenth_of_a_pixel(make_frame: MakeFrame) -> None:
    frame = make_frame(24, SIZE)
    matches = sparse_matches(frame.left, frame.right)
    assert len(matches) >= 60
    assert matches.left_px[:, 0] - matches.right_px[:, 0] == pytest.approx(24, abs=0.1)
    assert matches.rows_px() < 0.1


def test_points_are_in_pixels_of_the_input(make_frame: MakeFrame) -> None:
    frame = make_frame(24, SIZE)
    large = [cv2.resize(i, None, fx=4, fy=4) for i in (frame.left, frame.right)]
    matches = sparse_matches(*large)
    shift = matches.left_px[:, 0] - matches.right_px[:, 0]
    assert np.median(shift) == pytest.approx(96, abs=0.5)
    assert matches.width_px == 1280
    assert matches.left_px[:, 0].max() > 900


def test_rows_are_measured(make_frame: MakeFrame) -> None:
    frame = make_frame(10, SIZE)
    lower = np.roll(frame.right, 5, axis=0)
    assert sparse_matches(frame.left, lower).rows_px() == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    'image',
    [np.zeros((60, 80, 3), np.uint8), np.full((480, 640, 3), 90, np.uint8)],
)
def test_nothing_to_see_tells_nothing(image: UInt8Array) -> None:
    matches = sparse_matches(image, image)
    assert len(matches) == 0
    assert exchanged(matches) is None
    assert rectification(matches, matches).kind == 'unknown'


def test_exchanged_by_the_side_of_the_points(make_frame: MakeFrame) -> None:
    frame = make_frame(24, SIZE)
    matches = sparse_matches(frame.left, frame.right)
    assert exchanged(matches) is False
    assert exchanged(sparse_matches(frame.right, frame.left)) is True
    # Behind the cameras either way: the calibration is of other cameras.
    assert exchanged(matches, offset_px=30.0) is None
    # All is far away, or the views are one.
    assert exchanged(sparse_matches(frame.left, frame.left)) is None
    assert exchanged(matches, offset_px=24.0) is False  # at infinity


def test_principal_points_that_differ_are_accounted_for() -> None:
    """As of the Motorcycle pair: exchanged, near points lie in front of the cameras still."""
    left_px = np.tile([[300.0, 50.0]], (54, 1))
    right_px = left_px - np.stack((np.arange(7.0, 61.0), np.zeros(54)), axis=1)
    assert exchanged(Matches(left_px, right_px, 741), offset_px=-31.0) is False
    assert exchanged(Matches(right_px, left_px, 741), offset_px=-31.0) is True


def test_both_sides_tell_nothing() -> None:
    left_px = np.tile([[100.0, 50.0]], (40, 1))
    right_px = left_px + np.where(np.arange(40)[:, None] % 4 == 0, [[20.0, 0.0]], [[-20.0, 0.0]])
    assert exchanged(Matches(left_px, right_px, 640)) is None


@pytest.mark.parametrize(
    ('before_px', 'after_px', 'kind'),
    [
        (0.3, 0.4, 'aligned'),
        (0.3, 5.0, 'rectified'),
        (5.0, 0.3, 'raw'),
        (5.0, 4.0, 'misaligned'),
        (2.0, 1.2, 'misaligned'),
        (1.2, 2.0, 'unknown'),
    ],
)
def test_kinds_of_rows(before_px: float, after_px: float, kind: str) -> None:
    points = np.random.default_rng(0).uniform(0, 400, (40, 2))
    matches = Matches(points, points - [10, 0], 640)
    rows = rectification(shifted(matches, before_px), shifted(matches, after_px))
    assert (rows.kind, rows.given_px, rows.rectified_px) == (
        kind,
        pytest.approx(before_px),
        pytest.approx(after_px),
    )


def test_rows_of_wide_images_are_measured_more_coarsely() -> None:
    points = np.random.default_rng(0).uniform(0, 400, (40, 2))
    for width_px, kind in ((640, 'misaligned'), (1920, 'aligned')):
        matches = shifted(Matches(points, points - [10, 0], width_px), 3.0)
        assert rectification(matches, matches).kind == kind


def test_findings_on_rows_carry_commands() -> None:
    raw = Rectification('raw', 4.7, 0.3, 30.0)
    (found,) = rectification_findings(raw, setting())
    assert (found.level, found.mend) == ('error', 'ros2 param set /depth_node rectify true')
    assert 'rows differ by 4.7 px, and by 0.3 px once' in found.text
    assert rectification_findings(raw, setting(rectify=True)) == []
    twice = Rectification('rectified', 0.3, 4.7, 30.0)
    (found,) = rectification_findings(twice, setting(rectify=True))
    assert found.mend == 'ros2 param set /depth_node rectify false'
    assert rectification_findings(twice, setting()) == []
    (found,) = rectification_findings(Rectification('misaligned', 4.0, 5.0), setting())
    assert found.level == 'warn' and '4.0 px' in found.text
    assert 'cameracalibrator' in found.mend
    assert '-r left:=/cam/left/image_rect -r left_camera:=/cam/left' in found.mend


@pytest.mark.parametrize(
    ('topic', 'shift_px', 'warned'),
    [
        ('/cam/left/image_raw', 30.0, True),
        ('/cam/left/image_raw', 0.1, False),  # a simulated camera
        ('/camera/infra1/image_rect_raw', 30.0, False),
        ('/cam/left/image_rect', 30.0, False),  # the camera_info of the raw image, as usual
    ],
)
def test_a_raw_name_counts_where_rectifying_moves_points(
    topic: str, shift_px: float, warned: bool
) -> None:
    rows = Rectification('aligned', 0.2, 0.2, shift_px)
    found = rectification_findings(rows, setting(left=topic))
    assert [f.level for f in found] == ['warn'] * warned
    assert all(topic in f.text for f in found)
    assert rectification_findings(rows, setting(rectify=True, left=topic)) == []


def same(given: Matches) -> Matches:
    return given


def test_three_looks_must_agree(make_frame: MakeFrame) -> None:
    frame = make_frame(24, SIZE)
    check = ViewCheck()

    def look(left: UInt8Array, right: UInt8Array, now_s: float) -> list[str]:
        found = check.look(left, right, 0.0, same, setting(), now_s)
        return [f.text for f in found]

    assert check.due(0.0)
    assert look(frame.right, frame.left, 0.0) == []
    assert not check.due(0.5) and check.due(1.0)
    assert look(frame.right, frame.left, 1.0) == []
    nothing = np.zeros_like(frame.left)
    assert look(nothing, nothing, 2.0) == []  # does not tell
    (text,) = look(frame.right, frame.left, 3.0)
    assert text.startswith('/cam/left/image_rect and /cam/right/image_rect are exchanged')
    assert not check.due(3.9) and check.due(4.0)  # soon, while it is wrong
    assert look(frame.left, frame.right, 4.0) == []
    assert not check.due(13.0) and check.due(14.0)
    assert check.due(5.0, confidence=0.1) is False and check.due(6.0, confidence=0.1)


def test_exchanged_views_carry_the_remapping(make_frame: MakeFrame) -> None:
    frame, check = make_frame(24, SIZE), ViewCheck()
    names = ViewSetting('/n', 'front/', False, {**INFOS, 'left': '/a/compressed', 'right': '/b'})
    for _ in range(3):
        found = check.look(frame.right, frame.left, 0.0, same, names)
    assert found[0].mend.endswith('-r front/left/image_rect:=/b -r front/right/image_rect:=/a')


def test_a_pair_of_files_is_told_by_name(make_frame: MakeFrame) -> None:
    frame = make_frame(24, SIZE)
    assert pair_findings(frame, 'a.png', 'b.png') == []
    (found,) = pair_findings(replace(frame, left=frame.right, right=frame.left), 'a', 'b')
    assert found.text.startswith('a and b are exchanged') and 'other order' in found.mend
    lower = np.roll(frame.right, 6, axis=0)
    (found,) = pair_findings(replace(frame, right=lower), 'a', 'b')
    assert found.text == 'the rows of a and b differ by 6.0 px'


def test_principal_points_of_a_pair_are_accounted_for(make_frame: MakeFrame) -> None:
    """Points at -24 px lie before the cameras where -30 px is infinity."""
    frame = make_frame(24, SIZE)
    for cx_right_px, count in ((160.0, 1), (190.0, 0)):
        calibration = StereoCalibration(200, 200, 160.0, cx_right_px, 120.0, 0.1, 320, 240)
        pair = StereoFrame(frame.right, frame.left, calibration=calibration)
        assert len(pair_findings(pair, 'a', 'b')) == count


SETS = {
    'middlebury_v3': 'middlebury/MiddEval3/trainingQ',
    'kitti2015': 'kitti2015/training',
    'flyingthings': 'sceneflow/FlyingThings3D',
    'pairs': 'unlabelled/eth3d',
}


@pytest.mark.parametrize('name', list(SETS))
def test_real_pairs(data_root: Path, name: str) -> None:
    """No real pair is taken for exchanged or misaligned, and all but the far are found."""
    scenes = open_dataset(f'{name}:{data_root / SETS[name]}')[1]
    found = 0
    for scene in scenes:
        frame = scene.load_frame()
        matches = sparse_matches(frame.left, frame.right)
        assert exchanged(matches) is False or len(matches) < 30, scene.name
        assert rectification(matches, matches).kind == 'aligned', scene.name
        found += bool(exchanged(sparse_matches(frame.right, frame.left)))
    assert found >= len(scenes) - 1
