"""Peak memory of a method, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np

from .. import system
from ..errors import BackendError
from ..stereo import StereoFrame
from .methods import MethodSettings

# The second pair of a size may take memory that the first did not.
_PAIRS = 3


@dataclass(frozen=True)
class PeakMemory:
    """Memory of a process that runs one method on pairs of one size.

    Attributes:
        process_mib: the most that was resident, Python and all libraries among it.
        method_mib: how much of it came with the method: its runtime, the model and its tensors.
        gpu_mib: of the process on NVIDIA's GPU; None where that is not told.
    """

    process_mib: int
    method_mib: int
    gpu_mib: int | None


def peak_memory(settings: MethodSettings, width_px: int, height_px: int) -> PeakMemory:
    """Memory of a method.

    In this process the peak would be that of the largest method so far, and memory that one
    method has freed would be taken again by the next.

    Raises:
        BackendError: the process died.
        StereoError: the method does not start.
    """
    # A process that is forked would inherit the runtimes that this one has loaded.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(_measure, settings, width_px, height_px).result()
        except BrokenProcessPool as error:
            raise BackendError(
                f'{settings.name} at {width_px}x{height_px}: the process in which its memory was '
                'measured died, perhaps for want of memory; leave that out with --no-memory'
            ) from error


def _measure(settings: MethodSettings, width_px: int, height_px: int) -> PeakMemory:
    # The memory of no method depends on what is to be seen.
    images = np.random.default_rng(0).integers(0, 256, (2, height_px, width_px, 3), np.uint8)
    frame = StereoFrame(images[0], images[1])
    before_mib = system.peak_memory_mib()
    method = settings.open(threads=0)
    for _ in range(_PAIRS):
        method.pipeline.process(frame)
    found_mib, gpu_mib = system.peak_memory_mib(), system.gpu_memory_mib()
    method.pipeline.close()
    return PeakMemory(found_mib, found_mib - before_mib, gpu_mib)
