"""The verdict of a soak, by hand; and the real thing for some seconds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from dtp_stereo_ros.errors import InputError
from tools.doc_sections import write_section
from tools.soak.report import Sample, Soak, judge, section

PAGE = 'before\n<!-- soak: begin -->\nold\n<!-- soak: end -->\nafter\n'
COMMAND = [sys.executable, '-m', 'tools.soak.run']
SMALL = ['--size', '320x240', '--rate', '10', '--every', '1', '--backend', 'sgbm']


def samples(memory_mib: list[float], rates_hz: list[float] | None = None) -> list[Sample]:
    """One each ten seconds."""
    rates = rates_hz or [30.0] * len(memory_mib)
    return [
        Sample(10.0 * i, m, m / 2, 30.0, r, 20.0, 30.0)
        for i, (m, r) in enumerate(zip(memory_mib, rates, strict=True), 1)
    ]


def test_flat_after_a_warm_up() -> None:
    # 100 samples: 60 s are warm-up, so that 95 are judged, in fifths of 19.
    verdict = judge(samples([100.0] * 5 + [200.0] * 47 + [203.0] * 48))
    assert verdict is not None
    assert verdict.warm_up_s == 60.0
    assert verdict.memory_change == pytest.approx(0.015)
    # The median of all is 203: 48 of 95.
    assert verdict.memory_spread == pytest.approx(3 / 203)
    assert verdict.memory_flat and verdict.rate_kept
    assert verdict.rate_change == 0.0


@pytest.mark.parametrize(
    ('memory_mib', 'change'),
    [
        ([200.0] * 81 + [204.1] * 19, 0.0205),  # grows
        ([200.0] * 81 + [195.9] * 19, -0.0205),  # a change all the same
        ([200.0] * 50 + [205.0] + [200.0] * 49, 0.0),  # a peak between
    ],
)
def test_not_flat(memory_mib: list[float], change: float) -> None:
    verdict = judge(samples(memory_mib))
    assert verdict is not None
    assert verdict.memory_change == pytest.approx(change)
    assert not verdict.memory_flat
    assert verdict.rate_kept


def test_a_falling_rate() -> None:
    for last, kept in ((29.5, True), (29.3, False), (31.0, True)):
        verdict = judge(samples([200.0] * 100, [30.0] * 81 + [last] * 19))
        assert verdict is not None
        assert verdict.rate_change == pytest.approx(last / 30 - 1)
        assert verdict.rate_kept == kept


def test_too_short_for_a_verdict() -> None:
    assert judge([]) is None
    assert judge(samples([1.0] * 4)) is None
    assert '- Too short for a verdict.' in section(Soak('Pairs', 60.0), 'x.png', 'x')


def test_the_page_must_have_the_marks(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    with pytest.raises(InputError, match=r'page\.md: cannot be read'):
        write_section(page, 'soak', 'new')
    page.write_text('nothing')
    with pytest.raises(InputError, match=r'page\.md: has no lines <!-- soak: begin -->'):
        write_section(page, 'soak', 'new')
    page.write_text(PAGE)
    write_section(page, 'soak', 'new')
    assert page.read_text() == PAGE.replace('old', 'new')


@pytest.mark.slow
def test_a_short_soak(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    page = tmp_path / 'soak.md'
    page.write_text(PAGE)
    done = subprocess.run(
        [*COMMAND, *SMALL, '--minutes', '0.2', '--write', str(page)],
        capture_output=True,
        text=True,
    )
    # How flat and how even so few seconds are is not the question.
    assert done.returncode in (0, 1), done.stderr
    text = page.read_text()
    assert text.startswith(
        'before\n<!-- soak: begin -->\nPairs of 320x240 at 10 Hz for 0.2 minutes'
    )
    assert text.endswith('![Memory and rate](soak.png)\n<!-- soak: end -->\nafter\n')
    rows = dict(
        line.strip('| ').split(' | ', 1)
        for line in text.splitlines()
        if line.startswith('| ') and line not in ('|  |  |', '| --- | --- |')
    )
    assert rows['duration'] == '0.2 min'
    assert rows['backend'] == 'sgbm as asked: sgbm in fp32 on CPU'
    sent_hz, out_hz = (
        float(rows[name].split()[0]) for name in ('pairs sent', 'disparities received')
    )
    # Over several seconds each, not over the same ones.
    assert 0 < sent_hz < 13
    assert 0 < out_hz < 13
    assert float(rows['memory of the node (RSS)'].split()[0]) > 30
    assert '- Memory **is' in text and '- Rate **' in text
    plot = cv2.imread(str(tmp_path / 'soak.png'))
    assert plot.shape == (500, 900, 3)


@pytest.mark.slow
def test_interrupted_it_writes_what_it_has(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    page = tmp_path / 'soak.md'
    page.write_text(PAGE)
    command = [*COMMAND, *SMALL, '--minutes', '30', '--write', str(page)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert 'MiB' in process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 1)
    assert 'min, stopped of 30 planned |' in page.read_text()
    assert (tmp_path / 'soak.png').stat().st_size > 1000


def test_user_errors_are_told_at_once(tmp_path: Path) -> None:
    for arguments, message in (
        (['--size', 'big'], "soak: --size: 'big' is not WIDTHxHEIGHT"),
        (['--write', str(tmp_path / 'none.md')], 'cannot be read'),
    ):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert message in done.stderr
