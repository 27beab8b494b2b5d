"""A rosbag2 that is written: one .mcap file. Needs `rosbags`, not ROS."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError
from ..paths import make_folder
from .bag_messages import BagMessages

ENDING = '.mcap'
# The integers of QoS profiles in 8 are read by Humble and all that came after it, the names in 9
# only from Jazzy on.
_VERSION = 8
# rosbag2 plays these for subscribers that come later.
# Written once where it was latched: whoever subscribes later shall get it.
_LATCHED = ('tf2_msgs/msg/TFMessage', 'sensor_msgs/msg/CameraInfo')


class WrittenBag:
    """One .mcap file with the metadata of rosbag2 in it; a context manager.

    Chunks are compressed by zstd. The file is there, under its name, only when the block has ended
    without an error and something was written; one of that name is replaced.

    Args:
        path: of the new file, ending in .mcap.

    Attributes:
        counts: topic to number of messages.
        messages: makes and serialises them.

    Raises:
        InputError: another ending, a folder of that name, or rosbags is missing.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ENDING:
            raise InputError(f'{path}: a bag is written as one {ENDING} file; name it so')
        if path.is_dir():
            raise InputError(f'{path}: is a folder; name another file')
        self.path = path
        self.counts: dict[str, int] = {}
        self.messages = BagMessages()
        self._connections: dict[str, Any] = {}
        self._folder = Path()
        self._writer: Any = None

    def __enter__(self) -> WrittenBag:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

        make_folder(self.path.parent)
        # rosbags makes a folder with the file and a metadata.yaml; the file holds the same.
        prefix = f'.{self.path.name}.'
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self.path.parent))
        except OSError as error:
            raise InputError(
                f'{self.path}: cannot be written ({error.strerror}); choose another folder'
            ) from error
        bag = self._folder / self.path.stem
        self._writer = Writer(bag, version=_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._writer.abort()
                return
            self._writer.close()
            if self.counts:
                (self._folder / self.path.stem / self.path.name).replace(self.path)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, topic: str, kind: str, time_ns: int, message: Any) -> None:
        """Append a message.

        Args:
            topic: full name.
            kind: its type, as 'sensor_msgs/msg/Image'.
            time_ns: time of recording.
            message: has the fields of that type.
        """
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic,
                kind,
                typestore=self.messages.store,
                offered_qos_profiles=[_latched_qos()] if kind in _LATCHED else [],
            )
        raw = self.messages.serialised(message, kind)
        self._writer.write(self._connections[topic], max(0, time_ns), raw)
        self.counts[topic] = self.counts.get(topic, 0) + 1


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, so that a pair, or a chunk, is written whole."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    waiting: list[Any] = []
    signal.signal(signal.SIGINT, lambda *given: waiting.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            before(*waiting[0])


def _latched_qos() -> Any:
    """Reliable and transient local, as static transforms are published."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )
