"""`dtp-stereo bag`: run and judge on recordings, without ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..config import BACKENDS, NodeConfig, PipelineConfig
from ..errors import InputError
from ..evaluation.bags import BagResult, BagWork, BagWorker, bag_tasks, tell_apart
from ..evaluation.bounds import parse_bound
from ..evaluation.methods import close_all, opened, settings_of
from ..evaluation.page_pictures import PagePictures
from ..evaluation.progress import progress_bar
from ..evaluation.recorded import JudgedFrame, RecordingResult
from ..evaluation.report_page import pictures_limit_bytes
from ..evaluation.runner import BASELINE, Method
from ..fleet.fleet import Finished, Fleet, finish, part_folder
from ..fleet.tasks import Lost, Task
from ..recordings.recorded_frames import RecordedCamera
from ..recordings.recording import Recording
from ..recordings.stereo_topics import chosen_topics
from ..recordings.written_bag import WrittenBag
from ..recordings.written_results import ResultWriter
from .fleet_options import add_fleet_options, fleet_of
from .options import add_models_option, add_pipeline_options, models_given, pipeline_config
from .recorded import (
    add_output_options,
    add_recording_options,
    check_truth,
    given_topics,
    make_folders,
    new_bag,
    read_settings,
    report,
    selection,
)

_NOT_ALL = 1

HELP = 'run and judge on a rosbag, with truth or without; one page'

DESCRIPTION = """\
Runs models on the stereo cameras of rosbags (ROS 2: mcap, sqlite3, compressed; ROS 1), always
beside SGBM, and judges them. No ROS is needed. Topics are found by type and name; pairs, camera
infos and images go through the code of the node, with its parameters (--params).

With a truth topic (a DisparityImage or depth image of the left view, or points of a LiDAR with
/tf_static, by --truth; or a disparity or depth that has ground_truth or gt in its name): EPE,
bad-0.5/1/2/3, D1. Without: left-right consistency, photometric error, flicker of still scenes,
coverage, agreement with SGBM, and the row offset of the views.

Of several bags or cameras, one that cannot be used is named and the others are judged; Ctrl-C
ends with a report of what was judged, without --jobs and --ray. With --report the results lie in
DIR/.dtp_stereo_parts until all are judged: the same command, called again after an interruption,
judges what is missing.

exit code: 0 all was judged; 1 a bag or camera cannot be used, a bag breaks off or the user
stopped, what there is is judged; 2 unusable input; 3 judged and a bound of --fail-if is broken

