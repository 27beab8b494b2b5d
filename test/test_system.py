"""What nvidia-smi tells, from a program of its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dtp_stereo_ros import system


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that knows two GPUs, their clocks, and the memory of this process."""
    program = tmp_path / 'nvidia-smi'
    program.write_text(
        '#!/bin/sh\n'
        'case "$1 $2" in\n'
        "'--query-gpu=clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem --format=csv,noheader')\n"
        "  echo '345 MHz, 1980 MHz, 1593 MHz, 2619 MHz'; echo '1980 MHz, 1980 MHz, 0, 0' ;;\n"
        "'--query-compute-apps=pid,used_memory --format=csv,noheader')\n"
        f"  echo '1, 9 MiB'; echo '{os.getpid()}, 512 MiB' ;;\n"
        '*) exit 6 ;;\n'
        'esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)


@pytest.mark.usefixtures('nvidia_smi')
def test_clocks_and_memory_of_gpus() -> None:
    assert system.gpu_clocks() == (
        '345 MHz, 1980 MHz, 1593 MHz, 2619 MHz; 1980 MHz, 1980 MHz, 0, 0'
    )
    assert system.gpu_memory_mib() == 512
    # It refuses the fields that it does not know.
    assert system.gpu() == ''


def test_without_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    assert system.gpu_clocks() == ''
    assert system.gpu_memory_mib() is None
