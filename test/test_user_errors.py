"""Errors of users end in one line, whichever library raised them; bugs crash."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dtp_stereo_ros import backends, cli, models
from dtp_stereo_ros.calibration_io import read_calibration
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import ConfigError, InputError
from dtp_stereo_ros.evaluation.datasets import open_dataset
from dtp_stereo_ros.image_io import atomic, write_npy
from dtp_stereo_ros.paths import expanded, make_folder
from dtp_stereo_ros.user_errors import failed_import, one_line_imports, user_line

MakeOnnx = Callable[..., Path]

_REPOSITORY = Path(__file__).resolve().parents[1]
# Kinds of failure while a library is imported, as distributions and pip leave them.
_BROKEN = {
    'a shared library is missing': "raise OSError('libtbb.so.12: cannot open shared object file')",
    'another NumPy': "raise RuntimeError('compiled against ABI version 0x1000009')",
    'a NumPy without old names': 'import numpy; numpy.no_such_name',
    'a package of its own is missing': 'import no_such_package_of_theirs',
    'a setting is missing': "{}['HOME_OF_LIBRARY']",
    'a syntax of another Python': 'match = = 1',
}


def _run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([environment.pop('PYTHONPATH', ''), str(_REPOSITORY)])
    return subprocess.run(
        [sys.executable, '-m', *map(str, command)],
        env={**os.environ, 'PYTHONPATH': path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A pair of image files."""
    image = np.random.default_rng(0).integers(0, 255, (64, 128, 3)).astype(np.uint8)
    paths = tmp_path / 'l.png', tmp_path / 'r.png'
    for path in paths:
        cv2.imwrite(str(path), image)
    return paths


@pytest.mark.parametrize('content', _BROKEN.values(), ids=_BROKEN)
def test_auto_passes_over_a_runtime_that_cannot_be_imported(
    tmp_path: Path,
    make_onnx: MakeOnnx,
    monkeypatch: pytest.MonkeyPatch,
    empty_cache: Path,
    content: str,
) -> None:
    pytest.importorskip('onnxruntime')
    (tmp_path / 'openvino').mkdir()
    (tmp_path / 'openvino' / '__init__.py').write_text(content)
    for name in [n for n in sys.modules if n.partition('.')[0] == 'openvino']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, 'dtp_stereo_ros.backends.openvino', raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    backend, reason = backends.choose(PipelineConfig(model=str(make_onnx())))
    assert backend.name == 'onnx'
    assert 'passed over openvino (backend openvino: ' in reason
    assert '\n' not in reason
    monkeypatch.delitem(sys.modules, 'openvino', raising=False)


