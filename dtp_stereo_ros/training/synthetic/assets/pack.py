"""Packs unpacked asset packages into one compact file, which `library.Library` opens."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.stereo import UInt8Array

from .catalogue import Piece, read_catalogue
from .library import LibraryWriter, Model
from .mesh import Material, Mesh, merge
from .obj import read_obj

_log = logging.getLogger(__name__)

# Materials that let through more light than this are left out, with their faces.
_CLEAR = 0.4
_PLANTS = re.compile(
    'plant|ficus|flower|lily|orchid|tulip|bamboo|cactus|yucca|bonsai|spathi|palm|tree|maple|'
    'pine|acacia|poplar|beech|bush|hedge|cypress|blossom',
    re.IGNORECASE,
)
_SMALL_M = 0.62


@dataclass(frozen=True)
class PackLimits:
    """How much is packed.

    Attributes:
        triangles: meshes with more are left out.
        texture_px: longest side of a texture.
        quality: of textures, 1 to 100.
        megabytes: the file stays below; models that come late are left out.
    """

    triangles: int = 40000
    texture_px: int = 256
    quality: int = 70
    megabytes: float = 30.0


@dataclass
class Found:
    """A model as its package has it.

    Attributes:
        model: what is known of it.
        mesh: its materials name the keys of `textures`.
        textures: RGB or RGBA uint8 by name.
    """

    model: Model
    mesh: Mesh
    textures: dict[str, UInt8Array]


def pack(assets: Path, out: Path, limits: PackLimits, workers: int = 1) -> int:
    """Pack all that is known below a folder.

    Args:
        assets: folder with unpacked packages.
        out: file to write.
        limits: how much.
        workers: processes that read meshes.

    Returns:
        Number of models packed.

    Raises:
        InputError: the folder holds no known package.
    """
    jobs = [(_furniture, piece, limits) for piece in furniture(assets)]
    if not jobs:
        raise InputError(
            f'{assets}: no PluginFurnitureCatalog.properties in it; unpack sweethome3d-furniture '
            'and its .sh3f files (zip) there'
        )
    writer = LibraryWriter(out, limits.quality)
    count = 0
    with Pool(workers) as pool:
        for found in pool.imap(_read, jobs, chunksize=4):
            if found is None or writer.size > limits.megabytes * 1e6:
                continue
            for name, image in found.textures.items():
                writer.add_texture(name, image)
            writer.add_model(found.model, found.mesh)
            count += 1
    writer.close()
    return count


def furniture(assets: Path) -> Iterator[Piece]:
    """Pieces of all furniture catalogues below a folder."""
    for file in sorted(assets.rglob('PluginFurnitureCatalog.properties')):
        yield from read_catalogue(file.parent)


def _read(job: tuple) -> Found | None:
    read, item, limits = job
    try:
        return read(item, limits)
    except (ValueError, OSError) as error:
        _log.warning('left out: %s', error)
        return None


def _furniture(piece: Piece, limits: PackLimits) -> Found | None:
    # About 70 bytes a triangle: files far beyond the limit are not even read.
    if piece.model.stat().st_size > limits.triangles * 250:
        return None
    mesh = solid(read_obj(piece.model))
    if not 4 <= len(mesh.faces) <= limits.triangles:
        return None
    mesh = replace(mesh, vertices=mesh.vertices @ piece.turn.T.astype(np.float32))
    mesh = mesh.fitted(piece.size_m)
    key = '/'.join(piece.model.parts[-3:-1])
    materials, textures = packed_textures(mesh.materials, piece.model.parent, key, limits)
    mesh = replace(mesh, materials=materials)
    model = Model(
        f'{key}/{piece.model.stem}',
        kind_of(piece),
        'sweethome3d-furniture',
        piece.size_m,
        piece.elevation_m,
        piece.top_m,
        len(mesh.faces),
        tuple(materials),
    )
    return Found(model, mesh, textures)


def kind_of(piece: Piece) -> str:
    """Kind of a model, by its category, size and name; see `library.Model`."""
    by_category = {
        'Lights': 'lamp',
        'Characters': 'person',
        'Vehicles': 'vehicle',
        'Doors and windows': 'opening',
    }
    if piece.opening:
        return 'opening'
    if piece.category in by_category:
        return by_category[piece.category]
    if max(piece.size_m) < _SMALL_M:
        return 'small'
    if piece.category == 'Exterior' or max(piece.size_m) > 3.2:
        return 'outdoor'
    return 'plant' if _PLANTS.search(piece.name) else 'furniture'


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
        if not material.texture:
            packed.append(material)
            continue
        name = f'{key}/{material.texture}'
        if name not in textures:
            image = read_texture(folder / material.texture, limits.texture_px)
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
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    if image.dtype != np.uint8:
        image = (image / 257).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    shrink = min(1.0, longest_px / max(image.shape[:2]))
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    if image.shape[2] == 4 and (image[..., 3] < 128).mean() > 0.005:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), np.uint8)
    return np.ascontiguousarray(image[..., 2::-1])
