"""Measures without truth, by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dtp_stereo_ros.evaluation import truth_free
from dtp_stereo_ros.health.views import Matches
from dtp_stereo_ros.postprocess import left_right_differences

NAN = np.float32(np.nan)


def photometric(left, right, disparity_px):
    return truth_free.photometric(truth_free.warped_pair(left, right, disparity_px))


def census(left, right, disparity_px):
    return truth_free.census(truth_free.warped_pair(left, right, disparity_px))


def plane(make_frame, disparity_px=8, size=(60, 120)):
    frame = make_frame(disparity_px, size)
    return frame, np.full(size, disparity_px, np.float32)


def test_pixels_that_both_cameras_see():
    # A surface at 2 px from column 4 on hides the background at 0 px behind it.
    disparity = np.array([[0, 0, 0, 0, 2, 2, 2, NAN]], np.float32)
    seen = truth_free.seen_by_both(disparity)
    # Column 3 is matched at 3, and column 4 at 2: hidden. Column 2 is matched at 2 as well.
    assert seen.tolist() == [[True, True, True, True, True, True, True, False]]
    disparity = np.array([[0, 0, 0, 0, 3, 3, 3, 3]], np.float32)
    assert truth_free.seen_by_both(disparity).tolist() == [
        [True, True, True, False, True, True, True, True]
    ]
    # Outside of the right image.
    assert truth_free.seen_by_both(np.array([[1, 0]], np.float32)).tolist() == [[False, True]]


def test_left_right_differences_and_their_share():
    left = np.array([[NAN, 1, 1, 1, 2, 2]], np.float32)
    right = np.array([[1, 1, 2.5, 4, 9, 9]], np.float32)
    found = left_right_differences(left, right)
    np.testing.assert_allclose(found, [[NAN, 0, 0, 1.5, 0.5, 2]])
    assert truth_free.inconsistent(left, right) == pytest.approx(2 / 5)


def test_the_true_disparity_has_no_photometric_error(make_frame):
    frame, truth = plane(make_frame)
    assert photometric(frame.left, frame.right, truth) < 1e-6
    assert census(frame.left, frame.right, truth) == 0
    wrong = photometric(frame.left, frame.right, truth + 2)
    assert wrong > 0.1
    assert census(frame.left, frame.right, truth + 2) > 0.1
    # A larger error is not smaller.
    assert photometric(frame.left, frame.right, truth + 0.5) < wrong


def test_exposure_does_not_count(make_frame):
    frame, truth = plane(make_frame)
    darker = (frame.right * 0.5).astype(np.uint8)
    assert photometric(frame.left, darker, truth) < 0.01
    assert census(frame.left, darker, truth) < 0.03


def test_flicker_where_the_image_is_still():
    image = np.full((40, 40, 3), 100, np.uint8)
    other = image.copy()
    other[:, 20:] = 200
    still = truth_free.still(image, other)
    assert still[:, :14].all()
    assert not still[:, 18:].any()
    before = np.full((40, 40), 5, np.float32)
    now = before.copy()
    now[:, :10] += 0.5
    now[:, 30:] += 50
    share = still[:, :10].sum() / still.sum()
    assert truth_free.flicker_px(now, before, still) == pytest.approx(0.5 * share)
    assert np.isnan(truth_free.flicker_px(now, before, np.zeros_like(still)))


def test_agreement_is_of_pixels_that_both_estimate():
    one = np.array([[1, 2, 3, NAN]], np.float32)
    other = np.array([[1.5, 4, NAN, 4]], np.float32)
    assert truth_free.agreement(one, other) == 0.5
    assert np.isnan(truth_free.agreement(one, np.full_like(one, NAN)))


def test_row_offsets():
    left = np.stack([np.arange(20.0), np.arange(20.0)], axis=1)
    right = left + np.array([-4, 0.5])
    right[3, 1] += 30  # a wrong match
    assert truth_free.row_offsets_px(Matches(left, right, 640)) == (0.5, 0.5)
    few = Matches(left[:5], right[:5], 640)
    assert np.isnan(truth_free.row_offsets_px(few)).all()


def texture(size=(240, 400), seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, size).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    full = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    return np.repeat(full[..., None], 3, axis=2)


def moving(shift_px):
    """A picture, the same moved to the right, and the disparity of both, which moves with it."""
    wide = texture((240, 440))
    ramp = np.tile(np.linspace(10, 20, 440, dtype=np.float32), (240, 1))
    now, before = slice(20 - shift_px, 420 - shift_px), slice(20, 420)
    return wide[:, now], wide[:, before], ramp[:, now], ramp[:, before]


@pytest.mark.parametrize('shift_px', [0, 4, 10])
def test_flicker_is_followed_along_the_motion(shift_px):
    parts = (np.ascontiguousarray(part) for part in moving(shift_px))
    image, before, disparity, disparity_before = parts
    found = truth_free.motion(image, before)
    assert truth_free.followed_flicker_px(disparity, disparity_before, found) < 0.05
    # A camera that comes nearer adds the same everywhere; noise is what flickers.
    assert truth_free.followed_flicker_px(disparity + 3, disparity_before, found) < 0.05
    noise = np.random.default_rng(1).normal(0, 0.5, disparity.shape).astype(np.float32)
    noisy = truth_free.followed_flicker_px(disparity + noise, disparity_before, found)
    assert noisy == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=0.06)


def test_flicker_of_other_pictures_is_not_known():
    disparity = np.full((240, 400), 9, np.float32)
    other = truth_free.motion(texture(seed=1), texture(seed=2))
    assert other.sure.mean() < 0.5
    same = truth_free.motion(texture(), texture())
    assert same.sure.all()
    holes = np.full((240, 400), NAN)
    assert np.isnan(truth_free.followed_flicker_px(holes, disparity, same))


def test_noise_on_planes_whatever_their_slope():
    rows, columns = np.mgrid[:256, :320].astype(np.float32)
    plane_px = 20 + 0.1 * columns - 0.05 * rows
    assert truth_free.plane_noise_px(plane_px) == pytest.approx(0, abs=1e-4)
    noise = np.random.default_rng(0).normal(0, 0.25, plane_px.shape).astype(np.float32)
    assert truth_free.plane_noise_px(plane_px + noise) == pytest.approx(0.25, rel=0.1)
    # Steps and holes are in other patches than the flattest.
    stepped = plane_px + noise
    stepped[:128, 70:] += 15
    stepped[200:, :40] = NAN
    assert truth_free.plane_noise_px(stepped) == pytest.approx(0.25, rel=0.1)
    assert np.isnan(truth_free.plane_noise_px(np.full((64, 64), NAN)))
