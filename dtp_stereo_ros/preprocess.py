"""Images to the input of a network: resized and padded.

The matching frame is the input frame resized by one width and one height ratio and then padded
at the top and at the right. Pixels keep their column under padding, and both cameras are padded
alike, so f, cx and T of the resized image stay true; `postprocess.restore` crops and scales back.
Where raw disparities of points in front of the cameras are negative, the pair is shifted first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .errors import InputError
from .models import ModelSpec
from .row_parts import row_parts
from .stereo import Float32Array, StereoCalibration, StereoFrame, UInt8Array

# Pixels whose channels are separated at a time: bytes, a quarter of the size of float32.
_PART_PX = 1 << 18


@dataclass(frozen=True)
class Geometry:
    """Sizes by which an input image was fitted to a model.

    Attributes:
        input_size: (height_px, width_px) of the images as they came, widened by the shift.
        resized_size: (height_px, width_px) after resizing, before padding.
        padded_size: (height_px, width_px) that the model gets.
        shift_px: columns before the left image and after the right one, by which the raw
            disparity of the model is larger, in input pixels.
    """

    input_size: tuple[int, int]
    resized_size: tuple[int, int]
    padded_size: tuple[int, int]
    shift_px: int = 0

    @property
    def width_ratio(self) -> float:
        """Input width over resized width: a network's disparity times this is in input pixels."""
        return self.input_size[1] / self.resized_size[1]

    @property
    def is_padded(self) -> bool:
        """Whether the model gets more than the resized image."""
        return self.padded_size != self.resized_size

    @property
    def pad_top_px(self) -> int:
        """Rows of padding above the image."""
        return self.padded_size[0] - self.resized_size[0]


@dataclass(frozen=True)
class Prepared:
    """A pair ready for `Backend.infer`.

    Attributes:
        left, right: RGB uint8 (H, W, 3), contiguous; they may be the images of the frame.
        geometry: what `postprocess.restore` needs to undo the fitting.
    """

    left: UInt8Array
    right: UInt8Array
    geometry: Geometry


def needed_shift_px(
    calibration: StereoCalibration | None, spec: ModelSpec, max_depth_m: float
) -> int:
    """Shift that makes the raw disparity at `max_depth_m` 0 or more, input pixels.

    With cx_left < cx_right, as of cameras that look inwards, that of far points is negative, and
    a model that searches from 0 takes them for near ones. It is no larger than needed, as networks
    are less exact at large disparities, and 0 for a search whose begin is a setting.
    """
    if calibration is None or spec.chosen_range:
        return 0
    far_px = calibration.disparity_offset_px + calibration.focal_baseline_px_m / max_depth_m
    return min(max(0, math.ceil(-far_px)), calibration.width_px)


def fit(
    height_px: int, width_px: int, spec: ModelSpec, input_scale: float, shift_px: int = 0
) -> Geometry:
    """Choose the resized and the padded size for an input size.

    A model of fixed size gets the image shrunk, with its aspect kept, until it fits.

    Args:
        height_px, width_px: of the images as they came.
        spec: the model that will see them.
        input_scale: resize factor, above 0.
        shift_px: see `Geometry`.

    Raises:
        InputError: the image is narrower than the model can use.
    """
    scale = input_scale
    width_px += shift_px
    if spec.fixed_size is not None:
        scale = min(scale, spec.fixed_size[0] / height_px, spec.fixed_size[1] / width_px)
    height, width = max(1, round(height_px * scale)), max(1, round(width_px * scale))
    if width < spec.min_width_px:
        resized = '' if width == width_px else f' (resized from {width_px} px)'
        mend = 'use larger images or a larger input_scale (--scale)'
        if spec.fixed_size:
            taken = f'{spec.fixed_size[1]}x{spec.fixed_size[0]}'
            mend = f'it takes {taken} px only: crop the images to that shape, or export it free'
        raise InputError(
            f'images are {width} px wide{resized}, {spec.name} needs at least '
            f'{spec.min_width_px} px; {mend}'
        )
    multiple = spec.padding_multiple
    padded = spec.fixed_size or (
        -(-height // multiple) * multiple,
        -(-width // multiple) * multiple,
    )
    return Geometry((height_px, width_px), (height, width), padded, shift_px)


def prepare(
    frame: StereoFrame,
    spec: ModelSpec,
    input_scale: float,
    before: Prepared | None = None,
    shift_px: int = 0,
) -> Prepared:
    """Fit both images of a frame to a model.

    Args:
        frame: the pair at input size.
        spec: the model that will see it.
        input_scale: resize factor, above 0.
        before: of an earlier frame, whose padded images are written again where the sizes are
            the same: fresh memory costs more than filling it.
        shift_px: see `Geometry`.

    Raises:
        InputError: the image is narrower than the model can use.
    """
    geometry = fit(frame.height_px, frame.width_px, spec, input_scale, shift_px)
    images = (
        _widened(frame.left, before_px=shift_px),
        _widened(frame.right, after_px=shift_px),
    )
    own: tuple[UInt8Array, UInt8Array] | tuple[None, None] = (None, None)
    if before is not None and before.geometry == geometry and geometry.is_padded:
        own = before.left, before.right
    left, right = (
        _fitted(image, geometry, memory) for image, memory in zip(images, own, strict=True)
    )
    return Prepared(left, right, geometry)


def planes(image: UInt8Array, before: Float32Array | None = None) -> Float32Array:
    """An image (H, W, 3) as float32 (1, 3, H, W).

    Args:
        image: uint8, contiguous.
        before: of an earlier image, written again where it has the size: fresh memory costs as
            much as filling it.
    """
    height, width = image.shape[:2]
    shape = (1, 3, height, width)
    found = before if before is not None else np.empty(0, np.float32)
    if found.shape != shape:
        found = np.empty(shape, np.float32)
    # Channel by channel and few rows at a time, in memory that stays in the cache: a transposed
    # copy of the whole takes forty times as long, and whole channels three to five times.
    part = None
    for rows in row_parts(height, width, _PART_PX):
        part = byte_planes(image[rows], part)
        found[0, :, rows] = part[0]
    return found


def byte_planes(image: UInt8Array, before: UInt8Array | None = None) -> UInt8Array:
    """As `planes`, but uint8."""
    shape = (1, 3, *image.shape[:2])
    found = before if before is not None else np.empty(0, np.uint8)
    if found.shape != shape:
        found = np.empty(shape, np.uint8)
    cv2.split(image, list(found[0]))
    return found


def _widened(image: UInt8Array, before_px: int = 0, after_px: int = 0) -> UInt8Array:
    """An image with columns before and after it that repeat the outermost one."""
    if not before_px and not after_px:
        return image
    wide = cv2.copyMakeBorder(image, 0, 0, before_px, after_px, cv2.BORDER_REPLICATE)
    return np.asarray(wide, np.uint8)


def _fitted(image: UInt8Array, geometry: Geometry, memory: UInt8Array | None) -> UInt8Array:
    """An image resized and padded: contiguous, the image itself where it fits already."""
    height, width = geometry.resized_size
    fitted = np.ascontiguousarray(image)
    if fitted.shape[:2] != (height, width):
        shrinks = width < fitted.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        fitted = cv2.resize(fitted, (width, height), interpolation=interpolation)
    if geometry.is_padded:
        top, right = geometry.pad_top_px, geometry.padded_size[1] - width
        # The padding repeats the outermost row and column.
        fitted = cv2.copyMakeBorder(fitted, top, 0, 0, right, cv2.BORDER_REPLICATE, memory)
    return fitted
