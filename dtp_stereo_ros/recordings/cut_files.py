"""Whole messages of the files of a bag that `rosbags` refuses, as they end early or are damaged.

They have no index that can be relied on, so that all of a file is read, in the order of writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..machine import setup_command


@dataclass
class Connection:
    """A topic of the file, named as those of `rosbags` are."""

    topic: str
    msgtype: str
    msgcount: int = 0


class CutFile:
    """Stands for a reader of `rosbags` where that refuses the file.

    Attributes:
        connections: topics with their number of messages.
        start_time, end_time: of recording, ns.

    Raises:
        InputError: it holds no whole message.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_id: dict[int, Connection] = {}
        times = []
        for topic_id, recorded_ns, _ in self._messages():
            self._by_id[topic_id].msgcount += 1
            times.append(recorded_ns)
        if not times:
            raise InputError(f'{path}: holds no whole message; record again')
        self.start_time, self.end_time = min(times), max(times)
        self.connections = list(self._by_id.values())

    def messages(
        self, connections: Sequence[Connection], start: int, stop: int | None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time of recording in ns and CDR bytes, from start to before stop."""
        wanted = {id(connection) for connection in connections}
        for topic_id, recorded_ns, data in self._messages():
            connection = self._by_id[topic_id]
            in_time = start <= recorded_ns and (stop is None or recorded_ns < stop)
            if id(connection) in wanted and in_time:
                yield connection, recorded_ns, data

    def close(self) -> None:
        """Nothing is held open between readings."""

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Key of the topic in `_by_id`, time of recording in ns and bytes, up to the damage."""
        raise NotImplementedError


class CutMcap(CutFile):
    """An .mcap file without the summary at its end. Needs `mcap`."""

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        try:
            from mcap.records import Channel, Message, Schema
            from mcap.stream_reader import StreamReader
        except ImportError as error:
            raise InputError(f'{self._path}: {error}; {setup_command("bag")}') from error
        schemas: dict[int, str] = {}
        with self._path.open('rb') as file:
            records: Iterator[Any] = iter(StreamReader(file).records)
            while True:
                try:
                    record = next(records)
                except Exception:  # of mcap, lz4, zstandard and struct, where the file ends
                    return
                if isinstance(record, Schema):
                    schemas[record.id] = record.name
                elif isinstance(record, Channel):
                    self._by_id.setdefault(
                        record.id, Connection(record.topic, schemas.get(record.schema_id, ''))
                    )
                elif isinstance(record, Message):
                    yield record.channel_id, record.log_time, record.data


class CutDb3(CutFile):
    """A .db3 file with missing or damaged pages."""

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        # immutable: neither a lock nor a file beside it is made, as the bag may be on any disk.
        uri = f'{self._path.resolve().as_uri()}?immutable=1'
        try:
            with closing(sqlite3.connect(uri, uri=True)) as base:
                # Or an index whose first page is missing hides the tables too.
                base.execute('PRAGMA writable_schema = ON')
                for topic_id, topic, kind in base.execute('SELECT id, name, type FROM topics'):
                    self._by_id.setdefault(topic_id, Connection(topic, kind))
                # The index by time is written last and lies anywhere in the file.
                rows = 'SELECT topic_id, timestamp, data FROM messages NOT INDEXED ORDER BY id'
                for topic_id, recorded_ns, data in base.execute(rows):
                    if topic_id in self._by_id and isinstance(data, bytes):
                        yield topic_id, int(recorded_ns), data
        except sqlite3.DatabaseError:  # where the first damaged page is
            return


CUT_FILES: dict[str, type[CutFile]] = {'.mcap': CutMcap, '.db3': CutDb3}
"""Ending of a file to its reader."""
