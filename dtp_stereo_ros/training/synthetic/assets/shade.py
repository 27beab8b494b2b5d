"""How what is seen looks: texture, lamps with hard shadows, highlights and reflections."""

from __future__ import annotations

import numpy as np

from dtp_stereo_ros.stereo import Float32Array, UInt8Array

from .cast import Caster, Hits, interpolated
from .images import Images
from .world import World

# Linear light is the square of display values: nearly sRGB's curve at a tenth of its time.
_LIFT_M = 1e-3


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
        seen = np.flatnonzero(hits.face >= 0)
        if len(seen) == len(hits.face):
            return self._surfaces(origins, directions, hits, pixel)
        colours = self._sky(directions)
        if len(seen):
            colours[seen] = self._surfaces(
                origins[seen], directions[seen], hits.taken(seen), pixel
            )
        return colours

    def _surfaces(
        self, origins: Float32Array, directions: Float32Array, hits: Hits, pixel: float
    ) -> Float32Array:
        world = self.world
        corners = world.faces[hits.face]
        material = world.material[hits.face]
        double_area = np.sqrt(_dot(hits.normal, hits.normal))
        flat = _scaled(hits.normal, 1 / np.maximum(double_area, 1e-20))
        length = np.sqrt(_dot(directions, directions))
        sight = _scaled(directions, 1 / length)
        away = _dot(flat, sight) > 0
        flat[away] *= -1
        normal = interpolated(world.normals, corners, hits.across, hits.up)
        normal /= np.sqrt(_dot(normal, normal))[:, None] + np.float32(1e-6)
        normal[_dot(normal, flat) < 0] *= -1
        # Where a smooth normal is missing or points away from the eye, the face's own serves.
        own = _dot(normal, flat) < 0.2
        normal[own] = flat[own]

        points = origins + directions * hits.depth[:, None]
        albedo = self._albedo(hits, corners, material, double_area, pixel, flat, sight, points)
        lifted = points + flat * np.float32(_LIFT_M)
        light = np.empty_like(albedo)
        # Light from everywhere, a little more from above than from below.
        light[:] = world.ambient
        light *= (np.float32(0.85) + np.float32(0.15) * normal[:, 1])[:, None]
        gloss = self._gloss[material]
        shiny = np.flatnonzero(gloss > 0.02)
        bounced = sight[shiny] - 2 * _dot(sight[shiny], normal[shiny])[:, None] * normal[shiny]
        mirror = np.zeros((len(shiny), 3), np.float32)
        for lamp in world.lights:
            if lamp.endless:
                towards = np.broadcast_to(lamp.position.astype(np.float32), points.shape)
                reach = np.full(len(points), 1e4, np.float32)
                strength = np.ones(len(points), np.float32)
            else:
                towards = lamp.position.astype(np.float32) - points
                reach = np.sqrt(_dot(towards, towards))
                towards = _scaled(towards, 1 / np.maximum(reach, 1e-6))
                strength = 4 / np.maximum(reach * reach, 0.3)
            facing = np.minimum(_dot(normal, towards), _dot(flat, towards) * 4)
            lit = np.flatnonzero(facing > 0)
            if not len(lit):
                continue
            blocked = self.caster.shadowed(
                lifted[lit],
                np.ascontiguousarray(towards[lit], np.float32),
                (reach[lit] - np.float32(2 * _LIFT_M)).astype(np.float32),
            )
            lit = lit[~blocked]
            power = np.zeros(len(points), np.float32)
            power[lit] = facing[lit] * strength[lit]
            colour = lamp.colour.astype(np.float32)
            light += power[:, None] * colour
            if len(shiny):
                peak = np.maximum(_dot(bounced, towards[shiny]), 0)
                for _ in range(5):
                    peak *= peak
                peak *= (power[shiny] > 0) * np.minimum(strength[shiny], 2)
                mirror += peak[:, None] * colour
        albedo *= light
        if len(shiny):
            # Fresnel (Schlick 1994) with 4 % straight on, as of glass and varnish.
            facing = np.clip(-_dot(sight[shiny], normal[shiny]), 0, 1)
            fresnel = 0.04 + 0.96 * (1 - facing) ** 5
            seen = (self._sky(bounced) / 255) ** 2 * world.ambient.astype(np.float32) * 2
            amount = gloss[shiny, None]
            albedo[shiny] += amount * (mirror * 0.8 + fresnel[:, None] * seen)
        albedo *= np.float32(self.exposure * 255**2)
        return np.sqrt(albedo, out=albedo)

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

    def _sky(self, directions: Float32Array) -> Float32Array:
        """(n, 3) RGB of the panorama, in display values."""
        return panorama(self.world.sky, directions)


def panorama(image: UInt8Array, directions: Float32Array) -> Float32Array:
    """(n, 3) RGB float32 of an equirectangular image in (n, 3) directions, y up."""
    height, width = image.shape[:2]
    length = np.sqrt(_dot(directions, directions))
    across = np.arctan2(directions[:, 0], directions[:, 2]) / np.float32(2 * np.pi) + 0.5
    up = np.arcsin(np.clip(directions[:, 1] / length, -1, 1)) / np.float32(np.pi) + 0.5
    column = np.minimum((across * width).astype(np.int32), width - 1)
    row = np.minimum(((1 - up) * height).astype(np.int32), height - 1)
    return image[row, column].astype(np.float32)


_SIDE = 32
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
