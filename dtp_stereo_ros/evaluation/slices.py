"""Judging of data sets by slices, each of which any process can do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..fleet.parts import name_of, state_of
from ..fleet.tasks import Task
from ..stereo import StereoFrame
from .datasets import Scene, Truth
from .extremes import Extremes
from .methods import MethodSettings, close_all
from .pictures import write_panel
from .runner import DatasetResult, Method, evaluate
from .scene_score import Estimate
from .thin import ThinStructures

# A set is divided into about that many slices of at most that many scenes, whatever number of
# processes there are: sums are then added in the same order.
_SLICES = 64
_MOST_SCENES = 64


@dataclass(frozen=True)
class Slice:
    """Scenes of a set that follow each other."""

    dataset: str
    scenes: tuple[Scene, ...]


@dataclass
class SliceResult:
    """All that is kept of a slice, or of several.

    Attributes:
        result: scores; curves as sums.
        extremes: the best and the worst scene of all sets.
        thin: thin structures of the set.
    """

    result: DatasetResult
    extremes: Extremes = field(default_factory=Extremes)
    thin: ThinStructures = field(default_factory=ThinStructures)

    @property
    def whole(self) -> bool:
        """Whether all scenes could be read."""
        return not self.result.left_out

    @property
    def stopped(self) -> bool:
        """Whether the user ended it early: that ends the program, and there is no result."""
        return False


@dataclass(frozen=True)
class SliceWork:
    """Methods that judge slices.

    Attributes:
        methods: in the order of the tables.
        pictures: folder of the pictures of scenes, or None for none.
    """

    methods: tuple[MethodSettings, ...]
    pictures: Path | None = None

    def open(self, threads: int) -> SliceWorker:
        """Open the methods.

        Raises:
            StereoError: one cannot start.
        """
        return SliceWorker([method.open(threads) for method in self.methods], self.pictures)


class SliceWorker:
    """Judges slices with open methods.

    Args:
        methods: in the order of the tables.
        pictures: folder of the pictures of scenes, or None for none.
    """

    def __init__(self, methods: Sequence[Method], pictures: Path | None) -> None:
        self._methods = methods
        self._pictures = pictures
        self._warm: set[tuple[str, tuple[int, ...]]] = set()

    def do(self, given: Slice) -> SliceResult:
        """Judge a slice.

        Raises:
            BackendError: a backend failed.
        """
        found = SliceResult(DatasetResult(given.dataset))

        def seen(
            scene: Scene, frame: StereoFrame, truth: Truth | None, estimates: list[Estimate]
        ) -> None:
            print(f'{given.dataset}: {scene.name}', file=sys.stderr)
            if self._pictures is not None:
                folder = self._pictures / given.dataset
                write_panel(folder, scene, frame, truth, estimates)
                found.extremes.see(f'{given.dataset} {scene.name}', truth, estimates)
                found.thin.see(scene.name, frame, truth, estimates)

        found.result = evaluate(given.dataset, given.scenes, self._methods, seen, warm=self._warm)
        return found

    def close(self) -> None:
        """Free the methods."""
        close_all(self._methods)


def slices(datasets: Sequence[tuple[str, Sequence[Scene]]], work: SliceWork) -> list[Task]:
    """The tasks of all sets, in their order.

    A slice whose images, truths or calibrations change, or that is judged with other settings, is
    another task.

    Args:
        datasets: name and scenes of each.
        work: that judges them.
    """
    tasks: list[Task] = []
    for name, scenes in datasets:
        size = max(1, min(_MOST_SCENES, len(scenes) // _SLICES))
        for start in range(0, len(scenes), size):
            part = tuple(scenes[start : start + size])
            files = [(s.name, s.broken, *map(state_of, _files(s))) for s in part]
            tasks.append(Task(name_of(len(tasks), work, name, files), Slice(name, part)))
    return tasks


def _files(scene: Scene) -> list[Path]:
    """All that its scores depend on."""
    calibration = [scene.calibration_file] if scene.calibration_file else []
    return [scene.left, scene.right, *scene.truth_files, *calibration]
