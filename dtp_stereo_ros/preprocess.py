"""Images to the input of a network: resized, padded, float32 (1, 3, H, W).

The matching frame is the input frame resized by one width and one height ratio and then padded
at the top and at the right. Pixels keep their column under padding, and both cameras are padded
alike, so f, cx and T of the resized image stay true; `postprocess.restore` crops and scales back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .errors import InputError
from .models import ModelSpec
from .stereo import Float32Array, StereoFrame, UInt8Array

# Pixels whose channels are separated at a time.
_PART_PX = 1 << 18


@dataclass(frozen=True)
class Geometry:
    """Sizes by which an input image was fitted to a model.

    Attributes:
        input_size: (height_px, width_px) of the images as they came.
        resized_size: (height_px, width_px) after resizing, before padding.
        padded_size: (height_px, width_px) that the model gets.
    """

    input_size: tuple[int, int]
    resized_size: tuple[int, int]
    padded_size: tuple[int, int]

    @property
    def width_ratio(self) -> float:
        """Input width over resized width: a network's disparity times this is in input pixels."""
        return self.input_size[1] / self.resized_size[1]

    @property
    def pad_top_px(self) -> int:
        """Rows of padding above the image."""
        return self.padded_size[0] - self.resized_size[0]


@dataclass(frozen=True)
class Prepared:
    """A pair ready for `Backend.infer`.

    Attributes:
        left, right: float32 (1, 3, H, W), RGB 0-255, contiguous.
        geometry: what `postprocess.restore` needs to undo the fitting.
    """

    left: Float32Array
    right: Float32Array
    geometry: Geometry


def fit(height_px: int, width_px: int, spec: ModelSpec, input_scale: float) -> Geometry:
    """Choose the resized and the padded size for an input size.

    A model of fixed size gets the image shrunk, with its aspect kept, until it fits.

    Raises:
        InputError: the image is narrower than the model can use.
    """
    scale = input_scale
    if spec.fixed_size is not None:
        scale = min(scale, spec.fixed_size[0] / height_px, spec.fixed_size[1] / width_px)
    height, width = max(1, round(height_px * scale)), max(1, round(width_px * scale))
    if width < spec.min_width_px:
        resized = '' if width == width_px else f' (resized from {width_px} px)'
        raise InputError(
            f'images are {width} px wide{resized}, {spec.name} needs at least '
            f'{spec.min_width_px} px; use larger images'
            + ('' if spec.fixed_size else ' or a larger input_scale')
        )
    multiple = spec.padding_multiple
    padded = spec.fixed_size or (
        -(-height // multiple) * multiple,
        -(-width // multiple) * multiple,
    )
    return Geometry((height_px, width_px), (height, width), padded)


def prepare(
    frame: StereoFrame, spec: ModelSpec, input_scale: float, before: Prepared | None = None
) -> Prepared:
    """Fit both images of a frame to a model.

    Args:
        frame: the pair at input size.
        spec: the model that will see it.
        input_scale: resize factor, above 0.
        before: of an earlier frame, whose arrays are written again where the size is the same:
            the memory of fresh ones costs as much as filling them.

    Raises:
        InputError: the image is narrower than the model can use.
    """
    geometry = fit(frame.height_px, frame.width_px, spec, input_scale)
    shape = (1, 3, *geometry.padded_size)
    if before is None or before.left.shape != shape:
        left, right = np.empty(shape, np.float32), np.empty(shape, np.float32)
    else:
        left, right = before.left, before.right
    _fit_image(frame.left, geometry, left)
    _fit_image(frame.right, geometry, right)
    return Prepared(left, right, geometry)


def _fit_image(image: UInt8Array, geometry: Geometry, planes: Float32Array) -> None:
    """RGB uint8 (H, W, 3) into float32 (1, 3, H', W')."""
    height, width = geometry.resized_size
    pad_top = geometry.pad_top_px
    fitted = np.ascontiguousarray(image)
    if fitted.shape[:2] != (height, width):
        shrinks = width < fitted.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        fitted = cv2.resize(fitted, (width, height), interpolation=interpolation)
    # Channel by channel and few rows at a time, in memory that stays in the cache: a transposed
    # copy of the whole takes forty times as long, and whole channels three to five times.
    step = max(1, _PART_PX // width)
    channels = np.empty((3, min(step, height), width), np.uint8)
    for row in range(0, height, step):
        part = channels[:, : min(step, height - row)]
        cv2.split(fitted[row : row + step], list(part))
        rows = slice(pad_top + row, pad_top + row + part.shape[1])
        planes[0, :, rows, :width] = part
    # The padding repeats the outermost row and column.
    planes[0, :, :pad_top, :width] = planes[0, :, pad_top : pad_top + 1, :width]
    planes[..., width:] = planes[..., width - 1 : width]
