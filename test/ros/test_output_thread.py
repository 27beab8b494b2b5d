"""Results that are published beside the worker: in order, one at a time, none lost."""

from __future__ import annotations

import threading
import time

from dtp_stereo_ros.ros.output_thread import OutputThread

WAIT_S = 10.0


def test_calls_run_in_order_in_another_thread() -> None:
    seen: list[tuple[int, bool]] = []
    outputs = OutputThread()
    own = threading.current_thread()
    for number in range(50):
        outputs.run(lambda n=number: seen.append((n, threading.current_thread() is own)))
    assert outputs.stop(WAIT_S)
    assert seen == [(number, False) for number in range(50)]


def test_one_call_is_at_work_and_none_waits() -> None:
    """The second caller waits for the end of the first call, the first one does not wait."""
    begun, go_on, second = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert go_on.wait(WAIT_S)

    outputs = OutputThread()
    outputs.run(first)
    assert begun.wait(WAIT_S)
    caller = threading.Thread(target=lambda: outputs.run(second.set))
    caller.start()
    time.sleep(0.05)
    assert caller.is_alive() and not second.is_set()
    go_on.set()
    assert second.wait(WAIT_S)
    caller.join(WAIT_S)
    assert not caller.is_alive() and outputs.stop(WAIT_S)


def test_it_stops_after_the_call_at_work_and_takes_no_more() -> None:
    go_on, late = threading.Event(), threading.Event()
    outputs = OutputThread()
    outputs.run(lambda: go_on.wait(WAIT_S))
    assert not outputs.stop(0.05)
    outputs.run(late.set)
    go_on.set()
    assert outputs.stop(WAIT_S)
    assert not late.is_set()
