"""The whole road: frames in, disparities in input pixels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import ConfigError, InputError, ModelError
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.stereo import Float32Array, StereoCalibration, StereoFrame, UInt8Array

MakeFrame = Callable[..., StereoFrame]
MakeOnnx = Callable[..., Path]

_SGBM = PipelineConfig(backend='sgbm', disparity_range=96)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    disparity=st.integers(4, 60),
    scale=st.sampled_from([1.5, 1.25, 1.0, 0.75, 0.5]),
    size=st.tuples(st.integers(90, 140), st.integers(250, 330)),
)
def test_a_shifted_pair_gives_its_shift(
    make_frame: MakeFrame, disparity: int, scale: float, size: tuple[int, int]
) -> None:
    pipeline = StereoPipeline(replace(_SGBM, input_scale=scale))
    result = pipeline.process(make_frame(disparity, size))
    assert result.disparity_px.shape == size
    assert result.disparity_px.dtype == np.float32
    # What lies left of the shift is outside the right image.
    inside = result.disparity_px[:, disparity + 8 :]
    assert np.isfinite(inside).mean() > 0.9
    # SGBM prefers whole pixels, of the resized image.
    assert np.nanmedian(inside) == pytest.approx(disparity, abs=0.35 / scale)
    assert np.nanpercentile(np.abs(inside - disparity), 95) < 0.5 / scale
    assert result.max_disparity_px == pytest.approx(
        96 * size[1] / max(1, round(size[1] * scale)), rel=1e-6
    )
    assert list(result.latency_s) == ['preprocess', 'inference', 'postprocess']


def test_depth_limits_with_principal_point_offset(make_frame: MakeFrame) -> None:
    # Raw 20 px, published 20 - (-30) = 50 px: at f T = 50 px m that is 1 m.
    calibration = StereoCalibration(500.0, 500.0, 130.0, 160.0, 60.0, 0.1, 320, 120)
    frame = make_frame(20, calibration=calibration)
    for min_depth, max_depth, expected in (
        (0.9, 1.1, 20.0),
        (1.1, 5.0, np.nan),
        (0.1, 0.9, -30.0),
    ):
        pipeline = StereoPipeline(replace(_SGBM, min_depth=min_depth, max_depth=max_depth))
        result = pipeline.process(frame)
        inside = result.disparity_px[10:-10, 40:-10]
        if np.isnan(expected):
            assert np.isfinite(inside).mean() < 0.05
        else:
            assert np.nanmedian(inside) == pytest.approx(expected, abs=0.1)
        assert pipeline.disparity_limits_px(frame) == pytest.approx(
            (result.min_disparity_px, result.max_disparity_px)
        )
        assert pipeline.disparity_limits_px(calibration) == pipeline.disparity_limits_px(frame)


@pytest.mark.parametrize('scale', [1.0, 0.5])
@pytest.mark.parametrize('offset_px', [-30.0, -7.4])
def test_a_network_sees_what_lies_beyond_a_raw_disparity_of_zero(
    make_frame: MakeFrame, scale: float, offset_px: float
) -> None:
    """Cameras that look inwards see far points with a negative raw disparity."""
    pytest.importorskip('torch')
    inward = round(offset_px)
    calibration = StereoCalibration(500.0, 500.0, 130.0, 130.0 - offset_px, 60.0, 0.1, 320, 120)
    frame = make_frame(12)
    right = np.roll(frame.right, -inward, axis=1)  # so that 12 px become 12 + inward
    frame = replace(frame, right=right, calibration=calibration)
    pipeline = StereoPipeline(PipelineConfig(model='dtpnet', backend='torch', input_scale=scale))
    result = pipeline.process(frame)
    assert result.disparity_px.shape == (120, 320)
    assert result.confidence is not None
    assert result.confidence.shape == (120, 320)
    inside = result.disparity_px[10:-10, 40:-40]
    assert np.nanmedian(inside) == pytest.approx(12 + inward, abs=0.3)
    assert np.percentile(np.abs(inside - (12 + inward)), 90) < 1
    # max_depth is searched; where its raw disparity is not negative, nothing is shifted.
    assert result.min_disparity_px == pytest.approx(offset_px + 0.5)
    assert pipeline.disparity_limits_px(calibration)[0] == result.min_disparity_px
    near = replace(pipeline.config, max_depth=50 / -offset_px - 0.1)
    pipeline.reconfigure(near)
    assert pipeline.process(frame).min_disparity_px == pytest.approx(
        50 / near.max_depth + offset_px
    )
    pipeline.close()


def test_what_the_camera_did_not_see_is_unknown(make_frame: MakeFrame) -> None:
    pytest.importorskip('torch')
    frame = make_frame(12)
    seen = np.ones((120, 320), bool)
    seen[:30, 100:] = False
    pipeline = StereoPipeline(PipelineConfig(model='dtpnet', backend='torch'))
    whole, part = (pipeline.process(replace(frame, seen=given)) for given in (None, seen))
    assert np.isfinite(whole.disparity_px[~seen]).all()
    assert np.isnan(part.disparity_px[~seen]).all()
    np.testing.assert_array_equal(part.disparity_px[seen], whole.disparity_px[seen])
    assert part.confidence is not None
    assert (part.confidence[~seen] == 0).all()
    pipeline.close()
    with pytest.raises(InputError, match=r'seen is \(30, 320\), the left image \(120, 320\)'):
        replace(frame, seen=seen[:30])


def test_depth_limits_make_no_edge_and_hide_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flying pixels are looked for in what was measured."""
    measured = np.full((20, 60), 5.0, np.float32)
    measured[:, 20:40] = 80.0  # nearer than min_depth
    measured[:, 18:20] = measured[:, 40:42] = 40.0  # its halo
    measured[:, 50:] = np.linspace(5.0, 6.5, 10)  # a slope across max_depth
    calibration = StereoCalibration(100.0, 100.0, 30.0, 30.0, 10.0, 0.5, 60, 20)
    frame = StereoFrame(*(np.zeros((20, 60, 3), np.uint8),) * 2, 0, calibration)
    config = replace(_SGBM, min_depth=1.0, max_depth=8.7, flying_pixel_jump=3.0, speckle_size=0)
    pipeline = StereoPipeline(config)
    monkeypatch.setattr(pipeline.backend, 'infer', lambda *_: (measured, None))
    found = pipeline.process(frame).disparity_px
    assert np.isnan(found[:, 18:42]).all()
    assert np.isfinite(found[:, 50:]).all()
    assert set(np.unique(found[:, 50:] > 0)) == {False, True}


