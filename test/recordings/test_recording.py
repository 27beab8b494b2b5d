"""Bags as a power cut or a copy leaves them: what is whole is read, and the rest is named."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from robot_bag import STORE, image, kind, rosbag2

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.recordings.recorded_frames import RecordedCamera
from dtp_stereo_ros.recordings.recording import Recording
from dtp_stereo_ros.recordings.stereo_topics import StereoTopics
from dtp_stereo_ros.training.data.readers import open_pairs

COUNT = 40
LEFT, RIGHT = '/cam/left/image_rect', '/cam/right/image_rect'
TF = '/tf_static'


def write(
    path: Path,
    storage: str,
    compression: str = 'none',
    mode: str = 'STORAGE',
    cut: Mapping[int, int] | None = None,
    first: int = 0,
) -> Path:
    """Pairs of noise at 20 Hz; returns the file with the messages.

    `cut` are indices of left images, and the number of bytes that they are cut to; `first` is the
    number of images before the first one.
    """
    rng = np.random.default_rng(first)
    plugin = rosbag2.StoragePlugin[storage]
    writer = rosbag2.Writer(path, version=8, storage_plugin=plugin)
    if compression != 'none':
        writer.set_compression(
            rosbag2.CompressionMode[mode], rosbag2.CompressionFormat[compression]
        )
    with writer:
        topics = {
            topic: writer.add_connection(topic, 'sensor_msgs/msg/Image', typestore=STORE)
            for topic in (LEFT, RIGHT)
        }
        for i in range(COUNT):
            stamp = 10**12 + (first + i) * 50_000_000
            for topic, connection in topics.items():
                pixels = rng.integers(0, 255, (240, 320), np.uint8)
                raw = STORE.serialize_cdr(image(pixels, 'mono8', stamp), connection.msgtype)
                if cut and topic == LEFT:
                    raw = raw[: cut.get(i, len(raw))]
                writer.write(connection, stamp, raw)
    (file,) = (f for f in path.iterdir() if f.name != 'metadata.yaml')
    return file


def stamps(recording: Recording) -> list[int]:
    return [recorded_ns for _, recorded_ns, _ in recording.messages([LEFT])]


@pytest.mark.parametrize('compression', ['none', 'ZSTD'])
@pytest.mark.parametrize('share', [0.3, 0.8, 0.999])
def test_an_mcap_that_ends_early_is_read_up_to_there(
    tmp_path: Path, compression: str, share: float
) -> None:
    pytest.importorskip('mcap')
    file = write(tmp_path / 'whole', 'MCAP', compression)
    with Recording(file) as recording:
        whole = stamps(recording)
        assert recording.broken == ''
    content = file.read_bytes()
    cut = tmp_path / 'cut in two.mcap'
    cut.write_bytes(content[: int(share * len(content))])
    with Recording(cut) as recording:
        found = stamps(recording)
        assert recording.counts[LEFT] == len(found)
        mend = f"mend it by: mcap recover '{cut}' -o NEW"
        text = f'ends early or is damaged, what is whole was read; {mend}'
        assert text in recording.broken
        later = [t for _, t, _ in recording.messages([LEFT], start_s=0.5, duration_s=0.5)]
    assert found == whole[: len(found)]
    # What was written as one block is whole or lost.
    assert len(found) >= (share - 0.25) * COUNT
    assert later == [t for t in found if 10**12 + 5 * 10**8 <= t < 10**12 + 10**9]


@pytest.mark.parametrize('share', [0.3, 0.8, 0.999])
@pytest.mark.parametrize('padded', [False, True], ids=['cut', 'padded'])
def test_a_db3_that_ends_early_is_read_up_to_there(
    tmp_path: Path, share: float, padded: bool
) -> None:
    file = write(tmp_path / 'whole', 'SQLITE3')
    with Recording(file) as recording:
        whole = stamps(recording)
    size = file.stat().st_size
    with file.open('r+b') as content:
        content.truncate(int(share * size))
        if padded:  # by zeros, as a lost page cache leaves them
            content.truncate(size)
    before = sorted(tmp_path.rglob('*'))
    for given in (file, file.parent):
        with Recording(given) as recording:
            found = stamps(recording)
            assert recording.counts[LEFT] == len(found)
            assert 'what is whole was read; copy or record it again' in recording.broken
        assert found == whole[: len(found)]
        assert (share - 0.1) * COUNT <= len(found) < COUNT
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('ending', ['mcap', 'db3'])
def test_noise_is_no_bag(tmp_path: Path, ending: str) -> None:
    pytest.importorskip('mcap')
    (tmp_path / f'noise.{ending}').write_bytes(bytes(range(256)) * 8)
    with pytest.raises(InputError, match=rf'noise\.{ending}: cannot be read'):
        Recording(tmp_path / f'noise.{ending}')


def test_the_folder_around_a_bag_names_the_bag(tmp_path: Path) -> None:
    write(tmp_path / 'run 3' / 'bag', 'SQLITE3')
    with pytest.raises(InputError, match=rf'has no metadata.yaml .*; give {tmp_path}/run 3/bag$'):
        Recording(tmp_path / 'run 3')


def test_an_empty_file_cannot_be_mended(tmp_path: Path) -> None:
    (tmp_path / 'empty.mcap').touch()
    with pytest.raises(InputError, match=r'empty\.mcap: cannot be read .* it is empty; copy it'):
        Recording(tmp_path / 'empty.mcap')


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
def test_a_folder_without_metadata_is_read(tmp_path: Path, storage: str) -> None:
    file = write(tmp_path / 'bag', storage)
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    with Recording(tmp_path / 'bag') as recording:
        assert len(stamps(recording)) == COUNT
        mend = f'mend it by: ros2 bag reindex {tmp_path}/bag'
        assert f'has no metadata.yaml; {mend}' in recording.broken
    assert len(open_pairs(f'bag:{tmp_path / "bag"}', tmp_path / 'cache')) == COUNT
    shutil.copy(file, file.with_name(f'second{file.suffix}'))
    with pytest.raises(InputError, match=r'has no metadata\.yaml and 2 files'):
        Recording(tmp_path / 'bag')
    for left in (tmp_path / 'bag').iterdir():
        left.unlink()
    with pytest.raises(
        InputError, match=r'and no \.mcap or \.db3 file; give the folder that ros2'
    ):
        Recording(tmp_path / 'bag')


def write_mcap(path: Path, chunks: bool = True, index: bool = True) -> Path:
    """Noise at 20 Hz as one .mcap, and three static transforms."""
    mcap = pytest.importorskip('mcap.writer')
    types = mcap.IndexType.ALL if index else mcap.IndexType.NONE
    transforms = kind('tf2_msgs/msg/TFMessage')([])
    rng = np.random.default_rng(0)
    with path.open('wb') as file:
        writer = mcap.Writer(file, chunk_size=10_000, index_types=types, use_chunking=chunks)
        writer.start(profile='ros2')
        channels = {}
        for topic, name in ((TF, 'tf2_msgs/msg/TFMessage'), (LEFT, 'sensor_msgs/msg/Image')):
            schema = writer.register_schema(name, 'ros2msg', b'')
            channels[topic] = name, writer.register_channel(topic, 'cdr', schema)

        def send(topic: str, message: object, stamp: int) -> None:
            name, channel = channels[topic]
            data = bytes(STORE.serialize_cdr(message, name))
            writer.add_message(channel, stamp, data, stamp)

        for i in range(COUNT):
            stamp = 10**12 + i * 50_000_000
            if i % 15 == 0:
                send(TF, transforms, stamp)
            send(LEFT, image(rng.integers(0, 255, (24, 32), np.uint8), 'mono8', stamp), stamp)
        writer.finish()
    return path


@pytest.mark.parametrize(('chunks', 'index'), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize('at', [0, 17])
def test_one_reading_within_another(tmp_path: Path, chunks: bool, index: bool, at: int) -> None:
    found, within = [], 0
    with Recording(write_mcap(tmp_path / 'a.mcap', chunks, index)) as recording:
        whole = stamps(recording)
        for _, recorded_ns, _ in recording.messages([LEFT]):
            if len(found) == at:
                within = len(list(recording.messages([TF])))
                # One that is not read to its end changes nothing either.
                next(recording.messages([TF], start_s=0.5))
            found.append(recorded_ns)
        assert stamps(recording) == whole
    assert within == 3
    assert len(whole) == COUNT
    assert found == whole


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('cut', [{0: 0}, {5: 100}, {39: 3}, {2: 1000, 20: 20, 21: 76_000}])
def test_a_message_that_cannot_be_decoded_is_left_out(
    tmp_path: Path, storage: str, cut: dict[int, int]
) -> None:
    with Recording(write(tmp_path / 'bag', storage, cut=cut)) as recording:
        camera = RecordedCamera(recording, StereoTopics('cam', LEFT, RIGHT), NodeConfig())
        indices = [(f.frame.stamp_ns - 10**12) // 50_000_000 for f in camera.frames()]
        assert indices == [i for i in range(COUNT) if i not in cut]
        assert recording.broken == ''
        (line,) = [f.line for f in camera.findings() if f.level == 'error']
        # Another reading finds the same ones.
        assert len(stamps(recording)) == COUNT - len(cut)
        assert recording.damage([LEFT, RIGHT]) == [line]
    assert line.startswith(f'{LEFT}: {len(cut)} of its messages cannot be decoded')
    assert f'the first {min(cut) / 20:.3f} s after the start' in line


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('folder', [True, False])
def test_compressed_messages_need_no_metadata(tmp_path: Path, storage: str, folder: bool) -> None:
    pytest.importorskip('zstandard')
    file = write(tmp_path / 'bag', storage, 'ZSTD', 'MESSAGE')
    with Recording(tmp_path / 'bag') as recording:
        whole = [message.data.tobytes() for _, _, message in recording.messages([LEFT])]
        assert len(whole) == COUNT
    if folder:
        (tmp_path / 'bag' / 'metadata.yaml').unlink()
    with Recording(tmp_path / 'bag' if folder else file) as recording:
        found = [message.data.tobytes() for _, _, message in recording.messages([LEFT])]
        assert found == whole
        assert recording.damage([LEFT]) == []


def split_bag(folder: Path, storage: str, compression: str = 'none', files: int = 3) -> list[Path]:
    """A recording in several files with its metadata, the messages of each one after the other."""
    paths = []
    for number in range(files):
        file = write(folder / str(number), storage, compression, first=number * COUNT)
        paths.append(file.rename(folder / f'run_{number}{file.suffix}'))
    described = yaml.safe_load((folder / '0' / 'metadata.yaml').read_text())
    about = described['rosbag2_bagfile_information']
    about['relative_file_paths'] = [path.name for path in paths]
    about['duration']['nanoseconds'] = (files * COUNT - 1) * 50_000_000
    for topic in about['topics_with_message_count']:
        topic['message_count'] *= files
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(described))
    for number in range(files):
        shutil.rmtree(folder / str(number))
    return paths


TIMES = [10**12 + i * 50_000_000 for i in range(3 * COUNT)]


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('metadata', ['whole', 'none', 'empty'])
def test_files_of_a_split_bag_are_read_in_turn(
    tmp_path: Path, storage: str, metadata: str
) -> None:
    split_bag(tmp_path, storage)
    if metadata == 'none':
        (tmp_path / 'metadata.yaml').unlink()
    elif metadata == 'empty':  # as a power cut leaves it
        (tmp_path / 'metadata.yaml').write_text('')
    with Recording(tmp_path) as recording:
        assert stamps(recording) == TIMES
        assert recording.counts[LEFT] == len(TIMES)
        assert (recording.start_ns, recording.end_ns) == (TIMES[0], TIMES[-1] + 1)
        part = [t for _, t, _ in recording.messages([LEFT, RIGHT], start_s=1.9, duration_s=0.2)]
        assert part == [t for t in TIMES[38:42] for _ in range(2)]
        reason = {'whole': '', 'none': 'has no metadata.yaml', 'empty': 'metadata.yaml cannot be'}
        assert reason[metadata] in recording.broken
        assert bool(recording.broken) == (metadata != 'whole')


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
@pytest.mark.parametrize('metadata', [True, False])
@pytest.mark.parametrize('damaged', [0, 2])
def test_a_split_bag_with_a_damaged_file_is_read_as_far_as_it_goes(
    tmp_path: Path, storage: str, metadata: bool, damaged: int
) -> None:
    pytest.importorskip('mcap')
    paths = split_bag(tmp_path, storage)
    if not metadata:
        (tmp_path / 'metadata.yaml').unlink()
    content = paths[damaged].read_bytes()
    paths[damaged].write_bytes(content[: len(content) // 2])
    with Recording(tmp_path) as recording:
        found = stamps(recording)
        assert f'{paths[damaged]}: ends early' in recording.broken
        # What is at fault is not what would find it.
        assert 'metadata.yaml cannot be used' not in recording.broken
    others = [t for i, t in enumerate(TIMES) if i // COUNT != damaged]
    assert set(others) < set(found) < set(TIMES)
    assert found == sorted(found)
    paths[damaged].write_bytes(b'')
    with Recording(tmp_path) as recording:
        assert stamps(recording) == others
        assert str(paths[damaged]) in recording.broken


@pytest.mark.parametrize('metadata', [True, False])
def test_damage_inside_a_file_costs_no_other(tmp_path: Path, metadata: bool) -> None:
    """The summary at its end is whole, so that it is opened."""
    paths = split_bag(tmp_path, 'MCAP', 'ZSTD')
    if not metadata:
        (tmp_path / 'metadata.yaml').unlink()
    paths[2].write_bytes(b'')
    content = bytearray(paths[0].read_bytes())
    damaged = slice(len(content) // 4, len(content) // 2)
    content[damaged] = b'\xff' * len(content[damaged])
    paths[0].write_bytes(content)
    with Recording(tmp_path) as recording:
        found = stamps(recording)
        assert f'{paths[0]}: ' in recording.broken
        assert f'{paths[2]}: ' in recording.broken
        told = recording.broken
        stamps(recording)
        assert recording.broken == told
    assert found[-COUNT:] == TIMES[COUNT : 2 * COUNT]
    assert found == sorted(found)


def test_files_of_recordings_at_other_times_are_no_split(tmp_path: Path) -> None:
    for number, first in enumerate((0, 10**6)):  # of 20 Hz
        file = write(tmp_path / f'{number}', 'SQLITE3', first=first)
        file.rename(tmp_path / f'robot_{number}.db3')
        shutil.rmtree(tmp_path / f'{number}')
    with pytest.raises(InputError, match=r'cannot be read .*give one \.mcap or \.db3 file of it'):
        Recording(tmp_path)


def test_files_that_overlap_are_read_in_the_order_of_recording(tmp_path: Path) -> None:
    for number, first in enumerate((0, COUNT - 5)):
        file = write(tmp_path / f'{number}', 'SQLITE3', first=first)
        file.rename(tmp_path / f'robot_{number}.db3')
        shutil.rmtree(tmp_path / f'{number}')
    with Recording(tmp_path) as recording:
        found = stamps(recording)
    assert found == sorted(found)
    assert len(found) == 2 * COUNT


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
def test_files_that_metadata_does_not_find_are_named(tmp_path: Path, storage: str) -> None:
    first, second, third = split_bag(tmp_path, storage)
    second.unlink()
    with Recording(tmp_path) as recording:
        assert stamps(recording) == TIMES[:COUNT] + TIMES[2 * COUNT :]
        assert f'names {second.name}, which is not there; mend it by: ros2' in recording.broken
    third.unlink()
    first.rename(first.with_stem('another name'))
    with Recording(tmp_path) as recording:
        assert stamps(recording) == TIMES[:COUNT]
        assert f'names {first.name}, {second.name}, {third.name}, which' in recording.broken


def test_a_bag_that_breaks_off_at_once_tells_why(tmp_path: Path) -> None:
    file = write(tmp_path / 'bag', 'SQLITE3')
    with Recording(file) as recording:
        camera = RecordedCamera(recording, StereoTopics('cam', LEFT, RIGHT), NodeConfig())
        size = file.stat().st_size
        with file.open('r+b') as content:
            content.seek(4096)
            content.write(bytes(size - 4096))
        assert list(camera.frames()) == []
        assert 'cannot be read (' in camera.why_nothing('judged')
        assert 'see --start' not in camera.why_nothing('judged')
