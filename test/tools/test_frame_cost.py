"""Cost of a frame around the network."""

from __future__ import annotations

import numpy as np
import pytest

from dtp_stereo_ros.config import NodeConfig
from tools.frame_cost import Instant, measure


def test_the_stand_in_answers_in_the_types_of_a_backend() -> None:
    image = np.zeros((64, 320, 3), np.uint8)
    disparity, confidence = Instant().infer(image, image)
    assert (disparity.shape, disparity.dtype) == ((64, 320), np.float32)
    assert (confidence.shape, confidence.dtype) == ((16, 80), np.float32)
    assert np.ptp(np.diff(disparity[0])) > 1, 'a scene has steps'


def test_stages_add_up() -> None:
    times_ms = measure(240, 320, 3, NodeConfig())
    together = times_ms.pop('together')
    assert set(times_ms) == {
        'decoding of both images',
        'preprocessing and postprocessing',
        'DisparityImage',
        'coloured cloud',
    }
    assert all(time_ms > 0 for time_ms in times_ms.values())
    # Medians of three frames: their sum is not the median of the sums.
    assert together == pytest.approx(sum(times_ms.values()), rel=0.5)
