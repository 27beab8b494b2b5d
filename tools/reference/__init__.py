"""Reference pages of docs/: their tables, made from the declarations in the source code.

    python -m tools.reference            # writes the tables
    python -m tools.reference --check    # writes nothing; exit code 1 where a table differs

A table stands between two marks of its page; the text around it is written by hand. A new page is
one module here and one row in `PAGES`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from ..doc_sections import check_section, write_section
from . import api, commands, launch, parameters, results, topics, training, troubleshooting

REPOSITORY = Path(__file__).resolve().parents[2]

# Page -> function that returns its sections: name of the marks -> text between them.
PAGES: dict[str, Callable[[], dict[str, str]]] = {
    'docs/reference/parameters.md': parameters.sections,
    'docs/reference/topics.md': topics.sections,
    'docs/reference/launch.md': launch.sections,
    'docs/reference/commands.md': commands.sections,
    'docs/reference/result_files.md': results.sections,
    'docs/reference/training.md': training.sections,
    'docs/reference/api.md': api.sections,
    'docs/troubleshooting.md': troubleshooting.sections,
}


def difference(name: str) -> str:
    """Unified diff from the page that is there to what the source code makes; '' where equal.

    Raises:
        InputError: the page is missing, or has no marks of a section.
    """
    page = REPOSITORY / name
    found: list[str] = []
    for section, text in PAGES[name]().items():
        head, tail = check_section(page, section)
        before = page.read_text(encoding='utf-8')[len(head) : -len(tail)]
        title = f'{name}: {section}'
        lines = before.strip('\n').splitlines(), text.splitlines()
        found += difflib.unified_diff(*lines, title, f'{title} (source)', lineterm='', n=1)
    return '\n'.join(found)


def write(name: str) -> None:
    """Write the sections of a page.

    Raises:
        InputError: the page is missing, or has no marks of a section.
    """
    for section, text in PAGES[name]().items():
        write_section(REPOSITORY / name, section, text)
