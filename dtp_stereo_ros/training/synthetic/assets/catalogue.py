"""Furniture catalogues of Sweet Home 3D: true sizes, and what may stand on what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_ENTRY = re.compile(r'(\w+)#(\d+)\s*=\s*(.*)')


@dataclass(frozen=True)
class Piece:
    """An entry of a catalogue.

    Attributes:
        name: as shown to people.
        category: as in the catalogue, for example ``Living room``.
        model: OBJ file.
        size_m: width, height, depth.
        elevation_m: of its lowest point over the floor.
        top_m: height of the plane that things stand on; its height where nothing is said; -1
            where nothing may stand on it.
        opening: whether it is a door or a window, which sits in a wall.
        turn: (3, 3) rotation of the model before it is scaled to its size.
    """

    name: str
    category: str
    model: Path
    size_m: tuple[float, float, float]
    elevation_m: float
    top_m: float
    opening: bool
    turn: np.ndarray


def read_catalogue(folder: Path) -> list[Piece]:
    """Entries of ``PluginFurnitureCatalog.properties`` whose model file is there."""
    entries: dict[str, dict[str, str]] = {}
    text = (folder / 'PluginFurnitureCatalog.properties').read_text(encoding='latin-1')
    for line in text.splitlines():
        match = _ENTRY.match(line.strip())
        if match:
            entries.setdefault(match[2], {})[match[1]] = match[3].strip()
    pieces = []
    for values in entries.values():
        model = folder / values.get('model', '').lstrip('/')
        if not model.is_file() or not {'width', 'height', 'depth'} <= values.keys():
            continue
        height = _metres(values['height'])
        pieces.append(
            Piece(
                values.get('name', model.stem),
                values.get('category', ''),
                model,
                (_metres(values['width']), height, _metres(values['depth'])),
                _metres(values.get('elevation', '0')),
                _metres(values['dropOnTopElevation'])
                if 'dropOnTopElevation' in values
                else height,
                values.get('doorOrWindow') == 'true',
                _turn(values.get('modelRotation', '')),
            )
        )
    return pieces


def _metres(centimetres: str) -> float:
    return float(centimetres) / 100


def _turn(text: str) -> np.ndarray:
    numbers = [float(x) for x in text.split()]
    return np.array(numbers).reshape(3, 3) if len(numbers) == 9 else np.eye(3)