examples:
  dtp-stereo bag robot.mcap --report report
  dtp-stereo bag robot_bag --models dtpnet,dtpnet-small --params node.yaml --every 5
  dtp-stereo bag robot.mcap --write result.mcap
  dtp-stereo bag run1 run2 --truth /ground_truth/disparity --fail-if 'bad3>5' --json result.json
  dtp-stereo bag fleet/*.mcap --jobs 8 --report report
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        'bags', nargs='+', type=Path, metavar='BAG',
        help='folder of a rosbag2, an .mcap or .db3 file, or a .bag of ROS 1',
    )  # fmt: skip
    add_output_options(parser)
    parser.add_argument(
        '--write', type=Path, metavar='OUT.mcap',
        help='write the pairs with disparity, picture, depth, confidence and cloud as a rosbag2',
    )  # fmt: skip
    parser.add_argument(
        '--write-method', default='', metavar='NAME',
        help='whose results are written, as the tables name it (default: the first; SGBM only if '
        'it runs alone)',
    )  # fmt: skip
    parser.add_argument(
        '--backend', dest='backends', metavar='NAME[,NAME]',
        help=f'backends to run: {", ".join(BACKENDS)} (default: auto)',
    )  # fmt: skip
    add_models_option(parser, '--models', '--model')
    add_recording_options(parser)
    add_fleet_options(parser, 'bag', '--report')
    add_pipeline_options(parser, without=('backend', 'model'), given_only=True)


@dataclass(frozen=True)
class _Writing:
    """The bag of --write, and the method whose results it holds."""

    bag: WrittenBag
    method: str
    node: NodeConfig
    max_depth_m: float

    def of(self, camera: RecordedCamera, several: bool) -> Callable[[JudgedFrame], None]:
        """Writes the frames of one camera."""
        writer = ResultWriter(self.bag, camera, self.node, self.max_depth_m, several)
        return lambda frame: writer.add(frame.recorded, frame.results[self.method])


def run(args: argparse.Namespace) -> int:
    """Judge, print and report.

    Raises:
        InputError: no bag could be judged, or an option is wrong.
        StereoError: a backend cannot start.
    """
    bounds = [parse_bound(text) for text in args.fail_if]
    part = selection(args)
    pipeline, node = read_settings(args)
    make_folders(args)
    # Before the models are loaded, which takes seconds.
    if not any(given.exists() for given in args.bags):
        raise InputError(f'{args.bags[0]}: no such bag; check the path')
    if len(args.bags) == 1:
        with Recording(args.bags[0]) as recording:
            given = given_topics(args)
            check_truth(bounds, chosen_topics(recording, args.camera, given, node.rectify))
    written = _written_bag(args)
    fleet = fleet_of(args)
    if written and not fleet.is_alone:
        raise InputError('--write takes one bag in this process; leave out --jobs and --ray')
    methods = _methods(args, pipeline)
    try:
        writing = None
        if written:
            max_depth_m = pipeline_config(args, pipeline).max_depth
            writing = _Writing(written, _written_method(args, methods), node, max_depth_m)
        work = BagWork(
            tuple(settings_of(method) for method in methods),
            node,
            part,
            args.camera,
            tuple(given_topics(args).items()),
            args.consistency_every,
            args.report is not None,
        )
        worker = BagWorker(work, methods, writing.of if writing else None)
        with written or nullcontext():
            judged = _judge(args, fleet, work, worker)
    finally:
        close_all(methods)
    if judged.done.stopped and not judged.results:
        return _NOT_ALL
    code = report(args, judged.results, judged.pictures, bounds, judged.done.jobs, judged.left_out)
    judged.done.forget()
    for line in judged.broken:
        print(f'error: {line}', file=sys.stderr)
    if writing:
        topics = ', '.join(f'{topic} ({count})' for topic, count in writing.bag.counts.items())
        print(f'\nwritten: {args.write.resolve()}: results of {writing.method}: {topics}')
    return _NOT_ALL if judged.left_out or judged.broken or judged.done.stopped else code


@dataclass
class _Judged:
    """All cameras of all bags, in their order.

    Attributes:
        done: by the fleet.
        left_out: a line for each bag or camera that could not be judged.
        broken: a line for each bag whose end may be missing.
    """

    done: Finished
    results: list[RecordingResult] = field(default_factory=list)
    pictures: list[PagePictures] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def _judge(args: argparse.Namespace, fleet: Fleet, work: BagWork, worker: BagWorker) -> _Judged:
    """Judge all bags. One that cannot be used is reported, and the others kept."""
    tasks = bag_tasks(args.bags, work)
    limit_bytes = pictures_limit_bytes(len(tasks))

    def ends(value: BagResult) -> bool:
        """With one camera the error ends the command; of several, the others are judged."""
        return len(tasks) == 1 and not (value.judged or value.stopped)

    with part_folder(args.report) as parts:
        with progress_bar(total=len(tasks), unit='bag', disable=fleet.is_alone) as bar:

            def seen(task: Task, value: BagResult | Lost) -> None:
                bar.update()
                of_bag = _of_bag(task, value)
                for line in [] if ends(of_bag) else of_bag.refused:
                    print(f'error: {line}', file=sys.stderr)

            done = finish(fleet, work, tasks, parts, worker, seen)
        if done.taken:
            print(f'{done.taken} of {len(tasks)} bags were judged before', file=sys.stderr)
        found = _Judged(done)
        for task, value in done.values():
            of_bag = _of_bag(task, value)
            if ends(of_bag):
                raise InputError(of_bag.refused[0])
            found.left_out += of_bag.refused
            found.broken += filter(None, [of_bag.broken])
            for result, pictures in of_bag.judged:
                for name, about in result.about['methods'].items():
                    about['settings'] = worker.settings(name)
                pictures.shrink(limit_bytes)
                found.results.append(result)
                found.pictures.append(pictures)
    tell_apart(found.results)
    return found


def _of_bag(task: Task, value: BagResult | Lost) -> BagResult:
    if isinstance(value, Lost):
        return BagResult(refused=[f'{task.given}: {value.reason}'])
    return value


def _written_bag(args: argparse.Namespace) -> WrittenBag | None:
    if not args.write:
        if args.write_method:
            raise InputError('--write-method names whose results --write takes; give both')
        return None
    if len(args.bags) > 1:
        raise InputError(f'--write {args.write}: takes the pairs of one bag; give one BAG')
    return new_bag('--write', args.write, args.bags[0])


def _written_method(args: argparse.Namespace, methods: list[Method]) -> str:
    names = [method.name for method in methods]
    if args.write_method:
        if args.write_method not in names:
            quoted = ', '.join(repr(name) for name in names)
            raise InputError(f'--write-method {args.write_method!r}: choose one of {quoted}')
        return str(args.write_method)
    return next((name for name in names if name != BASELINE), names[0])


def _methods(args: argparse.Namespace, base: PipelineConfig) -> list[Method]:
    """The models in the backends that are asked for, and SGBM."""
    settings = pipeline_config(args, base)
    backends = args.backends.split(',') if args.backends else [settings.backend]
    models = models_given(args) or [settings.model]
    configs = [
        replace(settings, backend=backend, model=model)
        for model in models
        for backend in backends
        if backend != BASELINE
    ]
    # SGBM with its own settings, unless they are asked for, and with the limits of all.
    limited = PipelineConfig(min_depth=settings.min_depth, max_depth=settings.max_depth)
    own = settings if BASELINE in backends else limited
    configs.append(replace(own, backend=BASELINE))
    return opened(configs)
