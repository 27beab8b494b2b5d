"""Raw images of known lenses become what a pinhole camera would have seen."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from dtp_stereo_ros.errors import CalibrationError
from dtp_stereo_ros.messages.rectify import Rectifier, rectified_points

WIDTH, HEIGHT = 320, 240
# EuRoC's first camera, scaled to this width.
K = [195.2, 0.0, 156.3, 0.0, 194.6, 105.7, 0.0, 0.0, 1.0]
P = [200.0, 0.0, 160.0, 0.0, 0.0, 200.0, 120.0, 0.0, 0.0, 0.0, 1.0, 0.0]
LENSES = {
    'plumb_bob': [-0.283, 0.074, 0.0002, 0.00002, 0.0],
    'rational_polynomial': [0.4, 0.1, 0.0001, 0.0, 0.01, 0.7, 0.2, 0.02],
    'equidistant': [-0.003, 0.002, -0.001, 0.0005],
}


def camera(model: str, d: list[float], r: np.ndarray | None = None) -> CameraInfo:
    info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model=model)
    info.d, info.k, info.p = d, K, P
    info.r = (np.eye(3) if r is None else r).ravel().tolist()
    return info


def seen_by_lens(model: str, directions: np.ndarray, d: list[float]) -> np.ndarray:
    """Raw pixels of directions (N, 3), by OpenCV's projection: not the way maps are made."""
    k, points = np.array(K).reshape(3, 3), directions.reshape(-1, 1, 3)
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    pixels, _ = project(points, np.zeros(3), np.zeros(3), k, np.array(d))
    return pixels.reshape(-1, 2)


@settings(max_examples=25)
@given(
    model=st.sampled_from(sorted(LENSES)),
    axis=st.tuples(*[st.floats(-0.03, 0.03)] * 3),
    column=st.integers(60, 260),
    row=st.integers(60, 180),
)
def test_a_spot_moves_to_where_the_pinhole_sees_it(
    model: str, axis: tuple[float, float, float], column: int, row: int
) -> None:
    """R turns the camera into the rectified one; a spot at a rectified pixel is drawn raw."""
    rotation, _ = cv2.Rodrigues(np.array(axis))
    direction = np.array([(column - 160) / 200, (row - 120) / 200, 1.0])
    in_camera = rotation.T @ direction
    spot = seen_by_lens(model, in_camera[None], LENSES[model])[0]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = (columns - spot[0]) ** 2 + (rows - spot[1]) ** 2
    raw = np.repeat((255 * np.exp(-distance / 18.0))[..., None], 3, axis=2).astype(np.uint8)
    rectified = Rectifier('left').rectify(raw, camera(model, LENSES[model], rotation))
    weight = rectified[..., 0].astype(np.float64)
    found = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    assert found == pytest.approx((column, row), abs=0.6)


@settings(max_examples=25)
@given(
    model=st.sampled_from(sorted(LENSES)),
    axis=st.tuples(*[st.floats(-0.03, 0.03)] * 3),
    places=st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), min_size=1),
)
def test_points_come_back_from_the_raw_image_up_to_its_border(
    model: str, axis: tuple[float, float, float], places: list[tuple[float, float]]
) -> None:
    rotation, _ = cv2.Rodrigues(np.array(axis))
    wanted_px = np.array(places)
    rays = np.column_stack(((wanted_px - (160, 120)) / 200, np.ones(len(places))))
    raw_px = seen_by_lens(model, rays @ rotation, LENSES[model])
    info = camera(model, LENSES[model], rotation)
    assert rectified_points(info, 'left', raw_px) == pytest.approx(wanted_px, abs=0.01)


def test_a_lens_without_distortion_changes_nothing() -> None:
    info = camera('', [])
    info.p = [*K[:3], 0.0, *K[3:6], 0.0, 0.0, 0.0, 1.0, 0.0]
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(Rectifier('left').rectify(image, info), image)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_what_lies_outside_of_the_raw_image_was_not_seen(side: str) -> None:
    info = camera('', [])
    info.p = [*K[:3], 0.0, *K[3:6], 0.0, 0.0, 0.0, 1.0, 0.0]
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    rectifier = Rectifier(side)
    assert rectifier.seen is None
    rectifier.rectify(image, info)
    assert rectifier.seen is None
    info.p[2] += 40.0  # the rectified camera sees 40 px more on the left
    rectified = rectifier.rectify(image, info)
    assert rectifier.seen is not None
    np.testing.assert_array_equal(rectifier.seen[:, :40], False)
    np.testing.assert_array_equal(rectifier.seen[:, 40:], True)
    np.testing.assert_array_equal(rectified[..., 0] > 0, rectifier.seen)


