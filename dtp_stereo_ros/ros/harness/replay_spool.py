"""Published disparities on disk until they are judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class _Kept:
    path: Path
    limits: tuple[float, float]
    image: dict[str, Any]


class Spool:
    """Files of disparities by stamp, so that memory does not grow with the length of a play.

    Args:
        folder: takes the files; its owner removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[int, _Kept] = {}

    def put(self, stamp: int, message: Any) -> None:
        """Keep a DisparityImage; one of the same stamp is replaced.

        Raises:
            OSError: the folder is full.
        """
        path = self._folder / f'{stamp}.bin'
        path.write_bytes(memoryview(message.image.data))
        names = ('encoding', 'is_bigendian', 'height', 'width', 'step')
        image = {name: getattr(message.image, name) for name in names}
        self._kept[stamp] = _Kept(path, (message.min_disparity, message.max_disparity), image)

    def get(self, stamp: int) -> Any:
        """The DisparityImage of a stamp as far as its pixels and limits go; None if none came."""
        kept = self._kept.get(stamp)
        if kept is None:
            return None
        image = SimpleNamespace(**kept.image, data=np.fromfile(kept.path, np.uint8))
        low, high = kept.limits
        return SimpleNamespace(min_disparity=low, max_disparity=high, image=image)
