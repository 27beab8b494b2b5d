"""Commands in processes of their own, their workers, and the results that they leave."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dtp_stereo_ros.fleet.fleet import PARTS

# Of a result file, what differs between two runs.
TIMES = ('latency_ms', 'judging_ms', 'consistency_ms', 'command', 'jobs')

_CODE = 'import sys; from dtp_stereo_ros.cli import main; sys.exit(main(sys.argv[1:]))'


def command(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """`dtp-stereo` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, '-c', _CODE, *arguments],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def workers(pid: int) -> list[int]:
    """Processes of a pool; not the one that watches over shared memory."""
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [int(c) for c in children if b'spawn_main' in Path(f'/proc/{c}/cmdline').read_bytes()]


def parts(out: Path) -> int:
    """Number of the parts that are done."""
    return len(list((out / PARTS).glob('*.part')))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for at most a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def without_times(value: Any) -> Any:
    """A result file, or a part of it, without times."""
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if key not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def busy_in(title: str) -> list[int]:
    """Processes of this machine whose title begins so."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            named = (folder / 'cmdline').read_bytes().startswith(title.encode())
        except OSError:  # it has ended
            continue
        if named:
            found.append(int(folder.name))
    return found
