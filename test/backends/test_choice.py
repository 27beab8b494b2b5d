"""The table of backends and what `auto` makes of it."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dtp_stereo_ros import backends, models
from dtp_stereo_ros.backends.choice import chosen_name, decide
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError, ModelError

MakeOnnx = Callable[..., Path]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make runtimes unimportable."""

    def block(*modules: str) -> None:
        for name in modules:
            monkeypatch.setitem(sys.modules, name, None)
            monkeypatch.delitem(sys.modules, f'dtp_stereo_ros.backends.{name}', raising=False)

    return block


def test_every_row_names_a_class_of_that_name() -> None:
    for name, (target, _, _) in backends.TABLE.items():
        module_name, class_name = target.split(':')
        if module_name not in ('sgbm', 'tensorrt'):
            pytest.importorskip(module_name)
        module = importlib.import_module(f'dtp_stereo_ros.backends.{module_name}')
        assert getattr(module, class_name).name == name
    assert set(backends.AUTO_ORDER) == set(backends.TABLE) - {'tensorrt', 'sgbm'}


def test_auto_takes_one_of_the_real_ones_and_remembers_it(
    make_onnx: MakeOnnx, empty_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip('openvino')
    pytest.importorskip('onnxruntime')
    caplog.set_level(logging.INFO)
    config = PipelineConfig(model=str(make_onnx()), threads=1)
    choice = backends.decide(config)
    assert choice.backend.name in ('openvino', 'onnx')
    assert choice.reason.startswith(f'auto chose {choice.backend.name}: tiny in ')
    assert choice.reason in caplog.text
    assert 'measures openvino and onnx' in caplog.text
    if choice.evidence is None:
        assert 'too busy to measure' in choice.reason
        return
    assert set(choice.evidence.speeds.median_ms) >= {'openvino', 'onnx'}
    (path,) = (empty_cache / 'auto').iterdir()
    assert json.loads(path.read_text()) == choice.evidence.as_json()
    written_ns = path.stat().st_mtime_ns
    caplog.clear()
    again = backends.decide(config)
    assert (again.reason, again.evidence) == (choice.reason, choice.evidence)
    assert 'measures' not in caplog.text
    assert path.stat().st_mtime_ns == written_ns


def test_auto_tells_why_others_were_passed_over(
    make_onnx: MakeOnnx, without: Callable[..., None], empty_cache: Path
) -> None:
    pytest.importorskip('onnxruntime')
    without('openvino')
    backend, reason = backends.choose(PipelineConfig(model=str(make_onnx())))
    assert backend.name == 'onnx'
    assert reason.startswith('auto chose onnx: tiny in fp32 on CPUExecutionProvider; passed over')
    assert 'openvino (' in reason
    assert 'install it with: dtp-stereo setup-backend openvino' in reason


def test_auto_never_ends_in_sgbm(make_onnx: MakeOnnx, without: Callable[..., None]) -> None:
    without('openvino', 'onnxruntime', 'torch')
    with pytest.raises(BackendError) as caught:
        backends.create(PipelineConfig(model=str(make_onnx())))
    message = str(caught.value)
    for name in ('openvino', 'onnx'):
        assert f'install it with: dtp-stereo setup-backend {name}' in message
    assert '\n' not in message


def test_a_missing_package_is_named_with_its_mend(
    make_onnx: MakeOnnx, without: Callable[..., None]
) -> None:
    without('onnxruntime')
    with pytest.raises(BackendError, match=r'^backend onnx: .*; .*dtp-stereo setup-backend onnx$'):
        backends.create(PipelineConfig(backend='onnx', model=str(make_onnx())))


def test_an_import_that_fails_inside_the_project_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, make_onnx: MakeOnnx
) -> None:
    pytest.importorskip('onnxruntime')
    monkeypatch.setitem(sys.modules, 'dtp_stereo_ros.backends.onnx_file', None)
    monkeypatch.delitem(sys.modules, 'dtp_stereo_ros.backends.onnxruntime', raising=False)
    with pytest.raises(ImportError, match='onnx_file'):
        backends.create(PipelineConfig(backend='onnx', model=str(make_onnx())))


def test_unknown_backends_and_models(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    with pytest.raises(BackendError, match="unknown backend 'foo'; choose auto or one of openv"):
        backends.create(PipelineConfig(backend='foo'))
    with pytest.raises(ModelError, match=r"^no model 'nosuch' with ending \.onnx or \.pt"):
        backends.create(PipelineConfig(model='nosuch'))
    broken = tmp_path / 'broken.onnx'
    broken.write_bytes(b'')
    with pytest.raises(ModelError, match=r'^\S*broken.onnx: is no ONNX model'):
        backends.create(PipelineConfig(model=str(broken)))


def test_auto_falls_to_torch_where_only_a_checkpoint_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether the checkpoint loads is torch's affair; here it must be torch that is asked.
    (tmp_path / 'lonely.pt').write_bytes(b'')
    monkeypatch.setenv(models.MODEL_PATH_VARIABLE, str(tmp_path))
    pytest.importorskip('torch')
    with pytest.raises(ModelError) as caught:
        backends.create(PipelineConfig(model=str(tmp_path / 'lonely.pt')))
    assert 'lonely.pt' in str(caught.value)
    assert 'checkpoint' in str(caught.value)


@pytest.mark.parametrize(
    ('reason', 'name'),
    [
        ('auto chose openvino: dtpnet in bf16 on CPU; measured', 'openvino'),
        ('sgbm as asked: sgbm in fp32 on CPU', 'sgbm'),
        ('', ''),
    ],
)
def test_name_in_a_reason(reason: str, name: str) -> None:
    assert chosen_name(reason) == name


def test_name_in_the_reason_of_a_choice() -> None:
    assert chosen_name(decide(PipelineConfig(backend='sgbm')).reason) == 'sgbm'
