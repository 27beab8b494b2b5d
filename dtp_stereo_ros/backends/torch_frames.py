"""Frames of a PyTorch network on a GPU: page-locked buffers, one stream, a graph for each size.

A light network is a few hundred short kernels, and to launch them one by one takes the CPU longer
than they run. A graph launches them at once. The package is handed in, as in `engine`: only
`torch.py` imports it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import one_line
from ..stereo import Float32Array
from .base import Image

# Of the image sizes of a node with several cameras. A graph holds the memory of all tensors of
# its network.
_KEPT_SIZES = 4
# Frames of a size that run kernel by kernel: in them cuDNN chooses its algorithms, and libraries
# prepare what must not be prepared in a capture.
_BEFORE_GRAPH = 3

# (disparity, confidence) of (left, right), images of a batch of one on the device, in the form in
# which they came.
Forward = Callable[[Any, Any], tuple[Any, Any]]

_log = logging.getLogger(__name__)


@dataclass
class _Buffers:
    """Buffers and graph of an image size.

    Attributes:
        host: both images in page-locked memory, (2, H, W, 3) uint8 or (2, 3, H, W) float32.
        device: the same on the device.
        found: disparity and confidence in page-locked memory, once their sizes are known.
        outputs: of the graph, on the device; each launch writes them again.
        graph: None as long as frames run kernel by kernel.
        wanted: whether a graph is still to be made.
        frames: that have run.
    """

    host: Any
    device: Any
    found: list[Any] = field(default_factory=list)
    outputs: tuple[Any, ...] = ()
    graph: Any = None
    wanted: bool = True
    frames: int = 0


class Frames:
    """Runs pairs through a network, in a stream of its own.

    Args:
        torch: the module.
        forward: the network, whose weights are on the device.
        device: of CUDA.
    """

    def __init__(self, torch: Any, forward: Forward, device: Any) -> None:
        self._torch = torch
        self._forward = forward
        self._device = device
        self._sizes: OrderedDict[tuple[int, ...], _Buffers] = OrderedDict()
        self._stream = torch.cuda.Stream(device)
        # The weights were copied to the device in another one.
        self._stream.wait_stream(torch.cuda.current_stream(device))

    def run(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array]:
        """Disparity and confidence (h, w) of a pair.

        Raises:
            RuntimeError: the device failed; torch.cuda.OutOfMemoryError: its memory is full.
        """
        torch = self._torch
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            buffers = self._buffers(left.shape[-3:], left.dtype.name)
            for place, image in zip(buffers.host.numpy(), (left, right), strict=True):
                np.copyto(place, image.reshape(place.shape))
            buffers.device.copy_(buffers.host, non_blocking=True)
            if buffers.wanted and buffers.frames >= _BEFORE_GRAPH:
                buffers.wanted = False
                self._capture(buffers)
            if buffers.graph is None:
                outputs = self._kernels(buffers)
            else:
                buffers.graph.replay()
                outputs = buffers.outputs
            if not buffers.found:
                buffers.found = [torch.empty(o.shape[2:], pin_memory=True) for o in outputs]
            for host, output in zip(buffers.found, outputs, strict=True):
                host.copy_(output[0, 0], non_blocking=True)
            self._stream.synchronize()
            buffers.frames += 1
            # Copies: the next frame writes the same memory.
            disparity, confidence = (host.numpy().copy() for host in buffers.found)
        return disparity, confidence

    def close(self) -> None:
        """Free the buffers and graphs; `run` must not be called afterwards."""
        while self._sizes:
            self._drop_oldest()
        self._torch.cuda.empty_cache()

    def _buffers(self, size: tuple[int, ...], dtype: str) -> _Buffers:
        """Those of images of this shape, (H, W, 3) or (3, H, W), made at first use."""
        if size not in self._sizes:
            # Before: the memory of both may not be there.
            while len(self._sizes) >= _KEPT_SIZES:
                self._drop_oldest()
            torch, shape = self._torch, (2, *size)
            kind = getattr(torch, dtype)
            self._sizes[size] = _Buffers(
                torch.empty(shape, dtype=kind, pin_memory=True),
                torch.empty(shape, dtype=kind, device=self._device),
            )
        self._sizes.move_to_end(size)
        return self._sizes[size]

    def _drop_oldest(self) -> None:
        """Free the size that was not used for longest."""
        _, buffers = self._sizes.popitem(last=False)
        if buffers.graph is not None:
            buffers.graph.reset()

    def _kernels(self, buffers: _Buffers) -> tuple[Any, Any]:
        left, right = buffers.device.split(1)
        return self._forward(left, right)

    def _capture(self, buffers: _Buffers) -> None:
        """Frames of this size are launched as one graph from now on, where that can be made."""
        torch = self._torch
        graph = torch.cuda.CUDAGraph()
        try:
            # Of this thread: what others do on the device does not end the capture.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode='thread_local'):
                outputs = self._kernels(buffers)
        except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one
            pixels = buffers.device.dtype == torch.uint8
            height, width = buffers.device.shape[1:3] if pixels else buffers.device.shape[2:]
            # To end the capture fails too then, for no reason of its own.
            first = error.__context__ or error
            _log.warning(
                'torch: no CUDA graph for %dx%d (%s); its kernels are launched one by one',
                width, height, one_line(first),
            )  # fmt: skip
            del graph
            torch.cuda.empty_cache()
            return
        buffers.graph, buffers.outputs = graph, outputs
