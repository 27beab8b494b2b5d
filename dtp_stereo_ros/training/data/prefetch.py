"""Batches on the training device, made ready while the step before is under way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset

from dtp_stereo_ros.errors import StereoError

from .batches import Batch
from .raycast_source import Item, Renderer
from .workers import endless_loader


class Feed:
    """Endless batches on a device.

    On CUDA the next batch is copied or rendered on a stream of its own, whose kernels queue up
    beside those of the step; nothing waits for the device. On a CPU there is nothing to overlap.

    Args:
        stream: of batches, or of scenes that are only drawn so far.
        workers: processes that make them; 0 makes them in this one.
        device: of the training.
        renderer: of drawn scenes, where there are any.
    """

    def __init__(
        self,
        stream: IterableDataset[Item],
        workers: int,
        device: torch.device,
        renderer: Renderer | None,
    ) -> None:
        self.device, self.renderer = device, renderer
        self._items: Iterator[Item] = iter(endless_loader(stream, workers, device, ahead=4))
        self._side = torch.cuda.Stream(device) if device.type == 'cuda' else None
        self._waiting: tuple[Batch, Any] | None = None

    def __next__(self) -> Batch:
        """The next batch; the one after it is begun."""
        if self._side is None:
            return self.moved(self._next())
        batch, done = self._waiting or self._begun(self._side)
        self._waiting = self._begun(self._side)
        current = torch.cuda.current_stream(self.device)
        current.wait_event(done)
        for tensor in batch.values():
            # Its memory is not given back before the step has used it.
            tensor.record_stream(current)
        return batch

    def _next(self) -> Item:
        """The next item; an error of a worker as the one line that it is here."""
        try:
            return next(self._items)
        except StereoError as error:
            raise without_traceback(error) from error

    def moved(self, item: Item) -> Batch:
        """On the device, rendered there where it is only drawn so far."""
        if not isinstance(item, dict):
            assert self.renderer is not None  # it is what draws
            return self.renderer.batch(item)
        return {name: v.to(self.device, non_blocking=True) for name, v in item.items()}

    def _begun(self, side: torch.cuda.Stream) -> tuple[Batch, Any]:
        item = self._next()
        with torch.cuda.stream(side):
            batch = self.moved(item)
            done = torch.cuda.Event()
            done.record(side)
        return batch, done


def without_traceback(error: StereoError) -> StereoError:
    """An error of a worker as the one line that it was there: PyTorch puts a traceback before."""
    line = str(error).strip().splitlines()[-1]
    kind = type(error)
    return kind(line.removeprefix(f'{kind.__module__}.{kind.__qualname__}: '))
