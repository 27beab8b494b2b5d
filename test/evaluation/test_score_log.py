"""Scores of large sets: in a file, with the same results as in memory."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from dtp_stereo_ros.evaluation.datasets import Truth
from dtp_stereo_ros.evaluation.result_file import as_document, json_pieces
from dtp_stereo_ros.evaluation.runner import DatasetResult
from dtp_stereo_ros.evaluation.scene_score import Estimate, SceneScore, judge
from dtp_stereo_ros.evaluation.score_log import ScoreLog
from dtp_stereo_ros.evaluation.tables import anatomy_table, calibration_table, disparity_table
from dtp_stereo_ros.stereo import StereoFrame

SIZE = 12, 40


def scenes(count: int) -> Iterator[list[SceneScore]]:
    """Noise with two methods, of which one has a confidence and the other one holes."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (*SIZE, 3), np.uint8)
    for index in range(count):
        truth_px = rng.uniform(5, 30, SIZE).astype(np.float32)
        seen = rng.random(SIZE) < 0.8 if index % 3 else None
        estimates = [
            Estimate('net', truth_px + rng.normal(0, 3, SIZE).astype(np.float32), seen_as(rng)),
            Estimate('sgbm', np.where(rng.random(SIZE) < 0.1, np.nan, truth_px + np.float32(1))),
        ]
        truth = Truth(truth_px, seen)
        yield judge(f's{index}', StereoFrame(image, image), truth, estimates, [1.0, 2.0], 'sgbm')


def seen_as(rng: np.random.Generator) -> np.ndarray:
    return rng.random(SIZE, np.float32)


def report(result: DatasetResult) -> tuple[object, ...]:
    """The result file and the tables; without last digits, as parts are added in another order."""
    text = ''.join(json_pieces(as_document([result])))
    document = json.loads(text, parse_float=lambda number: round(float(number), 9))
    return document, anatomy_table(result), calibration_table([result]), disparity_table(result)


@pytest.fixture
def both() -> tuple[DatasetResult, DatasetResult]:
    """The same scenes in a list, and in two parts in a file."""
    whole = DatasetResult('noise')
    parts = [DatasetResult('noise'), DatasetResult('noise')]
    for index, scores in enumerate(scenes(12)):
        whole.add(scores)
        parts[index // 6].add(scores)
    merged = DatasetResult('noise', ScoreLog())
    for part in parts:
        merged.merge(part)
    return whole, merged


def test_a_file_of_scores_makes_the_same_report(both: tuple[DatasetResult, DatasetResult]) -> None:
    whole, merged = both
    names = [(score.scene, score.method) for score in whole.scores]
    assert [(score.scene, score.method) for score in merged.scores] == names
    assert (len(merged.scores), merged.methods) == (24, ['net', 'sgbm'])
    document = as_document([merged])
    assert len(document['scenes']) == 24 and document['scenes'][-1]['scene'] == 's11'
    assert json.loads(''.join(json_pieces(document)))['scenes'] == document['scenes']
    assert {row.region for row in merged.rows()} == {'mixed', 'noc', 'all'}
    assert report(merged) == report(whole)


def test_a_file_of_scores_is_read_by_two_at_a_time(
    both: tuple[DatasetResult, DatasetResult],
) -> None:
    log = both[1].scores
    assert [(a.scene, b.scene) for a, b in zip(log, log, strict=True)][5] == ('s2', 's2')


def test_memory_does_not_grow_with_the_set() -> None:
    (scores,) = scenes(1)
    result = DatasetResult('noise', ScoreLog())

    def kept_bytes(count: int) -> int:
        for _ in range(count):
            result.add(scores)
        for _ in json_pieces(as_document([result])):
            pass
        # What only the collector of cycles frees is no part of what is kept.
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        few = kept_bytes(20)
        many = kept_bytes(600)
    finally:
        tracemalloc.stop()
    assert many - few < 600 * 100
