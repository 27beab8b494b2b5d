"""Tracks of SuperTuxKart: which mesh stands where, and the road through them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Things that hold no picture of a surface: skies, sparks, invisible walls.
_SKIPPED = {'sky', 'sky-box', 'particle-emitter', 'light'}
_UNSEEN = {'physics-only', 'physicsonly'}


@dataclass(frozen=True)
class Instance:
    """A mesh in its place.

    Attributes:
        mesh: SPM file.
        matrix: (3, 4), from the mesh's coordinates to those of the track.
    """

    mesh: Path
    matrix: np.ndarray


@dataclass(frozen=True)
class Track:
    """A track.

    Attributes:
        instances: in the order of the file.
        road: (N, 3) middles of the pieces of its road.
    """

    instances: list[Instance]
    road: np.ndarray


def read_track(folder: Path, library: Path) -> Track:
    """Read ``scene.xml`` and ``quads.xml``; library objects are unfolded.

    Args:
        folder: of the track.
        library: folder with the objects that tracks share.

    Raises:
        ValueError: a file is no XML.
    """
    try:
        instances = list(_instances(folder, 'scene.xml', np.eye(4), library, 0))
        return Track(instances, _road(folder / 'quads.xml'))
    except ET.ParseError as error:
        raise ValueError(f'{folder}: {error}') from error


def _instances(
    folder: Path, file: str, parent: np.ndarray, library: Path, depth: int
) -> Iterator[Instance]:
    if depth > 3 or not (folder / file).is_file():
        return
    root = ET.parse(folder / file).getroot()
    nearest = _levels_of_detail(root)
    definitions = {id(e) for group in root.iter('group') for e in group}
    for element in root.iter():
        if element.tag in _SKIPPED or id(element) in definitions:
            continue
        if element.get('interaction') in _UNSEEN:
            continue
        matrix = parent @ placement(element)
        if element.tag == 'library':
            name = element.get('name', '')
            yield from _instances(library / name, 'node.xml', matrix, library, depth + 1)
            continue
        name = element.get('model') or nearest.get(element.get('lod_group', ''), '')
        if name.endswith('.spm') and (folder / name).is_file():
            yield Instance(folder / name, matrix[:3])


def _levels_of_detail(root: ET.Element) -> dict[str, str]:
    """The finest mesh of each group."""
    finest: dict[str, tuple[float, str]] = {}
    for group in root.iter('group'):
        for element in group:
            name, model = element.get('lod_group', ''), element.get('model', '')
            distance = float(element.get('lod_distance', 'inf'))
            if model and distance < finest.get(name, (np.inf, ''))[0]:
                finest[name] = distance, model
    return {name: model for name, (_, model) in finest.items()}


def placement(element: ET.Element) -> np.ndarray:
    """(4, 4) of ``xyz hpr scale``, as Irrlicht composes them; degrees about x, y and z."""
    position = _numbers(element.get('xyz', ''), (0, 0, 0))
    if 'xyz' not in element.attrib:
        position = np.array([float(element.get(axis, 0)) for axis in 'xyz'])
    a, b, c = np.deg2rad(_numbers(element.get('hpr', ''), (0, 0, 0)))
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    turn = np.array(
        [
            [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc],
            [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc],
            [-sb, sa * cb, ca * cb],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * _numbers(element.get('scale', ''), (1, 1, 1))
    matrix[:3, 3] = position
    return matrix


def _numbers(text: str, default: tuple[float, float, float]) -> np.ndarray:
    values = [float(x) for x in text.split()]
    return np.array(values if len(values) == 3 else default)


def _road(file: Path) -> np.ndarray:
    """(N, 3) middles of the quads; a corner may refer to one of an earlier quad."""
    if not file.is_file():
        return np.zeros((0, 3))
    quads: list[list[np.ndarray]] = []
    for element in ET.parse(file).getroot().iter('quad'):
        corners = []
        for name in ('p0', 'p1', 'p2', 'p3'):
            text = element.get(name, '')
            if ':' in text:
                quad, corner = (int(x) for x in text.split(':'))
                corners.append(quads[quad][corner])
            else:
                corners.append(_numbers(text, (0, 0, 0)))
        quads.append(corners)
    return np.array([np.mean(q, axis=0) for q in quads]).reshape(-1, 3)


def shaders(files: list[Path]) -> dict[str, dict[str, str]]:
    """Attributes of the materials of ``materials.xml`` files, by texture name in lower case."""
    found: dict[str, dict[str, str]] = {}
    for file in files:
        if file.is_file():
            for element in ET.parse(file).getroot().iter('material'):
                found.setdefault(element.get('name', '').lower(), dict(element.attrib))
    return found
