"""Measures of recordings: what is beyond range and what no camera saw are not measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation.recorded import (
    JudgedFrame,
    Published,
    RecordingJudge,
    RecordingResult,
)
from dtp_stereo_ros.evaluation.runner import BASELINE, Method
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.recordings.recorded_frames import RecordedFrame
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame, StereoResult

HEIGHT, WIDTH, NEAR_PX, FAR_PX = 96, 256, 40, 6
EDGE = WIDTH // 2
# 40 px are 1 m, 6 px are 6.7 m.
CALIBRATION = StereoCalibration(400.0, 400.0, 128.0, 128.0, 48.0, 0.1, WIDTH, HEIGHT)


def scene() -> tuple[StereoFrame, np.ndarray]:
    """A near surface on the left, a far one on the right, and their disparities."""
    rng = np.random.default_rng(0)
    right = rng.integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8).repeat(3, 2)
    truth = np.full((HEIGHT, WIDTH), FAR_PX, np.float32)
    truth[:, :EDGE] = NEAR_PX
    columns = (np.arange(WIDTH) - truth[0].astype(int)) % WIDTH
    left = np.ascontiguousarray(right[:, columns])
    return StereoFrame(left, right, 1, CALIBRATION), truth


def judged(
    frame: StereoFrame, disparity: np.ndarray, max_depth: float, beyond_known: bool = True
) -> JudgedFrame:
    """Two frames of it; the figures of the second, which has one before."""
    config = PipelineConfig(backend='sgbm', disparity_range=64, max_depth=max_depth)
    methods = [Method('node', Published()), Method(BASELINE, StereoPipeline(config))]
    judge = RecordingJudge(RecordingResult('r'), methods, 1, beyond_known=beyond_known)
    result = StereoResult(disparity, None, 0.0, 192.0)
    for stamp_ns in (1, 2):
        recorded = RecordedFrame(0, replace(frame, stamp_ns=stamp_ns), None)
        found = judge.add(recorded, {'node': result})
    return found


def test_what_is_beyond_range_is_not_measured() -> None:
    frame, truth = scene()
    limited = np.where(truth < 20, np.float32(0), truth)  # the disparity of infinity
    whole, near = (judged(frame, d, m).scores[0].values for d, m in ((truth, 100), (limited, 2)))
    for key in ('photometric', 'census'):
        assert near[key] == pytest.approx(whole[key], abs=0.01), key
        assert near[key] < 0.05
    assert near['flicker_px'] == 0
    assert near['agreement'] > 0.97
    assert near['coverage'] == 1.0


def test_what_no_camera_saw_is_not_measured() -> None:
    frame, truth = scene()
    seen = np.ones((HEIGHT, WIDTH), bool)
    seen[:, EDGE:] = False
    blank = frame.left.copy()
    blank[~seen] = 0
    unseen = np.where(seen, truth, np.float32(np.nan))
    values = judged(replace(frame, left=blank, seen=seen), unseen, 100).scores[0].values
    assert values['photometric'] < 0.05
    assert values['coverage'] == 0.5


def test_a_disparity_alone_is_compared_without_what_is_beyond() -> None:
    frame, truth = scene()
    published = np.where(truth < 20, np.float32(np.nan), truth)
    node, baseline = judged(frame, published, 2, beyond_known=False).scores
    assert node.values['coverage'] == 0.5
    assert 0.3 < baseline.values['coverage'] <= 0.5
    assert node.values['agreement'] > 0.97
    known = judged(frame, published, 2).scores[1]
    assert known.values['coverage'] > 0.8
