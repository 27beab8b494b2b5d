"""Protocol of a backend."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from ..models import ModelSpec
from ..stereo import Float32Array, UInt8Array

# Values of `Backend.device` that are no GPU.
CPU_DEVICES = ('CPU', 'cpu', 'CPUExecutionProvider', 'XnnpackExecutionProvider')

# RGB 0-255 in whole numbers, contiguous: uint8 (H, W, 3), as images come, or float32 (1, 3, H, W),
# as networks are defined.
Image: TypeAlias = UInt8Array | Float32Array


def size_of(image: Image) -> tuple[int, int]:
    """(height, width) px of an image in either form."""
    height, width = image.shape[:2] if image.ndim == 3 else image.shape[2:]
    return height, width


class Backend(Protocol):
    """Runs one model on one device. Built by a row of `table.TABLE`."""

    @property
    def name(self) -> str:
        """Its row in the table: 'openvino', 'onnx', 'torch', 'tensorrt', 'sgbm'."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, in words: 'CPU', 'cuda:0', 'CPUExecutionProvider', 'NVIDIA H200'."""
        ...

    @property
    def compiling(self) -> bool:
        """Whether `infer`, under way in another thread, builds what may take minutes."""
        ...

    def infer(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair.

        Args:
            left, right: `Image`, H and W multiples of `spec.padding_multiple`. Normalisation is
                inside the model.

        Returns:
            disparity (H, W) float32 px, NaN where the method leaves holes, and confidence
            of that size, or of a part of it,
            float32 in 0..1 or None.

        Raises:
            BackendError: the device or the runtime failed; one line that names it.
        """
        ...

    def close(self) -> None:
        """Free the device's memory. `infer` must not be called afterwards."""
        ...
