"""`dtp-stereo bag`: run and judge on recordings, without ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from ..config import BACKENDS, NodeConfig, PipelineConfig
from ..errors import InputError
from ..evaluation.bounds import parse_bound
from ..evaluation.page_pictures import PagePictures
from ..evaluation.recorded import JudgedFrame, RecordingJudge, RecordingResult
from ..evaluation.runner import BASELINE, DatasetResult, Method, method_name
from ..image_io import silence_opencv
from ..pipeline import StereoPipeline
from ..recordings.recorded_frames import RecordedCamera, Selection
from ..recordings.recording import Recording
from ..recordings.stereo_topics import chosen_topics, unused_truth
from ..recordings.written_bag import WrittenBag
from ..recordings.written_results import ResultWriter
from .options import add_models_option, add_pipeline_options, pipeline_config
from .recorded import (
    about,
    add_output_options,
    add_recording_options,
    given_topics,
    make_folders,
    nothing,
    progress_bar,
    read_settings,
    recording_name,
    report,
    selection,
    show_running,
    untaken_truth,
)

HELP = 'run and judge on a rosbag, with truth or without; one page'

DESCRIPTION = """\
Runs models on the stereo cameras of rosbags (ROS 2: mcap, sqlite3, compressed; ROS 1), always
beside SGBM, and judges them. No ROS is needed. Topics are found by type and name; pairs, camera
infos and images go through the code of the node, with its parameters (--params).

With a truth topic (a DisparityImage or depth image of the left view, or points of a LiDAR with
/tf_static, by --truth; or a disparity or depth that has ground_truth or gt in its name): EPE,
bad-0.5/1/2/3, D1. Without: left-right consistency, photometric error, flicker of still scenes,
coverage, agreement with SGBM, and the row offset of the views.

exit code: 0 judged, 2 unusable input, 3 judged and a bound of --fail-if is broken

examples:
  dtp-stereo bag robot.mcap --report report
  dtp-stereo bag robot_bag --models dtpnet,dtpnet-small --params node.yaml --every 5
  dtp-stereo bag robot.mcap --write result.mcap
  dtp-stereo bag run1 run2 --truth /ground_truth/disparity --fail-if 'bad3>5' --json result.json
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
    add_models_option(parser, '--models', given_only=True)
    add_recording_options(parser)
    add_pipeline_options(parser, without=('backend', 'model'), given_only=True)


@dataclass
class _Judged:
    """One camera of one bag, judged."""

    result: RecordingResult
    pictures: PagePictures


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
    silence_opencv()
    bounds = [parse_bound(text) for text in args.fail_if]
    part = selection(args)
    pipeline, node = read_settings(args)
    make_folders(args)
    written = _written_bag(args)
    methods = _methods(args, pipeline)
    judged: list[_Judged] = []
    try:
        writing = None
        if written:
            max_depth_m = pipeline_config(args, pipeline).max_depth
            writing = _Writing(written, _written_method(args, methods), node, max_depth_m)
        with written or nullcontext():
            for bag in args.bags:
                _judge_bag(args, bag, methods, node, part, judged, writing)
    finally:
        for method in methods:
            method.pipeline.close()
    code = report(args, [j.result for j in judged], [j.pictures for j in judged], bounds)
    if writing:
        topics = ', '.join(f'{topic} ({count})' for topic, count in writing.bag.counts.items())
        print(f'\nwritten: {args.write.resolve()}: results of {writing.method}: {topics}')
    return code


def _written_bag(args: argparse.Namespace) -> WrittenBag | None:
    if not args.write:
        if args.write_method:
            raise InputError('--write-method names whose results --write takes; give both')
        return None
    if len(args.bags) > 1:
        raise InputError(f'--write {args.write}: takes the pairs of one bag; give one BAG')
    bag, target = args.bags[0].resolve(), args.write.resolve()
    if bag in (target, target.parent):
        raise InputError(f'--write {args.write}: is the bag that is read; name another file')
    return WrittenBag(args.write)


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
    models = getattr(args, 'models', [settings.model])
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
    methods: dict[str, Method] = {}
    for config in configs:
        pipeline = StereoPipeline(config)
        print(pipeline.choice, file=sys.stderr)
        spec = pipeline.backend.spec
        name = method_name(pipeline.backend.name, spec.name, spec.precision)
        if name in methods:
            # Two files of one name; the scores of a method are found by its name.
            name = f'{name} {config.model}'
        methods[name] = Method(name, pipeline)
    return list(methods.values())


def _judge_bag(
    args: argparse.Namespace,
    bag: Path,
    methods: list[Method],
    node: NodeConfig,
    part: Selection,
    judged: list[_Judged],
    writing: _Writing | None,
) -> None:
    """Judge all cameras of a bag. A bag that cannot be used is reported, and the others kept."""
    try:
        with Recording(bag) as recording:
            given = given_topics(args)
            cameras = chosen_topics(str(bag), recording.types, args.camera, given, node.rectify)
            maybe = unused_truth(recording.types, cameras)
            for topics in cameras:
                camera = RecordedCamera(recording, topics, node, part)
                write = writing.of(camera, len(cameras) > 1) if writing else None
                found = _judge_camera(args, camera, methods, node, write)
                if maybe and not topics.truth:
                    found.result.findings.append(untaken_truth(maybe))
                judged.append(found)
    except InputError as error:
        _refuse(args, error)


def _judge_camera(
    args: argparse.Namespace,
    camera: RecordedCamera,
    methods: list[Method],
    node: NodeConfig,
    write: Callable[[JudgedFrame], None] | None,
) -> _Judged:
    name = recording_name(camera.recording.path, camera.topics.name)
    result = RecordingResult(name, scored=DatasetResult(name))
    judge = RecordingJudge(result, methods, args.consistency_every)
    pictures = PagePictures(args.report is not None)
    key = ''
    with progress_bar(total=camera.expected(), unit='pair', desc=name, mininterval=0.5) as bar:
        try:
            for recorded in camera.frames():
                frame = judge.add(recorded)
                key = key or result.main_key()
                pictures.see(frame, key)
                if write:
                    write(frame)
                bar.update()
                show_running(bar, result, key)
        except KeyboardInterrupt:
            text = f'stopped by the user after {len(pictures)} pairs'
            camera.faults[f'{text}; run it again, with --duration or --every'] += 0
    result.findings = camera.findings()
    if not result.frames:
        raise InputError(f'{camera.recording.path}: {nothing(camera, result.findings)}')
    result.about = about(camera, methods, node)
    return _Judged(result, pictures)


def _refuse(args: argparse.Namespace, error: InputError) -> None:
    """With one bag the error ends the command; of several, the others are judged."""
    if len(args.bags) == 1:
        raise error
    print(f'error: {error}', file=sys.stderr)
