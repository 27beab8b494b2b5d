"""Text files of a user: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .errors import InputError, one_line


def read_text(path: Path) -> str:
    """All of a UTF-8 file.

    Raises:
        InputError: no such file, no right to read it, or no text.
    """
    try:
        return path.read_text(encoding='utf-8')
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); check the path') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is no text in UTF-8; check the path') from error


def read_yaml(path: Path) -> Any:
    """The value of a YAML file, of plain types.

    Raises:
        InputError: see `read_text`; or no YAML.
    """
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(
            f'{path}: is no YAML ({one_line(error)[:160]}); check the file'
        ) from error
