"""Bags of known pairs: images, camera infos and a true disparity, as a robot records them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='writes the bag of this test')
typesys = pytest.importorskip('rosbags.typesys')

STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
IMAGE = 'sensor_msgs/msg/Image'
INFO = 'sensor_msgs/msg/CameraInfo'
TRUTH = 'stereo_msgs/msg/DisparityImage'
FRAME = 'left_optical'
PERIOD_NS = 100_000_000


@dataclass(frozen=True)
class Pair:
    """Images RGB uint8 (H, W, 3) and the raw disparity of the left one, or None."""

    left: np.ndarray
    right: np.ndarray
    truth_px: np.ndarray | None = None


def kind(name: str) -> Any:
    return STORE.types[name]


def header(stamp_ns: int, frame: str = FRAME) -> Any:
    time = kind('builtin_interfaces/msg/Time')(stamp_ns // 10**9, stamp_ns % 10**9)
    return kind('std_msgs/msg/Header')(time, frame)


def image(pixels: np.ndarray, encoding: str, stamp_ns: int) -> Any:
    height, width = pixels.shape[:2]
    data = np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8)
    step = data.size // height
    return kind(IMAGE)(header(stamp_ns), height, width, encoding, 0, step, data)


def compressed(pixels: np.ndarray, stamp_ns: int) -> Any:
    _, data = cv2.imencode('.png', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return kind('sensor_msgs/msg/CompressedImage')(header(stamp_ns), 'png', data.ravel())


def roi() -> Any:
    return kind('sensor_msgs/msg/RegionOfInterest')(0, 0, 0, 0, False)


def info(
    size: tuple[int, int], cx_px: float, tx: float, stamp_ns: int, f_px: float = 200.0
) -> Any:
    height, width = size
    cy = height / 2
    k = np.array([f_px, 0, cx_px, 0, f_px, cy, 0, 0, 1.0])
    p = np.array([f_px, 0, cx_px, tx, 0, f_px, cy, 0, 0, 0, 1.0, 0])
    r = np.eye(3).ravel()
    return kind(INFO)(
        header(stamp_ns), height, width, 'plumb_bob', np.zeros(5), k, r, p, 0, 0, roi()
    )


def disparity(truth_px: np.ndarray, offset_px: float, stamp_ns: int) -> Any:
    """Published disparity; unknown pixels are below min_disparity."""
    published = np.where(np.isfinite(truth_px), truth_px - offset_px, -1.0).astype(np.float32)
    return kind(TRUTH)(
        header(stamp_ns), image(published, '32FC1', stamp_ns), 200.0, 0.1, roi(), 0.0, 1e4, 0.1
    )


def write_scene_bag(
    path: Path,
    pairs: Sequence[Pair],
    offset_px: float = 0.0,
    late_ns: int = 0,
    leave_out: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    storage: str = 'sqlite3',
    png: bool = False,
    first_ns: int = 10**12,
    truth_offset_ns: int = 0,
    truth_late_ns: int = 0,
    truth_every: int = 1,
    turns: int = 1,
) -> Path:
    """Write pairs at 10 Hz.

    Args:
        path: of the new folder.
        pairs: of one or several sizes.
        offset_px: cx of the left camera - cx of the right one.
        late_ns: the right image is stamped so much later.
        leave_out: keys of topics that are not recorded.
        names: key to another topic.
        storage: 'sqlite3' or 'mcap'.
        png: compressed images.
        first_ns: stamp of the first pair.
        truth_offset_ns: is added to the stamps of the truths.
        truth_late_ns: they are recorded so much later.
        truth_every: each that many pairs there is one.
        turns: all is recorded so often, with the same stamps.
    """
    picture = 'sensor_msgs/msg/CompressedImage' if png else IMAGE
    ending = '/compressed' if png else ''
    topics = {
        'left_info': ('/cam/left/camera_info', INFO),
        'right_info': ('/cam/right/camera_info', INFO),
        'left': (f'/cam/left/image_rect{ending}', picture),
        'right': (f'/cam/right/image_rect{ending}', picture),
        'truth': ('/cam/ground_truth/disparity', TRUTH),
    }
    plugin = rosbag2.StoragePlugin[storage.upper()]
    with rosbag2.Writer(path, version=9, storage_plugin=plugin) as writer:
        connections = {
            key: writer.add_connection((names or {}).get(key, topic), msgtype, typestore=STORE)
            for key, (topic, msgtype) in topics.items()
            if key not in leave_out
        }

        def send(key: str, message: Any, stamp_ns: int) -> None:
            if key in connections:
                connection = connections[key]
                raw = STORE.serialize_cdr(message, connection.msgtype)
                writer.write(connection, stamp_ns + later_ns, raw)

        for place in range(turns * len(pairs)):
            index = place % len(pairs)
            pair, later_ns = pairs[index], (place - index) * PERIOD_NS
            stamp = first_ns + index * PERIOD_NS
            late = stamp + late_ns
            size = pair.left.shape[0], pair.left.shape[1]
            cx = size[1] / 2
            send('left_info', info(size, cx, 0.0, stamp), stamp)
            send('right_info', info(size, cx - offset_px, -20.0, late), late)
            for key, pixels, at in (('left', pair.left, stamp), ('right', pair.right, late)):
                message = compressed(pixels, at) if png else image(pixels, 'rgb8', at)
                send(key, message, at)
            if pair.truth_px is not None and index % truth_every == 0:
                message = disparity(pair.truth_px, offset_px, stamp + truth_offset_ns)
                send('truth', message, late + 1 + truth_late_ns)
    return path


def planes(count: int = 6, shift_px: int = 8, size: tuple[int, int] = (96, 200)) -> list[Pair]:
    """Textured planes whose raw disparity is the same everywhere."""
    height, width = size
    noise = np.random.default_rng(4).uniform(0, 255, (height, width + shift_px, 3))
    texture = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 1.5)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    truth = np.full(size, shift_px, np.float32)
    return [Pair(texture[:, :width], texture[:, shift_px:], truth)] * count


def write_two_cameras(path: Path, offset_ns: int, late: str = 'rear') -> Path:
    """Cameras 'front' and 'rear' of the same pairs; the right clock of one of them differs."""
    image_type = 'sensor_msgs/msg/Image'
    with rosbag2.Writer(path, version=9) as writer:
        topics = {
            (camera, side): writer.add_connection(
                f'/{camera}/{side}/image_rect', image_type, typestore=STORE
            )
            for camera in ('front', 'rear')
            for side in ('left', 'right')
        }
        for index, pair in enumerate(planes(4)):
            stamp = 10**12 + index * 100_000_000
            for (camera, side), connection in topics.items():
                offset = offset_ns if (camera, side) == (late, 'right') else 0
                message = image(getattr(pair, side), 'rgb8', stamp + offset)
                raw = STORE.serialize_cdr(message, image_type)
                writer.write(connection, stamp, raw)
    return path
