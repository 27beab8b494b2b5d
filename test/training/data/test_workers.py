"""Loaders of endless streams: what the workers make, and how they end."""

from __future__ import annotations

import pytest
import torch
from counting_stream import CountingStream

from dtp_stereo_ros.training.data.workers import endless_loader

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    ('workers', 'expected'),
    [(0, [[-1, 5], [-1, 6], [-1, 7], [-1, 8]]), (2, [[0, 5], [1, 5], [0, 6], [1, 6]])],
)
def test_items_come_in_turn(workers: int, expected: list[list[int]]) -> None:
    items = iter(endless_loader(CountingStream(5), workers, CPU, ahead=2))
    assert [next(items).tolist() for _ in range(4)] == expected


def test_processes_end_without_their_interpreter() -> None:
    items = iter(endless_loader(CountingStream(5), 2, CPU, ahead=8))
    for _ in range(20):
        next(items)
    processes = items._workers
    del items
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
