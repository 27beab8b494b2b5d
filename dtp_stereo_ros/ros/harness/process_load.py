"""CPU time and memory of another process, from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

_SHORTEST_S = 0.2


class ProcessLoad:
    """Load of a process since the reading before.

    Args:
        pid: of the process; None for one of another machine.
    """

    def __init__(self, pid: int | None) -> None:
        self._folder = None if pid is None else Path(f'/proc/{pid}')
        self._before: tuple[float, float] | None = None
        self._percent = float('nan')

    def read(self) -> tuple[float, float]:
        """CPU in percent of one core since the last call, and resident memory in MiB.

        Both are NaN where they cannot be told: at the first call, of a process that has ended,
        and where there is no /proc. Calls that follow at once count together: the system counts in
        hundredths of a second.
        """
        unknown = float('nan')
        if self._folder is None:
            return unknown, unknown
        try:
            # The name of the program, in brackets, may have blanks.
            fields = (self._folder / 'stat').read_text().rpartition(')')[2].split()
            pages = int((self._folder / 'statm').read_text().split()[1])
        except (OSError, IndexError):
            return unknown, unknown
        memory_mib = pages * os.sysconf('SC_PAGE_SIZE') / 2**20
        now_s = time.monotonic()
        if self._before is not None and now_s - self._before[0] < _SHORTEST_S:
            return self._percent, memory_mib
        cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        before, self._before = self._before, (now_s, cpu_s)
        if before is not None:
            self._percent = 100 * (cpu_s - before[1]) / (now_s - before[0])
        return self._percent, memory_mib
