"""Description of this machine."""

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
