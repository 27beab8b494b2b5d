"""Shading of hits: texture, lamps with hard shadows, highlights and reflections."""

from __future__ import annotations

import cv2
import numpy as np

from dtp_stereo_ros.stereo import Float32Array, UInt8Array

from .cast import Caster, Hits, interpolated
from .images import Images
from .world import Light, World

# Linear light is the square of display values: nearly sRGB's curve at a tenth of its time.
_LIFT_M = np.float32(1e-3)
# Reflections that are at least this strong are looked up by a ray.
_CLEAR_REFLECTION = 0.06


class Shader:
    """Colours of hits.

    Args:
        world: what is seen.
        caster: of the same world, for shadows.
        images: of the same world.

    Attributes:
        exposure: factor of all light but the sky's.
    """

    def __init__(self, world: World, caster: Caster, images: Images) -> None:
        self.world, self.caster, self.images = world, caster, images
        colours = np.array([m.colour for m in world.materials], np.float32).clip(0, 255)
        self._tint = (colours / 255) ** 2 / 255**2
        self._gloss = np.array([m.gloss for m in world.materials], np.float32)
        self._mirror = np.array([m.mirror for m in world.materials], np.float32)
        self._grain = np.array([m.grain for m in world.materials], np.float32)
        self._grain_m = np.array([m.grain_m for m in world.materials], np.float32)
        self.exposure = 1.0

    def colours(
        self, origins: Float32Array, directions: Float32Array, hits: Hits, pixel: float
    ) -> Float32Array:
        """(n, 3) RGB in display values, 255 is white; not yet rounded nor limited.

        Args:
            origins, directions: (n, 3), of the rays.
            hits: what they met.
            pixel: width of a pixel on a surface at depth 1.
        """
        light = self._radiance(origins, directions, hits, pixel, bounces=1)
        light *= np.float32(255**2)
        sky = hits.face < 0
        light[~sky] *= np.float32(self.exposure)
        return np.sqrt(light, out=light)

    def _radiance(
        self,
        origins: Float32Array,
        directions: Float32Array,
        hits: Hits,
        pixel: float,
        bounces: int,
    ) -> Float32Array:
        """(n, 3) linear light; 1 is white."""
        seen = np.flatnonzero(hits.face >= 0)
        if len(seen) == len(hits.face):
            return self._surfaces(origins, directions, hits, pixel, bounces)
        light = (panorama(self.world.sky, directions) * np.float32(1 / 255)) ** 2
        if len(seen):
            part = hits.taken(seen)
            light[seen] = self._surfaces(origins[seen], directions[seen], part, pixel, bounces)
        return light

    def _surfaces(
        self,
        origins: Float32Array,
        directions: Float32Array,
        hits: Hits,
        pixel: float,
        bounces: int,
    ) -> Float32Array:
        world = self.world
        corners = world.faces[hits.face]
        material = world.material[hits.face]
        double_area = np.sqrt(_dot(hits.normal, hits.normal))
        flat = _scaled(hits.normal, 1 / np.maximum(double_area, 1e-20))
        sight = _scaled(directions, 1 / np.sqrt(_dot(directions, directions)))
        flat[_dot(flat, sight) > 0] *= -1
        normal = interpolated(world.normals, corners, hits.across, hits.up)
        normal /= np.sqrt(_dot(normal, normal))[:, None] + np.float32(1e-6)
        normal[_dot(normal, flat) < 0] *= -1
        # Where a smooth normal is missing or points away from the eye, the face's own serves.
        own = _dot(normal, flat) < 0.2
        normal[own] = flat[own]
        points = origins + directions * hits.depth[:, None]
        albedo = self._albedo(hits, corners, material, double_area, pixel, flat, sight, points)
        lifted = points + flat * _LIFT_M
        polish = np.maximum(self._gloss[material], self._mirror[material])
        shiny = np.flatnonzero(polish > 0.02)
        bounced = sight[shiny] - 2 * _dot(sight[shiny], normal[shiny])[:, None] * normal[shiny]
        light, highlight = self._lamps(lifted, normal, flat, shiny, bounced)
        albedo *= light
        if len(shiny):
            # Fresnel (Schlick 1994) with 4 % straight on, as of glass and varnish.
            facing = np.clip(-_dot(sight[shiny], normal[shiny]), 0, 1)
            fresnel = np.float32(0.04) + np.float32(0.96) * (1 - facing) ** 5
            mirror, gloss = self._mirror[material[shiny]], self._gloss[material[shiny]]
            share = mirror + (1 - mirror) * gloss * fresnel
            seen = self._reflected(lifted[shiny], bounced, share, pixel, bounces)
            albedo[shiny] *= (1 - share)[:, None]
            albedo[shiny] += highlight * (gloss * np.float32(0.8))[:, None] + seen
        return albedo

    def _lamps(
        self,
        lifted: Float32Array,
        normal: Float32Array,
        flat: Float32Array,
        shiny: np.ndarray,
        bounced: Float32Array,
    ) -> tuple[Float32Array, Float32Array]:
        """(n, 3) light on the points, and (k, 3) highlights of the shiny ones of them."""
        world = self.world
        light = np.empty_like(lifted)
        # Light from everywhere, a little more from above than from below.
        light[:] = world.ambient
        light *= (np.float32(0.85) + np.float32(0.15) * normal[:, 1])[:, None]
        highlight = np.zeros((len(shiny), 3), np.float32)
        for lamp in world.lights:
            towards, reach, strength = _way(lamp, lifted)
            facing = np.minimum(_dot(normal, towards), _dot(flat, towards) * 4)
            lit = np.flatnonzero(facing > 0)
            if not len(lit):
                continue
            blocked = self.caster.shadowed(
                lifted[lit], np.ascontiguousarray(towards[lit]), reach[lit] - 2 * _LIFT_M
            )
            lit = lit[~blocked]
            power = np.zeros(len(lifted), np.float32)
            power[lit] = facing[lit] * strength[lit]
            colour = lamp.colour.astype(np.float32)
            light += power[:, None] * colour
            if len(shiny):
                peak = np.maximum(_dot(bounced, towards[shiny]), 0)
                for _ in range(5):
                    peak *= peak
                peak *= (power[shiny] > 0) * np.minimum(strength[shiny], 2)
                highlight += peak[:, None] * colour
        return light, highlight

    def _reflected(
        self,
        points: Float32Array,
        directions: Float32Array,
        share: Float32Array,
        pixel: float,
        bounces: int,
    ) -> Float32Array:
        """(n, 3) light that comes from a mirrored direction, times its share (n,).

        Weak reflections are of the sky alone, as the second ones are.
        """
        sky = (panorama(self.world.sky, directions) * np.float32(1 / 255)) ** 2
        light = sky * (self.world.ambient * 2).astype(np.float32)
        clear = np.flatnonzero(share > _CLEAR_REFLECTION) if bounces else np.zeros(0, int)
        if len(clear):
            start, way = points[clear], np.ascontiguousarray(directions[clear])
            hits = self.caster.hits(start, way)
            light[clear] = self._radiance(start, way, hits, pixel, bounces - 1)
        return light * share[:, None]

    def _albedo(
        self,
        hits: Hits,
        corners: np.ndarray,
        material: np.ndarray,
        double_area: Float32Array,
        pixel: float,
        flat: Float32Array,
        sight: Float32Array,
        points: Float32Array,
    ) -> Float32Array:
        """(n, 3) linear share of light that the surface throws back."""
        uv = self.world.uv
        first = uv[corners[:, 0]]
        one, two = uv[corners[:, 1]] - first, uv[corners[:, 2]] - first
        in_texture = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
        one *= hits.across[:, None]
        two *= hits.up[:, None]
        first += one
        first += two
        # Texels that a pixel covers, along its shorter side: sharp, as cameras see slanted floors.
        density = self.images.texels(material) * in_texture / np.maximum(double_area, 1e-20)
        slant = np.maximum(np.abs(_dot(flat, sight)), 0.1)
        covered = density * (hits.depth * np.float32(pixel)) ** 2 / slant
        level = 0.5 * np.log2(np.maximum(covered, 1e-6))
        colour = self.images.colour(material, first, level)
        colour *= colour
        colour *= self._tint[material]
        rough = np.flatnonzero(self._grain[material] > 0)
        if len(rough):
            kind = material[rough]
            covered_m = hits.depth[rough] * np.float32(pixel)
            colour[rough] *= self._unevenness(points[rough], kind, covered_m)[:, None]
        return np.asarray(colour, np.float32)

    def _unevenness(
        self, points: Float32Array, material: np.ndarray, covered_m: Float32Array
    ) -> Float32Array:
        """(n,) factors about 1 at (n, 3) m, averaged away where a pixel covers several spots."""
        size = self._grain_m[material]
        noise = solid_noise(points / size[:, None]) + solid_noise(points / (4.3 * size[:, None]))
        contrast = self._grain[material] / np.maximum(covered_m / size, 1)
        return np.asarray(np.maximum(1 + contrast * noise, 0), np.float32)


