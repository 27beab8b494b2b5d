"""Tracks of SuperTuxKart for the packed file: each mesh once, and where it stands."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from dtp_stereo_ros.stereo import UInt8Array

from .library import Model
from .mesh import Material, Mesh, merge
from .packages import TRACKS
from .packing import Found, PackLimits, read_texture
from .spm import read_spm
from .tracks import read_track, shaders

_log = logging.getLogger(__name__)

# Of different looks, those of moderate size first; others are packed while there is room.
PREFERRED = (
    'candela_city',
    'lighthouse',
    'hacienda',
    'zengarden',
    'scotland',
    'volcano_island',
    'ravenbridge_mansion',
    'mines',
    'snowmountain',
    'xr591',
    'sandtrack',
    'stk_enterprise',
    'olivermath',
    'minigolf',
    'tutorial',
    'snowtuxpeak',
    'cocoa_temple',
    'gran_paradiso_island',
    'cornfield_crossing',
    'black_forest',
)
_HOLES = {'alphatest', 'grass', 'alphablend'}
_NO_SURFACE = {'additive', 'displace_additive'}
_FEWEST_POINTS = 20


def find_data(assets: Path) -> Path | None:
    """The folder ``data`` of the package below a folder, None where it is not there."""
    for file in sorted(assets.rglob('stk_config.xml')):
        if (file.parent / 'tracks').is_dir():
            return file.parent
    return None


def tracks(data: Path, limits: PackLimits) -> Iterator[list[Found]]:
    """New parts and the track itself, of one track after the other."""
    reader = _Parts(data, limits)
    for name in PREFERRED:
        if not (data / 'tracks' / name).is_dir():
            continue
        try:
            track = read_track(data / 'tracks' / name, data / 'library')
        except ValueError as error:
            _log.warning('left out: %s', error)
            continue
        if len(track.road) < _FEWEST_POINTS:
            continue
        found: list[Found] = []
        parts = []
        for instance in track.instances:
            part = reader.part(instance.mesh, found)
            if part:
                matrix = tuple(float(f'{x:.4g}') for x in instance.matrix.ravel())
                parts.append((part, matrix))
        extent = np.ptp(track.road, axis=0)
        road = tuple((float(x), float(y), float(z)) for x, y, z in np.round(track.road, 2))
        model = Model(
            f'{TRACKS}/{name}',
            'track',
            TRACKS,
            (float(extent[0]), float(extent[1]), float(extent[2])),
            road=road,
            parts=tuple(parts),
        )
        yield [*found, Found(model, None, {})]


class _Parts:
    """Meshes that were read already, by file."""

    def __init__(self, data: Path, limits: PackLimits) -> None:
        self.data, self.limits = data, limits
        self.names: dict[Path, str] = {}
        self.common = shaders([data / 'textures' / 'materials.xml'])

    def part(self, file: Path, found: list[Found]) -> str:
        """Name of the part of a file, empty where it shows nothing; a new one joins `found`."""
        if file not in self.names:
            self.names[file] = ''
            try:
                new = self._read(file)
            except ValueError as error:
                _log.warning('left out: %s', error)
            else:
                found.append(new)
                self.names[file] = new.model.name
        return self.names[file]

    def _read(self, file: Path) -> Found:
        mesh = read_spm(file)
        looks = self.common | shaders([file.parent / 'materials.xml'])
        materials: list[Material] = []
        textures: dict[str, UInt8Array] = {}
        shown = []
        for number, material in enumerate(mesh.materials):
            look = looks.get(material.texture.lower(), {})
            packed = self._material(material, look, file.parent, textures)
            if packed is not None and look.get('shader') not in _NO_SURFACE:
                shown.append(number)
            materials.append(packed or material)
        kept = np.isin(mesh.material, shown)
        if not kept.any():
            raise ValueError(f'{file}: nothing to see')
        mesh = merge(
            [
                replace(
                    mesh, faces=mesh.faces[kept], material=mesh.material[kept], materials=materials
                )
            ]
        )
        if len(mesh.faces) > 4 * self.limits.triangles:
            raise ValueError(f'{file}: {len(mesh.faces)} triangles')
        return self._found(file, mesh, textures)

    def _found(self, file: Path, mesh: Mesh, textures: dict[str, UInt8Array]) -> Found:
        low, high = mesh.bounds
        wide, tall, deep = (float(x) for x in high - low)
        model = Model(
            f'{TRACKS}/{file.parent.name}/{file.stem}',
            'part',
            TRACKS,
            (wide, tall, deep),
            triangles=len(mesh.faces),
            materials=tuple(mesh.materials),
        )
        return Found(model, mesh, textures)

    def _material(
        self,
        material: Material,
        look: dict[str, str],
        folder: Path,
        textures: dict[str, UInt8Array],
    ) -> Material | None:
        """The material with its packed texture; None where the texture is missing."""
        file = self._file(folder, material.texture)
        if not material.texture or file is None:
            return None
        name = f'{TRACKS}/{file.parent.name}/{file.name}'
        holes = look.get('shader') in _HOLES
        if name not in textures:
            image = read_texture(file, self.limits.track_texture_px)
            if image is None:
                return None
            mask = self._file(folder, look.get('mask', ''))
            if mask is not None and image.shape[2] == 3:
                alpha = read_texture(mask, self.limits.track_texture_px)
                if alpha is not None:
                    size = image.shape[1], image.shape[0]
                    image = np.dstack((image, cv2.resize(alpha[..., :1], size)))
            textures[name] = np.asarray(image if holes else image[..., :3])
        return replace(material, texture=name, cut_out=holes and textures[name].shape[2] == 4)

    def _file(self, folder: Path, name: str) -> Path | None:
        for place in (folder, self.data / 'textures'):
            if name and (place / name).is_file():
                return place / name
        return None
