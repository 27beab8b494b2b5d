"""An endless stream of small items, importable in the processes of a loader."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator

import torch
from torch.utils.data import IterableDataset, get_worker_info


class CountingStream(IterableDataset[torch.Tensor]):
    """Tensors of the worker's number, -1 without, and a count from the first.

    The interpreter of a worker aborts at its end, as PyTorch makes it now and then.
    """

    def __init__(self, first: int) -> None:
        self.first = first

    def __setstate__(self, state: dict[str, int]) -> None:
        self.first = state['first']
        atexit.register(os.abort)

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = get_worker_info()
        number = self.first
        while True:
            yield torch.tensor([worker.id if worker else -1, number])
            number += 1
