"""Device memory, streams and graphs of CUDA, by the package cuda-bindings.

Not by PyTorch or CuPy: cuda-bindings is NVIDIA's own binding of the runtime, has 10 MB where they
have gigabytes, and has wheels for x86-64 and 64-bit ARM.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError, one_line
from .ports import AnyArray

_DRIVER = Path('/proc/driver/nvidia/version')


@dataclass(frozen=True)
class Gpu:
    """The GPU that runs, as an engine depends on it.

    Attributes:
        name: as 'NVIDIA H200'.
        compute_capability: as '9.0'.
        driver: the CUDA that its driver has, as '12.8', and the driver's own version where it
            is told.
    """

    name: str
    compute_capability: str
    driver: str


class Cuda:
    """The CUDA runtime on the first GPU that this process sees.

    Attributes:
        runtime: the module cuda.bindings.runtime.
        gpu: that runs.

    Raises:
        BackendError: cuda-bindings, the driver or the GPU is missing.
    """

    def __init__(self) -> None:
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise BackendError(
                f'backend tensorrt needs the package cuda-bindings ({one_line(error)}); install '
                "it with: pip install 'cuda-bindings>=12.8,<13' (CUDA 12), or >=13 (CUDA 13)"
            ) from error
        self.runtime = runtime
        self.gpu = self._first_gpu()

    def call(self, name: str, *arguments: Any) -> Any:
        """Values that a function of the runtime returns besides its error.

        Raises:
            BackendError: the function failed.
        """
        error, *values = getattr(self.runtime, name)(*arguments)
        if error != self.runtime.cudaError_t.cudaSuccess:
            mend = '; lower input_scale' if error.name == 'cudaErrorMemoryAllocation' else ''
            raise BackendError(f'backend tensorrt: {name} failed: {error.name}{mend}')
        return values[0] if values else None

    def stream(self) -> Any:
        """A stream that does not wait for the default one."""
        return self.call('cudaStreamCreateWithFlags', self.runtime.cudaStreamNonBlocking)

    def captured(self, stream: Any, work: Callable[[], None]) -> Any:
        """The graph of what `work` puts into a stream; nothing of it runs.

        Raises:
            BackendError: the work cannot be captured.
        """
        mode = self.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call('cudaStreamBeginCapture', stream, mode)
        try:
            work()
        except BaseException:
            # The stream stays in the capture else, and takes no other work.
            with suppress(BackendError):
                self.call('cudaGraphDestroy', self.call('cudaStreamEndCapture', stream))
            raise
        graph = self.call('cudaStreamEndCapture', stream)
        try:
            return self.call('cudaGraphInstantiate', graph, 0)
        finally:
            self.call('cudaGraphDestroy', graph)

    def _first_gpu(self) -> Gpu:
        why = self._why_not()
        if why:
            raise BackendError(
                f'backend tensorrt: {why}; it needs an NVIDIA GPU with its driver, which '
                'nvidia-smi shows: install the driver, or take another backend'
            )
        found = self.call('cudaGetDeviceProperties', 0)
        version = int(self.call('cudaDriverGetVersion'))
        name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
        own = ''
        with suppress(OSError, IndexError):
            own = f' {_DRIVER.read_text().split("  ")[1]}'
        driver = f'{version // 1000}.{version % 1000 // 10}{own}'
        return Gpu(name, f'{found.major}.{found.minor}', driver)

    def _why_not(self) -> str:
        """Why no GPU can be used; '' where one can."""
        try:
            error, count = self.runtime.cudaGetDeviceCount()
            _, version = self.runtime.cudaDriverGetVersion()
        except RuntimeError as failure:  # cuda-bindings 12 without libcuda.so.1
            return f'no NVIDIA driver runs ({one_line(failure)})'
        if error == self.runtime.cudaError_t.cudaSuccess and count:
            return ''
        return f'no NVIDIA GPU can be used ({error.name})' if version else 'no NVIDIA driver runs'


class Buffer:
    """An array in page-locked memory of the host, and its twin on the device.

    Args:
        cuda: that it is made by.
        shape, dtype: of the array.

    Attributes:
        host: the array; valid until `close`.
        device: address of the twin.
    """

    def __init__(self, cuda: Cuda, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._cuda = cuda
        self._bytes = max(1, int(np.prod(shape)) * dtype.itemsize)
        self.device = int(cuda.call('cudaMalloc', self._bytes))
        try:
            self._address = int(cuda.call('cudaMallocHost', self._bytes))
        except BackendError:
            cuda.call('cudaFree', self.device)
            raise
        memory = memoryview((ctypes.c_char * self._bytes).from_address(self._address))
        count = int(np.prod(shape))
        self.host: AnyArray = np.frombuffer(memory, dtype, count).reshape(shape)

    def upload(self, stream: Any) -> None:
        """Copy to the device, in the order of a stream."""
        self._copy(self.device, self._address, 'cudaMemcpyHostToDevice', stream)

    def download(self, stream: Any) -> None:
        """Copy from the device, in the order of a stream."""
        self._copy(self._address, self.device, 'cudaMemcpyDeviceToHost', stream)

    def close(self) -> None:
        """Free both."""
        self._cuda.call('cudaFree', self.device)
        self._cuda.call('cudaFreeHost', self._address)

    def _copy(self, target: int, source: int, kind: str, stream: Any) -> None:
        kinds = self._cuda.runtime.cudaMemcpyKind
        self._cuda.call(
            'cudaMemcpyAsync', target, source, self._bytes, getattr(kinds, kind), stream
        )
