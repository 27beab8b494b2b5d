"""Times of backends on disk: whole and of these circumstances, or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from dtp_stereo_ros.backends import speed_files
from dtp_stereo_ros.backends.speed import Speeds
from dtp_stereo_ros.backends.speed_files import Evidence, SpeedFiles, SpeedKey

KEY = SpeedKey(
    model='tiny',
    model_sha256='ab' * 32,
    machine='Cortex-A76 (aarch64), 4 of 4 threads',
    versions={'openvino': '2026.4.1', 'onnxruntime': '1.32.0'},
    precision='auto',
    threads=0,
    size_class='medium',
)
SPEEDS = Speeds(
    '320x192',
    5,
    {'openvino': 30.0, 'onnx': 20.5},
    {'openvino': 1.0, 'onnx': 0.25},
    {'onnx with Xnnpack': 'no memory'},
)
EVIDENCE = Evidence(KEY, SPEEDS, '2026-11-27')


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(speed_files, 'cache_folder', lambda name: tmp_path / name)
    return tmp_path / 'auto'


def test_what_is_saved_is_loaded(folder: Path) -> None:
    assert SpeedFiles(KEY).load() is None
    SpeedFiles(KEY).save(EVIDENCE)
    assert SpeedFiles(KEY).load() == EVIDENCE
    (path,) = folder.iterdir()
    facts = json.loads(path.read_text())
    assert facts == EVIDENCE.as_json()
    assert facts['median_ms'] == {'openvino': 30.0, 'onnx': 20.5}
    assert (facts['machine'], facts['measured']) == (KEY.machine, '2026-11-27')
    assert EVIDENCE.text() == ('measured on 2026-11-27 at 320x192: onnx 20.5 ms, openvino 30.0 ms')


@pytest.mark.parametrize(
    'change',
    [
        {'model_sha256': 'cd' * 32},
        {'machine': 'Cortex-A55 (aarch64), 4 of 4 threads'},
        {'versions': {'openvino': '2026.4.1', 'onnxruntime': '1.33.0'}},
        {'precision': 'fp32'},
        {'threads': 2},
        {'size_class': 'small'},
    ],
)
def test_other_circumstances_have_other_times(folder: Path, change: dict[str, object]) -> None:
    SpeedFiles(KEY).save(EVIDENCE)
    other = dataclasses.replace(KEY, **change)  # type: ignore[arg-type]
    assert SpeedFiles(other).load() is None
    # Not even where its file has their name.
    (folder / KEY.name).rename(folder / other.name)
    assert SpeedFiles(other).load() is None


@pytest.mark.parametrize(
    'content',
    [
        '',
        '[]',
        '{}',
        json.dumps({**EVIDENCE.as_json(), 'median_ms': [1.0]}),
        json.dumps({**EVIDENCE.as_json(), 'median_ms': {'onnx': 'fast'}}),
        json.dumps({**EVIDENCE.as_json(), 'spread_ms': {'onnx': 1.0}}),
        json.dumps({**EVIDENCE.as_json(), 'rounds': 1}),
        json.dumps({**EVIDENCE.as_json(), 'median_ms': {}, 'spread_ms': {}}),
        json.dumps(EVIDENCE.as_json())[:-20],
    ],
)
def test_a_damaged_file_is_named_and_replaced(
    folder: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    SpeedFiles(KEY).save(EVIDENCE)
    path = folder / KEY.name
    path.write_text(content)
    assert SpeedFiles(KEY).load() is None
    assert f'{path}: cannot be used (' in caplog.text
    SpeedFiles(KEY).save(EVIDENCE)
    assert SpeedFiles(KEY).load() == EVIDENCE


def test_a_folder_that_cannot_be_made_costs_one_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text('a file')
    SpeedFiles(KEY).save(EVIDENCE)
    assert caplog.text.count('measured anew at each start') == 1


def test_without_a_home_folder_there_is_no_cache(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def homeless(name: str) -> Path:
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.setattr(speed_files, 'cache_folder', homeless)
    files = SpeedFiles(KEY)
    files.save(EVIDENCE)
    assert files.load() is None
    assert caplog.text.count('Could not determine home directory.') == 1


def test_the_newest_are_kept(folder: Path) -> None:
    keys = [dataclasses.replace(KEY, threads=threads) for threads in range(70)]
    for age_s, key in enumerate(reversed(keys)):
        SpeedFiles(key).save(dataclasses.replace(EVIDENCE, key=key))
        os.utime(folder / key.name, (1e9 - age_s, 1e9 - age_s))
    SpeedFiles(KEY).save(EVIDENCE)
    assert len(list(folder.iterdir())) == 64
    assert SpeedFiles(KEY).load() == EVIDENCE
