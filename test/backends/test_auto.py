"""The choice of `auto` among stand-ins of the runtimes, under a clock of its own."""

from __future__ import annotations

import json
import logging
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dtp_stereo_ros import backends, system
from dtp_stereo_ros.backends import choice, speed
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.models import ModelSpec

XNNPACK = 'XnnpackExecutionProvider'
ONNX_WITH_XNNPACK = 'onnx with Xnnpack'


@dataclass
class Machine:
    """The runtimes that are installed, and what they do.

    Attributes:
        run_ms: label to the times of its runs, the last of them from then on.
        devices: label to device, where it is another than the CPU.
        refusals: label to the error of its start.
        failures: label to the error of its runs.
        versions: of packages.
        gpu: whether ONNX Runtime has CUDA.
        xnnpack: whether it has XNNPACK.
        started, runs, closed: labels, in order.
    """

    run_ms: dict[str, list[float]] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    gpu: bool = False
    xnnpack: bool = False
    now_s: float = 0.0
    started: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def restart(self) -> None:
        """Forget what has happened: the next start of the process."""
        for events in (self.started, self.runs, self.closed):
            events.clear()

    def backend(self, name: str) -> type:
        """Class of a stand-in."""
        machine = self

        class StandIn:
            compiling = False

            def __init__(self, config: PipelineConfig, provider: str = '') -> None:
                part = provider.removesuffix('ExecutionProvider')
                self.name = name
                self.label = f'{name} with {part}' if part else name
                if self.label in machine.refusals:
                    raise BackendError(machine.refusals[self.label])
                machine.started.append(self.label)
                self.spec = ModelSpec('tiny', 16, 64, min_width_px=32)
                self.device = machine.devices.get(self.label, provider or 'CPU')

            @staticmethod
            def other_providers() -> tuple[str, ...]:
                return (XNNPACK,) if machine.xnnpack else ()

            @staticmethod
            def may_use_gpu() -> bool:
                return machine.gpu

            def infer(self, left: Any, right: Any) -> tuple[Any, None]:
                assert left.shape == right.shape
                times = machine.run_ms[self.label]
                ran = machine.runs.count(self.label)
                machine.runs.append(self.label)
                if self.label in machine.failures:
                    raise BackendError(machine.failures[self.label])
                machine.now_s += times[min(ran, len(times) - 1)] / 1e3
                return np.zeros(left.shape[:2], np.float32), None

            def close(self) -> None:
                machine.closed.append(self.label)

        return StandIn


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> Machine:
    """OpenVINO 30 ms and ONNX Runtime 20 ms, on an empty cache."""
    made = Machine(
        run_ms={'openvino': [30.0], 'onnx': [20.0], ONNX_WITH_XNNPACK: [10.0], 'torch': [5.0]},
        versions={'openvino': '2026.4.1', 'onnxruntime': '1.32.0'},
    )
    for name in ('openvino', 'onnx', 'torch'):
        module_name, class_name = backends.TABLE[name][0].split(':')
        module = types.ModuleType(module_name)
        setattr(module, class_name, made.backend(name))
        monkeypatch.setitem(sys.modules, f'dtp_stereo_ros.backends.{module_name}', module)
    monkeypatch.setattr(speed.time, 'perf_counter', lambda: made.now_s)
    monkeypatch.setattr(speed.time, 'sleep', lambda _: None)
    monkeypatch.setattr(system, 'version', lambda package: made.versions.get(package, ''))
    return made


@pytest.fixture
def config(make_onnx: Callable[..., Path]) -> PipelineConfig:
    return PipelineConfig(model=str(make_onnx()))


