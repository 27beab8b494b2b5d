"""Files of one recording, read one after another, where there is no metadata that fits them."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

# rosbag2 numbers the files of a recording that it splits.
_NUMBER = re.compile(r'_\d+$')
# A file begins with the next message.
_MOST_APART_NS = 3600 * 10**9


@dataclass(frozen=True)
class FileOfSplit:
    """One file.

    Attributes:
        path: of it.
        open: makes a reader of it, of `rosbags` or one that stands for it.
        connections: topics with their number of messages.
        start_time, end_time: of recording, ns.
    """

    path: Path
    open: Callable[[], AbstractContextManager[Any]]
    connections: list[Any]
    start_time: int
    end_time: int

    @classmethod
    def of(
        cls, path: Path, reader: Any, opened: Callable[[], AbstractContextManager[Any]]
    ) -> FileOfSplit:
        """The file of an open reader."""
        return cls(
            path, opened, list(reader.connections), int(reader.start_time), int(reader.end_time)
        )


class SplitFiles:
    """Stands for a reader of `rosbags`; each reading opens the files.

    Attributes:
        connections: those of all files.
        start_time, end_time: of recording, ns.

    Args:
        files: at least one.
        broken: called with a file in which reading ends early, and the reason.
    """

    def __init__(
        self, files: Sequence[FileOfSplit], broken: Callable[[Path, Exception], None]
    ) -> None:
        self._broken = broken
        self._files = sorted(files, key=lambda file: file.start_time)
        self.connections = [one for file in self._files for one in file.connections]
        self.start_time = self._files[0].start_time
        self.end_time = max(file.end_time for file in self._files)

    def messages(
        self, connections: Sequence[Any], start: int, stop: int | None
    ) -> Iterator[tuple[Any, int, bytes]]:
        """Connection, time of recording in ns and bytes, from start to before stop."""
        topics = {connection.topic for connection in connections}
        # Files of one recording follow one another, but for what waited in a cache.
        streams = [self._of_file(file, topics, start, stop) for file in self._files]
        yield from heapq.merge(*streams, key=lambda message: message[1])

    def _of_file(
        self, file: FileOfSplit, topics: set[str], start: int, stop: int | None
    ) -> Iterator[tuple[Any, int, bytes]]:
        try:
            with file.open() as reader:
                own = [one for one in reader.connections if one.topic in topics]
                if own:
                    yield from reader.messages(own, start=start, stop=stop)
        except MemoryError:
            raise
        except Exception as error:  # of rosbags, struct, zstd and sqlite3, by file
            self._broken(file.path, error)

    def close(self) -> None:
        """Nothing is held open between readings."""


def are_apart(files: Sequence[FileOfSplit]) -> bool:
    """Whether one of the files begins so late after another that they are two recordings."""
    told = sorted((file.start_time, file.end_time) for file in files)
    return any(late[0] - early[1] > _MOST_APART_NS for early, late in pairwise(told))


def are_of_one_recording(files: Sequence[Path]) -> bool:
    """Whether the names differ in their numbers alone, as those of a split recording do."""
    bases = {(_NUMBER.sub('', file.stem), file.suffix) for file in files}
    numbered = all(_NUMBER.search(file.stem) for file in files)
    return len(files) == 1 or (numbered and len(bases) == 1)


def named_by_metadata(folder: Path) -> list[str]:
    """Names of the files that metadata.yaml tells; none where it cannot be read."""
    try:
        text = (folder / 'metadata.yaml').read_text(encoding='utf-8')
        paths = yaml.safe_load(text)['rosbag2_bagfile_information']['relative_file_paths']
        return [Path(path).name for path in paths]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return []