def panorama(image: UInt8Array, directions: Float32Array) -> Float32Array:
    """(n, 3) RGB float32 of an equirectangular image in (n, 3) directions, y up."""
    height, width = image.shape[:2]
    length = np.sqrt(_dot(directions, directions))
    across = np.arctan2(directions[:, 0], directions[:, 2]) / np.float32(2 * np.pi) + 0.5
    up = np.arcsin(np.clip(directions[:, 1] / length, -1, 1)) / np.float32(np.pi) + 0.5
    # OpenCV maps pictures of at most 32767 px: the points become one of rows.
    rows = -(-len(directions) // _ROW)
    maps = np.zeros((2, rows * _ROW), np.float32)
    maps[0, : len(directions)] = across * width - np.float32(0.5)
    maps[1, : len(directions)] = np.clip((1 - up) * height - np.float32(0.5), 0, height - 1)
    columns, lines = maps.reshape(2, rows, _ROW)
    colours = cv2.remap(image, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return colours.reshape(-1, 3)[: len(directions)].astype(np.float32)


def _way(lamp: Light, points: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Unit directions (n, 3) to a lamp, its distances (n,) m and how strong it is there (n,)."""
    if lamp.endless:
        towards = np.repeat(lamp.position.astype(np.float32)[None], len(points), axis=0)
        return towards, np.full(len(points), 1e4, np.float32), np.ones(len(points), np.float32)
    towards = lamp.position.astype(np.float32) - points
    reach = np.sqrt(_dot(towards, towards))
    towards = _scaled(towards, 1 / np.maximum(reach, 1e-6))
    return towards, reach, np.asarray(4 / np.maximum(reach * reach, 0.3), np.float32)


_SIDE = 32
_ROW = 512
_NOISE = np.random.default_rng(0).standard_normal((_SIDE, _SIDE, _SIDE)).astype(np.float32)


def solid_noise(points: Float32Array) -> Float32Array:
    """(n,) smooth noise of unit variance at the corners of a grid of step 1; repeats every 32."""
    low = np.floor(points)
    share = (points - low).astype(np.float32)
    first = low.astype(np.int32) % _SIDE
    after = (first + 1) % _SIDE
    flat = _NOISE.ravel()
    total = np.zeros(len(points), np.float32)
    for x, wx in ((first[:, 0], 1 - share[:, 0]), (after[:, 0], share[:, 0])):
        for y, wy in ((first[:, 1], 1 - share[:, 1]), (after[:, 1], share[:, 1])):
            row, weight = (x * _SIDE + y) * _SIDE, wx * wy
            low_z, high_z = flat[row + first[:, 2]], flat[row + after[:, 2]]
            total += weight * (low_z + share[:, 2] * (high_z - low_z))
    return total


def _scaled(vectors: np.ndarray, factors: np.ndarray) -> Float32Array:
    return np.asarray(vectors * factors[:, None], np.float32)


def _dot(a: np.ndarray, b: np.ndarray) -> Float32Array:
    return np.asarray(np.einsum('ij,ij->i', a, b), np.float32)
