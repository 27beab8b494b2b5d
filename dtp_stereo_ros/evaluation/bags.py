"""Judging of bags, each of which any process can do."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import system
from ..config import NodeConfig
from ..errors import InputError
from ..fleet.parts import name_of, state_of
from ..fleet.tasks import Task
from ..health.finding import Finding
from ..pipeline import StereoPipeline
from ..recordings.recorded_frames import RecordedCamera, Selection
from ..recordings.recording import Recording
from ..recordings.stereo_topics import StereoTopics, chosen_topics, unused_truth
from .methods import MethodSettings, close_all
from .page_pictures import PagePictures
from .progress import progress_bar, show_running
from .recorded import JudgedFrame, RecordingJudge, RecordingResult
from .runner import DatasetResult, Method

Write = Callable[[JudgedFrame], None]

_STOPPED = 'stopped by the user'


@dataclass
class BagResult:
    """All that is kept of one bag.

    Attributes:
        judged: of each camera, its figures and its pictures.
        refused: why the bag, or some of its cameras, could not be judged, a line for each.
        broken: why the end of it may be missing, or ''.
        stopped: whether the user ended it early.
    """

    judged: list[tuple[RecordingResult, PagePictures]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    broken: str = ''
    stopped: bool = False

    @property
    def whole(self) -> bool:
        """Whether all that is there was judged."""
        return not (self.refused or self.stopped)


@dataclass(frozen=True)
class BagWork:
    """Methods that judge bags, and the part of each that is judged.

    Attributes:
        methods: in the order of the tables.
        node: settings of the node.
        part: of each bag.
        camera, topics: that are asked for; `topics` pairs of a part, as 'left', and its topic.
        consistency_every: the right view is matched on each that many pairs.
        pictures: whether pictures are kept.
    """

    methods: tuple[MethodSettings, ...]
    node: NodeConfig
    part: Selection
    camera: str
    topics: tuple[tuple[str, str], ...]
    consistency_every: int
    pictures: bool

    def open(self, threads: int) -> BagWorker:
        """Open the methods.

        Raises:
            StereoError: one cannot start.
        """
        methods = [method.open(threads) for method in self.methods]
        return BagWorker(self, methods, shows_progress=False)


class BagWorker:
    """Judges bags with open methods.

    Args:
        work: settings.
        methods: in the order of the tables.
        write: makes what writes the frames of a camera, given whether it is one of several; or
            None.
        shows_progress: whether each camera has a bar.
    """

    def __init__(
        self,
        work: BagWork,
        methods: Sequence[Method],
        write: Callable[[RecordedCamera, bool], Write] | None = None,
        shows_progress: bool = True,
    ) -> None:
        self._work = work
        self._methods = methods
        self._write = write
        self._shows_progress = shows_progress

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of a method."""
        pipeline = next(m.pipeline for m in self._methods if m.name == name)
        return dataclasses.asdict(pipeline.config) if isinstance(pipeline, StereoPipeline) else {}

    def do(self, given: Path) -> BagResult:
        """Judge all cameras of a bag.

        Raises:
            BackendError: a backend failed.
        """
        found, work = BagResult(), self._work
        try:
            with Recording(given) as recording:
                cameras = chosen_topics(
                    recording, work.camera, dict(work.topics), work.node.rectify
                )
                maybe = unused_truth(recording.types, cameras)
                for topics in cameras:
                    if found.stopped:
                        found.refused.append(f'{given}: {topics.left}: not begun, {_STOPPED}')
                        continue
                    camera = RecordedCamera(recording, topics, work.node, work.part)
                    write = self._write(camera, len(cameras) > 1) if self._write else None
                    try:
                        result = self._judge(camera, write, found)
                    except InputError as error:
                        found.refused.append(str(error))  # the other cameras are judged
                        continue
                    if maybe and not topics.truth:
                        result.findings.append(untaken_truth(maybe))
                found.broken = recording.broken
        except InputError as error:
            found.refused.append(str(error))
        return found

    def close(self) -> None:
        """Free the methods."""
        close_all(self._methods)

    def _judge(
        self, camera: RecordedCamera, write: Write | None, found: BagResult
    ) -> RecordingResult:
        work = self._work
        name = recording_name(camera.recording.path, camera.topics.name)
        result = RecordingResult(name, scored=DatasetResult(name))
        judge = RecordingJudge(result, self._methods, work.consistency_every)
        pictures = PagePictures(work.pictures)
        with progress_bar(
            total=camera.expected(), unit='pair', desc=name, mininterval=0.5,
            disable=not self._shows_progress,
        ) as bar:  # fmt: skip
            try:
                for recorded in camera.frames():
                    frame = judge.add(recorded)
                    pictures.see(frame)
                    if write:
                        write(frame)
                    bar.update()
                    show_running(bar, result, pictures.key)
            except KeyboardInterrupt:
                found.stopped = True
        result.findings = camera.findings()
        if found.stopped:
            text = f'{_STOPPED} after {len(pictures)} pairs'
            mend = 'run it again, with --duration or --every'
            result.findings.insert(0, Finding('error', 'bag', text, mend))
            if not result.frames:
                raise InputError(f'{camera.recording.path}: {text}; {mend}')
        if not result.frames:
            raise InputError(f'{camera.recording.path}: {camera.why_nothing("judged")}')
        result.about = about(camera, self._methods, work.node)
        found.judged.append((result, pictures))
        return result