def test_the_empty_rest_of_a_removed_runtime_is_named(tmp_path: Path, make_onnx: MakeOnnx) -> None:
    """In a process of its own, which no other test imports from."""
    pytest.importorskip('onnxruntime')
    (tmp_path / 'onnxruntime').mkdir()
    code = f"""
import sys
import cv2
from dtp_stereo_ros import backends
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError

sys.path[:] = [{str(tmp_path)!r}, *(p for p in sys.path if 'packages' not in p)]
try:
    backends.create(PipelineConfig(backend='onnx', model={str(make_onnx())!r}))
except BackendError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert 'has no attribute' in done.stdout, done.stderr
    assert '; install it with: ' in done.stdout


@pytest.mark.parametrize(
    'command', [('-h',), ('infer', '-h'), ('bench',), ('train', '--out', 'x')]
)
def test_commands_name_the_mend_of_opencv(tmp_path: Path, command: tuple[str, ...]) -> None:
    if command[0] == 'train':
        pytest.importorskip('torch')
    (tmp_path / 'cv2').mkdir()
    (tmp_path / 'cv2' / '__init__.py').write_text("raise ImportError('libGL.so.1: not found')")
    done = _run('dtp_stereo_ros.cli', *command, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1
    assert 'cv2 cannot be imported (libGL.so.1: not found)' in done.stderr
    assert 'pip install opencv-python-headless' in done.stderr


def test_the_version_and_the_node_without_opencv(tmp_path: Path) -> None:
    (tmp_path / 'cv2').mkdir()
    (tmp_path / 'cv2' / '__init__.py').write_text("raise OSError('libGL.so.1: not found')")
    path = str(tmp_path)
    assert _run('dtp_stereo_ros.cli', '--version', PYTHONPATH=path).stdout.startswith('dtp-stereo')
    pytest.importorskip('rclpy')
    done = _run('dtp_stereo_ros.ros.depth_node', PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr.startswith('depth_node: cv2 cannot be imported')
    assert done.stderr.count('\n') == 1


def test_an_error_of_our_own_is_a_bug() -> None:
    for error in (
        KeyError('x'),
        AttributeError('x'),
        ImportError('no y', name='dtp_stereo_ros.y'),
        OSError('no number'),
        FileNotFoundError(errno.ENOENT, 'No such file'),  # which?
    ):
        assert user_line(error) is None
        assert failed_import(error) is None


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (OSError(errno.ENOSPC, 'No space left on device'), 'No space left on device; free some'),
        (
            PermissionError(errno.EACCES, 'Permission denied', '/x'),
            '/x: Permission denied; choo',
        ),
        (OSError(errno.EROFS, 'Read-only file system', b'/y'), '/y: Read-only file system; choo'),
        (FileNotFoundError(errno.ENOENT, 'No such file', 'z'), 'z: No such file; check the path'),
        (OSError(errno.EMFILE, 'Too many open files', 'z'), 'z: Too many open files; raise the '),
        (MemoryError(), 'out of memory (); take smaller'),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), 'out of memory (De'),
    ],
)
def test_errors_of_the_system_are_one_line(error: Exception, line: str) -> None:
    told = user_line(error)
    assert told is not None
    assert told.startswith(line)
    # Also where a library raised an error of its own over it.
    if isinstance(error, OSError):
        try:
            try:
                raise error
            except OSError:
                raise RuntimeError('unexpected pos 12 vs 0')  # noqa: B904
        except RuntimeError as outer:
            assert user_line(outer) == told


def test_paths_of_no_home_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'there is no home folder ~nobody_here here; write the path in full'
    for read in (
        lambda: expanded('~nobody_here/x'),
        lambda: models.resolve('~nobody_here/m.onnx', ('.onnx',)),
        lambda: read_calibration('~nobody_here/c.yaml'),
        lambda: open_dataset('pairs:~nobody_here'),
    ):
        with pytest.raises(ConfigError, match=text):
            read()
    monkeypatch.setenv(models.MODEL_PATH_VARIABLE, '~nobody_here/models')
    with pytest.raises(ConfigError, match=f'DTP_STEREO_MODEL_PATH: ~nobody_here/models: {text}'):
        models.resolve('dtpnet', ('.onnx',))


def test_folders_and_files_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match=r'file/out: the folder cannot be made \(Not a dir'):
        make_folder(tmp_path / 'file' / 'out')
    with pytest.raises(InputError, match=r'none/x.npy: cannot be written \(No such file'):
        write_npy(tmp_path / 'none' / 'x.npy', np.zeros(3, np.float32))


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / 'kept'
    path.write_text('before')
    with pytest.raises(InputError, match=r'kept: cannot be written \(No space left'), atomic(path):
        raise OSError(errno.ENOSPC, 'No space left on device')
    # Another file that is read meanwhile has its own name.
    with pytest.raises(FileNotFoundError, match='other'), atomic(path):
        (tmp_path / 'other').read_text()
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]


def test_a_terminal_of_another_encoding(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / '深.npy'
    done = _run(
        'dtp_stereo_ros.cli', 'infer', *pair, '-o', out, '--backend', 'sgbm',
        PYTHONIOENCODING='latin-1',
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, '')
    assert r'\u6df1.npy: 128x64' in done.stdout
    assert out.exists()


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, '_load', interrupted)
    assert cli.main(['bench']) == 130
    assert capsys.readouterr().err == 'dtp-stereo bench: interrupted\n'


def test_output_that_nobody_reads_or_that_does_not_fit(pair: tuple[Path, Path]) -> None:
    command = [sys.executable, '-m', 'dtp_stereo_ros.cli', 'infer', *map(str, pair)]
    command += ['-o', str(pair[0].with_name('o.npy')), '--backend', 'sgbm']
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=_REPOSITORY, text=True
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ''
    assert process.returncode == 141
    with Path('/dev/full').open('w') as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, cwd=_REPOSITORY, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith('dtp-stereo infer: error: No space left on device; free some')


def test_ctrl_c_while_a_program_is_imported_ends_it_quietly() -> None:
    with pytest.raises(SystemExit) as ended, one_line_imports('depth_node'):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert ended.value.__suppress_context__
