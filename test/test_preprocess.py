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
from dtp_stereo_ros.preprocess import fit, prepare
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
    left = prepared.left[0]
    assert left.shape == (3, 32, 64)
    assert left.dtype == np.float32
    assert left.flags.c_contiguous
    np.testing.assert_array_equal(left[:, 2:, :60], image.transpose(2, 0, 1))
    np.testing.assert_array_equal(left[:, :2, :60], np.repeat(left[:, 2:3, :60], 2, axis=1))
    np.testing.assert_array_equal(left[:, :, 60:], np.repeat(left[:, :, 59:60], 4, axis=2))
    np.testing.assert_array_equal(
        prepared.right[0][:, 2:, :60], image[::-1, ::-1].transpose(2, 0, 1)
    )


def test_downscaling_averages_areas() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    image[::2, ::2] = 200
    prepared = prepare(StereoFrame(image, image), _SPEC, 0.5)
    assert prepared.left.shape == (1, 3, 32, 64)
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


@given(st.integers(33, 120), st.integers(33, 200), st.sampled_from([1, 2, 4]))
def test_the_median_of_the_confidence_is_that_of_the_image(
    height: int, width: int, part: int
) -> None:
    geometry = fit(height, width, _SPEC, 1.0)
    rows, columns = geometry.padded_size
    # A ramp to the right; the padding, which does not count, is sure.
    coarse = np.tile(np.linspace(0, 1, columns // part, dtype=np.float32), (rows // part, 1))
    coarse[: geometry.pad_top_px // part] = 1
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
            'larger input_scale$',
        ),
        (60, 0.5, r'images are 30 px wide \(resized from 60 px\), .* or a larger input_scale'),
    ],
)
def test_narrow_images_are_refused(
    width: int, scale: float, message: str, make_frame: MakeFrame
) -> None:
    with pytest.raises(InputError, match=message):
        prepare(make_frame(4, (40, width)), _SPEC, scale)


def test_images_in_any_memory_layout(make_frame: MakeFrame) -> None:
    frame = make_frame(4, (40, 64))
    mirrored = StereoFrame(frame.left[:, ::-1, ::-1], frame.right[:, ::-1, ::-1])
    prepared = prepare(mirrored, _SPEC, 1.0)
    np.testing.assert_array_equal(
        prepared.left[0, :, -40:], frame.left[:, ::-1, ::-1].transpose(2, 0, 1)
    )
