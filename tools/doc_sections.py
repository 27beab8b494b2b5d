"""Measured sections of the documentation: replaced between two marks, the rest is left alone."""

from __future__ import annotations

from pathlib import Path

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.image_io import atomic


def write_section(page: Path, name: str, text: str) -> None:
    """Put text between the lines `<!-- NAME: begin -->` and `<!-- NAME: end -->` of a page.

    Raises:
        InputError: the page cannot be read, or has no such lines.
    """
    head, tail = check_section(page, name)
    with atomic(page) as file:
        file.write(f'{head}\n{text}\n{tail}'.encode())


def check_section(page: Path, name: str) -> tuple[str, str]:
    """Text before and after a section, its marks included.

    Raises:
        InputError: the page cannot be read, or has no such section.
    """
    begin, end = f'<!-- {name}: begin -->', f'<!-- {name}: end -->'
    try:
        text = page.read_text(encoding='utf-8')
    except OSError as error:
        raise InputError(f'{page}: cannot be read ({error.strerror}); name a page') from error
    head, found_begin, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found_begin and found_end):
        raise InputError(f'{page}: has no lines {begin} and {end}')
    return head + begin, end + tail
