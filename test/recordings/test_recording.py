"""Bags as a power cut or a copy leaves them: what is whole is read, and the rest is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from robot_bag import STORE, image, rosbag2

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.recordings.recording import Recording
from dtp_stereo_ros.training.data.readers import open_pairs

COUNT = 40
LEFT, RIGHT = '/cam/left/image_rect', '/cam/right/image_rect'


def write(path: Path, storage: str, compression: str = 'none') -> Path:
    """Pairs of noise at 20 Hz; returns the file with the messages."""
    rng = np.random.default_rng(0)
    plugin = rosbag2.StoragePlugin[storage]
    writer = rosbag2.Writer(path, version=8, storage_plugin=plugin)
    if compression != 'none':
        writer.set_compression(
            rosbag2.CompressionMode.STORAGE, rosbag2.CompressionFormat[compression]
        )
    with writer:
        topics = {
            topic: writer.add_connection(topic, 'sensor_msgs/msg/Image', typestore=STORE)
            for topic in (LEFT, RIGHT)
        }
        for i in range(COUNT):
            stamp = 10**12 + i * 50_000_000
            for connection in topics.values():
                pixels = rng.integers(0, 255, (240, 320), np.uint8)
                raw = STORE.serialize_cdr(image(pixels, 'mono8', stamp), connection.msgtype)
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
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(content[: int(share * len(content))])
    with Recording(cut) as recording:
        found = stamps(recording)
        assert recording.counts[LEFT] == len(found)
        assert 'ends early, what is whole was read; mend it by: mcap recover' in recording.broken
        later = [t for _, t, _ in recording.messages([LEFT], start_s=0.5, duration_s=0.5)]
    assert found == whole[: len(found)]
    # What was written as one block is whole or lost.
    assert len(found) >= (share - 0.25) * COUNT
    assert later == [t for t in found if 10**12 + 5 * 10**8 <= t < 10**12 + 10**9]


def test_noise_is_no_mcap(tmp_path: Path) -> None:
    pytest.importorskip('mcap')
    (tmp_path / 'noise.mcap').write_bytes(bytes(range(256)) * 8)
    with pytest.raises(InputError, match=r'noise\.mcap: cannot be read'):
        Recording(tmp_path / 'noise.mcap')


@pytest.mark.parametrize('storage', ['MCAP', 'SQLITE3'])
def test_a_folder_without_metadata_is_read(tmp_path: Path, storage: str) -> None:
    file = write(tmp_path / 'bag', storage)
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    with Recording(tmp_path / 'bag') as recording:
        assert len(stamps(recording)) == COUNT
        assert 'has no metadata.yaml; mend it by: ros2 bag reindex bag' in recording.broken
    assert len(open_pairs(f'bag:{tmp_path / "bag"}', tmp_path / 'cache')) == COUNT
    shutil.copy(file, file.with_name(f'second{file.suffix}'))
    with pytest.raises(InputError, match=r'has no metadata\.yaml and 2 files'):
        Recording(tmp_path / 'bag')
    for left in (tmp_path / 'bag').iterdir():
        left.unlink()
    with pytest.raises(InputError, match=r'and no \.mcap or \.db3 file'):
        Recording(tmp_path / 'bag')
