"""The classical baseline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dtp_stereo_ros.backends import create
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.preprocess import prepare
from dtp_stereo_ros.stereo import Float32Array, StereoFrame

MakeFrame = Callable[..., StereoFrame]


def _match(frame: StereoFrame, disparities: int) -> Float32Array:
    backend = create(PipelineConfig(backend='sgbm', disparity_range=disparities))
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
