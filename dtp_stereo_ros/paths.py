"""Lists of paths on the command line, separated by commas, where a path may have commas itself."""

from __future__ import annotations

from pathlib import Path


def split_at_commas(text: str) -> list[str]:
    """The items of ``A,B,C``; what exists as a path is kept whole.

    From the left, the longest run of items that together name a file or folder is one item:
    ``a,b.yaml`` is one where there is a file of that name, else it is ``a`` and ``b.yaml``. Blanks
    around an item do not count, unless they belong to the name of a file.
    """
    pieces = text.split(',')
    items = []
    while pieces:
        runs = {n: ','.join(pieces[:n]) for n in range(len(pieces), 1, -1)}
        count = next((n for n, run in runs.items() if _exists(run) or _exists(run.strip())), 1)
        item = ','.join(pieces[:count])
        items.append(item if _exists(item) else item.strip())
        del pieces[:count]
    return items


def _exists(text: str) -> bool:
    try:
        return bool(text.strip()) and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # name too long, NUL, a user without a home
        return False
