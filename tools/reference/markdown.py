"""Markdown from plain text."""

from __future__ import annotations

from collections.abc import Sequence


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without padding, so that one changed cell changes one line."""
    lines = [headings, ['---'] * len(headings), *rows]
    return '\n'.join(f'| {" | ".join(map(cell, line))} |' for line in lines)


def cell(text: str) -> str:
    """A text that stays within its cell."""
    return ' '.join(text.split()).replace('|', '\\|')


def code(text: object) -> str:
    """Code, '' for an empty text."""
    shown = str(text)
    return f'`{shown}`' if shown else ''
