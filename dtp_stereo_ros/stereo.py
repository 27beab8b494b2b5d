"""Stereo geometry: calibration, frames, results, and disparity <-> depth <-> points.

Two disparities exist and are kept apart by name:

* ``disparity_px`` inside the core is the raw shift ``x_left - x_right`` in pixels of the input
  image; it is what a network measures.
* the *published* disparity subtracts the principal-point offset,
  ``d = x_l - x_r - (cx_l - cx_r)``, so that ``Z = f * T / d`` holds as
  ``stereo_msgs/DisparityImage`` documents.

Frames follow REP 103: the optical frame has x right, y down, z forward, in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from .errors import CalibrationError, InputError
from .row_parts import row_parts

Float32Array = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

SIDES = ('left', 'right')
# Longer than any stereo camera on a robot or vehicle: a baseline in mm, or P[3] in px * mm.
LONGEST_BASELINE_M = 10.0

MM_PER_M = 1000.0


@dataclass(frozen=True)
class StereoCalibration:
    """A rectified stereo pair at one resolution.

    Attributes:
        fx_px, fy_px: focal lengths of the rectified (right) camera, px.
        cx_left_px, cx_right_px: principal points along x; they differ in cropped data sets.
        cy_px: common principal point along y.
        baseline_m: distance of the cameras, metres, positive (``-P_right[3] / P_right[0]``).
        width_px, height_px: image size that the numbers above belong to.
    """

    fx_px: float
    fy_px: float
    cx_left_px: float
    cx_right_px: float
    cy_px: float
    baseline_m: float
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        for name in ('fx_px', 'fy_px', 'baseline_m'):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise CalibrationError(
                    f'calibration: {name} is {value}, it must be positive; check P of the cameras'
                )
        if self.baseline_m > LONGEST_BASELINE_M:
            raise CalibrationError(
                f'calibration: baseline_m is {self.baseline_m:.4g}, no stereo camera has that; '
                'give it in metres'
            )
        for name in ('cx_left_px', 'cx_right_px', 'cy_px'):
            if not math.isfinite(getattr(self, name)):
                raise CalibrationError(
                    f'calibration: {name} is not finite; check P of the cameras'
                )
        if self.width_px <= 0 or self.height_px <= 0:
            raise CalibrationError(
                f'calibration: image size {self.width_px}x{self.height_px} is empty'
            )

    @property
    def disparity_offset_px(self) -> float:
        """``cx_left - cx_right``: raw disparity of a point at infinity, px."""
        return self.cx_left_px - self.cx_right_px

    @property
    def focal_baseline_px_m(self) -> float:
        """``f * T`` in px * m: depth times published disparity."""
        return self.fx_px * self.baseline_m

    def scaled(self, scale_x: float, scale_y: float | None = None) -> StereoCalibration:
        """The same cameras after resizing the image by ``scale_x``, ``scale_y`` (default same).

        Pixel centres are integers, hence the half-pixel terms: ``c' = (c + 0.5) * s - 0.5``.
        """
        sy = scale_x if scale_y is None else scale_y
        return replace(
            self,
            fx_px=self.fx_px * scale_x,
            fy_px=self.fy_px * sy,
            cx_left_px=(self.cx_left_px + 0.5) * scale_x - 0.5,
            cx_right_px=(self.cx_right_px + 0.5) * scale_x - 0.5,
            cy_px=(self.cy_px + 0.5) * sy - 0.5,
            width_px=max(1, round(self.width_px * scale_x)),
            height_px=max(1, round(self.height_px * sy)),
        )

    def before_infinity(self, disparity_px: Float32Array) -> Float32Array:
        """Raw disparity (px) with NaN at and beyond infinity, where a point has no place.

        So has what is beyond `max_depth` in a result, which gives it the disparity of infinity.
        """
        nearer = disparity_px > np.float32(self.disparity_offset_px)
        return np.where(nearer, disparity_px, np.float32(np.nan))

    def depth_m(self, disparity_px: Float32Array) -> Float32Array:
        """Raw disparity (H, W) px to depth (H, W) in metres.

        NaN stays NaN; a point at or beyond infinity (published disparity <= 0) becomes +Inf
        (REP 117).
        """
        depth = np.empty(disparity_px.shape, np.float32)
        offset, focal_px_m = self.disparity_offset_px, self.focal_baseline_px_m
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            for rows in row_parts(*disparity_px.shape):
                part = depth[rows]
                np.subtract(disparity_px[rows], np.float32(offset), out=part)
                beyond = part <= 0
                np.divide(np.float32(focal_px_m), part, out=part)
                np.copyto(part, np.float32(np.inf), where=beyond)
        return depth

    def raw_disparity(self, depth_m: Float32Array) -> Float32Array:
        """Depth (m) to raw disparity (px); +Inf depth gives the disparity of infinity, NaN stays.

        Depths that are not positive are unknown (NaN).
        """
        with np.errstate(divide='ignore', invalid='ignore'):
            disparity = np.float32(self.focal_baseline_px_m) / depth_m
        disparity = np.where(depth_m > 0, disparity, np.float32(np.nan))
        return (disparity + np.float32(self.disparity_offset_px)).astype(np.float32)

    def points_m(
        self, depth_m: Float32Array, first_row: int = 0, out: Float32Array | None = None
    ) -> Float32Array:
        """Depth (H, W) in metres to points (H, W, 3) xyz in the left optical frame, NaN unknown.

        Depths that are not finite give NaN in all three coordinates.

        Args:
            depth_m: whole rows of the image.
            first_row: of the image that they begin at.
            out: (H, W, 3) or more, is filled and returned.
        """
        height, width = depth_m.shape
        points = np.empty((height, width, 3), np.float32) if out is None else out
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        with np.errstate(invalid='ignore'):
            np.multiply(depth_m, np.float32(0), out=z)  # NaN where the depth is not finite
        np.add(z, depth_m, out=z)
        columns = (np.arange(width, dtype=np.float32) - np.float32(self.cx_left_px)) / self.fx_px
        rows = np.arange(first_row, first_row + height, dtype=np.float32)
        rows = (rows - np.float32(self.cy_px)) / self.fy_px
        np.multiply(z, columns[None, :], out=x)
        np.multiply(z, rows[:, None], out=y)
        return points


@dataclass(frozen=True)
class StereoFrame:
    """One rectified pair.

    Attributes:
        left, right: RGB uint8 (H, W, 3), same size.
        stamp_ns: acquisition time of the left image, nanoseconds (0 where there is none).
        calibration: at the resolution of the images, or None (disparity only).
        seen: (H, W), False where the left image holds nothing of its camera, as at the borders of
            a rectified one; None where all was seen.
    """

    left: UInt8Array
    right: UInt8Array
    stamp_ns: int = 0
    calibration: StereoCalibration | None = None
    seen: BoolArray | None = None

    def __post_init__(self) -> None:
        for side, image in (('left', self.left), ('right', self.right)):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise InputError(
                    f'{side} image: expected RGB uint8 (H, W, 3), got {image.dtype} {image.shape}'
                )
            if image.size == 0:
                raise InputError(f'{side} image is empty ({image.shape[1]}x{image.shape[0]})')
        if self.left.shape != self.right.shape:
            raise InputError(
                f'left is {self.width_px}x{self.height_px} but right is '
                f'{self.right.shape[1]}x{self.right.shape[0]}; a rectified pair has one size'
            )
        if self.seen is not None and self.seen.shape != self.left.shape[:2]:
            raise InputError(f'seen is {self.seen.shape}, the left image {self.left.shape[:2]}')
        calib = self.calibration
        if calib and (calib.width_px, calib.height_px) != (self.width_px, self.height_px):
            raise CalibrationError(
                f'calibration is for {calib.width_px}x{calib.height_px} but the images are '
                f'{self.width_px}x{self.height_px}; calibrate at, or scale to, the image size'
            )

    @property
    def width_px(self) -> int:
        """Image width."""
        return int(self.left.shape[1])

    @property
    def height_px(self) -> int:
        """Image height."""
        return int(self.left.shape[0])


@dataclass(frozen=True)
class StereoResult:
    """Result of the pipeline on one frame.

    Attributes:
        disparity_px: (H, W) float32, raw ``x_l - x_r`` in pixels of the input image, NaN unknown;
            beyond ``max_depth`` it is the disparity of infinity, ``disparity_offset_px``.
        confidence: (H, W) float32 in 0..1, or None where the backend gives none or it was not
            asked for.
        min_disparity_px, max_disparity_px: range that was searched, raw, input pixels.
        latency_s: seconds by stage ('preprocess', 'inference', 'postprocess').
        median_confidence: over the image; NaN where the backend gives no confidence.
    """

    disparity_px: Float32Array
    confidence: Float32Array | None
    min_disparity_px: float
    max_disparity_px: float
    latency_s: dict[str, float] = field(default_factory=dict)
    median_confidence: float = float('nan')

    @property
    def valid_share(self) -> float:
        """Share of pixels with an estimate, 0..1 (density)."""
        return float(np.isfinite(self.disparity_px).mean())


def depth_mm(depth_m: Float32Array) -> npt.NDArray[np.uint16]:
    """Depth (H, W) in metres to millimetres of 16 bits, as 16UC1 has it (REP 118).

    0 is unknown or beyond range, as is what is farther than the 65.535 m that they can tell.
    """
    millimetres = np.rint(depth_m * np.float32(MM_PER_M))
    with np.errstate(invalid='ignore'):
        known = (millimetres > 0) & (millimetres <= np.iinfo(np.uint16).max)
    return np.where(known, millimetres, np.float32(0)).astype(np.uint16)
