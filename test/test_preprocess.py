"""Resizing and padding, and that they can be undone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.models import ModelSpec
from dtp_stereo_ros.postprocess import median_confidence, restore, restore_confidence
from dtp_stereo_ros.preprocess import byte_planes, fit, planes, prepare
from dtp_stereo_ros.stereo import StereoFrame

MakeFrame = Callable[..., StereoFrame]

_SPEC = ModelSpec('tiny', padding_multiple=32, max_disparity_px=64, min_width_px=32)


@given(
    st.integers(1, 2000),
    st.integers(64, 2000),
    st.sampled_from([1, 8, 16, 32, 48]),
    st.floats(0.5, 2.0),
)
def test_padded_size_is_the_next_multiple(
    height: int, width: int, multiple: int, scale: float
) -> None:
    geometry = fit(height, width, ModelSpec('tiny', multiple, 64, min_width_px=16), scale)
    for resized, padded, original in zip(
        geometry.resized_size, geometry.padded_size, (height, width), strict=True
    ):
        assert padded % multiple == 0
        assert 0 <= padded - resized < multiple
        assert abs(resized - original * scale) <= 0.5 or resized == 1
    assert geometry.width_ratio == width / geometry.resized_size[1]


def test_padding_goes_to_the_top_and_the_right_by_edge_replication() -> None:
    rows, columns = np.mgrid[0:30, 0:60]
    image = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
    prepared = prepare(StereoFrame(image, image[::-1, ::-1]), _SPEC, 1.0)
    left = prepared.left
    assert left.shape == (32, 64, 3)
    assert left.dtype == np.uint8
    assert left.flags.c_contiguous
    np.testing.assert_array_equal(left[2:, :60], image)
    np.testing.assert_array_equal(left[:2, :60], np.repeat(left[2:3, :60], 2, axis=0))
    np.testing.assert_array_equal(left[:, 60:], np.repeat(left[:, 59:60], 4, axis=1))
    np.testing.assert_array_equal(prepared.right[2:, :60], image[::-1, ::-1])


@pytest.mark.parametrize('size', [(30, 60), (32, 64)])
def test_an_earlier_pair_is_written_again_and_no_image_of_a_frame(size: tuple[int, int]) -> None:
    first, second = (np.full((*size, 3), value, np.uint8) for value in (10, 20))
    before = prepare(StereoFrame(first, first.copy()), _SPEC, 1.0)
    prepared = prepare(StereoFrame(second, second.copy()), _SPEC, 1.0, before)
    assert (prepared.left == 20).all()
    assert (prepared.right == 20).all()
    assert (first == 10).all()
    assert (prepared.left is before.left) is (size == (30, 60))


def test_memory_of_another_size_is_left_alone() -> None:
    """The image that fits as it is has the size of the padded one."""
    fits, smaller = np.full((32, 64, 3), 10, np.uint8), np.full((30, 60, 3), 20, np.uint8)
    before = prepare(StereoFrame(fits, fits.copy()), _SPEC, 1.0)
    prepared = prepare(StereoFrame(smaller, smaller.copy()), _SPEC, 1.0, before)
    assert (prepared.left == 20).all()
    assert (fits == 10).all()


def test_downscaling_averages_areas() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    image[::2, ::2] = 200
    prepared = prepare(StereoFrame(image, image), _SPEC, 0.5)
    assert prepared.left.shape == (32, 64, 3)
    np.testing.assert_array_equal(prepared.left, 50)


@given(st.integers(1, 90), st.integers(32, 200))
def test_padding_is_undone_exactly(height: int, width: int) -> None:
    truth = np.random.default_rng(height * 1000 + width).uniform(0, 64, (height, width))
    truth = truth.astype(np.float32)
    geometry = fit(height, width, _SPEC, 1.0)
    padded = np.full(geometry.padded_size, np.nan, np.float32)
    padded[geometry.pad_top_px :, :width] = truth
    disparity = restore(padded, geometry)
    confidence = restore_confidence(padded / 64, geometry)
    np.testing.assert_array_equal(disparity, truth)
    np.testing.assert_allclose(confidence, truth / 64, rtol=1e-6)


@given(st.integers(33, 120), st.integers(33, 200), st.sampled_from([1, 2, 4, 8 / 3]))
def test_the_median_of_the_confidence_is_that_of_the_image(
    height: int, width: int, part: float
) -> None:
    geometry = fit(height, width, _SPEC, 1.0)
    rows, columns = geometry.padded_size
    # A ramp to the right; the padding, which does not count, is sure.
    coarse = np.tile(
        np.linspace(0, 1, int(columns / part), dtype=np.float32), (int(rows / part), 1)
    )
    coarse[: int(geometry.pad_top_px / part)] = 1
    median = np.median(restore_confidence(coarse, geometry))
    assert median_confidence(coarse, geometry) == pytest.approx(median, abs=8 / width)


def test_an_unknown_confidence_has_no_median() -> None:
    geometry = fit(40, 64, _SPEC, 1.0)
    unknown = np.full(geometry.padded_size, np.nan, np.float32)
    assert np.isnan(median_confidence(unknown, geometry))


@given(
    st.integers(20, 90),
    st.integers(80, 200),
    st.floats(0.5, 2.0),
    st.floats(1, 60),
    st.floats(-0.1, 0.1),
)
def test_resizing_is_undone_with_disparity_in_input_pixels(
    height: int, width: int, scale: float, offset: float, slope: float
) -> None:
    geometry = fit(height, width, _SPEC, scale)
    # A slanted plane as a network sees it: pixel centres are integers.
    ratio = geometry.width_ratio
    columns = (np.arange(geometry.resized_size[1]) + 0.5) * ratio - 0.5
    padded = np.full(geometry.padded_size, np.nan, np.float32)
    padded[geometry.pad_top_px :, : geometry.resized_size[1]] = (offset + slope * columns) / ratio
    disparity = restore(padded, geometry)
    expected = np.broadcast_to(offset + slope * np.arange(width), (height, width))
    # Beyond the outermost pixel centres there is nothing to interpolate with.
    inside = slice(2, width - 2)
    np.testing.assert_allclose(disparity[:, inside], expected[:, inside], atol=2e-3)


def test_fixed_size_shrinks_with_its_aspect_and_pads() -> None:
    spec = ModelSpec('fixed', 32, 64, fixed_size=(96, 160), min_width_px=32)
    geometry = fit(400, 320, spec, 1.0)
    assert geometry.resized_size == (96, 77)
    assert geometry.padded_size == (96, 160)
    assert fit(50, 100, spec, 1.0).resized_size == (50, 100)


@pytest.mark.parametrize(
    ('width', 'scale', 'message'),
    [
        (
            31,
            1.0,
            'images are 31 px wide, tiny needs at least 32 px; use larger images or a '
            r'larger input_scale \(--scale\)$',
        ),
        (60, 0.5, r'images are 30 px wide \(resized from 60 px\), .* or a larger input_scale'),
    ],
)
def test_narrow_images_are_refused(
    width: int, scale: float, message: str, make_frame: MakeFrame
) -> None:
    with pytest.raises(InputError, match=message):
        prepare(make_frame(4, (40, width)), _SPEC, scale)


def test_images_that_a_fixed_size_makes_narrow_are_to_be_cropped() -> None:
    spec = ModelSpec('fixed', 32, 64, fixed_size=(96, 160), min_width_px=64)
    message = (
        r'48 px wide \(resized from 200 px\), .*: crop the images to that shape, or export it'
    )
    with pytest.raises(InputError, match=message):
        fit(400, 200, spec, 1.0)


def test_images_in_any_memory_layout(make_frame: MakeFrame) -> None:
    frame = make_frame(4, (40, 64))
    mirrored = StereoFrame(frame.left[:, ::-1, ::-1], frame.right[:, ::-1, ::-1])
    prepared = prepare(mirrored, _SPEC, 1.0)
    np.testing.assert_array_equal(prepared.left[-40:], frame.left[:, ::-1, ::-1])
    assert prepared.left.flags.c_contiguous


@given(st.integers(1, 40), st.integers(1, 70), st.booleans())
def test_planes_are_the_channels(height: int, width: int, again: bool) -> None:
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    before = np.full((1, 3, height, width), np.nan, np.float32) if again else None
    made = planes(image, before)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    assert (made is before) is again
    np.testing.assert_array_equal(made, image.transpose(2, 0, 1)[None])


@given(st.integers(1, 40), st.integers(1, 70))
def test_byte_planes_are_the_channels(height: int, width: int) -> None:
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    first = byte_planes(image)
    np.testing.assert_array_equal(first, image.transpose(2, 0, 1)[None])
    again = byte_planes(255 - image, first)
    assert again is first
    np.testing.assert_array_equal(again, 255 - image.transpose(2, 0, 1)[None])


def test_planes_of_large_images_and_of_another_size() -> None:
    """They are filled in several parts; memory of another size is left alone."""
    image = np.random.default_rng(0).integers(0, 256, (700, 1201, 3), np.uint8)
    before = np.zeros((1, 3, 700, 1200), np.float32)
    np.testing.assert_array_equal(planes(image, before), image.transpose(2, 0, 1)[None])
    assert not before.any()