def test_a_network_sees_the_right_pixels_and_confidence_drops(
    make_frame: MakeFrame, make_onnx: MakeOnnx
) -> None:
    pytest.importorskip('onnxruntime')
    frame = make_frame(7, (50, 70))
    config = PipelineConfig(backend='onnx', model=str(make_onnx()))
    pipeline = StereoPipeline(config)
    result = pipeline.process(frame)
    np.testing.assert_allclose(result.disparity_px, frame.left.mean(axis=2) / 4, rtol=1e-5)
    confidence = frame.right.mean(axis=2) / 255
    np.testing.assert_allclose(result.confidence, confidence, rtol=1e-5)
    assert result.median_confidence == pytest.approx(np.median(confidence), abs=0.1)
    unasked = pipeline.process(frame, confidence=False)
    assert unasked.confidence is None
    assert unasked.median_confidence == result.median_confidence
    np.testing.assert_array_equal(unasked.disparity_px, result.disparity_px)
    pipeline.reconfigure(replace(config, confidence_threshold=0.5))
    np.testing.assert_array_equal(
        np.isnan(pipeline.process(frame, confidence=False).disparity_px), result.confidence < 0.5
    )


@pytest.mark.parametrize('scale', [2.0, 1.0, 0.5])
def test_confidence_stands_for_pixels_of_the_input(
    make_frame: MakeFrame, make_onnx: MakeOnnx, scale: float
) -> None:
    """An error of 1 px in an image of half the size is one of 2 px. Foreign ones mean anything."""
    pytest.importorskip('onnxruntime')
    grey = np.full((64, 128, 3), 51, np.uint8)  # a confidence of 0.2, an error of 4 px
    frame = replace(make_frame(7, (64, 128)), left=grey, right=grey)
    config = PipelineConfig(backend='onnx', model=str(make_onnx()), input_scale=scale)
    found = StereoPipeline(config).process(frame)
    expected = 1 / (1 + 4 / scale)
    assert found.confidence == pytest.approx(expected, rel=1e-5)
    assert found.median_confidence == pytest.approx(expected, rel=1e-5)
    config = replace(config, model=str(make_onnx('foreign.onnx', metadata={})))
    assert StereoPipeline(config).process(frame).confidence == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize('scale', [1.5, 1.0, 0.5])
