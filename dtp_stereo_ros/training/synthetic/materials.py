"""Materials of ray-cast surfaces, drawn for whole arrays of primitives at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from .atlas import FENCES, LEAVES, MASKS, Atlas
from .scene import BRICKS, CHECKS, GRID, PLAIN, STRIPES, WINDOWS

# Mean grey of textures, about.
_MIDDLE = 118


class Bank:
    """Draws materials from an atlas of `tiles`, the first `photos` of them photographs."""

    def __init__(self, photos: int, tiles: int) -> None:
        self.photos, self.tiles = photos, tiles

    @classmethod
    def of(cls, atlas: Atlas) -> Bank:
        """Materials of all an atlas's tiles."""
        return cls(atlas.photos, len(atlas.tiles))

    def outlines(self, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        """Outlines of any kind, and -1 for a full rectangle."""
        return np.where(rng.random(shape) < 0.3, -1, rng.integers(0, MASKS, shape))

    def leaves(self, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        """Outlines of foliage."""
        return rng.integers(MASKS, MASKS + LEAVES, shape)

    def fences(self, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        """Outlines of fences."""
        return rng.integers(MASKS + LEAVES, MASKS + LEAVES + FENCES, shape)

    def draw(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        pixels_per_length: np.ndarray,
        *,
        upright: float = 0.6,
        shiny: float = 0.12,
        zoom: tuple[float, float] = (0.5, 4.0),
    ) -> dict[str, np.ndarray]:
        """Materials of (B, N) primitives.

        Args:
            rng: source of chance.
            shape: (B, N).
            pixels_per_length: broadcastable to (B, N); picture pixels that a unit of length
                covers where the primitive is: focal length times its disparity.
            upright: share of textures that are not turned within their surface.
            shiny: share with a highlight and a mirror image.
            zoom: range of texels per pixel there.
        """
        # Photographs, generated tiles, patterns over a faint tile, nearly flat colour.
        shares = (0.6, 0.14, 0.14, 0.12) if self.photos else (0, 0.5, 0.3, 0.2)
        which = rng.choice(4, shape, p=shares)
        photo = rng.integers(0, max(1, self.photos), shape)
        made = rng.integers(self.photos, self.tiles, shape)
        use_photo = (which == 0) | ((which > 1) & (rng.random(shape) < 0.5) & (self.photos > 0))
        colours = self._colours(rng, shape, which)
        density = np.exp(rng.uniform(np.log(zoom[0]), np.log(zoom[1]), shape)) * pixels_per_length
        values: dict[str, Any] = {
            'tile': np.where(use_photo, photo, made),
            'texture': _turned(rng, shape, density, upright),
            'shift': rng.uniform(0, 512, (*shape, 2)),
            **colours,
            **_patterns(rng, shape, which == 2),
            **_gloss(rng, shape, shiny),
        }
        return values

    def _colours(
        self, rng: np.random.Generator, shape: tuple[int, int], which: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Gain and offset about the middle grey, and the pattern's contrast."""
        strength = np.select(
            [which == 2, which == 3],
            [rng.uniform(0.02, 0.5, shape), rng.uniform(0.0, 0.08, shape)],
            np.exp(rng.normal(-0.1, 0.25, shape)),
        )[..., None]
        tint = np.exp(rng.normal(0, 0.1, (*shape, 3)))
        grey = rng.uniform(30, 225, shape)[..., None] + rng.normal(0, 22, (*shape, 3))
        own = _MIDDLE + rng.normal(0, 25, shape)[..., None] + rng.normal(0, 8, (*shape, 3))
        middle = np.where((which >= 2)[..., None], grey, own)
        contrast = rng.normal(0, 70, shape)[..., None] + rng.normal(0, 25, (*shape, 3))
        return {
            'gain': strength * tint,
            'offset': middle - _MIDDLE * strength * tint,
            'contrast': contrast * (which == 2)[..., None],
        }


def _turned(
    rng: np.random.Generator, shape: tuple[int, int], density: np.ndarray, upright: float
) -> np.ndarray:
    turn = np.where(rng.random(shape) < upright, 0.0, rng.uniform(0, 2 * np.pi, shape))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.stack((np.stack((cos, -sin), -1), np.stack((sin, cos), -1)), -2)
    # Up to a quarter narrower or wider than tall.
    aspect = np.exp(rng.uniform(-0.25, 0.25, (*shape, 1, 2)))
    return matrix * density[..., None, None] * aspect


def _patterns(
    rng: np.random.Generator, shape: tuple[int, int], on: np.ndarray
) -> dict[str, np.ndarray]:
    kinds = (STRIPES, CHECKS, WINDOWS, GRID, BRICKS)
    kind = rng.choice(kinds, shape)
    period = np.exp(rng.uniform(np.log(6), np.log(70), (*shape, 2)))
    thin = ((kind == GRID) | (kind == BRICKS))[..., None]
    duty = np.where(thin, rng.uniform(0.05, 0.2, (*shape, 2)), rng.uniform(0.3, 0.7, (*shape, 2)))
    return {'pattern': np.where(on, kind, PLAIN), 'period': period, 'duty': duty}


def _gloss(
    rng: np.random.Generator, shape: tuple[int, int], share: float
) -> dict[str, np.ndarray]:
    shiny = rng.random(shape) < share
    return {
        'image': _image(rng, shape, 0.1),
        'shine': shiny * rng.uniform(0.0, 0.7, shape),
        'gloss': np.exp(rng.uniform(np.log(6), np.log(120), shape)),
        'mirror': shiny * (rng.random(shape) < 0.6) * rng.uniform(0.05, 0.5, shape),
    }


def calm(material: dict[str, Any], strength: np.ndarray) -> None:
    """Fades a material's texture to `strength` of itself; its mean colour stays."""
    material['offset'] = material['offset'] + _MIDDLE * material['gain'] * (1 - strength)
    material['gain'] = material['gain'] * strength


def _image(rng: np.random.Generator, shape: tuple[int, int], clear: float) -> np.ndarray:
    """`Scenes.image` of surfaces, a share of them `clear`: far off or near, coarse or fine."""
    through = rng.random(shape) < clear
    near = (rng.random(shape) < 0.6) * rng.uniform(0, 0.95, shape)
    zoom = np.exp(rng.uniform(np.log(0.7), np.log(5), shape))
    return np.stack((through, near, zoom), axis=-1)


def paint(
    rng: np.random.Generator, bank: Bank, shape: tuple[int, int], density: np.ndarray
) -> dict[str, Any]:
    """Varnished and nearly plain, as a car's: black, grey, white or coloured."""
    grey = rng.choice((12.0, 40.0, 90.0, 150.0, 215.0), shape)[..., None]
    coloured = (rng.random(shape) < 0.4)[..., None] * rng.normal(0, 45, (*shape, 3))
    tint = rng.uniform(0, 0.12, shape)[..., None] * np.ones(3)
    return {
        **bank.draw(rng, shape, density, shiny=1.0),
        'gain': tint,
        'offset': grey + coloured - _MIDDLE * tint,
        'contrast': 0.0,
        'pattern': PLAIN,
        'mirror': rng.uniform(0.05, 0.5, shape),
        'image': _image(rng, shape, 0.0),
    }


def glass(
    rng: np.random.Generator, bank: Bank, shape: tuple[int, int], density: np.ndarray
) -> dict[str, Any]:
    """A pane: dark, and over it what is mirrored or lies behind."""
    tint = rng.uniform(0, 0.25, shape)[..., None] * np.ones(3)
    return {
        **bank.draw(rng, shape, density, shiny=1.0),
        'gain': tint,
        'offset': rng.uniform(0, 60, shape)[..., None] + rng.normal(0, 6, (*shape, 3)),
        'contrast': 0.0,
        'pattern': PLAIN,
        'mirror': rng.uniform(0.2, 0.95, shape),
        'image': _image(rng, shape, 0.5),
    }


def sky(rng: np.random.Generator, bank: Bank, count: int, scale: np.ndarray) -> dict[str, Any]:
    """Unlit, pale, nearly flat; at times with the clouds of a photograph."""
    drawn = bank.draw(rng, (count, 1), scale, upright=1, shiny=0, zoom=(0.2, 0.8))
    cloudy = rng.random((count, 1, 1)) < 0.5
    strength = np.where(cloudy, rng.uniform(0.1, 0.6, (count, 1, 1)), 0.03)
    pale = rng.uniform(120, 255, (count, 1, 1)) + rng.normal(0, 14, (count, 1, 3))
    flat = {'gain': strength * np.ones(3), 'offset': pale - _MIDDLE * strength}
    return {**drawn, **flat, 'contrast': 0, 'lit': 0, 'pattern': PLAIN}
