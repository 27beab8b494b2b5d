"""Stereo cameras among the topics of a bag, found by type and name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..errors import InputError
from ..stereo import SIDES
from ..topics import COMPRESSED_ENDING
from .recording import Recording

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
DISPARITY = 'stereo_msgs/msg/DisparityImage'
CLOUD = 'sensor_msgs/msg/PointCloud2'

# Words of topics that are hardly a view of a camera: others are taken first.
_HARDLY_VIEWS = {
    *('annotated', 'confidence', 'debug', 'depth', 'detections', 'disparity', 'flow', 'heatmap'),
    *('label', 'labels', 'mask', 'masks', 'normals', 'overlay', 'segmentation', 'semantic'),
}
# Words behind a side that name a kind of image, and not a rig.
_KINDS_OF_IMAGE = {
    *('cam', 'camera', 'color', 'colour', 'gray', 'grey', 'image', 'ir', 'mono', 'optical'),
    *('raw', 'rect', 'rectified', 'resized', 'rgb', 'sensor', 'throttled', 'undistorted'),
    *('unrect', 'unrectified', 'view'),
}


class _Words(NamedTuple):
    """Names of the two cameras."""

    left: str
    right: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """Either name as a whole word."""
        return re.compile(rf'(?<![a-zA-Z0-9])(?:{self.left}|{self.right})(?![a-zA-Z0-9])')


# stereo_image_proc and most drivers, RealSense, and data sets.
_SIDES = (_Words('left', 'right'), _Words('infra1', 'infra2'), _Words('cam0', 'cam1'))
_TRUTH = re.compile(r'(^|[/_])(gt|ground_?truth|truth)([/_]|$)')


@dataclass(frozen=True)
class StereoTopics:
    """Topics of one stereo camera.

    Attributes:
        name: of the camera: what stands before 'left' in its topics, '' where nothing does; where
            that is the same for several rigs, with what is joined to it, as 'front' of left_front.
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

    Rectified images are taken before raw ones, those named image before others, and raw messages
    before compressed ones.

    Args:
        types: topic to message type.
        raw_first: take unrectified images first, for a caller that rectifies.
    """
    pairs = [
        views
        for topic, kind in types.items()
        if kind in (IMAGE, COMPRESSED) and (views := _views(topic, types))
    ]
    # Where one has nothing joined to its side, the others are kinds of image: left_small of left.
    plain = {views.before for views in pairs if not views.rig}
    found: dict[tuple[str, str], tuple[tuple[int, ...], _Views]] = {}
    for views in pairs:
        key = views.before, '' if views.before in plain else views.rig
        rank = (
            int(bool(views.words & _HARDLY_VIEWS)),
            int(bool(views.rig)),
            int(views.is_raw != raw_first),
            int('image' not in views.words),
            int(types[views.left] == COMPRESSED),
            len(views.left),
        )
        if key not in found or rank < found[key][0]:
            found[key] = rank, views
    several = Counter(before for before, _ in found)
    cameras = []
    for (before, rig), (_, views) in found.items():
        name = '/'.join(filter(None, (before, rig if several[before] > 1 else '')))
        if rig and (name, '') in found:  # as they stand, where front/left is another one
            name = '/'.join(filter(None, (before, f'left_{rig}')))
        infos = (_info(topic, types) for topic in (views.left, views.right))
        cameras.append(StereoTopics(name, views.left, views.right, *infos))
    return [
        replace(camera, truth=_named_truth(camera, types, len(cameras)))
        for camera in sorted(cameras, key=lambda camera: camera.name)
    ]


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
        if camera:
            mend = f'leave {spelt.format("camera", camera)} out'
            raise InputError(f'{bag}: a camera and a view are named; {mend}')
        return [_named_camera(bag, given, types, spelt)]
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


def _named_camera(
    bag: str, given: Mapping[str, str], types: Mapping[str, str], spelt: str
) -> StereoTopics:
    """The camera of two views that the user names."""
    if not given.keys() >= set(SIDES):
        both = f'{spelt.format("left", "TOPIC")} and {spelt.format("right", "TOPIC")}'
        raise InputError(f'{bag}: one view is named; name both: {both}')
    left, right = given['left'], given['right']
    if left == right:
        raise InputError(f'{bag}: left and right are one topic, {left}; name another')
    infos = [given.get(f'{side}_info') or _info(given[side], types) for side in SIDES]
    views = _views(left, types)
    found = StereoTopics(views.before if views else '', left, right, *infos)
    truth = given.get('truth', '')
    if not truth and views and views.right == right:
        truth = _named_truth(found, types, len(stereo_topics(types)))
    return replace(found, truth=truth)


@dataclass(frozen=True)
class _Views:
    """Image topics of both sides, and what their names tell.

    Attributes:
        before: what stands before the side.
        rig: words that are joined to the side and tell rigs apart, as 'front' of left_front.
        words: all that stand behind the side.
    """

    left: str
    right: str
    before: str
    rig: str
    words: frozenset[str]

    @property
    def is_raw(self) -> bool:
        """Whether no word says that the images are rectified."""
        return not any(word.startswith('rect') for word in self.words)


def _views(left: str, types: Mapping[str, str]) -> _Views | None:
    """A left image topic with the right one of its type; None for any other topic."""
    # The pair whose word stands last is that of the views; the others may name rigs.
    for side in sorted(_SIDES, key=lambda side: -_last(side, left)):
        sides = list(side.pattern.finditer(left))
        if not sides:
            break
        if sides[-1][0] != side.left:
            if left[: sides[-1].start()] + side.left + left[sides[-1].end() :] in types:
                return None  # the right view of that camera
            continue
        places = [place for place in sides if place[0] == side.left]
        # A side may be the name of a rig as well, /left_arm/left/image, or stand twice,
        # /camera_left/left/image: first one place alone, the last one first, then all of them.
        rights = [(p, left[: p.start()] + side.right + left[p.end() :]) for p in reversed(places)]
        rights.append((places[0], side.pattern.sub(side.right, left)))
        for place, right in rights:
            if types.get(right) == types.get(left):
                after = left[place.end() :]
                joined, *below = after.split('/')
                rig = [
                    w for w in joined.split('_') if w and w not in _KINDS_OF_IMAGE | _HARDLY_VIEWS
                ]
                return _Views(
                    left, right, left[: place.start()].strip('/_'),
                    '_'.join(rig) if below else '', frozenset(re.split('[/_]', after)),
                )  # fmt: skip
    return None


def _last(side: _Words, topic: str) -> int:
    """Where the last of its names begins; -1 without one."""
    return max((place.start() for place in side.pattern.finditer(topic)), default=-1)


def _info(image_topic: str, types: Mapping[str, str]) -> str:
    """camera_info beside an image, or one level above; '' where there is none."""
    folder = image_topic.removesuffix(COMPRESSED_ENDING).rpartition('/')[0]
    for place in (folder, folder.rpartition('/')[0]):
        if types.get(f'{place}/camera_info') == CAMERA_INFO:
            return f'{place}/camera_info'
    return ''


def _named_truth(camera: StereoTopics, types: Mapping[str, str], cameras: int) -> str:
    """A disparity or depth topic whose name says that it is the truth."""
    folders = f'/{camera.name}' if camera.name else '', camera.left.rpartition('/')[0]
    places = tuple(f'{folder}/' for folder in folders if folder)
    own = [
        topic
        for topic, kind in sorted(types.items())
        if _TRUTH.search(topic)
        and (kind == DISPARITY or (kind in (IMAGE, COMPRESSED) and 'depth' in topic))
        and (cameras == 1 or topic.startswith(places))
    ]
    return min(own, key=lambda t: (types[t] != DISPARITY, t), default='')
