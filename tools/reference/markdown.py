"""Markdown from plain text."""

from __future__ import annotations

from collections.abc import Mapping


def code(text: object) -> str:
    """Code, '' for an empty text."""
    shown = str(text)
    return f'`{shown}`' if shown else ''


def described(key: str, meanings: Mapping[str, str], file: str) -> str:
    """The meaning of a declared name.

    Raises:
        LookupError: nobody wrote it; names the file where it belongs.
    """
    if key not in meanings:
        raise LookupError(f'{key} has no meaning yet; write it in {file}')
    return meanings[key]
