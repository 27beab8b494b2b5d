"""Names of teachers: ``KIND:FILE``, a file, by its ending, a shipped model, or ``sgbm``.

Imports no PyTorch, as the identity of a run depends on them.
"""

from __future__ import annotations

import re
from pathlib import Path

from dtp_stereo_ros import models
from dtp_stereo_ros.config import MODEL_SETTINGS
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.paths import expanded

# Kinds that are files, and their endings.
ENDINGS = {'family': '.pt', 'onnx': '.onnx', 'psmnet': '.tar'}
_SHIPPED = ('family', 'onnx')
_SETTING = re.compile(rf',(?=(?:{"|".join(MODEL_SETTINGS)})=)')


def kind_and_place(spec: str) -> tuple[str, str]:
    """Kind of a teacher, and its file, name or nothing.

    An ONNX file may be followed by settings, see `place_and_settings`. A name alone is that of a
    shipped model.

    Raises:
        ConfigError: a file of another ending.
    """
    kind, colon, place = spec.partition(':')
    if kind == 'sgbm' or (colon and kind in ENDINGS):
        return kind, place
    file = place_and_settings(spec)[0]
    for known, ending in ENDINGS.items():
        if Path(file).suffix == ending:
            return known, spec
    if spec and not colon and not models.is_path(file):
        return 'family', spec
    raise ConfigError(
        f'teacher {spec!r}: give the name of a shipped model, a file ending in '
        f'{", ".join(ENDINGS.values())}, or KIND:FILE with KIND one of {", ".join(ENDINGS)}'
    )


def place_and_settings(place: str) -> tuple[str, list[str]]:
    """``FILE[,model_NAME=VALUE...]`` as the file, and the settings sorted by name."""
    name, *settings = _SETTING.split(place)
    return name, sorted(settings)


def teacher_file(spec: str) -> Path | None:
    """The file of a teacher, None where it has none, or there is none.

    Raises:
        ConfigError: see `kind_and_place`.
        ModelError: there is no such shipped model.
    """
    kind, place = kind_and_place(spec)
    name = place_and_settings(place)[0]
    if kind in _SHIPPED and not models.is_path(name):
        return models.resolve(name, (ENDINGS[kind],))
    path = expanded(name) if name else Path()
    return path if path.is_file() else None
