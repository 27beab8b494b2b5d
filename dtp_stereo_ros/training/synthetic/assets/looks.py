"""Materials drawn by chance: paint, photographs, and those that replace a model's own."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

from .mesh import Material
from .world import Builder


def surface_material(rng: np.random.Generator, builder: Builder, plain: float) -> Material:
    """Look of a wall or a floor: paint (chance `plain`) or a photograph; sometimes glossy."""
    gloss = float(rng.uniform(0.2, 1.0)) if rng.random() < 0.2 else 0.0
    mirror = float(rng.uniform(0.05, 0.5)) if gloss and rng.random() < 0.4 else 0.0
    photo = '' if rng.random() < plain else builder.photo(rng)
    if photo:
        return Material(_tint(rng, 150, 255), photo, gloss=gloss, mirror=mirror)
    return grained(rng, Material(_tint(rng, 60, 245), gloss=gloss, mirror=mirror))


def grained(rng: np.random.Generator, material: Material) -> Material:
    """A plain material, in two of three cases uneven, as plaster, cloth or worn paint is."""
    if material.texture or rng.random() < 0.35:
        return material
    return replace(
        material,
        grain=float(np.exp(rng.uniform(np.log(0.02), np.log(0.3)))),
        grain_m=float(np.exp(rng.uniform(np.log(0.002), np.log(0.08)))),
    )


def swapped(
    rng: np.random.Generator, builder: Builder, materials: list[Material], chance: float
) -> list[Material]:
    """Some materials with another colour, a photograph or a gloss; holes stay what they are."""
    result = []
    for material in materials:
        if rng.random() < chance and not material.cut_out:
            draw = rng.random()
            if draw < 0.5:
                material = replace(
                    material, texture=builder.photo(rng), colour=_tint(rng, 150, 255)
                )
            elif draw < 0.8:
                material = replace(material, texture='', colour=_tint(rng, 15, 250))
            else:
                mirror = float(rng.uniform(0.1, 0.8)) if rng.random() < 0.4 else 0.0
                material = replace(material, gloss=float(rng.uniform(0.3, 1.0)), mirror=mirror)
        result.append(grained(rng, material))
    return result


def _tint(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    grey = rng.uniform(low, high)
    red, green, blue = np.clip(grey + rng.normal(0, 18, 3), 0, 255)
    return float(red), float(green), float(blue)


def draw_sky(rng: np.random.Generator, photos: list[UInt8Array]) -> UInt8Array:
    """A panorama RGB uint8: a gradient with clouds, or a photograph mirrored at its side."""
    if photos and rng.random() < 0.4:
        photo = photos[rng.integers(len(photos))]
        photo = cv2.resize(photo, (512, 512), interpolation=cv2.INTER_AREA)
        return np.hstack((photo, photo[:, ::-1]))
    height, width = 256, 512
    top = np.array([rng.uniform(60, 160), rng.uniform(110, 190), rng.uniform(180, 255)])
    low = np.array([rng.uniform(180, 250)] * 3) + rng.normal(0, 10, 3)
    share = np.linspace(0, 2, height)[:, None, None].clip(0, 1)
    image = np.broadcast_to(top + (low - top) * share, (height, width, 3)).copy()
    clouds = np.zeros((height, width), np.float32)
    for cells in (6, 12, 24, 48):
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        clouds += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 4 / cells
    cover = np.clip(clouds * rng.uniform(0, 2) + rng.uniform(-1, 0.7), 0, 1)[..., None]
    return np.clip(image + (rng.uniform(200, 255) - image) * cover, 0, 255).astype(np.uint8)
