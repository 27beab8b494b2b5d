"""Pairs of a world: cameras that see something, both views, disparity and occlusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from dtp_stereo_ros.stereo import Float32Array, UInt8Array

from ..planar.render import StereoPair
from ..visibility import visible
from .camera import StereoCamera
from .cast import Caster, Hits
from .images import Images
from .library import Library
from .room import RoomMaker
from .shade import Shader
from .street import StreetMaker
from .track import TrackMaker
from .viewpoint import PROBE_PX, draw_camera, probe
from .world import World

# Rays are handled in pieces that fit the cache of a core.
_PIECE = 1 << 16
# Places of colour samples in a pixel; two where foliage makes most of a picture rough.
_FOUR = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
_TWO = ((-0.25, -0.25), (0.25, 0.25))
_MANY = 0.15


@dataclass(frozen=True)
class PairSettings:
    """Settings of the pairs that are drawn.

    Attributes:
        max_disparity_px: nearly all of a picture of 640 px stays below.
        smooth: share of the pairs with four colour samples a pixel at edges.
        views: pairs of each world.
        rooms, streets, tracks: shares of the worlds.
    """

    max_disparity_px: float = 190.0
    smooth: float = 0.5
    views: int = 3
    rooms: float = 0.6
    streets: float = 0.2
    tracks: float = 0.2


@dataclass
class Assets:
    """Models and photographs that pairs are rendered from.

    Attributes:
        library: packed models.
        photos: RGB uint8 photographs for surfaces.
        settings: how pairs are drawn.
    """

    library: Library
    photos: list[UInt8Array]
    settings: PairSettings = field(default_factory=PairSettings)


def render_pairs(
    rng: np.random.Generator, assets: Assets, size: tuple[int, int]
) -> Iterator[StereoPair]:
    """Endless pairs of (height, width) px, several of each world."""
    settings = assets.settings
    makers: list[tuple[float, RoomMaker | StreetMaker | TrackMaker]] = [
        (settings.rooms, RoomMaker(assets.library, assets.photos)),
        (settings.streets, StreetMaker(assets.library, assets.photos)),
    ]
    if assets.library.of_kind('track'):
        makers.append((settings.tracks, TrackMaker(assets.library, assets.photos)))
    shares = np.array([share for share, _ in makers])
    while True:
        maker = makers[rng.choice(len(makers), p=shares / shares.sum())][1]
        scene = RenderedWorld(maker.draw(rng))
        for _ in range(settings.views):
            camera = scene.draw_camera(rng, size, settings)
            if camera is None:
                break
            scene.expose(rng, camera)
            yield scene.pair(camera, rng.random() < settings.smooth)


class RenderedWorld:
    """A world ready to be looked at.

    Args:
        world: what is looked at.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.images = Images(world.materials, world.images)
        self.caster = Caster(world, self.images)
        self.shader = Shader(world, self.caster, self.images)

    def draw_camera(
        self, rng: np.random.Generator, size: tuple[int, int], settings: PairSettings
    ) -> StereoCamera | None:
        """See `viewpoint.draw_camera`."""
        most = settings.max_disparity_px * size[1] / 640
        return draw_camera(rng, self.world, self.caster, size, most)

    def expose(self, rng: np.random.Generator, camera: StereoCamera) -> None:
        """Set the exposure: the mean is a drawn one, and at most a tenth is overexposed."""
        origins, directions, hits = probe(self.caster, camera)
        self.shader.exposure = 1.0
        colours = self.shader.colours(origins, directions, hits, PROBE_PX / camera.focal_px)
        seen = colours[hits.face >= 0]
        factor = rng.uniform(60, 135) / max(float(seen.mean()), 1.0)
        factor = min(factor, 230 / max(float(np.percentile(seen, 90)), 1.0))
        self.shader.exposure = float(np.clip(factor, 0.3, 6)) ** 2

    def pair(self, camera: StereoCamera, smooth: bool) -> StereoPair:
        """Both views, seen through the middles of the pixels.

        Args:
            camera: where it stands.
            smooth: average four colour samples in pixels where a sharp change is seen.
        """
        views = [self._view(camera, right, smooth) for right in (False, True)]
        (left, left_px), (right_image, right_px) = views
        return StereoPair(
            left,
            right_image,
            left_px,
            right_px,
            visible(left_px, right_px, -1),
            visible(right_px, left_px, +1),
        )

    def _view(
        self, camera: StereoCamera, right: bool, smooth: bool
    ) -> tuple[UInt8Array, Float32Array]:
        height, width = camera.size
        y, x = (a.ravel().astype(np.float32) for a in np.mgrid[0:height, 0:width])
        image, hits = self._looked(camera, right, x, y)
        disparity = camera.disparity(hits.depth).reshape(height, width)
        image = image.reshape(height, width, 3)
        if smooth:
            rough = np.flatnonzero(_changes(image, hits.face.reshape(height, width), disparity))
            offsets = _FOUR if len(rough) < _MANY * len(x) else _TWO
            if len(rough):
                total = np.zeros((len(rough), 3), np.float32)
                for dx, dy in offsets:
                    sample, _ = self._looked(
                        camera, right, x[rough] + np.float32(dx), y[rough] + np.float32(dy)
                    )
                    total += np.minimum(sample, 255)
                image.reshape(-1, 3)[rough] = total / len(offsets)
        return np.clip(image + 0.5, 0, 255).astype(np.uint8), disparity

    def _looked(
        self, camera: StereoCamera, right: bool, x: Float32Array, y: Float32Array
    ) -> tuple[Float32Array, Hits]:
        """(n, 3) RGB and hits through n points of a view."""
        origin = camera.origin(right)
        colours, found = [], []
        for start in range(0, len(x), _PIECE):
            piece = slice(start, start + _PIECE)
            directions = camera.rays(x[piece], y[piece])
            origins = np.repeat(origin[None], len(directions), axis=0)
            hits = self.caster.hits(origins, directions)
            colours.append(self.shader.colours(origins, directions, hits, 1 / camera.focal_px))
            found.append(hits)
        return np.concatenate(colours), Hits.joined(found)


def _changes(image: Float32Array, face: np.ndarray, disparity: Float32Array) -> np.ndarray:
    """(H, W) bool: pixels whose neighbourhood holds a step in colour or in disparity."""
    grey = np.asarray(image, np.float32).mean(axis=2)
    kernel = np.ones((3, 3), np.uint8)
    step = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, kernel) > 40
    jump = cv2.morphologyEx(disparity, cv2.MORPH_GRADIENT, kernel) > 0.5
    return np.asarray(step | jump)
