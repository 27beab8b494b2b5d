"""Pictures of frames for the page of a recording: bounded in number, whatever its length."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..image_io import colorize, colour_range
from ..postprocess import left_right_differences
from ..stereo import Float32Array, UInt8Array
from .columns import ALL_COLUMNS
from .pictures import error_image
from .recorded import JudgedFrame, best_key
from .scene_score import Estimate

WIDTH_PX = 480
CONSISTENCY_SCALE_PX = 3.0
_JPEG_QUALITY = 75
# Points of the 3D view in a row, at most, and the resolution of their disparities.
_CLOUD_WIDTH = 160
_CLOUD_STEPS_PER_PX = 64
# Frames of the scrubber, at least half as many of a long recording; and of each end.
_MOST_FRAMES = 48
_EXTREMES = 4


@dataclass(frozen=True)
class FrameCloud:
    """Disparities of one frame for the 3D view, every `step`-th pixel.

    Attributes:
        methods: method to (height, width) little-endian uint16 in 1/64 px, 0 unknown.
    """

    width: int
    height: int
    step: int
    methods: dict[str, bytes]


@dataclass(frozen=True)
class FramePictures:
    """The pictures of one frame, as JPEG.

    Attributes:
        left: the left image.
        methods: method to kind of picture ('disparity', 'error', 'consistency', 'confidence').
    """

    index: int
    time_s: float
    left: bytes
    methods: dict[str, dict[str, bytes]]
    cloud: FrameCloud

    @property
    def size_bytes(self) -> int:
        """Bytes of all pictures and disparities."""
        kinds = [picture for found in self.methods.values() for picture in found.values()]
        return sum(map(len, (self.left, *kinds, *self.cloud.methods.values())))


class PagePictures:
    """Keeps the pictures of evenly spaced frames, and of the best and worst ones.

    Args:
        wanted: False keeps nothing.

    Attributes:
        key: measure of the first method that the best and worst are found by: the best one of all
            frames so far, see `recorded.best_key`.
    """

    def __init__(self, wanted: bool = True) -> None:
        self.key = ''
        self._wanted = wanted
        self._stride = 1
        self._seen = 0
        self._looked = 0
        self._even: list[tuple[int, FramePictures]] = []
        # (how extreme, index) of the frames with the largest and the smallest value.
        self._ends: dict[str, list[tuple[float, int, FramePictures]]] = {'worst': [], 'best': []}

    def __len__(self) -> int:
        """Frames that were seen."""
        return self._seen

    def see(self, frame: JudgedFrame) -> None:
        """Take the pictures of a frame, if it is one to keep."""
        self._seen += 1
        key = best_key({self.key, *frame.scores[0].values})
        if key != self.key:
            # The frames before have no value of it.
            self.key, self._ends = key, {'worst': [], 'best': []}
        if not self._wanted:
            return
        value = frame.scores[0].values.get(key, float('nan'))
        sign = -1.0 if ALL_COLUMNS[key].more_is_better else 1.0
        ends = {
            name: rank
            for name, rank in (('worst', sign * value), ('best', -sign * value))
            if np.isfinite(value) and self._is_end(name, rank)
        }
        # With the right view matched now and then, those frames show most.
        place = -1
        if frame.right_px or not self._looked:
            place = self._looked
            self._looked += 1
        even = place >= 0 and place % self._stride == 0
        if not (even or ends):
            return
        pictures = _pictures(frame)
        if even:
            self._even.append((place, pictures))
            if len(self._even) > _MOST_FRAMES:
                self._stride *= 2
                self._even = [item for item in self._even if item[0] % self._stride == 0]
        for name, rank in ends.items():
            heapq.heappush(self._ends[name], (rank, pictures.index, pictures))
            if len(self._ends[name]) > _EXTREMES:
                heapq.heappop(self._ends[name])

    def shrink(self, limit_bytes: int) -> None:
        """Thin the frames out to a size, then leave out the least extreme of the ends."""
        while self._size_bytes() > limit_bytes:
            ends = max(self._ends.values(), key=len)
            if len(self._even) > 1:
                self._even = self._even[::2]
            elif ends:
                heapq.heappop(ends)
            else:
                return

    def frames(self) -> list[FramePictures]:
        """The frames in their order."""
        chosen = self._chosen()
        return [chosen[index] for index in sorted(chosen)]

    def extremes(self) -> dict[str, list[int]]:
        """'worst' and 'best' to indices of frames, the most extreme first; none is in both."""
        count = len({index for found in self._ends.values() for _, index, _ in found}) // 2
        return {
            name: [index for _, index, _ in sorted(found, reverse=True)[:count]]
            for name, found in self._ends.items()
        }

    def _chosen(self) -> dict[int, FramePictures]:
        kept = [pictures for _, pictures in self._even]
        ends = [item[2] for found in self._ends.values() for item in found]
        return {pictures.index: pictures for pictures in (*kept, *ends)}

    def _size_bytes(self) -> int:
        return sum(pictures.size_bytes for pictures in self._chosen().values())

    def _is_end(self, name: str, rank: float) -> bool:
        found = self._ends[name]
        return len(found) < _EXTREMES or rank > found[0][0]


def _pictures(frame: JudgedFrame) -> FramePictures:
    truth_px = frame.recorded.truth_px
    scale_of = frame.estimates[0].disparity_px if truth_px is None else truth_px
    low, high = colour_range(scale_of)
    methods = {
        e.method: _of_method(e, frame.right_px.get(e.method), truth_px, low, high)
        for e in frame.estimates
    }
    score = frame.scores[0]
    left = jpeg(frame.recorded.frame.left)
    cloud = _cloud(frame.estimates)
    return FramePictures(score.index, score.time_s, left, methods, cloud)


def _cloud(estimates: Sequence[Estimate]) -> FrameCloud:
    height, width = estimates[0].disparity_px.shape
    step = -(-width // _CLOUD_WIDTH)
    methods = {}
    for estimate in estimates:
        coarse = np.nan_to_num(estimate.disparity_px[::step, ::step], posinf=0.0, neginf=0.0)
        stored = np.rint(coarse * _CLOUD_STEPS_PER_PX).clip(0, np.iinfo(np.uint16).max)
        methods[estimate.method] = stored.astype('<u2').tobytes()
    return FrameCloud(-(-width // step), -(-height // step), step, methods)


def _of_method(
    estimate: Estimate,
    right_px: Float32Array | None,
    truth_px: Float32Array | None,
    low: float,
    high: float,
) -> dict[str, bytes]:
    found = {'disparity': colorize(estimate.disparity_px, low, high)}
    if truth_px is not None:
        found['error'] = error_image(estimate.disparity_px, truth_px)
    if right_px is not None:
        differences = left_right_differences(estimate.disparity_px, right_px)
        found['consistency'] = colorize(differences, 0.0, CONSISTENCY_SCALE_PX)
    if estimate.confidence is not None:
        found['confidence'] = colorize(estimate.confidence, 0.0, 1.0)
    return {kind: jpeg(picture) for kind, picture in found.items()}


def jpeg(image: UInt8Array) -> bytes:
    """RGB (H, W, 3) as a JPEG of at most `WIDTH_PX`."""
    height, width = image.shape[:2]
    if width > WIDTH_PX:
        size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    return bytes(encoded.tobytes())
