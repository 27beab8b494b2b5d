"""Finding models and reading their metadata."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros import models
from dtp_stereo_ros.errors import ModelError

MakeOnnx = Callable[..., Path]

_PACKAGE = Path(models.__file__).parent


def _find_in_copy(package_parent: Path, name: str, environment: dict[str, str]) -> str:
    """What a copy of the package, laid out as an install does, finds."""
    package = package_parent / 'dtp_stereo_ros'
    package.mkdir(parents=True)
    for file in ('__init__.py', 'models.py', 'errors.py', 'machine.py', 'paths.py'):
        (package / file).write_bytes((_PACKAGE / file).read_bytes())
    code = f'from dtp_stereo_ros import models; print(models.resolve({name!r}, (".onnx",)))'
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(package_parent), **environment},
        capture_output=True,
        text=True,
        check=True,
        cwd=package_parent,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ('package_parent', 'model_folder', 'variable'),
    [
        ('.', 'resource/models', None),
        ('lib/python3.11/site-packages', 'share/dtp_stereo/models', None),
        ('local/lib/python3.10/dist-packages', 'local/share/dtp_stereo/models', None),
        ('build', 'install/dtp_stereo/share/dtp_stereo/models', 'AMENT_PREFIX_PATH'),
        ('build', 'elsewhere', models.MODEL_PATH_VARIABLE),
    ],
)
def test_a_name_is_found_in_every_kind_of_install(
    tmp_path: Path, package_parent: str, model_folder: str, variable: str | None
) -> None:
    model = tmp_path / model_folder / 'some.onnx'
    model.parent.mkdir(parents=True)
    model.write_bytes(b'')
    prefix = tmp_path / model_folder.removesuffix('/share/dtp_stereo/models')
    environment = {variable: f'/nowhere{os.pathsep}{prefix}'} if variable else {}
    assert _find_in_copy(tmp_path / package_parent, 'some', environment) == str(model)


def test_the_search_path_goes_before_shipped_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'dtpnet.onnx').write_bytes(b'')
    monkeypatch.setenv(models.MODEL_PATH_VARIABLE, str(tmp_path))
    assert models.resolve('dtpnet', ('.onnx',)) == tmp_path / 'dtpnet.onnx'


def test_names_are_those_of_files_with_an_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('b.onnx', 'a.onnx', 'a.pt', 'c.pt', 'd.md'):
        (tmp_path / name).touch()
    monkeypatch.setattr(models, 'folders', lambda: [tmp_path])
    assert models.names(('.onnx',)) == ['a', 'b']
    assert models.names(('.onnx', '.pt')) == ['a', 'b', 'c']


def test_a_missing_name_is_reported_with_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'present.onnx').write_bytes(b'')
    (tmp_path / 'absent.pt').write_bytes(b'')
    monkeypatch.setenv(models.MODEL_PATH_VARIABLE, str(tmp_path))
    with pytest.raises(ModelError) as caught:
        models.resolve('absent', ('.onnx',))
    message = str(caught.value)
    assert message.startswith("no model 'absent' with ending .onnx")
    assert 'present' in message
    assert str(tmp_path) in message
    assert '\n' not in message


def test_paths_of_no_file_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'none.onnx: no such model file'):
        models.resolve(str(tmp_path / 'none.onnx'), ('.onnx',))
    with pytest.raises(ModelError, match=r'some.pt: \.onnx is read here'):
        models.resolve('some.pt', ('.onnx',))
    with pytest.raises(ModelError, match=r'tiny: \.onnx or \.pt is read here'):
        models.resolve('folder/tiny', ('.onnx', '.pt'))
    # From Python 3.14 on no such name is a file; before that the system's words are told.
    for name in ('x' * 300, f'{tmp_path}/{"x" * 300}.onnx'):
        with pytest.raises(ModelError, match=r'name too long; check|no (such )?model'):
            models.resolve(name, ('.onnx',))


def test_spec_of_a_model_that_describes_itself(make_onnx: MakeOnnx) -> None:
    path = make_onnx()
    spec = models.onnx_spec(path, assume=False)
    assert (spec.name, spec.padding_multiple, spec.max_disparity_px) == ('tiny', 16, 64)
    assert (spec.min_width_px, spec.precision) == (32, 'fp32')
    assert spec.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == models.sha256(path)


def test_foreign_models_are_assumed_only_on_demand(
    make_onnx: MakeOnnx,
) -> None:
    path = make_onnx('foreign.onnx', metadata={'author': 'somebody'})
    with pytest.raises(ModelError, match=r'dtp_stereo.name is missing'):
        models.onnx_spec(path, assume=False)
    spec = models.onnx_spec(path, assume=True)
    assert (spec.name, spec.padding_multiple, spec.max_disparity_px) == ('foreign', 32, 192)
    assert spec.foreign
    assert not models.onnx_spec(make_onnx(), assume=True).foreign


@pytest.mark.parametrize('value', ['0', '-4', 'many', ''])
def test_nonsense_metadata_is_refused(make_onnx: MakeOnnx, value: str) -> None:
    metadata = {
        'dtp_stereo.name': 'bad',
        'dtp_stereo.padding_multiple': value,
        'dtp_stereo.max_disparity_px': '64',
        'dtp_stereo.min_width_px': '32',
        'dtp_stereo.precision': 'fp32',
    }
    with pytest.raises(ModelError, match='padding_multiple is'):
        models.onnx_spec(make_onnx(metadata=metadata), assume=True)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused_but_never_crash(content: bytes) -> None:
    try:
        assert isinstance(models.onnx_metadata(content), dict)
    except ValueError as error:
        assert str(error)


def test_truncated_files_are_refused(make_onnx: MakeOnnx) -> None:
    path = make_onnx()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r'tiny.onnx: is no ONNX model .*cut off'):
        models.onnx_spec(path, assume=True)
    path.write_bytes(b'')
    with pytest.raises(ModelError, match='it holds no graph'):
        models.onnx_spec(path, assume=True)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5))
def test_metadata_is_what_onnx_wrote(metadata: dict[str, str]) -> None:
    onnx = pytest.importorskip('onnx', reason='the writer to compare with')
    model = onnx.helper.make_model(onnx.helper.make_graph([], 'empty', [], []))
    onnx.helper.set_model_props(model, metadata)
    assert models.onnx_metadata(model.SerializeToString()) == metadata


@pytest.mark.parametrize('ending', ['.onnx', '.pt'])
def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f'huge{ending}'
    with path.open('wb') as file:
        file.truncate(2**40)
    with pytest.raises(ModelError, match=r'1024\.0 GiB are more than a model has'):
        models.resolve(str(path), (ending,))


@pytest.mark.parametrize('value', ['4097', '9' * 5000])
def test_metadata_cannot_ask_for_giant_images(make_onnx: MakeOnnx, value: str) -> None:
    numbers = {
        'dtp_stereo.padding_multiple': value,
        'dtp_stereo.max_disparity_px': '64',
        'dtp_stereo.min_width_px': '32',
    }
    path = make_onnx(metadata={'dtp_stereo.name': 't', 'dtp_stereo.precision': 'fp32', **numbers})
    with pytest.raises(
        ModelError, match=r'padding_multiple is .* not a whole number from 1 to 4096'
    ):
        models.onnx_spec(path, assume=False)
