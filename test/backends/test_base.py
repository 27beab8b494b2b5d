"""Both forms of an image that every backend takes."""

from __future__ import annotations

import numpy as np
import pytest

from dtp_stereo_ros.backends import create
from dtp_stereo_ros.backends.base import size_of
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.preprocess import planes


def test_size_of_both_forms() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    assert size_of(image) == size_of(planes(image)) == (48, 64)


@pytest.mark.parametrize('backend', ['openvino', 'onnx', 'torch', 'sgbm'])
def test_pixels_and_planes_give_the_same(backend: str) -> None:
    """Also in turns, and where an image must not be written, as one of a message."""
    config = PipelineConfig(
        backend=backend, model='dtpnet-small', precision='fp32', disparity_range=64
    )
    try:
        made = create(config)
    except BackendError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    for height, width in ((64, 224), (96, 256), (64, 224)):
        noise = rng.integers(0, 256, (height, width + 12, 3), np.uint8)
        left, right = (np.ascontiguousarray(noise[:, at : at + width]) for at in (0, 12))
        kept = left.copy()
        left.flags.writeable = False
        found, confidence = made.infer(left, right)
        expected, expected_confidence = made.infer(planes(left), planes(right))
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert np.nanmedian(found) == pytest.approx(12, abs=0.5)
        if confidence is not None and expected_confidence is not None:
            np.testing.assert_allclose(confidence, expected_confidence, atol=1e-4)
        assert (confidence is None) is (backend == 'sgbm')
        np.testing.assert_array_equal(left, kept)
    made.close()
