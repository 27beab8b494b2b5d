"""Textured surfaces in space and their exact projection into both views.

Space is measured so that focal length times baseline is 1 px: a point at depth Z has disparity
``d = 1 / Z``. A plane then has a disparity that is affine in the left image, ``d = a x + b y +
c``, so the right view of its texture is a homography too, and no resampling of images is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dtp_stereo_ros.stereo import UInt8Array

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """The left camera of a virtual pair.

    Attributes:
        focal_px: focal length.
        cx_px, cy_px: principal point; outside the picture when the picture is a crop.
        width_px, height_px: picture size.
    """

    focal_px: float
    cx_px: float
    cy_px: float
    width_px: int
    height_px: int

    @property
    def matrix(self) -> Matrix:
        """Camera matrix K."""
        f = self.focal_px
        return np.array([[f, 0, self.cx_px], [0, f, self.cy_px], [0, 0, 1.0]])

    def point(self, x_px: float, y_px: float, disparity_px: float) -> Vector:
        """Pixel and disparity to the point in space."""
        ray = np.array(
            [(x_px - self.cx_px) / self.focal_px, (y_px - self.cy_px) / self.focal_px, 1]
        )
        return ray / disparity_px

    def pixel_size(self, disparity_px: float) -> float:
        """Length in space that covers one pixel at this disparity, facing the camera."""
        return 1.0 / (disparity_px * self.focal_px)


@dataclass(frozen=True)
class Bump:
    """Smooth departure from the plane, added to its disparity: ``height * (1 - u^2 - v^2)``.

    With u, v the distance from (x, y) in units of (radius_x, radius_y), left-image px.
    """

    height_px: float
    x_px: float
    y_px: float
    radius_x_px: float
    radius_y_px: float


@dataclass(frozen=True)
class Surface:
    """A planar (or gently bulging) textured patch.

    Attributes:
        texture: RGB uint8 (h, w, 3).
        mask: coverage uint8 (h, w), 255 opaque, or None where opaque everywhere.
        to_left: homography from texture pixels to left-image pixels.
        plane: (a, b, c) of the disparity ``a x + b y + c`` in left-image pixels.
        endless: whether the texture repeats beyond its border (floors, walls).
        bump: departure from the plane, or None.
    """

    texture: UInt8Array
    mask: UInt8Array | None
    to_left: Matrix
    plane: Vector
    endless: bool = False
    bump: Bump | None = None

    @property
    def left_to_right(self) -> Matrix:
        """Affine map from left- to right-image pixels of points on the plane."""
        a, b, c = self.plane
        return np.array([[1 - a, -b, -c], [0, 1, 0], [0, 0, 1.0]])


def plane_of(camera: Camera, origin: Vector, along_u: Vector, along_v: Vector) -> Vector:
    """Disparity coefficients (a, b, c) of the plane through `origin` spanned by two vectors."""
    normal = np.cross(along_u, along_v)
    normal = normal / (normal @ origin)
    a, b = normal[0] / camera.focal_px, normal[1] / camera.focal_px
    return np.array([a, b, normal[2] - a * camera.cx_px - b * camera.cy_px])


def patch(
    camera: Camera,
    origin: Vector,
    along_u: Vector,
    along_v: Vector,
    texture: UInt8Array,
    mask: UInt8Array | None = None,
    *,
    endless: bool = False,
    bump: Bump | None = None,
) -> Surface:
    """A texture whose centre lies at `origin`, one texture pixel along each vector.

    Args:
        camera: left camera.
        origin: centre of the patch in space.
        along_u, along_v: what one texture pixel to the right / down is in space.
        texture: RGB uint8 (h, w, 3).
        mask: coverage uint8 (h, w) or None.
        endless: see `Surface`.
        bump: see `Surface`.
    """
    height, width = texture.shape[:2]
    corner = origin - along_u * (width - 1) / 2 - along_v * (height - 1) / 2
    to_left = camera.matrix @ np.column_stack((along_u, along_v, corner))
    plane = plane_of(camera, origin, along_u, along_v)
    return Surface(texture, mask, to_left, plane, endless, bump)


def tilted_axes(
    camera: Camera,
    disparity_px: float,
    slope_x: float,
    slope_y: float,
    angle_rad: float,
    magnify: float = 1.0,
) -> tuple[Vector, Vector]:
    """Texture axes of a patch tilted about both image axes and turned within its plane.

    Args:
        camera: left camera.
        disparity_px: disparity at the centre; sets the scale so that 1 texture px = 1 image px.
        slope_x, slope_y: depth change per unit of sideways length.
        angle_rad: turn within the plane.
        magnify: image pixels per texture pixel.
    """
    across = np.array([1.0, 0.0, slope_x])
    down = np.array([0.0, 1.0, slope_y])
    size = camera.pixel_size(disparity_px) * magnify
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return size * (cos * across + sin * down), size * (cos * down - sin * across)