def test_binning_and_region_are_applied() -> None:
    """A binned cut-out is rectified as the same cut-out of the whole rectified image."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    whole = np.stack([columns * 255 // WIDTH, rows, columns * 0], axis=2).astype(np.uint8)
    info = camera('plumb_bob', LENSES['plumb_bob'])
    expected = Rectifier('left').rectify(whole, info)[40:200:2, 80:240:2]
    info.roi = RegionOfInterest(x_offset=80, y_offset=40, width=160, height=160)
    info.binning_x = info.binning_y = 2
    part = Rectifier('left').rectify(np.ascontiguousarray(whole[40:200:2, 80:240:2]), info)
    inside = (slice(15, -15), slice(15, -15))
    difference = np.abs(part.astype(int) - expected.astype(int))[inside]
    assert difference.max() <= 2
    assert np.ptp(part[inside][..., 0]) > 70


def test_maps_are_made_once_per_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = cv2.initUndistortRectifyMap

    def counting(*arguments: object) -> object:
        made.append(1)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cv2, 'initUndistortRectifyMap', counting)
    rectifier = Rectifier('left')
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    info = camera('plumb_bob', LENSES['plumb_bob'])
    for _ in range(3):
        rectifier.rectify(image, info)
    assert len(made) == 1
    fields = [(info.d, 0, 0.01), (info.k, 2, 1.0), (info.r, 0, 1e-4), (info.p, 0, 1.0)]
    changes: list[Callable[[], object]] = [
        *(partial(operator.setitem, values, at, values[at] + by) for values, at, by in fields),
        partial(setattr, info, 'binning_x', 2),
        partial(setattr, info, 'binning_y', 2),
        partial(setattr, info.roi, 'x_offset', 8),
        partial(setattr, info.roi, 'y_offset', 8),
        partial(setattr, info, 'distortion_model', 'rational_polynomial'),
    ]
    info.roi.width, info.roi.height = 2 * WIDTH, 2 * HEIGHT
    for number, change in enumerate(changes, start=2):
        change()
        if info.distortion_model == 'rational_polynomial':
            info.d = [*info.d, 0.0, 0.0, 0.0]
        for _ in range(2):
            rectifier.rectify(image, info)
        assert len(made) == number, change


def no_rotation(info: CameraInfo) -> None:
    info.r = [0.0] * 9


def nan_in_d(info: CameraInfo) -> None:
    info.d[0] = float('nan')


def no_k(info: CameraInfo) -> None:
    info.k = [0.0] * 9


def unknown_model(info: CameraInfo) -> None:
    info.distortion_model = 'thin_prism'


def short_d(info: CameraInfo) -> None:
    info.d = [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ('model', 'size'),
    [
        ('plumb_bob', 0), ('plumb_bob', 8), ('plumb_bob', 14), ('rational_polynomial', 5),
        ('equidistant', 0), ('equidistant', 5), ('none', 5), ('none', 0), ('', 5), ('', 0),
    ],
)  # fmt: skip
def test_zeros_are_no_distortion_whatever_the_model_is_called(model: str, size: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    wanted = Rectifier('left').rectify(picture, camera('plumb_bob', [0.0] * 5))
    assert np.array_equal(Rectifier('left').rectify(picture, camera(model, [0.0] * size)), wanted)


def test_a_fisheye_without_coefficients_is_no_pinhole() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    pinhole = Rectifier('left').rectify(picture, camera('plumb_bob', [0.0] * 4))
    fisheye = Rectifier('left').rectify(picture, camera('equidistant', [0.0] * 4))
    assert not np.array_equal(pinhole, fisheye)


@pytest.mark.parametrize(
    ('model', 'size', 'fits'),
    [
        ('plumb_bob', 8, 'set distortion_model to rational_polynomial'),
        ('plumb_bob', 14, 'set distortion_model to rational_polynomial'),
        ('rational_polynomial', 5, 'set distortion_model to plumb_bob'),
        ('equidistant', 5, 'set distortion_model to plumb_bob'),
        ('plumb_bob', 6, 'run the stereo calibrator'),
    ],
)
def test_coefficients_of_another_model_are_named(model: str, size: int, fits: str) -> None:
    with pytest.raises(CalibrationError, match=fits):
        Rectifier('left').rectify(
            np.zeros((HEIGHT, WIDTH, 3), np.uint8), camera(model, [0.01] * size)
        )


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (no_rotation, 'right camera_info: R is no rotation'),
        (nan_in_d, 'right camera_info: K, D or P has NaN'),
        (no_k, 'right camera_info: K or P is zero'),
        (unknown_model, "distortion_model 'thin_prism' is not known, use one of plumb_bob"),
        (short_d, 'plumb_bob has 4 or 5 coefficients but D has 3'),
    ],
)
def test_what_cannot_be_rectified_is_named(change: object, text: str) -> None:
    info = camera('plumb_bob', LENSES['plumb_bob'])
    change(info)  # type: ignore[operator]
    with pytest.raises(CalibrationError, match=text):
        Rectifier('right').rectify(np.zeros((HEIGHT, WIDTH, 3), np.uint8), info)
