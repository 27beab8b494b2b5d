"""`dtp-stereo bag`: run and judge on recordings, without ROS."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import BACKENDS, NodeConfig, PipelineConfig
from ..errors import InputError, StereoError
from ..evaluation.bounds import Bound, parse_bound
from ..evaluation.columns import ALL_COLUMNS, RECORDING_KEYS, meanings
from ..evaluation.page_pictures import PagePictures
from ..evaluation.recorded import CONSISTENCY_EVERY, JudgedFrame, RecordingJudge, RecordingResult
from ..evaluation.report_page import write_page
from ..evaluation.result_file import as_document
from ..evaluation.runner import BASELINE, DatasetResult, Method, method_name
from ..evaluation.tables import measures_table
from ..health.finding import Finding, findings_table
from ..image_io import silence_opencv, write_json
from ..node_params import read_node_params
from ..pipeline import StereoPipeline
from ..recordings.recorded_frames import RecordedCamera, Selection
from ..recordings.recording import Recording
from ..recordings.stereo_topics import StereoTopics, chosen_topics, unused_truth
from ..recordings.written_bag import WrittenBag
from ..recordings.written_results import ResultWriter
from .options import add_models_option, add_pipeline_options, pipeline_config, typed_command

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

_PARTS = ('left', 'right', 'left_info', 'right_info', 'truth')
_BROKEN_BOUND = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        'bags', nargs='+', type=Path, metavar='BAG',
        help='folder of a rosbag2, an .mcap or .db3 file, or a .bag of ROS 1',
    )  # fmt: skip
    parser.add_argument('--report', type=Path, metavar='DIR', help='write report.html there')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the result file')
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
        '--fail-if', action='append', default=[], metavar='BOUND',
        help="exit with 3 where a mean breaks it, as 'bad3>5' or 'coverage<60'; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        '--params', type=Path, metavar='YAML',
        help='parameter file of the node; options that are given come before it',
    )  # fmt: skip
    parser.add_argument(
        '--backend', dest='backends', metavar='NAME[,NAME]',
        help=f'backends to run: {", ".join(BACKENDS)} (default: auto)',
    )  # fmt: skip
    add_models_option(parser, '--models', given_only=True)
    topics = parser.add_argument_group('topics and pairs')
    topics.add_argument('--camera', default='', metavar='NAME', help='one of several cameras')
    for part in _PARTS:
        topics.add_argument(f'--{part.replace("_", "-")}', dest=part, metavar='TOPIC')
    topics.add_argument('--rectify', action='store_true', help='the images are raw')
    topics.add_argument(
        '--approximate-sync', action='store_true', help='pair images whose stamps differ'
    )
    topics.add_argument(
        '--every', type=int, default=1, metavar='N', help='take each N-th pair (default: 1)'
    )
    topics.add_argument('--start', type=float, default=0.0, metavar='S', help='from the start')
    topics.add_argument('--duration', type=float, metavar='S', help='default: to the end')
    topics.add_argument(
        '--consistency-every', type=int, default=CONSISTENCY_EVERY, metavar='N',
        help='match the right view too on each N-th pair, for the left-right consistency and the '
        'pictures; 0 never (default: %(default)s)',
    )  # fmt: skip
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
    selection = _selection(args)
    pipeline, node, unknown = (
        read_node_params(args.params) if args.params else (PipelineConfig(), NodeConfig(), [])
    )
    for line in unknown:
        print(f'note: {line}', file=sys.stderr)
    node = replace(
        node,
        rectify=args.rectify or node.rectify,
        approximate_sync=args.approximate_sync or node.approximate_sync,
    )
    for folder in {args.report, args.json.parent if args.json else None} - {None}:
        _make_folder(folder)
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
                _judge_bag(args, bag, methods, node, selection, judged, writing)
    finally:
        for method in methods:
            method.pipeline.close()
    code = _report(args, [j.result for j in judged], [j.pictures for j in judged], bounds)
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


def _selection(args: argparse.Namespace) -> Selection:
    if args.every < 1:
        raise InputError('--every must be at least 1')
    if args.start < 0 or (args.duration is not None and args.duration <= 0):
        raise InputError('--start must not be negative, and --duration above 0 s')
    if args.consistency_every < 0:
        raise InputError('--consistency-every must not be negative')
    return Selection(args.every, args.start, args.duration)


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
    selection: Selection,
    judged: list[_Judged],
    writing: _Writing | None,
) -> None:
    """Judge all cameras of a bag. A bag that cannot be used is reported, and the others kept."""
    try:
        with Recording(bag) as recording:
            given = {part: value for part in _PARTS if (value := getattr(args, part))}
            cameras = chosen_topics(str(bag), recording.types, args.camera, given, node.rectify)
            maybe = unused_truth(recording.types, cameras)
            for topics in cameras:
                camera = RecordedCamera(recording, topics, node, selection)
                write = writing.of(camera, len(cameras) > 1) if writing else None
                found = _judge_camera(args, camera, methods, node, write)
                if maybe and not topics.truth:
                    found.result.findings.append(_untaken(maybe))
                judged.append(found)
    except InputError as error:
        _refuse(args, error)


def _bar(**how: Any) -> Any:
    """A progress bar."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise StereoError(f'{error}; pip install tqdm') from error
    return tqdm(**how)


