"""The classical baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from dtp_stereo_ros.backends import create
from dtp_stereo_ros.config import PipelineConfig, tunables
from dtp_stereo_ros.preprocess import prepare
from dtp_stereo_ros.stereo import Float32Array, StereoFrame

MakeFrame = Callable[..., StereoFrame]


def _match(frame: StereoFrame, disparities: int, **settings: Any) -> Float32Array:
    backend = create(PipelineConfig(backend='sgbm', disparity_range=disparities, **settings))
    prepared = prepare(frame, backend.spec, 1.0)
    disparity, confidence = backend.infer(prepared.left, prepared.right)
    assert confidence is None
    return disparity


def test_range_is_rounded_up_to_16_and_bounds_what_is_found(make_frame: MakeFrame) -> None:
    backend = create(PipelineConfig(backend='sgbm', disparity_range=50))
    assert backend.spec.max_disparity_px == 64
    assert (backend.spec.has_confidence, backend.spec.sha256) == (False, '')
    assert np.nanmedian(_match(make_frame(60), 50)) == pytest.approx(60, abs=0.1)
    assert np.nanmax(_match(make_frame(80), 50)) < 64


def test_the_left_columns_get_an_estimate(make_frame: MakeFrame) -> None:
    # Without padding, OpenCV would leave the first 192 columns unknown.
    disparity = _match(make_frame(10), 192)
    assert disparity.shape == (120, 320)
    columns = disparity[:, 14:190]
    assert np.isfinite(columns).mean() > 0.95
    assert np.nanmedian(columns) == pytest.approx(10, abs=0.1)


def test_what_has_no_match_is_a_hole() -> None:
    random = np.random.default_rng(0).integers(0, 256, (2, 100, 200, 3), np.uint8)
    disparity = _match(StereoFrame(random[0], random[1]), 64)
    assert np.isnan(disparity).mean() > 0.9
    assert not np.isinf(disparity).any()


def test_colours_and_sides_are_not_mixed_up(make_frame: MakeFrame) -> None:
    frame = make_frame(24)
    swapped = StereoFrame(frame.right, frame.left)
    assert np.isfinite(_match(swapped, 64)).mean() < 0.3
    assert np.isfinite(_match(frame, 64)).mean() > 0.85


@pytest.mark.parametrize('smallest', [-48, -16, 16, 32])
def test_the_search_begins_at_min_disparity(make_frame: MakeFrame, smallest: int) -> None:
    """All columns get an estimate, and none lies below it."""
    frame = make_frame(abs(smallest) + 10)
    if smallest < 0:
        frame = StereoFrame(frame.right, frame.left)
    expected = smallest - 10 if smallest < 0 else smallest + 10
    found = _match(frame, 64, min_disparity=smallest if smallest > 0 else smallest - 32)
    assert found.shape == (120, 320)
    assert np.nanmedian(found) == pytest.approx(expected, abs=0.1)
    seen = found[:, expected:] if expected > 0 else found[:, :expected]
    assert np.isfinite(seen).mean() > 0.9
    missed = _match(frame, 16, min_disparity=expected + 20)
    assert not (missed < expected + 20).any()  # NaN is not


@pytest.mark.parametrize('end', ['minimum', 'maximum'])
def test_at_the_ends_of_its_range_nothing_is_found(make_frame: MakeFrame, end: str) -> None:
    """OpenCV counts in 16 bits."""
    smallest = getattr(tunables(PipelineConfig)['min_disparity'], end)
    found = _match(make_frame(10), 16, min_disparity=int(smallest))
    assert np.isfinite(found).mean() < 0.05


def test_settings_are_those_of_opencv(make_frame: MakeFrame) -> None:
    """Values of stereo_image_proc give what OpenCV makes of them."""
    frame = make_frame(20)
    settings = {
        'sgbm_mode': 1,
        'correlation_window_size': 15,
        'P1': 400.0,
        'P2': 1600.0,
        'uniqueness_ratio': 15.0,
        'disp12_max_diff': 2,
        'prefilter_cap': 31,
        'speckle_size': 0,
    }
    grey = [
        cv2.copyMakeBorder(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 0, 0, 64, 0, cv2.BORDER_REPLICATE
        )
        for image in (frame.left, frame.right)
    ]
    matcher = cv2.StereoSGBM_create(
        0, 64, 15, P1=400, P2=1600, uniquenessRatio=15, disp12MaxDiff=2, preFilterCap=31, mode=1
    )
    expected = matcher.compute(*grey)[:, 64:] / np.float32(16)
    expected[expected <= 0] = np.nan
    np.testing.assert_array_equal(_match(frame, 64, **settings), expected)
    for name in settings:
        others = {key: value for key, value in settings.items() if key != name}
        found = _match(frame, 64, **others)
        if name in ('sgbm_mode', 'correlation_window_size', 'prefilter_cap'):
            assert not np.array_equal(found, expected, equal_nan=True), name


def test_pixels_without_texture_are_holes(make_frame: MakeFrame) -> None:
    frame = make_frame(10)
    frame.left[:, 160:] = 128
    frame.right[:, 150:] = 128
    found = _match(frame, 64, texture_threshold=10)
    assert not np.isfinite(found[:, 165:]).any()
    np.testing.assert_array_equal(found[:, :150], _match(frame, 64)[:, :150])


def test_speckles_are_left_to_the_pipeline_where_their_size_is_set(make_frame: MakeFrame) -> None:
    frame = make_frame(10)
    frame.left[50:56, 100:106] = frame.left[50:56, 130:136]
    kept = np.isfinite(_match(frame, 64, speckle_size=0))
    assert kept.sum() > np.isfinite(_match(frame, 64)).sum()


def test_threads_are_those_of_what_runs(make_frame: MakeFrame) -> None:
    """OpenCV has one number for the process, which rectification uses too."""
    all_cores = cv2.getNumThreads()
    one = create(PipelineConfig(backend='sgbm', threads=1))
    assert cv2.getNumThreads() == all_cores
    many = create(PipelineConfig(backend='sgbm'))
    frame = make_frame(10)
    for backend, threads in ((one, 1), (many, all_cores), (one, 1)):
        backend.infer(frame.left, frame.right)
        assert cv2.getNumThreads() == threads
    one.close()
    assert cv2.getNumThreads() == all_cores
