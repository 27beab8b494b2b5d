"""An .mcap file that ends early: its whole records, in the order in which they were written.

Without the summary at its end a file has no index, so that all of it is read. Needs `mcap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class CutMcap:
    """Stands for a reader of `rosbags` where that refuses the file.

    Attributes:
        connections: topics with their number of messages.
        start_time, end_time: of recording, ns.

    Raises:
        InputError: it holds no whole message, or `mcap` is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.start_time = self.end_time = 0
        self._by_channel: dict[int, Connection] = {}
        first = True
        for channel, recorded_ns, _ in self._messages():
            self._by_channel[channel].msgcount += 1
            self.start_time = min(self.start_time, recorded_ns) if not first else recorded_ns
            self.end_time = max(self.end_time, recorded_ns)
            first = False
        if first:
            raise InputError(f'{path}: holds no whole message; record again')
        self.connections = list(self._by_channel.values())

    def messages(
        self, connections: Sequence[Connection], start: int, stop: int | None
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time of recording in ns and CDR bytes, from start to before stop."""
        wanted = {id(connection) for connection in connections}
        for channel, recorded_ns, data in self._messages():
            connection = self._by_channel[channel]
            in_time = start <= recorded_ns and (stop is None or recorded_ns < stop)
            if id(connection) in wanted and in_time:
                yield connection, recorded_ns, data

    def close(self) -> None:
        """Nothing is held open between messages."""

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
                    self._by_channel.setdefault(
                        record.id, Connection(record.topic, schemas.get(record.schema_id, ''))
                    )
                elif isinstance(record, Message):
                    yield record.channel_id, record.log_time, record.data
