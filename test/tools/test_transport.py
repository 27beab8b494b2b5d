"""The measurement of large messages, on small ones."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dtp_stereo_ros.ros.harness.node_process import PROFILE, end
from tools.transport.relay import relay_row
from tools.transport.run import settings
from tools.transport.through_node import row

COMMAND = [sys.executable, '-m', 'tools.transport.run', '--size', '160x120']


def test_settings() -> None:
    assert PROFILE.is_file()
    rows = settings(PROFILE)
    assert [s.name for s in rows[::3]] == [
        'default',
        'LARGE_DATA',
        'LARGE_DATA, 1 MB messages',
        'our profile',
    ]
    assert [(s.point_step, s.decimation) for s in rows[:3]] == [(32, 1), (16, 1), (16, 2)]
    assert rows[0].env == {}
    assert set(rows[-1].env.values()) == {str(PROFILE), 'DEFAULT'}


def test_rows() -> None:
    lost = {'rate': 30.04, 'disparity': 0.5, 'points2': 1.0}
    assert relay_row(lost) == '30.0 Hz | 50.0 % | 100.0 %'
    seen = {
        'left images': 90,
        'right images': 80,
        'images paired': 75,
        'results': 50,
        'dropped busy': 25,
        'got disparity': 50,
        'got points2': 49,
    }
    assert row(seen, count=100, sent_hz=30.0, latency_ms='12.5') == (
        '30.0 Hz | 15.0 % | 75.0 % | 15.0 Hz | 25.0 % | 12.5 ms | 0.0 % | 2.0 %'
    )
    nothing = dict.fromkeys(seen, 0)
    assert row(nothing, 100, 30.0, '').endswith('| 100.0 % | 100.0 %')


@pytest.mark.slow
@pytest.mark.parametrize(('node', 'columns'), [([], 5), (['--node', '--backend', 'sgbm'], 10)])
def test_it_measures(node: list[str], columns: int, tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    name = 'transport node' if node else 'transport'
    page.write_text(f'<!-- {name}: begin -->\n<!-- {name}: end -->\n')
    arguments = ['--seconds', '1', '--rate', '10', '--only', 'our profile', '--write', str(page)]
    done = subprocess.run([*COMMAND, *node, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = page.read_text().splitlines()[1:-1]
    assert len(lines) == 5
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        assert len(cells) == columns, line
        assert cells[0] == 'our profile'
        # Small messages over shared memory: most of them come.
        assert float(cells[3].split()[0]) < 50
        assert float(cells[-1].split()[0]) < 50


@pytest.mark.parametrize('deaf', [False, True])
def test_a_process_that_does_not_end_is_killed(deaf: bool) -> None:
    handling = 'signal.signal(signal.SIGTERM, signal.SIG_IGN)' if deaf else 'pass'
    program = f'import signal, time; {handling}; print(flush=True); time.sleep(60)'
    with subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        end(process, 0.5 if deaf else 30)
    assert process.returncode == -(signal.SIGKILL if deaf else signal.SIGTERM)


def test_user_errors() -> None:
    for arguments, message in (
        (['--profile', 'none.xml'], 'none.xml: no such profile'),
        (['--write', 'none.md'], 'none.md: cannot be read'),
    ):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert message in done.stderr
