"""A progress bar, where tqdm is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .user_errors import failed_import


def progress(items: Iterable[Any] | None = None, **how: Any) -> Any:
    """A bar of tqdm, or what does as if it were one."""
    try:
        from tqdm import tqdm
    except Exception as error:
        if failed_import(error) is None:
            raise
        return _NoBar(items)
    return tqdm(items, **how)


class _NoBar:
    """Shows nothing."""

    def __init__(self, items: Iterable[Any] | None) -> None:
        self.items = items

    def __iter__(self) -> Any:
        return iter(self.items or ())

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: int = 1) -> None:
        """As of tqdm."""

    def close(self) -> None:
        """As of tqdm."""

    def write(self, line: str) -> None:
        """As of tqdm."""
        print(line, flush=True)
