"""`DataLoader` of endless streams, made in processes of their own."""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, IterableDataset

Item = TypeVar('Item')


def endless_loader(
    stream: IterableDataset[Item], workers: int, device: torch.device, ahead: int
) -> DataLoader[Item]:
    """A loader of items as the stream yields them.

    Args:
        stream: never ends.
        workers: processes that make the items; 0 makes them in this one.
        device: of the training; for CUDA the items lie in pinned memory.
        ahead: items that each worker makes in advance.
    """
    return DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=ahead if workers else None,
        # A forked worker would inherit the threads of OpenCV, CUDA and DDS as locks that nobody
        # opens again.
        multiprocessing_context='spawn' if workers else None,
        worker_init_fn=_end_at_once,
        # A copy from other memory waits for the device.
        pin_memory=device.type == 'cuda',
    )


def _end_at_once(_worker: int) -> None:
    """The end of a worker's process, without the interpreter's: nothing of it outlives the run.

    While the interpreter ends, the thread that sends items is ended inside of PyTorch, which then
    aborts the process; the training takes that for a crash.
    """
    atexit.register(os._exit, 0)
