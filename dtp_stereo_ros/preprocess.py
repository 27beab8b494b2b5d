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


@dataclass(frozen=True)
class Geometry:
    """How an input image was fitted to a model.

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
        shrunk = '' if width == width_px else f' (resized from {width_px} px)'
        raise InputError(
            f'images are {width} px wide{shrunk}, {spec.name} needs at least '
            f'{spec.min_width_px} px; use larger images'
            + (' or a larger input_scale' if shrunk and spec.fixed_size is None else '')
        )
    multiple = spec.padding_multiple
    padded = spec.fixed_size or (
        -(-height // multiple) * multiple,
        -(-width // multiple) * multiple,
    )
    return Geometry((height_px, width_px), (height, width), padded)


def prepare(frame: StereoFrame, spec: ModelSpec, input_scale: float) -> Prepared:
    """Fit both images of a frame to a model.

    Args:
        frame: the pair at input size.
        spec: the model that will see it.
        input_scale: resize factor, 0 < input_scale <= 1.

    Raises:
        InputError: the image is narrower than the model can use.
    """
    geometry = fit(frame.height_px, frame.width_px, spec, input_scale)
    return Prepared(_fit_image(frame.left, geometry), _fit_image(frame.right, geometry), geometry)


def _fit_image(image: UInt8Array, geometry: Geometry) -> Float32Array:
    """RGB uint8 (H, W, 3) to float32 (1, 3, H', W'); INTER_AREA because sizes only shrink."""
    height, width = geometry.resized_size
    pad_top, pad_right = geometry.pad_top_px, geometry.padded_size[1] - width
    fitted = np.ascontiguousarray(image)
    if fitted.shape[:2] != (height, width):
        fitted = cv2.resize(fitted, (width, height), interpolation=cv2.INTER_AREA)
    if pad_top or pad_right:
        fitted = cv2.copyMakeBorder(fitted, pad_top, 0, 0, pad_right, cv2.BORDER_REPLICATE)
    planes = np.empty((1, 3, *geometry.padded_size), np.float32)
    # Channel by channel: a transposed copy of the whole takes forty times as long.
    for channel, plane in enumerate(cv2.split(fitted)):
        planes[0, channel] = plane
    return planes
