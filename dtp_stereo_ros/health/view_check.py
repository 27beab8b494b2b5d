"""The views of a running camera, judged now and then: several looks must agree."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..errors import CalibrationError
from ..messages.rectify import rectified_points
from ..messages.types import CameraInfo
from ..stereo import StereoFrame, UInt8Array
from ..topics import COMPRESSED_ENDING, INPUTS
from .finding import Finding
from .views import Matches, Rectification, exchanged, rectification, sparse_matches

# A look takes about 20 ms: often at the start, and while something seems wrong.
_SOON_S = 1.0
_LATER_S = 10.0
_AGREEING = 3
# Median confidence of exchanged pairs is below, of nearly all in order above:
# docs/reports/health.md.
_UNSURE = 0.2
_EXCHANGED = 'are exchanged: points lie further right in the right image'
# A calibration that moves no point further than this leaves an image as it is.
_NO_SHIFT_PX = 2.0

Rectify = Callable[[Matches], Matches]


@dataclass(frozen=True)
class ViewSetting:
    """The names that the mends need.

    Attributes:
        node: full name of the node.
        prefix: of the camera's topics, 'front/' of the camera 'front', else ''.
        rectify: the parameter: the node rectifies the images itself.
        topics: 'left', 'right', 'left_info', 'right_info' to the topic's full name.
        recorded: the images are of a bag, so the mends are options of `dtp-stereo bag`.
    """

    node: str
    prefix: str
    rectify: bool
    topics: Mapping[str, str]
    recorded: bool = False

    def rectify_mend(self, value: bool) -> str:
        """Command or option that sets rectify."""
        if self.recorded:
            return 'add --rectify (of the node: rectify)' if value else 'leave --rectify out'
        return f'ros2 param set {self.node} rectify {str(value).lower()}'


class ViewCheck:
    """Judges pairs of one camera; not thread-safe."""

    def __init__(self) -> None:
        self._exchanged: deque[bool] = deque(maxlen=_AGREEING)
        self._rows: deque[Rectification] = deque(maxlen=_AGREEING)
        self._count = 0
        self._next_s = 0.0

    def due(self, now_s: float, confidence: float | None = None) -> bool:
        """Whether a pair should be looked at now.

        Args:
            now_s: of a steady clock.
            confidence: median of the newest result; a low one makes the next look come soon.
        """
        if confidence is not None and confidence < _UNSURE:
            self._next_s = min(self._next_s, now_s + _SOON_S)
        return now_s >= self._next_s

    def look(
        self,
        left: UInt8Array,
        right: UInt8Array,
        offset_px: float,
        rectify: Rectify,
        setting: ViewSetting,
        now_s: float = 0.0,
    ) -> list[Finding]:
        """Look at one pair and say what this and the looks before it agree on.

        Args:
            left, right: images as they come, RGB uint8 (H, W, 3).
            offset_px: cx of the left camera - cx of the right one, of the rectified cameras.
            rectify: the points of raw images to those of rectified ones, by the calibration.
            setting: of the node.
            now_s: of the clock of `due`.
        """
        given = sparse_matches(left, right)
        rectified = rectify(given)
        used = rectified if setting.rectify else given
        is_exchanged, rows = exchanged(used, offset_px), rectification(given, rectified)
        # What does not tell changes nothing.
        if is_exchanged is not None:
            self._exchanged.append(is_exchanged)
        if rows.kind != 'unknown':
            self._rows.append(rows)
        self._count += 1
        found = self._findings(setting)
        calm = not found and self._count >= _AGREEING
        self._next_s = now_s + (_LATER_S if calm else _SOON_S)
        return found

    def _findings(self, setting: ViewSetting) -> list[Finding]:
        if len(self._exchanged) == _AGREEING and all(self._exchanged):
            return [_exchanged_finding(setting)]
        if len(self._rows) < _AGREEING or len({rows.kind for rows in self._rows}) > 1:
            return []
        return rectification_findings(self._rows[-1], setting)


def pair_findings(frame: StereoFrame, left: str, right: str) -> list[Finding]:
    """Findings on one pair of image files, which should be rectified.

    Args:
        frame: the pair.
        left, right: names of its images.
    """
    calibration = frame.calibration
    matches = sparse_matches(frame.left, frame.right)
    if exchanged(matches, calibration.disparity_offset_px if calibration else 0.0):
        text = f'{left} and {right} {_EXCHANGED}'
        return [Finding('warn', 'views', text, 'name them in the other order')]
    rows = rectification(matches, matches)
    if rows.kind == 'misaligned':
        text = f'the rows of {left} and {right} differ by {rows.given_px:.1f} px'
        return [Finding('warn', 'views', text, 'rectify the images before')]
    return []


def rectified_matches(given: Matches, infos: Mapping[str, CameraInfo]) -> Matches:
    """Points of raw images as points of rectified ones; as they are where nothing can be said."""
    try:
        left_px = rectified_points(infos['left'], 'left', given.left_px)
        right_px = rectified_points(infos['right'], 'right', given.right_px)
    except CalibrationError:
        return given
    return replace(given, left_px=left_px, right_px=right_px)


def _exchanged_finding(setting: ViewSetting) -> Finding:
    left, right = (setting.topics[s].removesuffix(COMPRESSED_ENDING) for s in ('left', 'right'))
    prefix = setting.prefix
    text = f'{left} and {right} {_EXCHANGED}'
    if setting.recorded:
        mend = f'exchange the cables or names; for this bag --left {right} --right {left}'
        # They stay: those of the exchanged images are looked for beside these.
        for side in ('left', 'right'):
            if info := setting.topics.get(f'{side}_info'):
                mend += f' --{side}-info {info}'
        return Finding('error', 'views', text, mend)
    mend = (
        'exchange the cables or names, or start the node with '
        f'--ros-args -r {prefix}{INPUTS["left"]}:={right} -r {prefix}{INPUTS["right"]}:={left}'
    )
    return Finding('error', 'views', text, mend)


def rectification_findings(rows: Rectification, setting: ViewSetting) -> list[Finding]:
    """Findings on raw images, images that are rectified twice, and rows that differ."""
    if rows.kind == 'raw' and not setting.rectify:
        text = (
            f'the images are raw: their rows differ by {rows.given_px:.1f} px, and by '
            f'{rows.rectified_px:.1f} px once they are rectified by camera_info'
        )
        return [Finding('error', 'views', text, setting.rectify_mend(True))]
    if rows.kind == 'rectified' and setting.rectify:
        text = (
            f'rectify is set but the images are rectified: their rows differ by '
            f'{rows.given_px:.1f} px as they come, and by {rows.rectified_px:.1f} px afterwards'
        )
        return [Finding('error', 'views', text, setting.rectify_mend(False))]
    if rows.kind == 'misaligned':
        rows_px = rows.rectified_px if setting.rectify else rows.given_px
        text = f'the rows of left and right differ by {rows_px:.1f} px: not a rectified pair'
        return [Finding('warn', 'views', text, calibrate(setting.topics))]
    named_raw = [
        setting.topics[side]
        for side in ('left', 'right')
        if rows.kind == 'aligned'
        and not setting.rectify
        and rows.shift_px > _NO_SHIFT_PX
        and _is_raw_name(setting.topics[side])
    ]
    if named_raw:
        text = (
            f'{" and ".join(named_raw)} have names of raw images, and rectifying by camera_info '
            f'moves points by {rows.shift_px:.0f} px'
        )
        return [Finding('warn', 'views', text, setting.rectify_mend(True))]
    return []


def calibrate(topics: Mapping[str, str]) -> str:
    """Command that calibrates a stereo camera anew."""
    cameras = {side: topics[f'{side}_info'].rpartition('/')[0] for side in ('left', 'right')}
    names = ' '.join(
        f'-r {side}:={topics[side]} -r {side}_camera:={cameras[side]}' for side in cameras
    )
    return (
        'calibrate again: ros2 run camera_calibration cameracalibrator --size 8x6 --square 0.1 '
        f'--ros-args {names}'
    )


def _is_raw_name(topic: str) -> bool:
    """Whether a topic is one of unrectified images by the names of image_proc and of drivers."""
    return 'raw' in topic and 'rect' not in topic
