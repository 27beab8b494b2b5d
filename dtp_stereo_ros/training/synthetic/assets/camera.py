"""Stereo cameras: where they stand, how they look, and how far their lenses are apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dtp_stereo_ros.stereo import Float32Array

# Metres between the lenses of stereo cameras for robots.
BASELINES_M = (0.04, 0.4)


@dataclass(frozen=True)
class StereoCamera:
    """A rectified stereo camera; rows of both views are parallel to the baseline.

    Attributes:
        position: (3,) m, of the left lens.
        axes: (3, 3), columns right, down and forward in the world.
        focal_px: focal length.
        centre_px: x, y of the principal point, the same in both views.
        baseline_m: from the left to the right lens.
        size: (height, width) px.
    """

    position: np.ndarray
    axes: np.ndarray
    focal_px: float
    centre_px: tuple[float, float]
    baseline_m: float
    size: tuple[int, int]

    def origin(self, right: bool) -> Float32Array:
        """(3,) m of one lens."""
        shift = self.axes[:, 0] * self.baseline_m if right else 0.0
        return np.asarray(self.position + shift, np.float32)

    def rays(self, x: Float32Array, y: Float32Array) -> Float32Array:
        """(n, 3) directions through pixels, one metre deep each: their length is the depth."""
        columns = (x - np.float32(self.centre_px[0])) / np.float32(self.focal_px)
        rows = (y - np.float32(self.centre_px[1])) / np.float32(self.focal_px)
        right, down, forward = self.axes.T.astype(np.float32)
        return (
            columns[:, None] * right[None] + rows[:, None] * down[None] + forward[None]
        ).astype(np.float32)

    def disparity(self, depth_m: Float32Array) -> Float32Array:
        """Pixels, of depths in metres; 0 at infinity."""
        return np.asarray(np.float32(self.focal_px * self.baseline_m) / depth_m, np.float32)


def look_at(position: np.ndarray, target: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """(3, 3) axes of a camera that looks at a point, turned by `roll` radians about its axis."""
    forward = target - position
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    up = np.array([0.0, 1.0, 0.0])
    if abs(forward[1]) > 0.98:
        up = np.array([0.0, 0.0, 1.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack((c * right + s * down, -s * right + c * down, forward), axis=1)


def draw_lens(
    rng: np.random.Generator, position: np.ndarray, axes: np.ndarray, size: tuple[int, int]
) -> StereoCamera:
    """A camera there, of a random field of view (42 to 85 degrees), baseline still 0."""
    height, width = size
    focal = width * float(np.exp(rng.uniform(np.log(0.55), np.log(1.3))))
    centre = (
        (width - 1) / 2 + float(rng.normal(0, 0.02)) * width,
        (height - 1) / 2 + float(rng.normal(0, 0.03)) * height,
    )
    return StereoCamera(position, axes, focal, centre, 0.0, size)


def draw_baseline(
    rng: np.random.Generator,
    camera: StereoCamera,
    depth_m: Float32Array,
    limits_m: tuple[float, float],
    max_disparity_px: float,
) -> StereoCamera:
    """The camera with a baseline by the depths it sees.

    The disparity of the median of the depths is drawn, evenly on a logarithmic scale; the nearest
    two percent stay below the largest disparity, and the baseline within its limits.

    Args:
        rng: source of chance.
        camera: its baseline is ignored.
        depth_m: a sample of depths that the left view sees, infinite where there is sky.
        limits_m: shortest and longest baseline.
        max_disparity_px: for a picture of this width.
    """
    near, middle = np.percentile(np.minimum(depth_m, 1e4), (2, 50))
    median_px = camera.size[1] / 640 * float(np.exp(rng.uniform(np.log(10), np.log(75))))
    far = min(float(middle), 25 * float(near))
    baseline = median_px * far / camera.focal_px
    baseline = float(np.clip(baseline, *limits_m))
    baseline = min(baseline, 0.95 * max_disparity_px * float(near) / camera.focal_px)
    return replace(camera, baseline_m=baseline)
