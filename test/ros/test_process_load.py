"""Load of a process: readings that follow at once are no figures."""

from __future__ import annotations

import math
import os
import time

import pytest

from dtp_stereo_ros.ros.harness.process_load import ProcessLoad


def test_a_process_takes_no_more_than_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system counts in hundredths of a second: one within a millisecond would be 1000 %."""
    now_s = 100.0
    monkeypatch.setattr(time, 'monotonic', lambda: now_s)
    load = ProcessLoad(os.getpid())
    assert math.isnan(load.read()[0])
    until_s = time.process_time() + 0.3
    while time.process_time() < until_s:
        pass
    now_s += 0.5
    percent, memory_mib = load.read()
    assert 50 < percent < 80
    assert memory_mib > 10
    until_s = time.process_time() + 0.05
    while time.process_time() < until_s:
        pass
    now_s += 0.001
    assert load.read()[0] == percent


def test_a_process_that_is_not_there_has_none() -> None:
    assert all(math.isnan(value) for value in ProcessLoad(None).read())
    assert all(math.isnan(value) for value in ProcessLoad(2**22 + 1).read())
