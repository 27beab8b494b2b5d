"""What the runtimes that read .onnx files share: the file, its inputs and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import models
from ..errors import ModelError
from ..models import ModelSpec
from ..stereo import Float32Array

# Of a model of fixed size: more than any camera has.
_MAX_PIXELS = 2**26

INPUTS = ('left', 'right')
DISPARITY, CONFIDENCE = 'disparity', 'confidence'


@dataclass(frozen=True)
class OnnxFile:
    """An .onnx file and what its metadata say."""

    path: Path
    spec: ModelSpec

    @classmethod
    def find(cls, name_or_path: str) -> OnnxFile:
        """Resolve a model setting.

        Raises:
            ModelError: missing, unreadable, of another kind, or without our metadata.
        """
        path = models.resolve(name_or_path, ('.onnx',))
        return cls(path, models.onnx_spec(path, assume=models.is_path(name_or_path)))


@dataclass(frozen=True)
class Ports:
    """Names of a graph's inputs and outputs, found by name or else by order."""

    left: str
    right: str
    disparity: str
    confidence: str | None

    @classmethod
    def of(
        cls, path: Path, inputs: Sequence[tuple[str, Sequence[Any]]], outputs: Sequence[str]
    ) -> Ports:
        """Find the ports of a graph.

        Args:
            path: of the model, for errors.
            inputs: name and shape of each input; a free dimension is anything but an int.
            outputs: names.

        Raises:
            ModelError: the graph is no stereo matcher.
        """
        names = [name for name, _ in inputs]
        if len(names) != 2 or any(len(shape) != 4 for _, shape in inputs) or not outputs:
            raise ModelError(
                f'{path}: a stereo model has two image inputs (1, 3, H, W) and an output, this '
                f'has inputs {", ".join(names)} and outputs {", ".join(outputs)}'
            )
        left, right = INPUTS if set(names) == set(INPUTS) else names
        return cls(
            left,
            right,
            DISPARITY if DISPARITY in outputs else outputs[0],
            CONFIDENCE if CONFIDENCE in outputs else None,
        )

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs that are wanted."""
        return [self.disparity] + ([self.confidence] if self.confidence else [])


def complete(spec: ModelSpec, shape: Sequence[Any], ports: Ports, precision: str) -> ModelSpec:
    """The spec with what only the graph tells: a fixed input size, and whether confidence.

    Raises:
        ModelError: the fixed size is none of an image.
    """
    height, width = shape[-2:]
    fixed = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    if fixed is not None and not 0 < fixed[0] * fixed[1] <= _MAX_PIXELS:
        raise ModelError(
            f'model {spec.name} takes images of {width}x{height} only; check the file'
        )
    return replace(
        spec, fixed_size=fixed, has_confidence=ports.confidence is not None, precision=precision
    )


def smallest_size(spec: ModelSpec) -> tuple[int, int]:
    """A (height_px, width_px) that the model takes, for a trial at little cost."""
    side = -(-spec.min_width_px // spec.padding_multiple) * spec.padding_multiple
    return spec.fixed_size or (side, side)


def to_planes(
    outputs: Sequence[Any], size: tuple[int, int], path: Path
) -> tuple[Float32Array, Float32Array | None]:
    """Outputs of shape (1, 1, H, W), (1, H, W) or (H, W) as (H, W): disparity, confidence.

    The confidence may have half or a quarter of the size.

    Raises:
        ModelError: an output has another size than the images.
    """
    planes: list[Float32Array] = []
    for output in outputs:
        values = np.asarray(output, np.float32)
        shape = values.shape[-2:]
        parts = (1, 2, 4) if planes else (1,)
        fits = any((shape[0] * n, shape[1] * n) == size for n in parts)
        if not fits or values.size != shape[0] * shape[1]:
            raise ModelError(
                f'{path}: an output has shape {values.shape} for images of '
                f'{size[1]}x{size[0]}; a disparity map has the size of the image'
            )
        planes.append(values.reshape(shape))
    return planes[0], planes[1] if len(planes) > 1 else None
