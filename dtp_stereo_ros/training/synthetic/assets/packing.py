"""Parts that the packers of all packages share: limits, textures, clear materials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from dtp_stereo_ros.image_io import decoded
from dtp_stereo_ros.stereo import UInt8Array

from .library import Model
from .mesh import Material, Mesh, merge
from .sgi import read_sgi

# Materials that let through more light than this are left out, with their faces.
_CLEAR = 0.4


@dataclass(frozen=True)
class PackLimits:
    """Limits of a pack.

    Attributes:
        triangles: meshes with more are left out.
        texture_px, track_texture_px: longest side of a texture, of a thing and of a track.
        quality: of textures, 1 to 100.
        megabytes: the file stays below; models that come late are left out.
    """

    triangles: int = 60000
    texture_px: int = 384
    track_texture_px: int = 256
    quality: int = 70
    megabytes: float = 30.0


@dataclass
class Found:
    """A model as its package has it.

    Attributes:
        model: what is known of it.
        mesh: its materials name the keys of `textures`; None of a track.
        textures: RGB or RGBA uint8 by name.
    """

    model: Model
    mesh: Mesh | None
    textures: dict[str, UInt8Array]


def solid(mesh: Mesh) -> Mesh:
    """Without the faces of clear materials, and with the used materials only."""
    clear = np.array([m.opacity < _CLEAR for m in mesh.materials])
    kept = ~clear[mesh.material]
    if not kept.any():
        raise ValueError('all of it is clear')
    return merge([replace(mesh, faces=mesh.faces[kept], material=mesh.material[kept])])


def packed_textures(
    materials: list[Material], folder: Path, key: str, limits: PackLimits
) -> tuple[list[Material], dict[str, UInt8Array]]:
    """Materials with new texture names, and these textures, shrunk."""
    textures: dict[str, UInt8Array] = {}
    packed = []
    for material in materials:
        if material.opacity < 0.95:
            # Panes show what is before them more than what is behind.
            material = replace(material, gloss=max(material.gloss, 0.8), mirror=0.12)
        if not material.texture:
            packed.append(material)
            continue
        name = f'{key}/{material.texture}'
        if name not in textures:
            file = folder / material.texture
            # Some files name the folder of their author.
            file = file if file.is_file() else folder / file.name
            image = read_texture(file, limits.texture_px)
            if image is None:
                packed.append(replace(material, texture=''))
                continue
            textures[name] = image
        image = textures[name]
        # Textures of furniture show their colours as they are.
        packed.append(
            replace(
                material,
                texture=name,
                colour=(255.0, 255.0, 255.0),
                cut_out=image.shape[2] == 4,
            )
        )
    return packed, textures


def read_texture(path: Path, longest_px: int) -> UInt8Array | None:
    """RGB, or RGBA where at least one texel in 200 is clear; None where it cannot be read."""
    if not path.is_file():
        return None
    image = _rgb_or_rgba(path)
    if image is None:
        return None
    shrink = min(1.0, longest_px / max(image.shape[:2]))
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    if image.shape[2] == 4 and (image[..., 3] < 128).mean() > 0.005:
        return np.asarray(image, np.uint8)
    return np.ascontiguousarray(image[..., :3])


def _rgb_or_rgba(path: Path) -> UInt8Array | None:
    if path.suffix.lower() in ('.rgb', '.rgba', '.sgi', '.bw'):
        sgi = read_sgi(path)
        return sgi if sgi.shape[2] > 2 else np.repeat(sgi[..., :1], 3, axis=2)
    image = decoded(path, cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    if image.dtype != np.uint8:
        image = (image / 257).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    code = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, code), np.uint8)