def test_left_right_check_drops_what_only_the_left_camera_sees(
    make_frame: MakeFrame, scale: float
) -> None:
    """A near square (40 px) before a wall (10 px) hides 30 px of the wall from the right."""
    wall, square = make_frame(10, (120, 320)), make_frame(40, (120, 320), seed=1)
    left, right = wall.left.copy(), wall.right.copy()
    left[30:90, 150:220] = square.left[30:90, 150:220]
    right[30:90, 110:180] = square.right[30:90, 110:180]
    frame = StereoFrame(left, right)
    config = replace(_SGBM, input_scale=scale)
    checked = StereoPipeline(replace(config, left_right_check=1.5)).process(frame).disparity_px
    hidden = checked[36:84, 124:146]  # left of the square
    assert np.isfinite(hidden).mean() < 0.1
    assert np.nanmedian(checked[40:80, 160:210]) == pytest.approx(40, abs=0.5 / scale)
    seen = checked[36:84, 230:310]
    assert np.isfinite(seen).mean() > 0.9
    assert np.nanmedian(seen) == pytest.approx(10, abs=0.5 / scale)


@pytest.mark.parametrize('scale', [0.5, 1.0, 2.0])
def test_the_left_right_check_counts_pixels_of_the_input(
    make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    """Views that differ by 1.2 px of the input."""
    pipeline = StereoPipeline(replace(_SGBM, input_scale=scale))
    answers = [10 * scale, 11.2 * scale]

    def infer(left: UInt8Array, _: UInt8Array) -> tuple[Float32Array, None]:
        answers.reverse()
        return np.full(left.shape[:2], answers[0], np.float32), None

    monkeypatch.setattr(pipeline.backend, 'infer', infer)
    for check_px, share in ((1.1, 0.0), (1.3, 1.0)):
        pipeline.reconfigure(replace(pipeline.config, left_right_check=check_px))
        found = pipeline.process(make_frame(7, (64, 128))).disparity_px[:, 40:]
        assert np.isfinite(found).mean() == share


def test_reconfigure_replaces_the_backend_only_when_needed(make_onnx: MakeOnnx) -> None:
    pytest.importorskip('onnxruntime')
    pipeline = StereoPipeline(_SGBM)
    first = pipeline.backend
    pipeline.reconfigure(replace(_SGBM, max_depth=5.0, flying_pixel_jump=3.0))
    assert pipeline.backend is first
    assert pipeline.config.max_depth == 5.0
    pipeline.reconfigure(replace(_SGBM, disparity_range=64))
    assert pipeline.backend is not first
    assert pipeline.backend.spec.max_disparity_px == 64
    network = PipelineConfig(backend='onnx', model=str(make_onnx()))
    pipeline.reconfigure(network)
    assert (pipeline.backend.name, pipeline.backend.spec.name) == ('onnx', 'tiny')
    assert pipeline.choice.startswith('onnx as asked: tiny in fp32')
    second = pipeline.backend
    assert 'no confidence' not in pipeline.choice
    pipeline.reconfigure(replace(network, disparity_range=64, P1=8.0, speckle_size=10))
    assert pipeline.backend is second
    pipeline.close()


@pytest.mark.parametrize('foreign', [False, True])
def test_a_threshold_that_drops_nothing_is_told(make_onnx: MakeOnnx, foreign: bool) -> None:
    config = _SGBM
    if foreign:
        pytest.importorskip('onnxruntime')
        path = make_onnx(metadata={}, outputs=('output',))
        config = PipelineConfig(backend='onnx', model=str(path))
    pipeline = StereoPipeline(config)
    assert 'confidence_threshold' not in pipeline.choice
    pipeline.reconfigure(replace(config, confidence_threshold=0.5))
    assert 'it has no confidence, so confidence_threshold drops nothing' in pipeline.choice
    pipeline.close()


def test_a_failed_swap_keeps_the_old_backend_working(
    make_frame: MakeFrame, tmp_path: Path
) -> None:
    pytest.importorskip('onnxruntime')
    pipeline = StereoPipeline(_SGBM)
    frame = make_frame(12)
    before = pipeline.process(frame).disparity_px
    with pytest.raises(ModelError, match='no such model file'):
        pipeline.reconfigure(PipelineConfig(backend='onnx', model=str(tmp_path / 'none.onnx')))
    with pytest.raises(ConfigError, match='min_depth'):
        pipeline.reconfigure(replace(_SGBM, min_depth=7.0, max_depth=6.0))
    assert pipeline.config == _SGBM
    np.testing.assert_array_equal(pipeline.process(frame).disparity_px, before)


def test_a_backend_that_does_not_close_gives_way(
    make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one on a GPU after a fault of the device."""
    pipeline = StereoPipeline(_SGBM)

    def fail() -> None:
        raise RuntimeError('an illegal memory access')

    monkeypatch.setattr(pipeline.backend, 'close', fail)
    wanted = replace(_SGBM, disparity_range=64)
    pipeline.reconfigure(wanted)
    assert pipeline.config == wanted
    assert pipeline.process(make_frame(12)).valid_share > 0.5
    assert caplog.messages == ['backend sgbm does not close: an illegal memory access']


def test_the_size_may_change_between_frames(make_frame: MakeFrame) -> None:
    pipeline = StereoPipeline(_SGBM)
    for size in ((120, 320), (97, 251), (120, 320)):
        result = pipeline.process(make_frame(10, size))
        assert result.disparity_px.shape == size
        assert np.nanmedian(result.disparity_px) == pytest.approx(10, abs=0.1)


def test_narrow_frames_and_bad_settings_are_refused(make_frame: MakeFrame) -> None:
    with pytest.raises(InputError, match='images are 12 px wide'):
        StereoPipeline(_SGBM).process(make_frame(2, (20, 12)))
    with pytest.raises(ConfigError, match='threads'):
        StereoPipeline(replace(_SGBM, threads=-1))


def test_motorcycle_by_sgbm_agrees_with_the_truth(
    motorcycle_calibration: StereoCalibration,
) -> None:
    data = pytest.importorskip('skimage.data', reason='brings the real pair')
    left, right, truth = data.stereo_motorcycle()
    frame = StereoFrame(left, right, calibration=motorcycle_calibration)
    result = StereoPipeline(PipelineConfig(backend='sgbm')).process(frame)
    known = np.isfinite(truth) & (truth > 0) & np.isfinite(result.disparity_px)
    error = np.abs(result.disparity_px - truth)[known]
    assert result.valid_share > 0.85
    assert (error > 3).mean() < 0.08
    # The wheel of the motorcycle stands about 2.2 m away, nothing is nearer than 1.7 m.
    depth = motorcycle_calibration.depth_m(result.disparity_px)
    assert np.nanpercentile(depth, 1) > 1.7
    assert result.min_disparity_px == 0.0
