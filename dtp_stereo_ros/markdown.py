"""Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    even: bool = False,
    numbers: bool = False,
) -> str:
    """A whole table.

    Args:
        headings: of the columns.
        rows: cells, one for each heading.
        even: pad the columns to even width, for people who read the plain text. Without, one
            changed cell changes one line.
        numbers: all columns but the first are aligned to the right.
    """
    if not even:
        return '\n'.join([header(headings, numbers=numbers), *map(row, rows)])
    cells = [[cell(text) for text in line] for line in (headings, *rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(headings))]
    lines = [
        _row([text.ljust(width) for text, width in zip(line, widths, strict=True)])
        for line in cells
    ]
    lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return '\n'.join(lines)


def header(headings: Sequence[str], *, numbers: bool = False) -> str:
    """The first two lines of a table that is written line by line; see `table`."""
    marks = ['---', *(['--:' if numbers else '---'] * (len(headings) - 1))]
    return f'{row(headings)}\n{_row(marks)}'


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return _row([cell(text) for text in cells])


def cell(text: str) -> str:
    """A text that stays within its cell."""
    return ' '.join(text.split()).replace('|', r'\|')


def _row(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'
