"""Tasks done by several processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from multiprocessing.context import SpawnContext
from typing import Any

from .tasks import ATTEMPTS, Lost, Task, Work, perform

# Until a process that was asked to end is ended by force.
_PATIENCE_S = 5.0


class _RemoteError(Exception):
    """The traceback of another process, as the cause of the error that it sent."""

    def __str__(self) -> str:
        return f'\n{self.args[0]}'


class _Process:
    """A process that does one task after another.

    Attributes:
        pipe: our end; it can be read when there is an answer or the process has ended.
        task: under way, or None.
    """

    def __init__(self, context: SpawnContext, work: Work, threads: int) -> None:
        self.pipe, other = context.Pipe()
        self.task: Task | None = None
        self._process = context.Process(target=_serve, args=(other, work, threads), daemon=True)
        self._process.start()
        # Of the other end only the process has a copy now, so that its end is seen as that of
        # the pipe.
        other.close()

    def give(self, task: Task) -> None:
        """Hand over a task; a process that has ended is noticed by `pipe`."""
        self.task = task
        with contextlib.suppress(OSError):
            self.pipe.send(task.given)

    def end(self) -> str:
        """End the process; returns how it had ended."""
        self.pipe.close()
        if self.task is None:
            # It ends by itself then, and frees what all processes share.
            self._process.join(_PATIENCE_S)
        self._process.terminate()
        self._process.join(_PATIENCE_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        return f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'


def over_processes(
    work: Work, tasks: Sequence[Task], jobs: int
) -> Iterator[tuple[Task, Any | Lost]]:
    """Tasks and their results, in the order in which they are done.

    A task whose process is killed is done again by a new one, `ATTEMPTS` times in all.

    Args:
        work: of all tasks.
        tasks: to do.
        jobs: number of processes.

    Raises:
        Exception: the first that a task raises.
    """
    crew = _Crew(work, jobs, tasks)
    try:
        while crew.is_busy:
            crew.give()
            for process in crew.ready():
                answered = crew.answer(process)
                if answered is not None:
                    yield answered
    finally:
        crew.end()


class _Crew:
    """Processes, and the tasks that wait for one."""

    def __init__(self, work: Work, jobs: int, tasks: Sequence[Task]) -> None:
        self._context = multiprocessing.get_context('spawn')
        self._work, self._jobs = work, jobs
        self._threads = max(1, (os.cpu_count() or 1) // jobs)
        self._waiting = deque(tasks)
        self._attempts = Counter[str]()
        self._processes: list[_Process] = []

    @property
    def is_busy(self) -> bool:
        """Whether a task waits or is under way."""
        return bool(self._waiting) or any(process.task for process in self._processes)

    def give(self) -> None:
        """Give a task to each process that has none; new processes are started as needed."""
        free = [process for process in self._processes if process.task is None]
        while self._waiting and (free or len(self._processes) < self._jobs):
            if not free:
                free.append(_Process(self._context, self._work, self._threads))
                self._processes.append(free[-1])
            free.pop().give(self._waiting.popleft())

    def ready(self) -> list[_Process]:
        """Wait until a process has answered or ended."""
        pipes = connection.wait([process.pipe for process in self._processes])
        return [process for process in self._processes if process.pipe in pipes]

    def answer(self, process: _Process) -> tuple[Task, Any | Lost] | None:
        """The task of a process and its result; None where it is to be done again."""
        task = process.task
        try:
            value, error, trace = process.pipe.recv()
        except (EOFError, OSError):
            self._processes.remove(process)
            return self._ended(task, process.end())
        process.task = None
        if error is not None:
            raise error from _RemoteError(trace)
        return None if task is None else (task, value)

    def end(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.pipe.close()
        for process in self._processes:
            process.end()

    def _ended(self, task: Task | None, how: str) -> tuple[Task, Lost] | None:
        if task is None:
            return None
        self._attempts[task.name] += 1
        if self._attempts[task.name] == ATTEMPTS:
            return task, Lost(f'{ATTEMPTS} processes ended at it, the last by {how}')
        print(f'a process ended by {how}; its part is done again', file=sys.stderr)
        self._waiting.appendleft(task)
        return None


def _serve(pipe: connection.Connection, work: Work, threads: int) -> None:
    """Do tasks until the other end of the pipe is closed."""
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            given = pipe.recv()
        except EOFError:
            return
        answer: tuple[Any, Exception | None, str]
        try:
            answer = perform(work, threads, given), None, ''
        except Exception as error:  # raised again by the process that gave the task
            answer = None, error, traceback.format_exc()
        pipe.send(answer)
