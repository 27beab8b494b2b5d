"""A rosbag of ROS 1 or 2 that is open for reading. Needs `rosbags`, not ROS.

Only the topics that are asked for are read, message by message, so the size of a bag and unknown
message types beside them do not matter.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

from ..errors import InputError, one_line
from ..machine import setup_command
from .cut_files import CUT_FILES
from .split_files import (
    FileOfSplit,
    SplitFiles,
    are_apart,
    are_of_one_recording,
    named_by_metadata,
)

_NS_PER_S = 1_000_000_000
_ROS1_ENDING = '.bag'
# Of a message that is compressed by itself, which only metadata.yaml tells. CDR begins with zero.
_ZSTD = b'\x28\xb5\x2f\xfd'
_TRANSFORMS = 'geometry_msgs/TransformStamped[] transforms'


class Recording:
    """One bag; a context manager.

    Args:
        path: folder of a rosbag2, one .mcap or .db3 file, or a .bag of ROS 1. A folder without
            metadata.yaml, or with one that names other files, is read if it holds one recording;
            and a file that ends early or is damaged up to there.

    Attributes:
        types: topic to message type, as 'sensor_msgs/msg/Image'.
        counts: topic to number of messages.
        start_ns, end_ns: times of recording.
        broken: why some of it may be missing, '' where nothing is.
        undecoded: topic and time of recording (ns) of each message that was read and cannot be
            decoded, to the reason.

    Raises:
        InputError: there is no bag, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken = ''
        self.undecoded: dict[tuple[str, int], str] = {}
        if not path.exists():
            raise InputError(f'{path}: no such bag; check the path')
        file = path
        if path.is_dir() and not (path / 'metadata.yaml').exists():
            files = self._files()
            file = files[0] if len(files) == 1 else path
            self.broken = f'{path}: has no metadata.yaml; {_reindex(path)}'
        try:
            from rosbags.rosbag1 import Reader as Reader1
            from rosbags.rosbag2 import Reader as Reader2
            from rosbags.typesys import Stores, get_types_from_msg, get_typestore
        except ImportError as error:
            raise InputError(f'{path}: {error}; {setup_command("bag")}') from error
        self._open_ros2: Callable[[Path], Any] = Reader2
        self._is_ros1 = file.suffix == _ROS1_ENDING
        # The types of images have not changed between distributions; what a bag says of other
        # types is not looked at.
        store = Stores.ROS1_NOETIC if self._is_ros1 else Stores.ROS2_HUMBLE
        self._store = get_typestore(store)
        if self._is_ros1:  # which rosbags has without those of tf2
            self._store.register(get_types_from_msg(_TRANSFORMS, 'tf2_msgs/msg/TFMessage'))
        self._new_reader: Callable[[], Any] = partial(Reader1 if self._is_ros1 else Reader2, file)
        self._is_read = False
        try:
            self._reader = self._new_reader()
            self._reader.open()
        except Exception as error:  # of rosbags, struct, zstd, sqlite3 and yaml, by file
            self._reader = self._file_by_file(error)
        self.types: dict[str, str] = {c.topic: c.msgtype for c in self._reader.connections}
        self.counts: dict[str, int] = {}
        for connection in self._reader.connections:
            self.counts[connection.topic] = (
                self.counts.get(connection.topic, 0) + connection.msgcount
            )
        self.start_ns, self.end_ns = int(self._reader.start_time), int(self._reader.end_time)

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()

    def _file_by_file(self, refusal: Exception) -> SplitFiles:
        """All that can be read of the files; `broken` says what cannot.

        Raises:
            InputError: nothing can.
        """
        files = _bag_files(self.path) if self.path.is_dir() else [self.path]
        named = named_by_metadata(self.path)
        if self.path.is_dir() and not self.broken:
            files = [file for file in files if file.name in named] or files
            missing = [name for name in named if not (self.path / name).exists()]
            if missing:
                fault = f'metadata.yaml names {", ".join(missing)}, which is not there'
                self._note(f'{self.path}: {fault}; {_reindex(self.path)}')
        if any(file.suffix not in CUT_FILES for file in files) or not are_of_one_recording(files):
            raise _unreadable(self.path, refusal) from refusal
        parts = []
        for file in files:
            try:
                parts.append(self._part(file))
            except InputError as error:
                self._note(str(error))
        if not self.broken:
            fault = f'metadata.yaml cannot be used ({one_line(refusal)})'
            self._note(f'{self.path}: {fault}; {_reindex(self.path)}')
        if not parts or (are_apart(parts) and not set(named) & {file.name for file in files}):
            raise _unreadable(self.path, refusal) from refusal
        return SplitFiles(parts, lambda file, error: self._note(str(_unreadable(file, error))))

    def _part(self, file: Path) -> FileOfSplit:
        try:
            with self._open_ros2(file) as reader:
                return FileOfSplit.of(file, reader, partial(self._open_ros2, file))
        except Exception:  # as above
            cut = CUT_FILES[file.suffix](file)
            mend = _mend(file)
            self._note(f'{file}: ends early or is damaged, what is whole was read; {mend}')
            return FileOfSplit.of(file, cut, partial(nullcontext, cut))

    def _note(self, line: str) -> None:
        """Add a line to what may be missing, once."""
        if line not in self.broken:
            self.broken = '; '.join(filter(None, (self.broken, line)))

    def _files(self) -> list[Path]:
        """Files of a folder without metadata.yaml.

        Raises:
            InputError: there is none, or they are of several recordings.
        """
        files = _bag_files(self.path)
        if files and are_of_one_recording(files):
            return files
        held = f'{len(files)} files' if files else 'no .mcap or .db3 file'
        raise InputError(f'{self.path}: has no metadata.yaml and {held}; {_mend(self.path)}')

    def messages(
        self, topics: Collection[str], start_s: float = 0.0, duration_s: float | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Topic, time of recording in ns and message, in the order of recording.

        Where the bag is damaged the messages end, and `broken` says why. One that cannot be
        decoded is left out and noted in `undecoded`. Others may be read while these are.

        Args:
            topics: the only ones that are read.
            start_s, duration_s: part of the bag, from its start.
        """
        if not any(topic in self.types for topic in topics):
            return
        start = self.start_ns + round(start_s * _NS_PER_S)
        stop = None if duration_s is None else start + round(duration_s * _NS_PER_S)
        with self._free_reader() as reader:
            connections = [c for c in reader.connections if c.topic in topics]
            messages = reader.messages(connections, start=start, stop=stop)
            while True:
                try:
                    connection, recorded_ns, raw = next(messages)
                except StopIteration:
                    return
                except MemoryError:
                    raise
                except Exception as error:  # as above
                    self._note(str(_unreadable(self.path, error)))
                    return
                topic = connection.topic
                try:
                    message = self._message(raw, connection.msgtype)
                except MemoryError:
                    raise
                except Exception as error:  # of rosbags, struct and NumPy, by content
                    reason = one_line(error) or type(error).__name__
                    if isinstance(error, struct.error):
                        reason = 'it ends early'
                    self.undecoded[topic, int(recorded_ns)] = reason
                    continue
                yield topic, int(recorded_ns), message

    def damage(self, topics: Collection[str]) -> list[str]:
        """A line for each of the topics that has messages in `undecoded`."""
        lines = []
        for topic in sorted({topic for topic, _ in self.undecoded} & set(topics)):
            times = [time_ns for own, time_ns in self.undecoded if own == topic]
            first_ns = min(times)
            first_s = (first_ns - self.start_ns) / _NS_PER_S
            reason = self.undecoded[topic, first_ns]
            lines.append(
                f'{topic}: {len(times)} of its messages cannot be decoded and are left out, the '
                f'first {first_s:.3f} s after the start ({reason}); look at its publisher and at '
                'the disk'
            )
        return lines

    @contextmanager
    def _free_reader(self) -> Iterator[Any]:
        """The reader, or while it is at work another one: each has one place in the file.

        Where an .mcap has no index, a second reading moves the place of the first to the end.
        """
        if isinstance(self._reader, SplitFiles):  # opens its files for each reading
            yield self._reader
        elif self._is_read:
            with self._new_reader() as reader:
                yield reader
        else:
            self._is_read = True
            try:
                yield self._reader
            finally:
                self._is_read = False

    def _message(self, raw: bytes, kind: str) -> Any:
        if not self._is_ros1:
            if bytes(raw[:4]) == _ZSTD:
                raw = _decompressed(raw)
            return self._store.deserialize_cdr(raw, kind)
        message = self._store.deserialize_ros1(raw, kind)
        if not hasattr(message, 'K'):
            return message
        # camera_info of ROS 1 writes its matrices in capitals.
        return SimpleNamespace(**{name.lower(): value for name, value in vars(message).items()})


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = one_line(error) or type(error).__name__
    if isinstance(error, struct.error):
        reason = 'it ends in the middle of a record'
    return InputError(f'{path}: cannot be read ({reason}); {_mend(path)}')


def _decompressed(raw: bytes) -> bytes:
    try:
        import zstandard
    except ImportError as error:  # a part of `mcap`
        raise InputError(f'{error}; {setup_command("bag")}') from error
    return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(raw))


def _mend(path: Path) -> str:
    """The command that mends a bag or a file of it, as it can be typed."""
    if path.is_file() and not path.stat().st_size:
        return 'it is empty; copy it again'
    if path.is_dir():
        if _bag_files(path):
            return f'{_reindex(path)}, or give one .mcap or .db3 file of it'
        inner = sorted({f.parent for f in path.glob('*/*') if f.suffix in CUT_FILES})
        return f'give {inner[0]}' if inner else 'give the folder that ros2 bag record made'
    if path.suffix == '.db3':
        return 'copy or record it again'
    quoted = shlex.quote(str(path))
    if path.suffix == '.mcap':
        return f'mend it by: mcap recover {quoted} -o NEW'
    if path.suffix == _ROS1_ENDING:
        return f'mend it by: rosbag reindex {quoted}'
    return 'is it a rosbag?'


def _bag_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix in CUT_FILES)


def _reindex(folder: Path) -> str:
    return f'mend it by: ros2 bag reindex {shlex.quote(str(folder))}'
