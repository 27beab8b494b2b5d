"""Stereo cameras among the topics of a bag, found by type and name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import InputError
from ..stereo import SIDES
from ..topics import COMPRESSED_ENDING
from .recording import Recording

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
DISPARITY = 'stereo_msgs/msg/DisparityImage'
CLOUD = 'sensor_msgs/msg/PointCloud2'

# Names of the two cameras: stereo_image_proc and most drivers, RealSense, and data sets.
_WORDS = (('left', 'right'), ('infra1', 'infra2'), ('cam0', 'cam1'))
_TRUTH = re.compile(r'(^|[/_])(gt|ground_?truth|truth)([/_]|$)')


@dataclass(frozen=True)
class StereoTopics:
    """Topics of one stereo camera.

    Attributes:
        name: of the camera: what stands before 'left' in its topics, '' where nothing does.
        left, right: of the images.
        left_info, right_info: of the camera infos, '' where there are none.
        truth: a DisparityImage or a depth image (raw or compressed) of the left view, or a
            LiDAR's PointCloud2; '' where there is none.
    """

    name: str
    left: str
    right: str
    left_info: str = ''
    right_info: str = ''
    truth: str = ''

    @property
    def by_part(self) -> dict[str, str]:
        """'left', 'right', 'left_info', 'right_info' to the topic, or ''."""
        return {
            'left': self.left,
            'right': self.right,
            'left_info': self.left_info,
            'right_info': self.right_info,
        }


def stereo_topics(types: Mapping[str, str], raw_first: bool = False) -> list[StereoTopics]:
    """The stereo cameras of a bag, one for each name, sorted by name.

    Rectified images are taken before raw ones, and raw messages before compressed ones.

    Args:
        types: topic to message type.
        raw_first: take unrectified images first, for a caller that rectifies.
    """
    found: dict[str, tuple[tuple[int, ...], StereoTopics]] = {}
    for topic, kind in types.items():
        if kind not in (IMAGE, COMPRESSED):
            continue
        partner = _partner(topic)
        if partner is None or types.get(partner[1]) != kind:
            continue
        name, right = partner
        raw = 'rect' not in topic
        rank = (
            int(raw != raw_first),
            int('depth' in topic),
            int(kind == COMPRESSED),
            len(topic),
        )
        camera = StereoTopics(name, topic, right, *(_info(t, types) for t in (topic, right)))
        if name not in found or rank < found[name][0]:
            found[name] = rank, camera
    cameras = [camera for _, (_, camera) in sorted(found.items())]
    return [replace(camera, truth=_named_truth(camera, types, len(cameras))) for camera in cameras]


def chosen_topics(
    recording: Recording,
    camera: str,
    given: Mapping[str, str],
    raw_first: bool,
    spelt: str = '--{} {}',
) -> list[StereoTopics]:
    """The cameras that are asked for, of topics that have messages.

    Args:
        recording: an open bag.
        camera: name of one camera, or '' for all.
        given: 'left', 'right', 'left_info', 'right_info', 'truth' to topics named by the user.
        raw_first: see `stereo_topics`.
        spelt: how an option and what follows it are written, for errors.

    Raises:
        InputError: a topic is not in the bag, empty or of another type, or no stereo camera is
            found.
    """
    bag, types, counts = str(recording.path), recording.types, recording.counts
    for part, topic in given.items():
        _check(bag, types, part, topic)
        if not counts.get(topic):
            raise InputError(f'{bag}: {topic} has no message; record it, or name another topic')
    empty = [topic for topic in sorted(types) if not counts.get(topic)]
    types = {topic: kind for topic, kind in types.items() if counts.get(topic)}
    if given.keys() & set(SIDES):
        if not given.keys() >= set(SIDES):
            both = f'{spelt.format("left", "TOPIC")} and {spelt.format("right", "TOPIC")}'
            raise InputError(f'{bag}: one view is named; name both: {both}')
        left, right = given['left'], given['right']
        if left == right:
            raise InputError(f'{bag}: left and right are one topic, {left}; name another')
        left_info = given.get('left_info') or _info(left, types)
        right_info = given.get('right_info') or _info(right, types)
        partner = _partner(left)
        name = partner[0] if partner else ''
        truth = given.get('truth', '')
        return [StereoTopics(name, left, right, left_info, right_info, truth)]
    cameras = stereo_topics(types, raw_first)
    images = ', '.join(t for t, kind in sorted(types.items()) if kind in (IMAGE, COMPRESSED))
    if not cameras:
        without = f'; without a message: {", ".join(empty)}' if empty else ''
        raise InputError(
            f'{bag}: no left and right image topic that belong together; name them by '
            f'{spelt.format("left", "TOPIC")} and {spelt.format("right", "TOPIC")} '
            f'(images: {images or "none"}{without})'
        )
    if camera:
        names = ', '.join(repr(c.name) for c in cameras)
        cameras = [c for c in cameras if c.name == camera.strip('/')]
        if not cameras:
            mend = f'choose {spelt.format("camera", "NAME")} from {names}'
            raise InputError(f'{bag}: no camera {camera!r}; {mend}')
    own = {part: topic for part, topic in given.items() if topic}
    if own and len(cameras) > 1:
        raise InputError(
            f'{bag}: {len(cameras)} cameras; choose one by {spelt.format("camera", "NAME")}'
        )
    return [replace(c, **own) for c in cameras]


def unused_truth(types: Mapping[str, str], used: list[StereoTopics]) -> list[str]:
    """Disparity topics that may be a truth, or an estimate of the robot: only its owner knows."""
    taken = {camera.truth for camera in used}
    return sorted(t for t, kind in types.items() if kind == DISPARITY and t not in taken)


def _check(bag: str, types: Mapping[str, str], part: str, topic: str) -> None:
    kinds = {
        'left': (IMAGE, COMPRESSED),
        'right': (IMAGE, COMPRESSED),
        'left_info': (CAMERA_INFO,),
        'right_info': (CAMERA_INFO,),
        'truth': (DISPARITY, IMAGE, COMPRESSED, CLOUD),
    }[part]
    if topic not in types:
        raise InputError(f'{bag}: no topic {topic}; it has {", ".join(sorted(types)) or "none"}')
    if types[topic] not in kinds:
        raise InputError(
            f'{bag}: {topic} is {types[topic]}, {part.replace("_", " ")} takes '
            f'{" or ".join(kinds)}'
        )


def _partner(topic: str) -> tuple[str, str] | None:
    """Name of the camera and the right topic of a left one; None for any other topic."""
    for left, right in _WORDS:
        match = re.search(rf'(?<![a-zA-Z0-9]){left}(?![a-zA-Z0-9])', topic)
        if match:
            before, after = topic[: match.start()], topic[match.end() :]
            # A topic may name the side twice: left/image_rect of camera_left.
            after = re.sub(rf'(?<![a-zA-Z0-9]){left}(?![a-zA-Z0-9])', right, after)
            return before.strip('/_'), before + right + after
    return None


def _info(image_topic: str, types: Mapping[str, str]) -> str:
    """camera_info beside an image, or one level above; '' where there is none."""
    folder = image_topic.removesuffix(COMPRESSED_ENDING).rpartition('/')[0]
    for place in (folder, folder.rpartition('/')[0]):
        if types.get(f'{place}/camera_info') == CAMERA_INFO:
            return f'{place}/camera_info'
    return ''


def _named_truth(camera: StereoTopics, types: Mapping[str, str], cameras: int) -> str:
    """A disparity or depth topic whose name says that it is the truth."""
    own = [
        topic
        for topic, kind in sorted(types.items())
        if _TRUTH.search(topic)
        and (kind == DISPARITY or (kind in (IMAGE, COMPRESSED) and 'depth' in topic))
        and (cameras == 1 or topic.strip('/').startswith(f'{camera.name}/'))
    ]
    return min(own, key=lambda t: (types[t] != DISPARITY, t), default='')
