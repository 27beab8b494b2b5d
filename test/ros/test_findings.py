"""Findings of a camera: which of them are logged."""

from __future__ import annotations

import time

import pytest

from dtp_stereo_ros.health.finding import Finding
from dtp_stereo_ros.ros.findings import Findings


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, line: str) -> None:
        self.lines.append(line)

    warning = info = error


def stated(*texts: str) -> list[str]:
    log = Log()
    findings = Findings(log)
    for text in texts:
        findings.state('qos', Finding('warn', 'qos', text, ''))
    return log.lines


def test_numbers_that_jitter_are_logged_once() -> None:
    assert len(stated('age is 31 ms of 5/6', 'age is 32.5 ms of 4/6')) == 1


def test_names_with_numbers_are_told_apart() -> None:
    for one, other in (('/camera/infra1/image', '/camera/infra2/image'), ('/cam0', '/cam10')):
        lines = stated(f'{one} is lost', f'{other} is lost')
        assert [line.split()[0] for line in lines] == [one, other]


@pytest.mark.parametrize(
    ('faults', 'logged'),
    [
        # Seconds at which the fault is seen; fine otherwise.
        ({0, *range(3, 40)}, ['0 bad', '1 fine', '10 bad']),
        ({0, *range(3, 8)}, ['0 bad', '1 fine']),
        ({0, *range(3, 12)}, ['0 bad', '1 fine', '10 bad', '12 fine']),
        ({0, 1, 2}, ['0 bad', '3 fine']),
        ({*range(0, 40, 2)}, ['0 bad', '1 fine', '10 bad', '11 fine', '20 bad', '21 fine']),
    ],
)
def test_the_last_line_of_the_log_is_true(
    monkeypatch: pytest.MonkeyPatch, faults: set[int], logged: list[str]
) -> None:
    log = Log()
    observed = Findings(log)
    lines = []
    for second in range(30):
        monkeypatch.setattr(time, 'monotonic', lambda now=second: 100.0 + now)
        if second in faults:
            observed.state('sync', Finding('warn', 'sync', 'bad'))
        else:
            observed.clear('sync')
        lines += [f'{second} {line.removeprefix("sync is ").split()[0]}' for line in log.lines]
        log.lines.clear()
    assert lines == logged


def test_what_comes_and_goes_between_frames_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of ten frames of a 10 Hz camera are bad; diagnostics look once in a second."""
    log = Log()
    observed = Findings(log, hold_s=1.5)
    seen = []
    for frame in range(100):
        monkeypatch.setattr(time, 'monotonic', lambda now=0.1 * frame: 100.0 + now)
        bad = frame < 50 and frame % 10 < 3
        observed.state_frame('image', *[Finding('error', 'image', 'too small')] * bad)
        if frame % 10 == 8:
            seen.append('image' in observed.current())
    # The last bad one is the 42nd, at 4.2 s.
    assert seen == [True] * 5 + [False] * 5
    assert log.lines == ['too small', 'image is fine again']


def test_findings_of_one_subject_are_all_logged() -> None:
    log = Log()
    both = [Finding('warn', 'qos', f'/cam/infra{n}: incompatible', '') for n in (1, 2)]
    Findings(log).state('qos', *both)
    assert len(log.lines) == 2
