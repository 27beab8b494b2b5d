"""Camera infos of a stereo camera, and which of them describe a pair of images.

A calibration seldom changes, and cameras publish it as they like: with each image, once (latched),
more slowly, or with other stamps. So with `cache_camera_info` an info holds until the next one;
where one has the stamp of the image, that one is taken. Without, only that one is taken: for
cameras whose calibration changes from image to image (zoom, a moving region of interest).

An image may overtake its own info on the way. Where infos come with each image, a pair waits for
its own until the next pair comes or `settle` ends the wait: the newest one may be of another size.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from ..messages.stamps import stamp_ns
from ..messages.types import CameraInfo
from ..stereo import SIDES

# Of each side; at 30 Hz the infos of two seconds.
_KEPT = 64
# So many images in a row with infos of their own, and the next one waits for its own: one at the
# start, more once an info has been missed, so that slower infos delay nothing.
_FIRST_IN_STEP, _AGAIN_IN_STEP = 1, 30


class CameraInfos:
    """The newest infos of both sides. Safe between threads.

    Attributes:
        received: side to the number that came, without those that come again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.received = dict.fromkeys(SIDES, 0)
        self._kept: dict[str, OrderedDict[int, CameraInfo]] = {s: OrderedDict() for s in SIDES}

    def add(self, side: str, info: CameraInfo, again: bool = False) -> None:
        """An info came; it is the newest whatever its stamp.

        Args:
            side: 'left' or 'right'.
            info: that came.
            again: it may also come by another way.
        """
        stamp = stamp_ns(info)
        with self._lock:
            self.received[side] += not again
            kept = self._kept[side]
            kept.pop(stamp, None)
            kept[stamp] = info
            if len(kept) > _KEPT:
                kept.popitem(last=False)

    def newest(self, side: str) -> CameraInfo | None:
        """The one that came last."""
        with self._lock:
            return next(reversed(self._kept[side].values()), None)

    def stamped(self, side: str, stamp: int) -> CameraInfo | None:
        """The one with that stamp."""
        with self._lock:
            return self._kept[side].get(stamp)

    def of(self, side: str, stamp: int, cache: bool) -> CameraInfo | None:
        """The one that describes an image of that stamp; see the module for `cache`."""
        exact = self.stamped(side, stamp)
        return self.newest(side) if exact is None and cache else exact

    def gap_ns(self, side: str, stamp: int) -> int | None:
        """From that stamp to the nearest one of an info; None without infos."""
        with self._lock:
            return min((abs(known - stamp) for known in self._kept[side]), default=None)

    def clear(self) -> None:
        """Remove all."""
        with self._lock:
            for kept in self._kept.values():
                kept.clear()


class InfoGate:
    """Lets pairs of images through once their infos have come, together with those.

    Not thread-safe: images and infos come in the thread of the executor.

    Args:
        infos: to look in.
        size: pairs that wait at most.
        give: called with (left, right, infos), the infos by side.
        drop: called for each pair that was given up.

    Attributes:
        cache: the setting `cache_camera_info`.
        lacking: side to stamp of the image that had no info, of the newest pair that waits.
    """

    def __init__(
        self,
        infos: CameraInfos,
        size: int,
        give: Callable[[Any, Any, dict[str, CameraInfo]], None],
        drop: Callable[[], None],
    ) -> None:
        self.cache = True
        self.lacking: dict[str, int] = {}
        self._lacking_since: float | None = None
        self._infos = infos
        self._size = size
        self._give = give
        self._drop = drop
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._newest: tuple[Any, Any] | None = None
        self._came_s = 0.0
        self._in_step = dict.fromkeys(SIDES, 0)
        self._needed = dict.fromkeys(SIDES, _FIRST_IN_STEP)

    def lacking_s(self) -> float:
        """For how long pairs have waited and none was given, seconds."""
        since = self._lacking_since
        return 0.0 if since is None else time.monotonic() - since

    def pair(self, left: Any, right: Any) -> None:
        """A pair of images came."""
        self._note_steps()
        self._look(patient=False)
        self._newest = left, right
        self._waiting.append(self._newest)
        self._came_s = time.monotonic()
        self.look()
        if len(self._waiting) > self._size:
            self._give_up(1)

    def look(self) -> None:
        """Infos came: let the newest pair that has its own through, and no older one after it."""
        self._look(patient=True)

    def settle(self, after_s: float = 0.0) -> None:
        """End the wait for an info of their own of pairs that came so long ago."""
        if time.monotonic() - self._came_s >= after_s:
            self._look(patient=False)

    def clear(self) -> None:
        """Remove the waiting pairs; the stream that comes next may have other infos."""
        self._give_up(len(self._waiting))
        self._newest = None
        self._in_step = dict.fromkeys(SIDES, 0)
        self.lacking, self._lacking_since = {}, None

    def _look(self, patient: bool) -> None:
        for index in reversed(range(len(self._waiting))):
            pair = self._waiting[index]
            infos = self._found(pair, patient)
            if None not in infos.values():
                self._give_up(index)
                self._waiting.popleft()
                self.lacking, self._lacking_since = {}, None
                self._give(*pair, infos)
                return
        if self._waiting:
            found = self._found(self._waiting[-1], patient=False)
            stamps = zip(SIDES, map(stamp_ns, self._waiting[-1]), strict=True)
            self.lacking = {side: stamp for side, stamp in stamps if found[side] is None}
            if self.lacking and self._lacking_since is None:
                self._lacking_since = time.monotonic()

    def _found(self, pair: tuple[Any, Any], patient: bool) -> dict[str, Any]:
        """The infos by side; None where there is none, or with patience until its own comes."""
        found = {}
        for side, image in zip(SIDES, pair, strict=True):
            waits = patient and self._in_step[side] >= self._needed[side]
            found[side] = self._infos.of(side, stamp_ns(image), self.cache and not waits)
        return found

    def _note_steps(self) -> None:
        """Count the images in a row that had an info of their own by the time of the next pair."""
        for side, image in zip(SIDES, self._newest or (), strict=False):
            if self._infos.stamped(side, stamp_ns(image)) is not None:
                self._in_step[side] += 1
            else:
                if self._in_step[side] >= self._needed[side]:
                    self._needed[side] = _AGAIN_IN_STEP
                self._in_step[side] = 0

    def _give_up(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
            self._drop()
