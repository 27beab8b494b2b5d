"""Markdown tables: plain, even, aligned, line by line."""

from __future__ import annotations

from dtp_stereo_ros import markdown

ROWS = [['a|b', '1'], ['c', '20']]


def test_a_table_escapes_bars() -> None:
    assert markdown.table(['x', 'y'], ROWS).splitlines() == [
        '| x | y |',
        '| --- | --- |',
        r'| a\|b | 1 |',
        '| c | 20 |',
    ]


def test_a_cell_is_one_line() -> None:
    assert markdown.row(['one\n two', '']) == '| one two |  |'


def test_columns_can_have_even_width() -> None:
    assert markdown.table(['x', 'y'], ROWS, even=True).splitlines() == [
        '| x    | y  |',
        '|------|----|',
        r'| a\|b | 1  |',
        '| c    | 20 |',
    ]


def test_numbers_are_aligned_to_the_right() -> None:
    assert (
        markdown.table(['x', 'y', 'z'], [], numbers=True).splitlines()[1] == '| --- | --: | --: |'
    )


def test_a_table_line_by_line_is_the_same() -> None:
    lines = [markdown.header(['x', 'y']), *map(markdown.row, ROWS)]
    assert '\n'.join(lines) == markdown.table(['x', 'y'], ROWS)
