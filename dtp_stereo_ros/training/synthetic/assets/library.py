"""The packed asset file: models, tracks and textures, each decoded when it is asked for."""

from __future__ import annotations

import io
import json
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from dtp_stereo_ros.errors import InputError, one_line
from dtp_stereo_ros.stereo import UInt8Array

from .codec import decode_mesh, encode_mesh
from .mesh import Material, Mesh
from .packages import licences

INDEX = 'index.json'
# Bumped when the layout changes; a file of another version is refused.
VERSION = 1
_KEPT_MESHES = 500
_KEPT_TEXTURES = 400

Kept = TypeVar('Kept')


@dataclass(frozen=True)
class Model:
    """A mesh with a place in the world.

    Attributes:
        name: unique; names its entry.
        kind: ``furniture``, ``small``, ``plant``, ``lamp``, ``opening``, ``person``, ``vehicle``,
            ``outdoor``, ``building``, ``part`` of a track, or ``track``.
        source: package that it is from.
        size_m: width, height, depth.
        elevation_m: of its lowest point over the floor.
        top_m: height that things stand on, negative where nothing may.
        triangles: of the mesh.
        materials: of the mesh.
        road: (N, 3) points along the road, of a track.
        parts: name of a model and (3, 4) placement by rows, of a track; it has no mesh.
    """

    name: str
    kind: str
    source: str
    size_m: tuple[float, float, float]
    elevation_m: float = 0.0
    top_m: float = -1.0
    triangles: int = 0
    materials: tuple[Material, ...] = ()
    road: tuple[tuple[float, float, float], ...] = ()
    parts: tuple[tuple[str, tuple[float, ...]], ...] = ()


class Library:
    """Models and textures of a packed file, the last used ones kept decoded.

    Args:
        path: file written by `LibraryWriter`.

    Raises:
        InputError: it is missing, no such file, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # In memory: rendering reads thousands of small entries.
            self._zip = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
            index = json.loads(self._zip.read(INDEX))
        except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            reason = getattr(error, 'strerror', None) or one_line(error)
            raise InputError(
                f'{path}: no packed assets ({reason}); pack them, see dtp-stereo render -h'
            ) from error
        if index.get('version') != VERSION:
            raise InputError(f'{path}: packed by another version; pack the assets again')
        self.models = [_model(values) for values in index['models']]
        self.by_name = {model.name: model for model in self.models}
        self.surfaces: list[str] = index['surfaces']
        self._meshes: OrderedDict[str, Mesh] = OrderedDict()
        self._textures: OrderedDict[str, UInt8Array] = OrderedDict()

    @property
    def packages(self) -> dict[str, str]:
        """Packages that the models are from, with their licences."""
        return licences(model.source for model in self.models)

    def of_kind(self, *kinds: str) -> list[Model]:
        """Models of these kinds."""
        return [model for model in self.models if model.kind in kinds]

    def mesh(self, model: Model) -> Mesh:
        """The mesh of a model."""
        return _cached(
            self._meshes,
            model.name,
            _KEPT_MESHES,
            lambda: decode_mesh(self._zip.read(f'meshes/{model.name}'), list(model.materials)),
        )

    def texture(self, name: str) -> UInt8Array:
        """RGBA uint8 (H, W, 4)."""
        return _cached(
            self._textures, name, _KEPT_TEXTURES, lambda: self._texture(f'textures/{name}')
        )

    def _texture(self, entry: str) -> UInt8Array:
        image = cv2.imdecode(np.frombuffer(self._zip.read(entry), np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise InputError(f'{self.path}: {entry} cannot be decoded; OpenCV without WebP?')
        code = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGBA
        return np.asarray(cv2.cvtColor(image, code), np.uint8)


def _cached(kept: OrderedDict[str, Kept], key: str, most: int, make: Callable[[], Kept]) -> Kept:
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    value = kept[key] = make()
    if len(kept) > most:
        kept.popitem(last=False)
    return value


class LibraryWriter:
    """Writes a packed file.

    Args:
        path: file to write.
        quality: of textures, WebP, 1 to 100.
    """

    def __init__(self, path: Path, quality: int = 70) -> None:
        self._zip = zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED)
        self._quality = quality
        self._models: list[dict[str, Any]] = []
        self._surfaces: list[str] = []
        self._textures: set[str] = set()
        self.size = 0

    def add_model(self, model: Model, mesh: Mesh | None) -> None:
        """Add a model; its textures are added apart."""
        if mesh is not None:
            data = encode_mesh(mesh)
            self._zip.writestr(f'meshes/{model.name}', data)
            self.size += len(data)
        self._models.append(asdict(model))

    def add_texture(self, name: str, image: UInt8Array, surface: bool = False) -> None:
        """Add RGB or RGBA uint8; a name that is there already is left alone.

        Args:
            name: unique.
            image: (H, W, 3 or 4).
            surface: whether it may cover walls and floors.
        """
        if name in self._textures:
            return
        self._textures.add(name)
        code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
        flags = [cv2.IMWRITE_WEBP_QUALITY, self._quality]
        _, data = cv2.imencode('.webp', cv2.cvtColor(image, code), flags)
        self._zip.writestr(f'textures/{name}', data.tobytes())
        self.size += len(data)
        if surface:
            self._surfaces.append(name)

    def close(self) -> None:
        """Write the index."""
        index = {
            'version': VERSION,
            'packages': licences(model['source'] for model in self._models),
            'models': self._models,
            'surfaces': self._surfaces,
        }
        self._zip.writestr(INDEX, json.dumps(index), zipfile.ZIP_DEFLATED)
        self._zip.close()


def _model(values: dict[str, Any]) -> Model:
    materials = tuple(Material(**{**m, 'colour': tuple(m['colour'])}) for m in values['materials'])
    return Model(
        **{
            **values,
            'materials': materials,
            'road': tuple(tuple(p) for p in values['road']),
            'parts': tuple((name, tuple(matrix)) for name, matrix in values['parts']),
            'size_m': tuple(values['size_m']),
        }
    )
