"""Protocol of a backend."""

from __future__ import annotations

from typing import Protocol

from ..models import ModelSpec
from ..stereo import Float32Array

# Values of `Backend.device` that are no GPU.
CPU_DEVICES = ('CPU', 'cpu', 'CPUExecutionProvider', 'XnnpackExecutionProvider')


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

    def infer(
        self, left: Float32Array, right: Float32Array
    ) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair.

        Args:
            left, right: float32 (1, 3, H, W), RGB 0-255, H and W multiples of
                `spec.padding_multiple`. Normalisation is inside the model.

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
