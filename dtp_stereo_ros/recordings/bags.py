"""Rosbags (ROS 1 and 2) as folders of training pairs. Needs `rosbags`, not ROS."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dtp_stereo_ros.calibration import Camera, stereo_calibration
from dtp_stereo_ros.errors import CalibrationError, InputError
from dtp_stereo_ros.health.stamps import recorded_findings
from dtp_stereo_ros.image_io import atomic, write_pfm, write_png
from dtp_stereo_ros.pairing.image_stream import Arrival
from dtp_stereo_ros.paths import expanded, make_folder, split_at_commas
from dtp_stereo_ros.stereo import Float32Array, StereoCalibration, UInt8Array

# What rectified images are called by stereo_image_proc and by common camera drivers.
_ENDINGS = {
    'left': ('left/image_rect_color', 'left/image_rect', 'infra1/image_rect_raw'),
    'right': ('right/image_rect_color', 'right/image_rect', 'infra2/image_rect_raw'),
}
_IMAGES = {'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'}
_DISPARITY = 'stereo_msgs/msg/DisparityImage'
_NS_PER_S = 1_000_000_000
# Stamps of the two views may differ by this where a driver stamps them one after the other.
_SLOP_NS = 2_000_000
# A robot that stands still repeats itself; more frames than this add nothing but disk.
_MAX_PAIRS = 2000


Arrivals = dict[str, list[Arrival]]


@dataclass(frozen=True)
class Topics:
    """What is read from a bag; truth and the camera infos are '' where there are none."""

    left: str
    right: str
    truth: str = ''
    info: str = ''
    left_info: str = ''


@dataclass
class _Moment:
    """Messages of about one stamp, waiting for the others."""

    left: Any = None
    right: Any = None
    truth: Any = None
    stamps: list[int] = field(default_factory=list)


def unpack_bag(place: str, cache: Path) -> Path:
    """Write the stereo frames of a bag as ``NAME_left.png NAME_right.png [NAME_disp.pfm]``, once.

    Args:
        place: ``FILE[,left=TOPIC,right=TOPIC,truth=TOPIC]``. Without topics the rectified pair
            is found by its usual names; `truth` is a DisparityImage, or a depth image (32FC1 m
            or 16UC1 mm, registered to the left view; disparity is f T / depth by the right
            camera_info beside the right image). Both must have one principal point, as what
            image_proc rectifies has.
        cache: the folder of pairs is made in it, and used again the next time.

    Returns:
        The folder of pairs.

    Raises:
        InputError: no such bag, no such topics, an encoding that cannot be decoded, stamps by
            which images cannot be paired, or not one pair in it.
    """
    bag, options = _parse(place)
    label = f'{place}|{bag.stat().st_size}|{bag.stat().st_mtime_ns}'
    digest = hashlib.sha256(label.encode()).hexdigest()[:8]
    target = cache / f'{bag.stem}-{digest}'
    if target.is_dir():
        return target
    try:
        import tqdm  # noqa: F401
        from rosbags.highlevel import AnyReader, AnyReaderError
    except ImportError as error:
        raise InputError(f'{bag}: {error}; pip install rosbags rosbags-image tqdm') from error
    make_folder(cache)
    temporary = target.with_name(f'{target.name}.{os.getpid()}.tmp')
    temporary.mkdir()
    try:
        try:
            with AnyReader([bag]) as reader:
                topics = _find_topics(bag, reader, options)
                arrivals: Arrivals = {'left': [], 'right': []}
                count = _write_pairs(bag, reader, topics, temporary, arrivals)
        except AnyReaderError as error:
            raise InputError(f'{bag}: cannot be read ({error}); is it a rosbag?') from error
        if wrong := recorded_findings(arrivals, {'left': topics.left, 'right': topics.right}):
            raise InputError(f'{bag}: {wrong[0].line}, and record again')
        if not count:
            raise InputError(
                f'{bag}: no message of {topics.left} has one of {topics.right} within '
                f'{_SLOP_NS / 1e6:g} ms; are they one camera?'
            )
        with atomic(temporary / 'source.json') as file:
            file.write(json.dumps({'bag': place, **vars(topics)}).encode())
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _parse(place: str) -> tuple[Path, dict[str, str]]:
    parts = split_at_commas(place)
    bag = expanded(parts[0])
    if not bag.exists():
        raise InputError(f'{bag}: no such bag; check the path')
    options: dict[str, str] = {}
    for part in parts[1:]:
        key, equals, topic = part.partition('=')
        if key not in ('left', 'right', 'truth', 'info') or not equals or not topic:
            raise InputError(f'bag option {part!r}: write left=, right=, truth= or info=TOPIC')
        options[key] = topic
    return bag, options


def _find_topics(bag: Path, reader: Any, options: dict[str, str]) -> Topics:
    types = {c.topic: c.msgtype for c in reader.connections}
    for topic in options.values():
        if topic not in types:
            raise InputError(f'{bag}: no topic {topic}; it has {", ".join(sorted(types))}')
    for side in _ENDINGS:
        if side in options and types[options[side]] not in _IMAGES:
            raise InputError(f'{bag}: {options[side]} is no image but {types[options[side]]}')
    found = dict(options)
    images = sorted(t for t, kind in types.items() if kind in _IMAGES)
    for side, endings in _ENDINGS.items():
        names = [t for e in endings for t in images if t.removesuffix('/compressed').endswith(e)]
        if side not in found and not names:
            raise InputError(
                f'{bag}: no topic that ends in {side}/image_rect; name it as '
                f'bag:FILE,{side}=TOPIC (images: {", ".join(images) or "none"})'
            )
        found.setdefault(side, names[0] if names else '')
    is_depth = 'truth' in found and types[found['truth']] != _DISPARITY
    if is_depth and 'info' not in found:
        found['info'] = _info_topic(found['right'])
        if found['info'] not in types:
            raise InputError(
                f'{bag}: depth needs {found["info"]} to become disparity; name it with info=TOPIC'
            )
    left_info = _info_topic(found['left'])
    if is_depth and left_info in types:
        found['left_info'] = left_info
    return Topics(**found)


def _info_topic(image_topic: str) -> str:
    return image_topic.removesuffix('/compressed').rpartition('/')[0] + '/camera_info'


def _write_pairs(bag: Path, reader: Any, topics: Topics, folder: Path, arrivals: Arrivals) -> int:
    wanted = {t for t in vars(topics).values() if t}
    connections = [c for c in reader.connections if c.topic in wanted]
    total = sum(c.msgcount for c in connections if c.topic == topics.left)
    every = -(-total // _MAX_PAIRS) or 1
    count = known = 0
    from tqdm import tqdm

    bar = tqdm(total=total, unit='pair', desc=bag.name, mininterval=1)
    with bar:
        for index, (moment, infos) in enumerate(_moments(reader, connections, topics, arrivals)):
            bar.update()
            if index % every:
                continue
            name = f'{index:06d}'
            write_png(folder / f'{name}_left.png', _image(bag, moment.left))
            write_png(folder / f'{name}_right.png', _image(bag, moment.right))
            if moment.truth is not None:
                disparity = _disparity(bag, moment.truth, infos, topics)
                write_pfm(folder / f'{name}_disp.pfm', disparity)
                known += int(np.isfinite(disparity).sum())
            count += 1
    if topics.truth and count and not known:
        raise InputError(
            f'{bag}: {topics.truth} knows no pixel of {count} pairs: no disparity is a number, '
            'above 0 and within min_disparity and max_disparity of its message'
        )
    return count


def _moments(
    reader: Any, connections: list[Any], topics: Topics, arrivals: Arrivals
) -> Iterator[tuple[_Moment, dict[str, Any]]]:
    """Complete moments in the order of their stamps, and the newest camera infos by topic.

    The stamps of all images go into `arrivals`.
    """
    names = {topics.left: 'left', topics.right: 'right', topics.truth: 'truth'}
    waiting: dict[int, _Moment] = {}
    infos: dict[str, Any] = {}
    parts = ('left', 'right', 'truth') if topics.truth else ('left', 'right')
    for connection, recorded_ns, raw in reader.messages(connections):
        message = reader.deserialize(raw, connection.msgtype)
        if connection.topic in (topics.info, topics.left_info):
            infos[connection.topic] = message
            continue
        stamp = message.header.stamp.sec * _NS_PER_S + message.header.stamp.nanosec
        if (side := names[connection.topic]) in arrivals:
            arrivals[side].append((stamp, recorded_ns))
        key = min(waiting, key=lambda k: abs(k - stamp), default=stamp)
        if abs(key - stamp) > _SLOP_NS:
            key = stamp
        moment = waiting.setdefault(key, _Moment())
        setattr(moment, names[connection.topic], message)
        if all(getattr(moment, part) is not None for part in parts):
            yield waiting.pop(key), infos
        while len(waiting) > 50:
            waiting.pop(next(iter(waiting)))


def _image(bag: Path, message: Any) -> UInt8Array:
    """An image message as RGB uint8."""
    from rosbags.image import ImageError, message_to_cvimage

    try:
        if getattr(message, 'encoding', '').lower() in ('mono16', '16uc1'):
            grey = cv2.convertScaleAbs(message_to_cvimage(message), alpha=1 / 257)
            return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
        return np.asarray(message_to_cvimage(message, 'rgb8'), np.uint8)
    except ImageError as error:
        raise InputError(f'{bag}: an image cannot be decoded ({error})') from error


def _calibration(
    bag: Path, infos: dict[str, Any], topics: Topics, size_px: tuple[int, int]
) -> StereoCalibration:
    """The calibration of the pair; a left camera without info is the right one, moved."""
    if topics.info not in infos:
        raise InputError(f'{bag}: depth came before {topics.info}; record both from the start')
    right = Camera.of_message(infos[topics.info], topics.info)
    if topics.left_info in infos:
        left = Camera.of_message(infos[topics.left_info], topics.left_info)
    else:
        left = replace(right, name='left camera', p=(*right.p[:3], 0.0, *right.p[4:]))
    try:
        return stereo_calibration(left, right, size_px)
    except CalibrationError as error:
        raise CalibrationError(f'{bag}: {error}') from error


def _disparity(bag: Path, message: Any, infos: dict[str, Any], topics: Topics) -> Float32Array:
    """A DisparityImage or a depth image as disparity, NaN unknown."""
    from rosbags.image import message_to_cvimage

    if hasattr(message, 'min_disparity'):
        disparity = np.asarray(message_to_cvimage(message.image), np.float32)
        low, high = message.min_disparity, message.max_disparity
        if not high > low:  # left unset
            low, high = 0.0, np.inf
        known = np.isfinite(disparity) & (disparity >= low) & (disparity <= high)
        return np.where(known, disparity, np.float32(np.nan))
    depth = np.asarray(message_to_cvimage(message), np.float32)
    if message.encoding.lower() in ('16uc1', 'mono16'):
        depth = depth / np.float32(1000)
    calibration = _calibration(bag, infos, topics, (depth.shape[1], depth.shape[0]))
    known = np.isfinite(depth) & (depth > 0)
    return np.where(known, calibration.raw_disparity(depth), np.float32(np.nan))
