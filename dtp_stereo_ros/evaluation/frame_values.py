"""Measures of one frame in few bytes: a recording has a hundred thousand frames."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping

# Frames of a recording have the same measures: their names are kept once.
_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}


class FrameValues(Mapping[str, float]):
    """Keys of `columns.ALL_COLUMNS` to values, in their order; a third of a dictionary."""

    __slots__ = ('_keys', '_values')

    def __init__(self, values: Mapping[str, float]) -> None:
        keys = tuple(values)
        self._keys = _NAMES.setdefault(keys, keys)
        self._values = array('d', values.values())

    def __getitem__(self, key: str) -> float:
        try:
            return self._values[self._keys.index(key)]
        except ValueError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __reduce__(self) -> tuple[type[FrameValues], tuple[dict[str, float]]]:
        """As a dictionary, so that a process that reads it shares its own names."""
        return FrameValues, (dict(self),)