def bag_tasks(bags: Sequence[Path], work: BagWork) -> list[Task]:
    """One task for each bag; one whose files change, or that is judged otherwise, is another."""
    tasks = []
    for index, bag in enumerate(bags):
        files = sorted(bag.rglob('*')) if bag.is_dir() else [bag]
        name = name_of(index, work, str(bag), [state_of(file) for file in files])
        tasks.append(Task(name, bag))
    return tasks


def tell_apart(results: Sequence[RecordingResult]) -> None:
    """Give results of one name other ones: bags of several runs often lie in folders of one name.

    They are named by the path of the bag, and numbered where that is the same too.
    """
    counts = Counter(result.name for result in results)
    taken: Counter[str] = Counter()
    for result in results:
        name = result.name
        if counts[name] > 1:
            name = f'{result.about["bag"]} {result.about["camera"]}'.strip()
        taken[name] += 1
        if taken[name] > 1:
            name = f'{name} ({taken[name]})'
        result.name = result.scored.dataset = name


def untaken_truth(topics: Sequence[str]) -> Finding:
    """Finding on disparity topics that are not taken as truth."""
    text = f'{", ".join(topics)}: not taken as truth, it may be an estimate of the robot'
    return Finding('ok', 'truth', f'{text}; if it is the truth, add --truth {topics[0]}')


def recording_name(bag: Path, camera: str) -> str:
    """Name of a camera of a bag, for reports."""
    name = bag.resolve().name if bag.is_dir() else bag.stem
    return f'{name} {camera}' if camera else name


def about(camera: RecordedCamera, methods: Sequence[Method], node: NodeConfig) -> dict[str, Any]:
    """Bag, topics, settings, models and machine of a run, for the result file."""
    specs = {}
    for method in methods:
        if isinstance(method.pipeline, StereoPipeline):
            pipeline = method.pipeline
            specs[method.name] = {
                'sha256': pipeline.backend.spec.sha256,
                'settings': dataclasses.asdict(pipeline.config),
            }
    names = (
        'rectify', 'approximate_sync', 'approximate_sync_tolerance_seconds',
        'cache_camera_info', 'queue_size',
    )  # fmt: skip
    topics: StereoTopics = camera.topics
    return {
        'bag': str(camera.recording.path),
        'camera': topics.name,
        'topics': {**topics.by_part, 'truth': topics.truth},
        'calibration': dataclasses.asdict(camera.calibration) if camera.calibration else None,
        'pairs': camera.pairs,
        'selection': dataclasses.asdict(camera.selection),
        'node': {name: getattr(node, name) for name in names},
        'methods': specs,
        'machine': system.describe(),
    }
