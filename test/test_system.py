"""Description of this machine: names, versions and hardware."""

from __future__ import annotations

import os
import platform

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
