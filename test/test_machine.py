"""A machine whose NumPy and OpenCV do not fit each other, and pip that leaves it whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from dtp_stereo_ros import cli, machine, system
from dtp_stereo_ros.commands import setup_backend

# Not looked for by its name: setuptools would leave this process another distutils.
needs_pip = pytest.mark.skipif(not system.version('pip'), reason='no pip here')

_REPOSITORY = Path(__file__).resolve().parents[1]

# As an OpenCV compiled against NumPy 1 ends under NumPy 2, the page on stderr included.
_OPENCV_OF_NUMPY_1 = (
    'import sys\n'
    'sys.stderr.write("A module that was compiled using NumPy 1.x cannot be run\\n" * 9)\n'
    'raise ImportError("numpy.core.multiarray failed to import")\n'
)


def start(entry: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """An executable, with a folder in front of all other modules."""
    program = f'import sys; from dtp_stereo_ros import start; sys.exit(start.{entry}())'
    path = os.pathsep.join([str(folder), str(_REPOSITORY)])
    return subprocess.run(
        [sys.executable, '-c', program, '--version'],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ('entry', 'name'), [('depth_node', 'depth_node'), ('dtp_stereo', 'dtp-stereo')]
)
def test_a_numpy_that_breaks_opencv_is_one_line(entry: str, name: str, tmp_path: Path) -> None:
    (tmp_path / 'cv2.py').write_text(_OPENCV_OF_NUMPY_1)
    (tmp_path / 'numpy').mkdir()
    (tmp_path / 'numpy/__init__.py').write_text("__version__ = '2.1.0'\n")
    done = start(entry, tmp_path)
    assert done.returncode == 2
    assert done.stdout == ''
    (line,) = done.stderr.splitlines()
    assert line.startswith(f'{name}: NumPy 2.1.0 of {tmp_path}/numpy hides the older one that ')
    assert line.endswith('numpy') and f'{sys.executable} -m pip uninstall ' in line


def test_no_opencv_at_all_is_one_line(tmp_path: Path) -> None:
    (tmp_path / 'cv2.py').write_text("raise ModuleNotFoundError('no cv2', name='cv2')\n")
    done = start('dtp_stereo', tmp_path)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == (
        'dtp-stereo: OpenCV is missing; install it: apt install python3-opencv\n'
    )


def test_a_machine_that_is_whole_starts(tmp_path: Path) -> None:
    assert machine.mismatch() == ''
    done = start('dtp_stereo', tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('dtp-stereo ')


@pytest.mark.parametrize(
    ('environment', 'user', 'managed', 'flags'),
    [
        (True, 1000, True, []),
        (True, 0, False, []),
        (False, 0, False, []),
        (False, 1000, False, ['--user']),
        (False, 1000, True, ['--break-system-packages', '--user']),
        (False, 0, True, ['--break-system-packages']),
    ],
)
def test_pip_never_brings_the_next_numpy(
    environment: bool,
    user: int,
    managed: bool,
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, 'base_prefix', '/elsewhere' if environment else sys.prefix)
    monkeypatch.setattr(os, 'geteuid', lambda: user)
    monkeypatch.setattr(sysconfig, 'get_path', lambda _: str(tmp_path))
    monkeypatch.setattr(np, '__version__', '1.21.5')
    if managed:
        (tmp_path / 'EXTERNALLY-MANAGED').touch()
    command = machine.pip_install('openvino')
    assert command == [sys.executable, '-m', 'pip', 'install', *flags, 'openvino', 'numpy<2']


@needs_pip
def test_what_is_there_is_left_and_tried_out(capfd: pytest.CaptureFixture[str]) -> None:
    """The real pip and the real runtime; nothing is downloaded."""
    pytest.importorskip('onnxruntime')
    assert cli.main(['setup-backend', 'onnx']) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith(f'{sys.executable} -m pip install ')
    assert lines[-1].startswith('onnx as asked: dtpnet in fp32 on CPU')


@needs_pip
def test_bags_can_be_read_with_what_is_installed(capfd: pytest.CaptureFixture[str]) -> None:
    for package in setup_backend.BAG_PACKAGES:
        pytest.importorskip(package)
    assert cli.main(['setup-backend', 'bag']) == 0
    first, *_, last = capfd.readouterr().out.splitlines()
    assert ' rosbags mcap tqdm numpy<' in first.replace("'", '')
    assert last == 'bags can be read'
    extra = re.search(r'^BAG = \[(.*)\]$', (_REPOSITORY / 'setup.py').read_text(), re.MULTILINE)
    assert extra is not None
    assert tuple(re.findall(r"'(\w+)", extra[1])) == setup_backend.BAG_PACKAGES
