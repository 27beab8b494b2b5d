"""Packages of free 3D models, with the licences that their copyright files name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.image_io import write_json

# In a folder of rendered pairs.
PACKAGES = 'packages.json'

FURNITURE = 'sweethome3d-furniture'
TRACKS = 'supertuxkart-data'
CARS = 'torcs-data'
BUILDINGS = 'flightgear-data-models'

LICENCES = {
    FURNITURE: 'CC-BY, CC0',
    TRACKS: 'CC-BY-SA, CC0, GPL',
    CARS: 'GPL, Free Art Licence',
    BUILDINGS: 'GPL',
}


def licences(packages: Iterable[str]) -> dict[str, str]:
    """Packages, sorted, with their licences."""
    return {name: LICENCES.get(name, 'licence unknown') for name in sorted(set(packages))}


def write_packages(folder: Path, packages: dict[str, str]) -> None:
    """Keep the packages of rendered pairs beside them."""
    write_json(folder / PACKAGES, packages)


def read_packages(folder: Path) -> dict[str, str]:
    """Packages that the pairs of a folder were rendered from; {} where nobody wrote them down.

    Raises:
        InputError: the list is unreadable.
    """
    path = folder / PACKAGES
    if not path.exists():
        return {}
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_text(encoding='utf-8')).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f'{path}: no list of packages ({error}); render the pairs again'
        ) from None
