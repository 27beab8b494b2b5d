"""Files of one recording, read one after another, where there is no metadata that fits them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# rosbag2 numbers the files of a recording that it splits.
_NUMBER = re.compile(r'_\d+$')


@dataclass(frozen=True)
class FileOfSplit:
    """One file.

    Attributes:
        open: makes a reader of it, of `rosbags` or one that stands for it.
        connections: topics with their number of messages.
        start_time, end_time: of recording, ns.
    """

    open: Callable[[], AbstractContextManager[Any]]
    connections: list[Any]
    start_time: int
    end_time: int

    @classmethod
    def of(cls, reader: Any, opened: Callable[[], AbstractContextManager[Any]]) -> FileOfSplit:
        """The file of an open reader."""
        return cls(opened, list(reader.connections), int(reader.start_time), int(reader.end_time))


class SplitFiles:
    """Stands for a reader of `rosbags`; each reading opens the files.

    Attributes:
        connections: those of all files.
        start_time, end_time: of recording, ns.

    Args:
        files: at least one.
    """

    def __init__(self, files: Sequence[FileOfSplit]) -> None:
        self._files = sorted(files, key=lambda file: file.start_time)
        self.connections = [one for file in self._files for one in file.connections]
        self.start_time = self._files[0].start_time
        self.end_time = max(file.end_time for file in self._files)

    def messages(
        self, connections: Sequence[Any], start: int, stop: int | None
    ) -> Iterator[tuple[Any, int, bytes]]:
        """Connection, time of recording in ns and bytes, from start to before stop."""
        topics = {connection.topic for connection in connections}
        for file in self._files:
            with file.open() as reader:
                own = [one for one in reader.connections if one.topic in topics]
                if own:
                    yield from reader.messages(own, start=start, stop=stop)

    def close(self) -> None:
        """Nothing is held open between readings."""


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
