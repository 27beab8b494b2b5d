"""The model that the package ships, by every backend, on a real pair with ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.parity import Parity, Planes
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.stereo import Float32Array, StereoCalibration, StereoFrame

_MODULES = {'onnx': 'onnxruntime', 'openvino': 'openvino', 'torch': 'torch'}
_FOLDER = Path(__file__).resolve().parents[2] / 'resource' / 'models'

Match = Callable[[str, str], Planes]

if not (_FOLDER / 'dtpnet.onnx').is_file():
    pytest.skip('no shipped model in resource/models', allow_module_level=True)


# Of a garage, so that the pair of cameras that look inwards is shifted by little.
_FARTHEST_M = 10.0


@pytest.fixture(scope='module')
def pair() -> tuple[StereoFrame, Float32Array]:
    """Motorcycle and its true disparity."""
    data = pytest.importorskip('skimage.data', reason='brings the real pair')
    left, right, truth = data.stereo_motorcycle()
    calibration = StereoCalibration(
        994.978, 994.978, 311.193, 342.279, 254.877, 0.193001, 741, 500
    )
    return StereoFrame(left, right, calibration=calibration), truth


@pytest.fixture(scope='module')
def match(pair: tuple[StereoFrame, Float32Array]) -> Match:
    """Disparity and confidence of the pair by a backend; each is run once."""
    found: dict[tuple[str, str], Planes] = {}

    def run(backend: str, precision: str) -> Planes:
        pytest.importorskip(_MODULES[backend])
        if (backend, precision) not in found:
            config = PipelineConfig(
                backend=backend,
                precision=precision,
                max_depth=_FARTHEST_M,
                model=str(_FOLDER / f'dtpnet.{"pt" if backend == "torch" else "onnx"}'),
            )
            result = StereoPipeline(config).process(pair[0])
            found[backend, precision] = result.disparity_px, result.confidence
        return found[backend, precision]

    return run


def _bad_3(disparity: Float32Array, truth: Float32Array) -> float:
    known = np.isfinite(truth) & (truth > 0)
    return float((np.abs(disparity[known] - truth[known]) > 3).mean())


@pytest.mark.parametrize(('backend', 'precision'), [('onnx', 'fp32'), ('openvino', 'auto')])
def test_depth_is_good_out_of_the_box(
    match: Match, pair: tuple[StereoFrame, Float32Array], backend: str, precision: str
) -> None:
    disparity, _ = match(backend, precision)
    assert np.isfinite(disparity).all()
    assert _bad_3(disparity, pair[1]) < 0.09


@pytest.mark.parametrize('backend', ['openvino', 'torch'])
def test_backends_agree_in_fp32(match: Match, backend: str) -> None:
    parity = Parity.of(match(backend, 'fp32'), match('onnx', 'fp32'))
    assert parity.fits('fp32') and parity.p99_confidence is not None, parity.text()


def test_torch_in_bf16_is_near_fp32(match: Match) -> None:
    parity = Parity.of(match('torch', 'bf16'), match('torch', 'fp32'))
    assert parity.fits('bf16') and not parity.fits('fp32'), parity.text()


@pytest.mark.parametrize('name', models.names(('.onnx',)))
def test_confidence_tells_right_from_wrong(
    pair: tuple[StereoFrame, Float32Array], name: str
) -> None:
    pytest.importorskip('onnxruntime')
    frame, truth = pair
    config = PipelineConfig(backend='onnx', model=str(_FOLDER / f'{name}.onnx'))
    result = StereoPipeline(config).process(frame)
    assert result.confidence is not None
    assert 0 <= result.confidence.min() < result.confidence.max() <= 1
    sure = result.confidence > np.median(result.confidence)
    assert _bad_3(np.where(sure, result.disparity_px, truth), truth) < 0.5 * _bad_3(
        np.where(sure, truth, result.disparity_px), truth
    )


def test_half_the_input_still_gives_input_pixels(
    pair: tuple[StereoFrame, Float32Array], match: Match
) -> None:
    pytest.importorskip('onnxruntime')
    model = str(_FOLDER / 'dtpnet.onnx')
    config = PipelineConfig(backend='onnx', model=model, input_scale=0.5, max_depth=_FARTHEST_M)
    pipeline = StereoPipeline(config)
    half = pipeline.process(pair[0]).disparity_px
    assert half.shape == (500, 741)
    assert np.median(np.abs(half - match('onnx', 'fp32')[0])) < 1.5
    pipeline.reconfigure(replace(config, input_scale=1.0))
    np.testing.assert_allclose(
        pipeline.process(pair[0]).disparity_px, match('onnx', 'fp32')[0], atol=1e-3
    )


def test_two_sizes_leave_fewer_errors_than_one(
    pair: tuple[StereoFrame, Float32Array],
) -> None:
    pytest.importorskip('onnxruntime')
    frame, truth = pair
    bad_3 = {}
    for name in ('dtpnet', 'dtpnet-large'):
        config = PipelineConfig(backend='onnx', model=str(_FOLDER / f'{name}.onnx'))
        # Without calibration the pair is not shifted.
        plain = replace(frame, calibration=None)
        bad_3[name] = _bad_3(StereoPipeline(config).process(plain).disparity_px, truth)
    assert bad_3['dtpnet-large'] < 0.9 * bad_3['dtpnet']


@pytest.mark.parametrize(
    ('name', 'range_px'), [('dtpnet', 192), ('dtpnet-small', 192), ('dtpnet-large', 256)]
)
def test_the_name_finds_it_and_it_describes_itself(name: str, range_px: int) -> None:
    path = models.resolve(name, ('.onnx',))
    assert path == _FOLDER / f'{name}.onnx'
    spec = models.onnx_spec(path, assume=False)
    assert (spec.name, spec.max_disparity_px, spec.precision) == (name, range_px, 'fp32')
    assert f'`{spec.sha256}`' in path.with_suffix('.md').read_text()


@pytest.mark.parametrize('name', ['dtpnet', 'dtpnet-small'])
def test_the_int8_form_is_as_good(pair: tuple[StereoFrame, Float32Array], name: str) -> None:
    pytest.importorskip('onnxruntime')
    bad_3 = []
    for form in (name, f'{name}-int8'):
        path = _FOLDER / f'{form}.onnx'
        config = PipelineConfig(backend='onnx', model=str(path), max_depth=_FARTHEST_M)
        pipeline = StereoPipeline(config)
        bad_3.append(_bad_3(pipeline.process(pair[0]).disparity_px, pair[1]))
        pipeline.close()
    metadata = models.onnx_metadata(path.read_bytes())
    assert metadata['dtp_stereo.quantized'].startswith('74 convolutions in int8')
    assert bad_3[1] == pytest.approx(bad_3[0], abs=0.004)
    card = path.with_suffix('.md').read_text()
    assert f'`{path.name}` sha256 | `{models.sha256(path)}`' in card
    assert f'`{name}.pt` sha256 | `{models.sha256(_FOLDER / f"{name}.pt")}`' in card
