"""Tasks on one process, several, or a cluster; those that are done already are left out."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .parts import Part, PartFolder
from .processes import over_processes
from .ray_cluster import cpus, over_ray
from .tasks import Lost, Task, Work, Worker

# Beside a report: no name that a user gives to a folder, as it is removed with all that is in it.
PARTS = '.dtp_stereo_parts'


@dataclass(frozen=True)
class Fleet:
    """One process, several, or a Ray cluster.

    Attributes:
        jobs: processes of this machine.
        ray: address of a cluster, or '' for none.

    Raises:
        InputError: a value is out of range, or both are asked for.
    """

    jobs: int = 1
    ray: str = ''

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError(f'--jobs {self.jobs}: must be at least 1')
        if self.jobs > 1 and self.ray:
            raise InputError('--jobs is for one machine, --ray for a cluster; give one of them')

    @property
    def is_alone(self) -> bool:
        """Whether this process does all tasks."""
        return self.jobs == 1 and not self.ray

    def size(self) -> int:
        """Number of tasks that are done at the same time."""
        return cpus(self.ray) if self.ray else self.jobs

    def results(
        self, work: Work, tasks: Sequence[Task], worker: Worker | None = None
    ) -> Iterator[tuple[Task, Any | Lost]]:
        """Tasks and their results, in the order in which they are done.

        Args:
            work: of all tasks.
            tasks: to do.
            worker: that is open in this process; taken where it does all tasks.

        Raises:
            Exception: the first that a task raises.
        """
        if not tasks:
            return iter(())
        if self.ray:
            return over_ray(work, tasks, self.ray)
        if self.jobs > 1:
            return over_processes(work, tasks, min(self.jobs, len(tasks)))
        return _alone(work, tasks, worker)

    def all_results(
        self, work: Work, tasks: Sequence[Task]
    ) -> Generator[tuple[Task, Any], None, None]:
        """Tasks and their results in the order in which they are done, none of them lost.

        Args:
            work: of all tasks.
            tasks: to do; may be none.

        Raises:
            InputError: a task is lost.
            Exception: the first that a task raises.
        """
        for task, value in self.results(work, tasks):
            if isinstance(value, Lost):
                raise InputError(
                    f'{task.name}: {value.reason}; where memory is short, use fewer processes'
                )
            yield task, value

    def in_order(self, work: Work, tasks: Sequence[Task]) -> Generator[Any, None, None]:
        """As `all_results`, in the order of the tasks; what is done early waits in memory.

        Args:
            work: of all tasks.
            tasks: to do, each with a name of its own; may be none.
        """
        early: dict[str, Any] = {}
        waiting = deque(task.name for task in tasks)
        for task, value in self.all_results(work, tasks):
            early[task.name] = value
            while waiting and waiting[0] in early:
                yield early.pop(waiting.popleft())


def _alone(
    work: Work, tasks: Sequence[Task], given: Worker | None
) -> Iterator[tuple[Task, Any | Lost]]:
    worker = given or work.open(0)
    try:
        for task in tasks:
            yield task, worker.do(task.given)
    finally:
        if given is None:
            worker.close()


@dataclass
class Finished:
    """Tasks that are done.

    Attributes:
        tasks: all, in their order.
        parts: their results.
        lost: name of a task to the reason for which it has none.
        taken: number of tasks that had been done before.
        jobs: largest number of tasks that were done at the same time.
        is_whole: whether nothing is lost, and no result lacks anything.
        stopped: whether the user ended a task early; the ones after it are lost.
    """

    tasks: Sequence[Task]
    parts: PartFolder
    lost: dict[str, str] = field(default_factory=dict)
    taken: int = 0
    jobs: int = 1
    is_whole: bool = True
    stopped: bool = False

    def values(self) -> Iterator[tuple[Task, Any | Lost]]:
        """Tasks and their results in the order of the tasks, one at a time in memory."""
        for task in self.tasks:
            part = self.parts.read(task.name)
            if part is None:
                reason = self.lost.get(task.name, f'{self.parts.folder}: its part is gone')
                yield task, Lost(reason)
            else:
                yield task, part.value

    def forget(self) -> None:
        """Remove the parts where nothing is left to do: call it when the report is written."""
        if self.is_whole:
            self.parts.remove()


def finish(
    fleet: Fleet,
    work: Work,
    tasks: Sequence[Task],
    parts: PartFolder,
    worker: Worker | None = None,
    seen: Callable[[Task, Any | Lost], None] = lambda task, value: None,
) -> Finished:
    """Do all tasks that have no whole result yet.

    Args:
        fleet: that does them.
        work: of all tasks.
        tasks: all.
        parts: results, of this call and of earlier ones.
        worker: see `Fleet.results`.
        seen: called with each task and its result, those that were there before first.

    Raises:
        Exception: the first that a task raises; what is done stays in the folder.
    """
    found = Finished(tasks, parts)
    missing = []
    for task in tasks:
        part = parts.read(task.name)
        if part is None or not part.value.whole:
            missing.append(task)
            continue
        found.taken += 1
        found.jobs = max(found.jobs, part.jobs)
        seen(task, part.value)
    # Of fewer tasks no more are done at the same time.
    jobs = min(fleet.size(), len(missing)) if missing else 1
    found.jobs = max(found.jobs, jobs)
    waiting = [task.name for task in missing]
    for task, value in fleet.results(work, missing, worker):
        waiting.remove(task.name)
        if isinstance(value, Lost):
            found.lost[task.name] = value.reason
            found.is_whole = False
        else:
            parts.write(task.name, Part(value, jobs))
            found.is_whole = found.is_whole and value.whole
            found.stopped = value.stopped
        seen(task, value)
        if found.stopped:
            found.lost |= dict.fromkeys(waiting, 'not begun, stopped by the user')
            break
    return found


@contextmanager
def part_folder(beside: Path | None) -> Iterator[PartFolder]:
    """The folder of parts in that of a report; without a report, one that is removed again."""
    if beside is not None:
        yield PartFolder(beside / PARTS)
        return
    with tempfile.TemporaryDirectory(prefix='dtp-stereo-') as folder:
        yield PartFolder(Path(folder))