def _judge_camera(
    args: argparse.Namespace,
    camera: RecordedCamera,
    methods: list[Method],
    node: NodeConfig,
    write: Callable[[JudgedFrame], None] | None,
) -> _Judged:
    name = _name(camera.recording.path, camera.topics.name)
    result = RecordingResult(name, scored=DatasetResult(name))
    judge = RecordingJudge(result, methods, args.consistency_every)
    pictures = PagePictures(args.report is not None)
    key = ''
    with _bar(total=camera.expected(), unit='pair', desc=name, mininterval=0.5) as bar:
        try:
            for recorded in camera.frames():
                frame = judge.add(recorded)
                key = key or result.main_key()
                pictures.see(frame, key)
                if write:
                    write(frame)
                bar.update()
                _show(bar, result, key)
        except KeyboardInterrupt:
            text = f'stopped by the user after {len(pictures)} pairs'
            camera.faults[f'{text}; run it again, with --duration or --every'] += 0
    result.findings = camera.findings()
    if not result.frames:
        raise InputError(f'{camera.recording.path}: {_nothing(camera, result.findings)}')
    result.about = _about(camera, methods, node)
    return _Judged(result, pictures)


def _show(bar: Any, result: RecordingResult, key: str) -> None:
    """The running mean of the first method beside the bar."""
    if not hasattr(bar, 'set_postfix_str') or bar.n % 8 != 1:
        return
    method = result.frames[0].method
    values = [f.values[key] for f in result.frames if f.method == method and key in f.values]
    if values:
        column = ALL_COLUMNS[key]
        mean = column.shown(sum(values) / len(values))
        bar.set_postfix_str(f'{column.name} {mean:.3g} {column.unit}'.rstrip(), refresh=False)


def _nothing(camera: RecordedCamera, findings: list[Finding]) -> str:
    """Why there is no frame of a camera, in one line."""
    errors = [f.line for f in findings if f.level == 'error']
    warnings = [f.line for f in findings if f.level == 'warn']
    topics = f'{camera.topics.left} and {camera.topics.right}'
    reason = (errors or warnings or ['no pair in this part of the bag; see --start'])[0]
    return f'no pair of {topics} could be judged: {reason}'


def _untaken(topics: list[str]) -> Finding:
    text = f'{", ".join(topics)}: not taken as truth, it may be an estimate of the robot'
    return Finding('ok', 'truth', f'{text}; if it is the truth, add --truth {topics[0]}')


def _refuse(args: argparse.Namespace, error: InputError) -> None:
    """With one bag the error ends the command; of several, the others are judged."""
    if len(args.bags) == 1:
        raise error
    print(f'error: {error}', file=sys.stderr)


def _name(bag: Path, camera: str) -> str:
    name = bag.resolve().name if bag.is_dir() else bag.stem
    return f'{name} {camera}' if camera else name


def _about(camera: RecordedCamera, methods: list[Method], node: NodeConfig) -> dict[str, Any]:
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
    }


def _report(
    args: argparse.Namespace,
    results: list[RecordingResult],
    pictures: list[PagePictures],
    bounds: list[Bound],
) -> int:
    if not results:
        raise InputError('no bag could be judged')
    scored = [result.scored for result in results if result.scored.scores]
    document = as_document(scored, typed_command(), None, results)
    try:
        if args.json:
            write_json(args.json, document)
        if args.report:
            write_page(args.report / 'report.html', document, pictures)
    except OSError as error:
        raise InputError(f'{error.filename}: cannot be written ({error.strerror})') from error
    for result in results:
        print(f'{result.name}\n\n{findings_table(result.findings)}\n')
        print(f'{measures_table(result)}\n')
    known = {key for result in results for key in result.measured_keys()}
    print(meanings(tuple(key for key in RECORDING_KEYS if key in known)))
    if args.report:
        print(f'\nreport: {(args.report / "report.html").resolve()}')
    broken = [line for bound in bounds for line in bound.broken(results)]
    for line in broken:
        print(f'broken bound: {line}', file=sys.stderr)
    return _BROKEN_BOUND if broken else 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'{folder}: cannot be made ({error.strerror}); choose another') from error
