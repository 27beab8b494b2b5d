"""Furniture of Sweet Home 3D for the packed file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .catalogue import Piece, read_catalogue
from .library import Model
from .obj import read_obj
from .packages import FURNITURE
from .packing import Found, PackLimits, packed_textures, solid

_PLANTS = re.compile(
    'plant|ficus|flower|lily|orchid|tulip|bamboo|cactus|yucca|bonsai|spathi|palm|tree|maple|'
    'pine|acacia|poplar|beech|bush|hedge|cypress|blossom',
    re.IGNORECASE,
)
_SMALL_M = 0.62


def furniture(assets: Path) -> Iterator[Piece]:
    """Pieces of all furniture catalogues below a folder."""
    for file in sorted(assets.rglob('PluginFurnitureCatalog.properties')):
        yield from read_catalogue(file.parent)


def pack_piece(piece: Piece, limits: PackLimits) -> Found | None:
    """A piece as it is packed; None where it has too many triangles."""
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
        FURNITURE,
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
