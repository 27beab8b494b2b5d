"""Tasks, the worker that does them, and the one function that every kind of fleet calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2

# A task whose worker ends without an answer is given to another one, to this number in all.
ATTEMPTS = 3


@dataclass(frozen=True)
class Task:
    """A part of the work.

    Attributes:
        name: of the file of its result; tells settings and input apart.
        given: its input, picklable.
    """

    name: str
    given: Any


@dataclass(frozen=True)
class Lost:
    """In place of a result: each worker that was given the task ended without an answer."""

    reason: str


class Worker(Protocol):
    """Does tasks, one after another, with what it holds open."""

    def do(self, given: Any) -> Any:
        """The result of a task, picklable; for `finish` with attributes `whole` and `stopped`."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Work(Protocol):
    """Settings of the work: picklable, hashable and comparable."""

    def open(self, threads: int) -> Worker:
        """Start a worker in this process.

        Args:
            threads: of the CPU that it may use; 0 is all.
        """
        ...


# The worker of this process, which serves one task after another.
_opened: tuple[Work, int, Worker] | None = None


def perform(work: Work, threads: int, given: Any) -> Any:
    """Do a task in this process; the worker is opened with the first one.

    Raises:
        Exception: what the worker raises ends the whole work.
    """
    global _opened
    if _opened is None or _opened[:2] != (work, threads):
        if _opened is not None:
            _opened[2].close()
            _opened = None
        if threads:
            cv2.setNumThreads(threads)
        _opened = work, threads, work.open(threads)
    return _opened[2].do(given)
