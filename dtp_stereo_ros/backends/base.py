"""What a backend is: one Protocol, and the description of the model that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..stereo import Float32Array


@dataclass(frozen=True)
class ModelSpec:
    """What the pipeline must know of a model, read from the model file's own metadata.

    Attributes:
        name: under which the model was exported, or 'sgbm' for the classical matcher.
        padding_multiple: width and height given to `infer` must be multiples of this.
        fixed_size: (height_px, width_px) when the model accepts only that size, else None.
        max_disparity_px: the network cannot see disparities at or beyond this (network pixels).
        min_disparity_px: the smallest disparity that is searched, same pixels.
        min_width_px: narrowest input that makes sense.
        precision: 'fp32', 'bf16' or 'fp16': what inference really runs in.
        sha256: of the model file, hex, or '' where there is no file.
        has_confidence: whether `infer` returns a confidence.
    """

    name: str
    padding_multiple: int
    max_disparity_px: int
    precision: str = 'fp32'
    sha256: str = ''
    fixed_size: tuple[int, int] | None = None
    min_disparity_px: int = 0
    min_width_px: int = 64
    has_confidence: bool = True


class Backend(Protocol):
    """Runs one model on one device. Built by a row of the table in `backends/__init__.py`."""

    @property
    def name(self) -> str:
        """Its row in the table: 'openvino', 'onnx', 'torch', 'sgbm'."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, in words: 'CPU', 'cuda:0', 'CPUExecutionProvider'."""
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
