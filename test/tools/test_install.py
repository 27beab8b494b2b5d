"""scripts/install.sh makes the virtual environment on a machine that has none yet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# A package that builds without another, so that nothing is downloaded.
PYPROJECT = """
[build-system]
requires = []
build-backend = "wheel_of_one"
backend-path = ["."]
"""
BACKEND = """
import zipfile

NAME = 'installed_by_a_test'
METADATA = f'Metadata-Version: 2.1\\nName: {NAME}\\nVersion: 1.0\\nProvides-Extra: demo\\n'
WHEEL = 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'


def build_editable(folder, config_settings=None, metadata_directory=None):
    wheel = f'{NAME}-1.0-py3-none-any.whl'
    with zipfile.ZipFile(f'{folder}/{wheel}', 'w') as archive:
        archive.writestr(f'{NAME}.py', 'VALUE = 7')
        archive.writestr(f'{NAME}-1.0.dist-info/METADATA', METADATA)
        archive.writestr(f'{NAME}-1.0.dist-info/WHEEL', WHEEL)
        archive.writestr(f'{NAME}-1.0.dist-info/RECORD', '')
    return wheel
"""
Script = Callable[..., 'subprocess.CompletedProcess[str]']


@pytest.fixture
def run(tmp_path: Path) -> Script:
    """A command after install.sh in a checkout without .venv, with only these programs to find."""
    (tmp_path / 'scripts').mkdir()
    shutil.copy(REPOSITORY / 'scripts/install.sh', tmp_path / 'scripts')
    (tmp_path / 'pyproject.toml').write_text(PYPROJECT)
    (tmp_path / 'wheel_of_one.py').write_text(BACKEND)
    for name in ('setup.py', 'setup.cfg'):
        (tmp_path / name).touch()
    programs = tmp_path / 'programs'
    programs.mkdir()
    # No link: an interpreter finds its packages by the place that it was started from.
    start = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    (programs / 'python3.11').write_text(start)
    (programs / 'python3.11').chmod(0o755)

    def run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ['/bin/bash', '-c', f'set -euo pipefail\n. scripts/install.sh\n{command}'],
            cwd=tmp_path,
            env={'PATH': f'{programs}:/usr/bin:/bin', 'HOME': str(tmp_path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize('place', ['', sys.executable])
def test_first_install_by_a_name_and_by_a_path(run: Script, place: str) -> None:
    """`pip --python` takes a path: a bare name ended the first installation of a checkout."""
    made = run('install_into_venv demo', **({'PYTHON': place} if place else {}))
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith('installing dtp_stereo[demo] into .venv')
    value = 'import installed_by_a_test as package; print(package.VALUE)'
    again = run(f'install_into_venv demo; .venv/bin/python -c "{value}"')
    assert (again.stdout, again.stderr) == ('7\n', '')


def test_interpreter_that_is_missing_is_named(run: Script) -> None:
    failed = run('install_into_venv demo', PYTHON='python3.99')
    assert failed.returncode == 1
    assert failed.stderr.startswith('python3.99 is no Python 3.10 to 3.14')
