"""Work whose tasks are numbers, some of which end their process."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.runner import DatasetResult
from dtp_stereo_ros.evaluation.slices import SliceResult
from dtp_stereo_ros.fleet.parts import name_of
from dtp_stereo_ros.fleet.tasks import Task


@dataclass(frozen=True)
class Squares:
    """Leaves a file for each attempt at a number.

    Attributes:
        folder: of these files.
        deadly: numbers that kill their process.
        survived_after: so many attempts.
        wrong: a number that raises.
        torn: a number whose result is not whole.
        slow: numbers that take longer than the others.
    """

    folder: Path
    deadly: tuple[int, ...] = ()
    survived_after: int = 1
    wrong: int = -1
    torn: int = -1
    slow: tuple[int, ...] = ()

    def open(self, threads: int) -> Squares:
        return self

    def do(self, given: int) -> SliceResult:
        attempts = self.attempts(given)
        (self.folder / f'{given}-{attempts}').touch()
        if given in self.slow:
            time.sleep(0.3)
        if given == self.wrong:
            raise InputError(f'{given}: is wrong')
        if given in self.deadly and attempts < self.survived_after:
            os.kill(os.getpid(), signal.SIGKILL)
        left_out = ['a scene'] if given == self.torn else []
        return SliceResult(DatasetResult(str(given * given), left_out=left_out))

    def close(self) -> None:
        pass

    def attempts(self, given: int) -> int:
        return len(list(self.folder.glob(f'{given}-*')))


def tasks(count: int) -> list[Task]:
    return [Task(name_of(index, 'squares'), index) for index in range(count)]
