"""What `auto` takes, as `bench` shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dtp_stereo_ros import backends
from dtp_stereo_ros.backends.speed import Speeds
from dtp_stereo_ros.backends.speed_files import Evidence, SpeedKey
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation.auto_choice import auto_choices, auto_lines


def test_the_choice_comes_with_its_evidence(
    make_onnx: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = Speeds('320x192', 5, {'openvino': 3.0, 'onnx': 4.0}, {'openvino': 0.1, 'onnx': 0.1})
    key = SpeedKey('tiny', 'ab', 'a machine', {'openvino': '1'}, 'auto', 0, 'medium')
    evidence = Evidence(key, speeds, '2026-11-27')
    asked: list[PipelineConfig] = []
    closed: list[str] = []

    def decide(config: PipelineConfig) -> backends.Choice:
        asked.append(config)
        backend = backends.create(PipelineConfig(backend='sgbm'))
        monkeypatch.setattr(backend, 'close', lambda: closed.append('closed'))
        return backends.Choice(backend, 'auto chose sgbm', evidence)

    monkeypatch.setattr('dtp_stereo_ros.evaluation.auto_choice.backends.decide', decide)
    (found,) = auto_choices(PipelineConfig(backend='onnx', threads=2), ['tiny'])
    assert found == {
        'model': 'tiny',
        'backend': 'sgbm',
        'reason': 'auto chose sgbm',
        'evidence': evidence.as_json(),
    }
    assert (asked, closed) == (
        [PipelineConfig(backend='auto', model='tiny', threads=2)],
        ['closed'],
    )
    assert auto_lines([found]) == ['auto chose sgbm']


def test_a_model_that_none_can_run_is_named() -> None:
    choices = auto_choices(PipelineConfig(), ['nosuch'])
    assert (choices[0]['backend'], choices[0]['evidence']) == ('', None)
    (line,) = auto_lines(choices)
    assert line.startswith("auto: no model 'nosuch' with ending .onnx or .pt")
