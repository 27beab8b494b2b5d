"""Newest item wins, calls run between items, and no death goes unnoticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.ros.worker import Worker

WAIT_S = 10


class Slow:
    """Takes an item only when told, so that the order of things is certain."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.done: list[Any] = []
        self.died = threading.Event()
        self.worker = Worker(self.process, self.died.set)

    def process(self, item: Any) -> None:
        self.begun.release()
        assert self.go_on.acquire(timeout=WAIT_S)
        if isinstance(item, BaseException):
            raise item
        self.done.append(item)


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    made.worker.start()
    yield made
    made.go_on.release(100)
    assert made.worker.stop(WAIT_S)


def test_newest_wins_and_displaced_items_are_told(slow: Slow) -> None:
    assert not slow.worker.offer(1)
    assert slow.begun.acquire(timeout=WAIT_S)
    assert not slow.worker.offer(2)
    assert slow.worker.offer(3)
    assert slow.worker.offer(4)
    slow.go_on.release(2)
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.worker.between_frames(lambda: None).result(WAIT_S)
    assert slow.done == [1, 4]
    # Or the watchdog would end a node that has nothing to do.
    assert slow.worker.busy_s() == 0


def test_lanes_are_served_in_turn_however_fast_one_is(slow: Slow) -> None:
    """Lane a is offered again while each item is in work; b and c have their turns."""
    slow.worker.offer('a0', lane='a')
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.worker.offer('a1', lane='a')
    slow.worker.offer('b1', lane='b')
    assert not slow.worker.offer('c1', lane='c')
    assert slow.worker.offer('a2', lane='a')
    assert slow.worker.offer('b2', lane='b')
    for index in range(3, 9):
        slow.go_on.release()
        assert slow.begun.acquire(timeout=WAIT_S)
        slow.worker.offer(f'a{index}', lane='a')
        slow.worker.offer(f'a{index}+', lane='a')
        if index == 5:
            slow.worker.offer('b5', lane='b')
    slow.go_on.release(2)
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.worker.between_frames(lambda: None).result(WAIT_S)
    assert slow.done == ['a0', 'a2', 'b2', 'c1', 'a5+', 'b5', 'a7+', 'a8+']


def test_forgotten_items_are_not_processed(slow: Slow) -> None:
    slow.worker.offer(1, lane='a')
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.worker.offer(2, lane='a')
    slow.worker.offer(3, lane='b')
    slow.worker.forget()
    slow.go_on.release(2)
    slow.worker.between_frames(lambda: None).result(WAIT_S)
    assert slow.done == [1]


def test_calls_run_between_items_in_the_worker(slow: Slow) -> None:
    slow.worker.offer(1)
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.worker.offer(2)
    seen: list[Any] = []
    call = slow.worker.between_frames(
        lambda: seen.append((list(slow.done), threading.current_thread().name))
    )
    assert not call.done()
    slow.go_on.release(2)
    call.result(WAIT_S)
    assert seen == [([1], 'stereo worker')]


def test_a_failing_call_reaches_its_caller_and_no_one_else(slow: Slow) -> None:
    def fail() -> None:
        raise BackendError('no such device')

    with pytest.raises(BackendError, match='no such device'):
        slow.worker.between_frames(fail).result(WAIT_S)
    slow.go_on.release()
    slow.worker.offer(1)
    assert slow.begun.acquire(timeout=WAIT_S)
    slow.worker.between_frames(lambda: None).result(WAIT_S)
    assert (slow.done, slow.worker.failure) == ([1], '')


@pytest.mark.parametrize('error', [ValueError('a bug'), SystemExit('a library'), MemoryError()])
def test_death_is_reported(slow: Slow, error: BaseException) -> None:
    slow.worker.offer(error)
    slow.go_on.release()
    assert slow.died.wait(WAIT_S)
    assert type(error).__name__ in slow.worker.failure
    with pytest.raises(BackendError):
        slow.worker.between_frames(lambda: None).result(WAIT_S)


def test_calls_that_wait_when_the_worker_dies_are_answered() -> None:
    """A parameter change that came while the frame was in work that ended the worker."""
    begun, go_on, dead = threading.Event(), threading.Event(), threading.Event()

    def process(item: object) -> None:
        begun.set()
        go_on.wait(5)
        raise MemoryError

    worker = Worker(process, dead.set)
    worker.start()
    worker.offer('frame')
    assert begun.wait(5)
    waiting = worker.between_frames(lambda: None)
    go_on.set()
    assert dead.wait(5)
    with pytest.raises(BackendError, match='the worker has ended'):
        waiting.result(5)
    with pytest.raises(BackendError):
        worker.between_frames(lambda: None).result(5)


def test_calls_that_wait_when_the_worker_stops_are_answered() -> None:
    slow = Slow()
    slow.worker.start()
    slow.worker.offer(1)
    assert slow.begun.acquire(timeout=WAIT_S)
    call: Future[None] = slow.worker.between_frames(lambda: None)
    assert not slow.worker.stop(0.01)
    slow.go_on.release()
    with pytest.raises(BackendError, match='shutting down'):
        call.result(WAIT_S)


def test_the_count_can_be_restarted(slow: Slow) -> None:
    slow.worker.restart_count()
    assert slow.worker.busy_s() == 0.0  # nothing is in work
    slow.worker.offer('a')
    assert slow.begun.acquire(timeout=WAIT_S)
    time.sleep(0.5)
    before = slow.worker.busy_s()
    slow.worker.restart_count()
    assert 0 <= slow.worker.busy_s() < before
