"""Description of this machine: names, versions and hardware."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from dtp_stereo_ros import system


def test_times_of_another_number_of_threads_are_of_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = system.machine()
    assert platform.machine() in here
    assert here == system.machine()
    assert here.endswith(f'{len(os.sched_getaffinity(0))} of {os.cpu_count()} threads')
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(500)))
    assert system.machine() == here.replace(
        here.split(', ')[-1], f'500 of {os.cpu_count()} threads'
    )


def test_physical_cores_are_at_most_the_usable_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= system.physical_cores() <= len(os.sched_getaffinity(0))
    # No such processors: nothing tells which of them share a core.
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {100_000, 100_001})
    assert system.physical_cores() == 2


def test_versions_of_packages() -> None:
    assert system.version('numpy') == system.describe()['numpy']
    assert system.version('no-such-package') == ''


@pytest.mark.parametrize(
    ('cpuinfo', 'name'),
    [
        ('processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n', 'AMD EPYC'),
        (
            'processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\n'
            'Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n',
            'Raspberry Pi 5 Model B Rev 1.0',
        ),
        (
            'processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n'
            'processor\t: 1\nCPU implementer\t: 0x42\nCPU part\t: 0xd0d\n',
            'ARM part 0xd0c of implementer 0x41',
        ),
        ('', ''),
    ],
)
def test_the_name_of_the_processor(cpuinfo: str, name: str) -> None:
    assert system.processor_name(cpuinfo) == name


def test_the_flags_of_the_first_processor() -> None:
    x86 = 'processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t\t: fpu\n'
    assert system.processor_flags(x86) == {'fpu', 'avx2'}
    assert system.processor_flags('processor\t: 0\nFeatures\t: fp asimd\n') == {'fp', 'asimd'}
    assert system.processor_flags('') == frozenset()


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
