"""The harness of the fault matrix, on one fault of each kind, and the page that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from rclpy.node import Node

from tools.faults import fault_list, matrix, session


def fault(name: str) -> session.Fault:
    return next(f for f in fault_list.FAULTS if name in f.name)


def test_a_bad_message_costs_itself_only(node: Node, tmp_path: Path) -> None:
    outcome = matrix.inject(fault('unknown encoding'), node, tmp_path)
    assert outcome.said.startswith("/left/image_rect: encoding 'rgb99' is not supported")
    assert (outcome.logged, outcome.process, outcome.served) == (1, 'stays up', 0)
    assert outcome.bad >= 20
    # Good ones before and after.
    assert outcome.sent - outcome.lost >= 40


def test_a_dead_worker_is_told_in_diagnostics_and_a_new_process_takes_over(
    node: Node, tmp_path: Path
) -> None:
    outcome = matrix.inject(fault('worker thread dies'), node, tmp_path)
    assert outcome.process == 'ends with code 1, restarted'
    assert outcome.said.startswith('the worker died (SystemExit: injected')
    assert outcome.logged == 1
    assert outcome.recovery_s > 0


def test_a_full_disk_costs_the_engine_cache_only(node: Node, tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    outcome = matrix.inject(fault('disk full'), node, tmp_path)
    assert outcome.said.startswith('engine cache: [Errno 28] No space left on device; engines')
    assert (outcome.logged, outcome.process) == (1, 'stays up')
    # Frames are served before and after the fault.
    assert outcome.sent - outcome.lost >= 40


def test_table() -> None:
    rows = {'a fault': matrix.Outcome('said | so', 1, 2, 30, recovery_s=0.25, bad=5)}
    lines = matrix.table(rows).splitlines()
    assert lines[2:] == [r'| a fault | said \| so (1x) | stays up | 5, 0 | 30, 2 | 0.25 s |']