def test_the_faster_one_wins_and_the_other_is_closed(
    machine: Machine, config: PipelineConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    choice = backends.decide(config)
    assert choice.backend.name == 'onnx'
    assert choice.evidence is not None
    assert choice.reason == (
        f'auto chose onnx: tiny in fp32 on CPU; measured on {choice.evidence.measured} at '
        '320x192: onnx 20.0 ms, openvino 30.0 ms'
    )
    assert choice.reason in caplog.text
    assert machine.started == ['openvino', 'onnx']
    assert machine.runs == ['openvino', 'onnx'] * 7
    assert machine.closed == ['openvino']


def test_the_next_start_reads_the_cache_and_starts_the_chosen_one_only(
    machine: Machine, config: PipelineConfig, empty_cache: Path
) -> None:
    first = backends.decide(config)
    (path,) = (empty_cache / 'auto').iterdir()
    facts = json.loads(path.read_text())
    assert facts['median_ms'] == {'openvino': 30.0, 'onnx': 20.0}
    assert facts['machine'] == system.machine()
    assert facts['versions']['openvino'] == '2026.4.1'
    machine.restart()
    machine.run_ms['onnx'] = [90.0]
    second = backends.decide(config)
    assert (second.reason, second.evidence) == (first.reason, first.evidence)
    assert (machine.started, machine.runs, machine.closed) == (['onnx'], [], [])


def _other_version(machine: Machine, config: PipelineConfig) -> PipelineConfig:
    machine.versions['onnxruntime'] = '1.33.0'
    return config


def _other_model(machine: Machine, config: PipelineConfig) -> PipelineConfig:
    path = Path(config.model)
    path.write_bytes(path.read_bytes().replace(b'mean_', b'm3an_'))
    return config


def _new_plugin(machine: Machine, config: PipelineConfig) -> PipelineConfig:
    machine.versions['onnxruntime-ep-nv-tensorrt-rtx-cu12'] = '0.5.0'
    return config


def test_every_plug_in_of_onnx_runtime_is_part_of_the_circumstances() -> None:
    plugins = pytest.importorskip('dtp_stereo_ros.backends.onnx_plugins').PLUGINS
    assert {plugin.package for plugin in plugins} <= set(choice._PLUGINS)


@pytest.mark.parametrize(
    'change',
    [
        _other_version,
        _new_plugin,
        _other_model,
        lambda _, config: replace(config, threads=2),
        lambda _, config: replace(config, precision='fp32'),
        lambda _, config: replace(config, input_scale=0.5),
    ],
    ids=['version', 'plug-in', 'model', 'threads', 'precision', 'size'],
)
def test_other_circumstances_are_measured_anew(
    machine: Machine,
    config: PipelineConfig,
    change: Callable[[Machine, PipelineConfig], PipelineConfig],
) -> None:
    assert backends.create(config).name == 'onnx'
    changed = change(machine, config)
    machine.restart()
    machine.run_ms['onnx'] = [90.0]
    assert backends.create(changed).name == 'openvino'
    assert len(machine.runs) == 14


def test_another_machine_is_measured_anew(
    machine: Machine, config: PipelineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends.create(config)
    monkeypatch.setattr(system, 'machine', lambda: 'another')
    machine.restart()
    backends.create(config)
    assert len(machine.runs) == 14


def test_a_busy_machine_keeps_the_order_and_measures_at_the_next_start(
    machine: Machine, config: PipelineConfig, empty_cache: Path
) -> None:
    machine.run_ms['openvino'] = [22.0, 60.0] * 100
    machine.run_ms['onnx'] = [60.0, 20.0] * 100
    choice = backends.decide(config)
    assert choice.backend.name == 'openvino'
    assert choice.evidence is None
    assert 'the machine is too busy to measure (openvino ' in choice.reason
    assert choice.reason.endswith('measured again at the next start')
    assert not (empty_cache / 'auto').exists()
    machine.restart()
    machine.run_ms.update(openvino=[30.0], onnx=[20.0])
    assert backends.create(config).name == 'onnx'
    assert len(machine.runs) == 14


def test_a_single_candidate_is_not_measured(
    machine: Machine, config: PipelineConfig, empty_cache: Path
) -> None:
    machine.refusals['openvino'] = 'backend openvino: not installed'
    choice = backends.decide(config)
    assert choice.reason == (
        'auto chose onnx: tiny in fp32 on CPU; passed over openvino (backend openvino: not '
        'installed)'
    )
    assert (machine.runs, choice.evidence) == ([], None)
    assert not (empty_cache / 'auto').exists()


def test_a_candidate_that_fails_while_it_is_measured_is_passed_over(
    machine: Machine, config: PipelineConfig
) -> None:
    machine.failures['onnx'] = 'onnx on CPU failed: no memory'
    choice = backends.decide(config)
    assert choice.reason == (
        'auto chose openvino: tiny in fp32 on CPU; passed over onnx (onnx on CPU failed: no '
        'memory)'
    )
    assert machine.closed == ['onnx']


def test_a_failure_beside_two_that_run_is_remembered_with_its_reason(
    machine: Machine, config: PipelineConfig
) -> None:
    machine.xnnpack = True
    machine.failures[ONNX_WITH_XNNPACK] = 'no memory'
    first = backends.decide(config)
    assert first.backend.name == 'onnx'
    assert first.reason.endswith(f'passed over {ONNX_WITH_XNNPACK} (no memory)')
    machine.restart()
    assert backends.decide(config).reason == first.reason
    assert (machine.started, machine.runs) == (['onnx'], [])


def test_where_all_fail_all_reasons_are_told(machine: Machine, config: PipelineConfig) -> None:
    machine.failures.update(openvino='no memory', onnx='no memory')
    with pytest.raises(BackendError, match=r'no backend can run .*openvino \(no memory\); onnx'):
        backends.create(config)
    assert sorted(machine.closed) == ['onnx', 'openvino']


def test_torch_runs_where_it_is_the_only_one(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: PipelineConfig
) -> None:
    monkeypatch.setenv('DTP_STEREO_MODEL_PATH', str(tmp_path))
    named = PipelineConfig(model='tiny')
    assert backends.create(named).name == 'onnx'
    assert 'torch' not in machine.started
    machine.restart()
    machine.refusals.update(openvino='not installed', onnx='not installed')
    assert backends.create(named).name == 'torch'
    assert (machine.started, machine.runs) == (['torch'], [])
    machine.restart()
    machine.refusals.clear()
    machine.failures.update(openvino='no memory', onnx='no memory')
    reason = backends.choose(replace(named, threads=1))[1]
    assert reason.startswith('auto chose torch: tiny in fp32 on CPU; passed over openvino (no m')


def test_one_that_was_installed_since_is_measured(
    machine: Machine, config: PipelineConfig
) -> None:
    machine.xnnpack = True
    machine.refusals['openvino'] = 'not installed'
    first = backends.decide(config)
    assert first.backend.device == XNNPACK
    machine.restart()
    # As before: no measurement, though OpenVINO is asked for again.
    assert backends.decide(config).reason == first.reason
    assert (machine.started, machine.runs) == ([ONNX_WITH_XNNPACK], [])
    machine.refusals.clear()
    machine.run_ms['openvino'] = [2.0]
    machine.restart()
    assert backends.create(config).name == 'openvino'
    assert len(machine.runs) == 21


def test_the_next_fastest_runs_where_the_fastest_does_not_start_any_more(
    machine: Machine, config: PipelineConfig
) -> None:
    backends.create(config)
    machine.restart()
    machine.refusals['onnx'] = 'broken'
    choice = backends.decide(config)
    assert choice.backend.name == 'openvino'
    assert choice.reason.endswith('passed over onnx (broken)')
    assert machine.runs == []


def test_a_gpu_is_taken_without_measuring(machine: Machine, config: PipelineConfig) -> None:
    machine.gpu = True
    machine.devices['onnx'] = 'CUDAExecutionProvider'
    choice = backends.decide(config)
    assert choice.reason == (
        'auto chose onnx: tiny in fp32 on CUDAExecutionProvider; a GPU is taken without measuring'
    )
    assert (machine.started, machine.runs) == (['onnx'], [])


def test_a_gpu_that_does_not_start_is_a_processor_as_any(
    machine: Machine, config: PipelineConfig
) -> None:
    machine.gpu = True
    machine.run_ms['onnx'] = [90.0]
    assert backends.create(config).name == 'openvino'
    assert machine.closed == ['onnx']
    # It is tried again at each start: a driver may have been installed.
    machine.restart()
    machine.devices['onnx'] = 'CUDAExecutionProvider'
    assert backends.create(config).name == 'onnx'
    assert machine.runs == []


def test_a_backend_that_is_asked_for_is_not_measured(
    machine: Machine, config: PipelineConfig
) -> None:
    choice = backends.decide(replace(config, backend='openvino'))
    assert choice.reason == 'openvino as asked: tiny in fp32 on CPU'
    assert (machine.started, machine.runs) == (['openvino'], [])


def test_onnx_that_is_asked_for_runs_in_its_faster_provider(
    machine: Machine, config: PipelineConfig
) -> None:
    machine.xnnpack = True
    asked = replace(config, backend='onnx')
    choice = backends.decide(asked)
    assert choice.backend.device == XNNPACK
    assert choice.reason.startswith(
        'onnx as asked: tiny in fp32 on XnnpackExecutionProvider; meas'
    )
    assert set(machine.runs) == {'onnx', ONNX_WITH_XNNPACK}
    # The times of `auto` serve it, too.
    machine.restart()
    assert backends.create(config).device == XNNPACK
    assert len(machine.runs) == 21
    machine.restart()
    machine.refusals[ONNX_WITH_XNNPACK] = 'broken'
    assert backends.create(asked).device == 'CPU'
    assert machine.runs == []
