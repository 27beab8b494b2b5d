"""Packs unpacked asset packages into one compact file, which `library.Library` opens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.fleet.fleet import Fleet
from dtp_stereo_ros.fleet.tasks import Task

from .catalogue import Piece
from .library import LibraryWriter
from .pack_cars import cars, pack_car
from .pack_furniture import furniture, pack_piece
from .pack_tracks import find_data, tracks
from .packing import Found, PackLimits

# Smaller textures of tracks cover no walls.
_TILE_PX = 128

_log = logging.getLogger(__name__)


def pack(assets: Path, out: Path, limits: PackLimits, workers: int = 1) -> int:
    """Pack all that is known below a folder: furniture, then cars, then tracks.

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
    items: list[Piece | Path] = [*furniture(assets), *cars(assets)]
    data = find_data(assets)
    if not items and data is None:
        raise InputError(
            f'{assets}: none of the packages that can be packed is in it; unpack '
            'sweethome3d-furniture (and its .sh3f files, which are zip archives), '
            'supertuxkart-data, torcs-data or flightgear-data-models there'
        )
    writer = LibraryWriter(out, limits.quality)
    count = 0
    # A file may hold several pieces, so that it is no name of one.
    tasks = [Task(f'{_file(item)} ({number})', item) for number, item in enumerate(items, 1)]
    count += _add(writer, Fleet(workers).in_order(_Reading(limits), tasks), limits)
    if data is not None:
        count += _add(writer, tracks(data, limits), limits)
    writer.close()
    return count


def _file(item: Piece | Path) -> Path:
    return item.model if isinstance(item, Piece) else item


def _add(writer: LibraryWriter, groups: Iterator[list[Found]], limits: PackLimits) -> int:
    """Write the groups that come before the file is full; a group goes whole or not at all."""
    count = 0
    for group in groups:
        if writer.size > limits.megabytes * 1e6:
            break
        for found in group:
            for name, image in found.textures.items():
                # Grounds and walls of tracks repeat without a seam, so that they cover rooms too.
                tile = found.model.kind == 'part' and min(image.shape[:2]) >= _TILE_PX
                writer.add_texture(name, image, surface=tile and image.shape[2] == 3)
            writer.add_model(found.model, found.mesh)
        count += len(group)
    return count


@dataclass(frozen=True)
class _Reading:
    """Work of reading one model after another; needs nothing open."""

    limits: PackLimits

    def open(self, threads: int) -> _Reading:
        return self

    def do(self, given: Piece | Path) -> list[Found]:
        try:
            if isinstance(given, Piece):
                found = pack_piece(given, self.limits)
            else:
                found = pack_car(given, self.limits)
        except (ValueError, OSError) as error:
            _log.warning('left out: %s', error)
            return []
        return [found] if found else []

    def close(self) -> None:
        pass
