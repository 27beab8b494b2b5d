"""Scores of a set in a temporary file, so that the memory does not grow with the set."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator

from .scene_score import SceneScore


class ScoreLog:
    """Scores in the order in which they came. Iterated as often as wanted, but not indexed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix='dtp_stereo-')  # noqa: SIM115
        self._end = 0
        self._count = 0

    def append(self, score: SceneScore) -> None:
        """Take a score.

        Raises:
            OSError: the folder for temporary files is full.
        """
        self._file.seek(self._end)
        pickle.dump(score, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._end = self._file.tell()
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[SceneScore]:
        place = 0
        for _ in range(self._count):
            # Another iteration may have moved on in the meantime.
            self._file.seek(place)
            score = pickle.load(self._file)
            place = self._file.tell()
            yield score
