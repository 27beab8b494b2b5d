"""Crops around the thinnest structures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dtp_stereo_ros.evaluation.datasets import Truth
from dtp_stereo_ros.evaluation.scene_score import Estimate
from dtp_stereo_ros.evaluation.thin import CROPS, ThinStructures, thin_mask, thinnest
from dtp_stereo_ros.stereo import StereoFrame

NAN = np.nan


def poles(*widths: int, height: int = 200, width: int = 400) -> np.ndarray:
    """A wall at 5 px with poles of 25 px in front of it, 60 columns apart."""
    truth = np.full((height, width), 5, np.float32)
    for index, pole in enumerate(widths):
        truth[20:180, 50 + 60 * index : 50 + 60 * index + pole] = 25
    return truth


def see(thin: ThinStructures, name: str, truth: np.ndarray) -> None:
    image = np.full((*truth.shape, 3), 90, np.uint8)
    estimates = [Estimate('net openvino', truth), Estimate('sgbm', np.full_like(truth, 5))]
    thin.see(name, StereoFrame(image, image), Truth(truth), estimates)


def test_the_thinnest_is_the_longest_for_its_width() -> None:
    found = thinnest(thin_mask(poles(10, 3, 6, 20)))
    assert found is not None
    assert (found.row, found.column) == (100, 111)
    assert found.length_px == np.hypot(3, 160)
    assert abs(found.width_px - 3) < 0.01


def test_specks_blocks_and_unknown_pixels_are_no_structures() -> None:
    truth = np.full((100, 200), 5, np.float32)
    truth[10:13, 10:13] = 25
    truth[50:80, 50:80] = 25
    assert thinnest(thin_mask(truth)) is None
    assert not thin_mask(np.full((20, 70), NAN, np.float32)).any()
    pole = poles(4)
    pole[60:140] = NAN
    assert not thin_mask(pole)[60:140].any()


def test_the_picture_has_a_row_for_each_of_the_thinnest_scenes() -> None:
    thin = ThinStructures()
    assert thin.picture() is None
    see(thin, 'wall', np.full((200, 400), 5, np.float32))
    assert thin.picture() is None
    for width in (10, 4, 8, 2, 6):
        see(thin, f'pole of {width}', poles(width))
    picture = thin.picture()
    assert picture is not None
    assert picture.shape == (CROPS * 240, 4 * 320, 3)
    # In the middle of each crop stands its pole, thinnest first: 2, 4, 6, 8 px, twice as large.
    for row, width in enumerate((2, 4, 6, 8)):
        truth = picture[240 * row + 120, 320:640].astype(int)
        near = (truth[:, 0] > truth[:, 2]).sum()
        assert near == 2 * width
    # The second method sees the wall alone.
    assert (picture[120, 960:, 0] < picture[120, 960:, 2]).all()


def test_small_images_are_continued_in_black() -> None:
    thin = ThinStructures()
    see(thin, 'small', poles(3, height=60, width=100)[:60])
    picture = thin.picture()
    assert picture is not None
    assert picture.shape == (240, 4 * 320, 3)
    assert (picture[150:] == 0).all()
    assert (picture[:, 210:300] == 0).all()


@pytest.mark.parametrize('shape', ['ring', 'corner', 'bow'])
@pytest.mark.parametrize('unknown', [False, True])
def test_a_structure_larger_than_its_crop_is_in_the_crop(shape: str, unknown: bool) -> None:
    truth = np.full((400, 600), 10, np.float32)
    if unknown:  # as inside of a window or a screen
        truth[75:325, 115:485] = NAN
    truth[60:340, 100:104] = 30
    truth[336:340, 100:500] = 30
    if shape != 'corner':
        truth[60:340, 496:500] = 30
    if shape == 'ring':
        truth[60:64, 100:500] = 30
    mask = thin_mask(truth)
    found = thinnest(mask)
    assert found is not None
    assert mask[found.row, found.column]
    thin = ThinStructures()
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # of a mean of nothing
        see(thin, shape, truth)
    assert thin.picture() is not None
