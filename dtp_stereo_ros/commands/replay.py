"""`dtp-stereo replay`: a bag through the real node over DDS, judged as `bag` does."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import NodeConfig, PipelineConfig
from ..errors import BackendError, InputError
from ..evaluation.bags import about, recording_name, untaken_truth
from ..evaluation.bounds import parse_bound
from ..evaluation.page_pictures import PagePictures
from ..evaluation.progress import progress_bar, show_running
from ..evaluation.recorded import Published, RecordingJudge, RecordingResult
from ..evaluation.replay_figures import LOCKSTEP, REAL_TIME, DisparityHash, ReplayFigures
from ..evaluation.runner import BASELINE, DatasetResult, Method
from ..messages.published import stereo_result
from ..node_params import read_parameters
from ..pipeline import StereoPipeline
from ..recordings.recorded_frames import RecordedCamera, RecordedFrame, Selection
from ..recordings.recording import Recording
from ..recordings.stereo_topics import COMPRESSED, StereoTopics, chosen_topics, unused_truth
from ..recordings.written_bag import WrittenBag
from ..recordings.written_results import ResultWriter
from ..signals import unwinding
from ..stereo import SIDES, StereoResult
from ..topics import COMPRESSED_ENDING
from .options import add_pipeline_options, pipeline_config, without_ros
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

if TYPE_CHECKING:
    from ..ros.harness.node_process import NodeProcess
    from ..ros.harness.replayer import Replayer

HELP = 'play a rosbag through the real node and judge what it publishes; one page'

DESCRIPTION = """\
Starts depth_node, sends it the stereo cameras of a rosbag as ROS messages with /clock, and judges
what it publishes as `dtp-stereo bag` does, beside SGBM. The truth is read from the bag. The node
runs in a ROS domain of its own, which nothing else on this machine or network hears.

Lockstep (the default) sends pair by pair and waits for each result, so that nothing is dropped:
two runs of an fp32 model give the same disparities, whose SHA-256 is in the result file. With
--rate the messages go out at their recorded times: latencies, rates, drops by cause, CPU time and
memory of the node are those of this machine. The results are judged after the play.

--node-running uses a node that is running already, in the domain of the environment.

exit code: 0 judged; 1 the node ended, the bag broke off or the user stopped, what there is is
judged; 2 unusable input; 3 judged and a bound of --fail-if is broken

examples:
  dtp-stereo replay robot.mcap --report report
  dtp-stereo replay robot_bag --rate 1.0 --params node.yaml --report report
  dtp-stereo replay robot.mcap --truth /ground_truth/depth --fail-if 'bad3>5'
"""

_ENDED = 1
_DISPARITY = 'disparity'
# They also bound what is judged.
_LIMITS = {'min_depth', 'max_depth'}
_PARTS = ('left', 'right', 'left_info', 'right_info')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        'bag', type=Path, metavar='BAG',
        help='folder of a rosbag2, an .mcap or .db3 file, or a .bag of ROS 1',
    )  # fmt: skip
    parser.add_argument(
        '--rate', type=float, metavar='R',
        help='play in time, R times as fast as recorded (default: lockstep)',
    )  # fmt: skip
    parser.add_argument(
        '--loops', type=int, default=1, metavar='N',
        help='play the part N times; the first is judged (default: 1)',
    )  # fmt: skip
    add_output_options(parser)
    parser.add_argument(
        '--record', type=Path, metavar='OUT.mcap',
        help='write the judged pairs with what the node published for them as a rosbag2',
    )  # fmt: skip
    add_recording_options(parser)
    node = parser.add_argument_group('node')
    node.add_argument(
        '--node-running', action='store_true', help='use a node that is running already'
    )
    for part in _PARTS:
        node.add_argument(
            f'--send-{part.replace("_", "-")}', dest=f'send_{part}', default='', metavar='TOPIC',
            help='topic that it is sent on (default: that of the bag)',
        )  # fmt: skip
    node.add_argument(
        '--disparity', default=_DISPARITY, metavar='TOPIC',
        help='of the node; depth/image and confidence lie beside it (default: %(default)s)',
    )  # fmt: skip
    add_pipeline_options(parser, given_only=True)


@dataclass(frozen=True)
class _Setup:
    """All that is the same for each camera."""

    args: argparse.Namespace
    part: Selection
    pipeline: PipelineConfig
    node: NodeConfig
    baseline: Method
    record: WrittenBag | None = None

    def parameters(self) -> dict[str, Any]:
        """Parameters of the node: those of the file, and what was typed."""
        found = read_parameters(self.args.params) if self.args.params else {}
        found |= {name: getattr(self.pipeline, name) for name in _typed(self.args)}
        for name in ('rectify', 'approximate_sync'):
            found[name] = getattr(self.node, name)
        return found


def _typed(args: argparse.Namespace) -> set[str]:
    """Settings of the pipeline that were typed."""
    return {f.name for f in dataclasses.fields(PipelineConfig)} & vars(args).keys()


@dataclass
class _Replayed:
    """One camera, replayed and judged."""

    result: RecordingResult
    pictures: PagePictures
    method: str = ''
    told: dict[str, str] = dataclasses.field(default_factory=dict)
    writer: ResultWriter | None = None


def run(args: argparse.Namespace) -> int:
    """Replay, judge, print and report.

    Raises:
        InputError: ROS is not installed, the bag cannot be used, or an option is wrong.
        BackendError: the node could not start.
    """
    bounds = [parse_bound(text) for text in args.fail_if]
    part = selection(args)
    if args.rate is not None and not 0 < args.rate <= 1000:
        raise InputError('--rate must be above 0 and at most 1000')
    if args.disparity != _DISPARITY and not args.node_running:
        raise InputError(
            f'--disparity {args.disparity} names a topic of a node that runs already; add '
            '--node-running, or leave it out'
        )
    ours = [f'--{name.replace("_", "-")}' for name in sorted(_typed(args) - _LIMITS)]
    if args.node_running and ours:
        raise InputError(
            f'{", ".join(ours)} would set up a node of our own; leave it out, or leave out '
            '--node-running'
        )
    for bound in bounds:
        if bound.column.key == 'inconsistent':
            raise InputError(
                f'--fail-if {bound.text}: a node does not tell its {bound.column.name} '
                'consistency; use dtp-stereo bag'
            )
    if args.loops < 1:
        raise InputError('--loops must be at least 1')
    settings, node = read_settings(args)
    pipeline = pipeline_config(args, settings)
    make_folders(args)
    limits = PipelineConfig(
        backend=BASELINE, min_depth=pipeline.min_depth, max_depth=pipeline.max_depth
    )
    record = new_bag('--record', args.record, args.bag) if args.record else None
    with (
        Recording(args.bag) as recording, unwinding(), closing(StereoPipeline(limits)) as sgbm,
        record or nullcontext(),
    ):  # fmt: skip
        setup = _Setup(args, part, pipeline, node, Method(BASELINE, sgbm), record)
        cameras = chosen_topics(recording, args.camera, given_topics(args), node.rectify)
        check_truth(bounds, cameras)
        replayed, ended = _replay_all(setup, recording, cameras)
    results, pictures = [r.result for r in replayed], [r.pictures for r in replayed]
    code = report(args, results, pictures, bounds) if replayed else _ENDED
    if record and replayed:
        topics_of = ', '.join(f'{topic} ({count})' for topic, count in record.counts.items())
        print(f'\nrecorded: {args.record.resolve()}: {topics_of}')
    for reason in filter(None, ended):
        print(f'dtp-stereo replay: error: {reason}', file=sys.stderr)
    return _ENDED if ended else code


def _replay_all(
    setup: _Setup, recording: Recording, cameras: list[StereoTopics]
) -> tuple[list[_Replayed], list[str]]:
    """Replay the cameras of the bag in turn; returns also why some ended early."""
    replayed: list[_Replayed] = []
    ended: list[str] = []
    maybe = unused_truth(recording.types, cameras)
    several = len(cameras) > 1
    for topics in cameras:
        try:
            camera = RecordedCamera(recording, topics, setup.node, setup.part)
            found = _replay_camera(setup, camera, several)
        except (InputError, BackendError) as error:
            if not several:
                raise
            ended.append(str(error))  # the other cameras are judged
            continue
        if found is None:
            ended.append('')
            break
        if maybe and not topics.truth:
            found.result.findings.append(untaken_truth(maybe))
        replayed.append(found)
        if reason := _figures(found.result).ended or recording.broken:
            ended.append(reason)
            break
    return replayed, ended


def _replay_camera(setup: _Setup, camera: RecordedCamera, several: bool) -> _Replayed | None:
    """Replay one camera; None where the node ended before there was anything to judge."""
    args, topics = setup.args, camera.topics
    kinds = {camera.recording.types[topic] for topic in (topics.left, topics.right)}
    if len(kinds) > 1:
        raise InputError(
            f'{args.bag}: {topics.left} and {topics.right} are of different types, of which a '
            'node takes one; name others by --left and --right, or use dtp-stereo bag'
        )
    if not (topics.left_info and topics.right_info):
        raise InputError(
            f'{args.bag}: {topics.left} and {topics.right} have no camera_info, which the node '
            'needs; name it by --left-info and --right-info, or record it'
        )
    name = recording_name(camera.recording.path, topics.name)
    rate = args.rate
    figures = ReplayFigures(LOCKSTEP if rate is None else REAL_TIME, rate, args.loops)
    result = RecordingResult(name, replay=figures, scored=DatasetResult(name))
    found = _Replayed(result, PagePictures(args.report is not None))
    if setup.record:
        limit_m = setup.pipeline.max_depth
        found.writer = ResultWriter(setup.record, camera, setup.node, limit_m, several)
    with tempfile.TemporaryDirectory(prefix='dtp_stereo_replay_') as folder:
        play = _lockstep if rate is None else _in_time
        try:
            play(setup, camera, found, Path(folder))
        except KeyboardInterrupt:
            figures.ended = 'stopped by the user'
    result.findings = camera.findings()
    if not result.frames:
        if figures.ended:
            print(f'dtp-stereo replay: error: {figures.ended}', file=sys.stderr)
            return None
        if not figures.sent:
            raise InputError(f'{args.bag}: {camera.why_nothing("judged")}')
        lost = ', '.join(f'{cause} {number}' for cause, number in figures.causes().items())
        raise BackendError(
            f'{args.bag}: of {figures.sent} pairs that were sent none can be judged (lost: {lost})'
        )
    result.about = about(camera, [setup.baseline], setup.node)
    settings = {} if args.node_running else dataclasses.asdict(setup.pipeline)
    result.about['methods'] = {
        found.method: {'sha256': found.told.get('model sha256', ''), 'settings': settings},
        **result.about['methods'],
    }
    return found


@contextmanager
def _connected(
    setup: _Setup, camera: RecordedCamera, figures: ReplayFigures, folder: Path
) -> Iterator[Replayer]:
    """The node and our side of it; the node is always stopped at the end."""
    try:
        from ..ros.harness.node_process import domain_of
        from ..ros.harness.replay_node import node_process, ros_context
        from ..ros.harness.replayer import Replayer
    except ImportError as error:
        raise without_ros('replay', error) from error
    args = setup.args
    compressed = camera.recording.types[camera.topics.left] == COMPRESSED
    inputs = _inputs(args, camera.topics, compressed)
    with ExitStack() as stack:
        domain = None if args.node_running else domain_of(os.getpid())
        context, env = stack.enter_context(ros_context(domain))
        process: NodeProcess | None = None
        if not args.node_running:
            log = (args.report or folder) / 'node.log'
            process = node_process(
                inputs, compressed, setup.parameters(), folder, log, env, args.rate is None
            )
            stack.enter_context(process)
        replayer = Replayer(context, inputs, compressed, args.disparity, figures, process)
        stack.callback(replayer.close)
        replayer.connect()
        first = next(_again(camera).frames(), None)
        if first is not None and first.pair is not None:
            replayer.warm_up(first.pair)
        replayer.begin()
        yield replayer


def _inputs(args: argparse.Namespace, topics: StereoTopics, compressed: bool) -> dict[str, str]:
    """Part to the topic that it is sent on."""
    found = {}
    for part, topic in topics.by_part.items():
        sent = getattr(args, f'send_{part}') or topic
        if compressed and part in SIDES and not args.node_running:
            # The node puts the suffix onto the name that it is given.
            sent = sent.removesuffix(COMPRESSED_ENDING) + COMPRESSED_ENDING
        found[part] = sent if sent.startswith('/') else f'/{sent}'
    return found


def _lockstep(setup: _Setup, camera: RecordedCamera, found: _Replayed, folder: Path) -> None:
    """Pair by pair: send, wait, judge."""
    from ..ros.harness.replayer import NodeGoneError

    result = found.result
    figures = _figures(result)
    with _connected(setup, camera, figures, folder) as replayer:
        method = _node_method(replayer)
        found.method = method.name
        judge = RecordingJudge(result, [method, setup.baseline], setup.args.consistency_every)
        try:
            shift_ns = 0
            for loop in range(setup.args.loops):
                digest = DisparityHash()
                own = camera if loop == 0 else _again(camera)
                first_ns = last_ns = 0
                with progress_bar(total=own.expected(), unit='pair', desc=result.name) as bar:
                    for recorded in own.frames():
                        last_ns = recorded.frame.stamp_ns
                        first_ns = first_ns or last_ns
                        answer = _ask(replayer, recorded, digest, shift_ns)
                        if answer is not None and loop == 0:
                            _judge(judge, found, recorded, {method.name: answer})
                        bar.update()
                        show_running(bar, result, found.pictures.key)
                figures.hashes.append(digest.text())
                # Later stamps each time: nothing in the node has to start anew.
                shift_ns += last_ns - first_ns + 1_000_000_000
        except (KeyboardInterrupt, NodeGoneError) as error:
            figures.ended = _why(error)
        replayer.finish()
        found.told = replayer.told


def _in_time(setup: _Setup, camera: RecordedCamera, found: _Replayed, folder: Path) -> None:
    """In the time of the bag; what came is judged when the node has been stopped."""
    from ..ros.harness.replay_player import TimedPlayer
    from ..ros.harness.replay_spool import Spool
    from ..ros.harness.replayer import NodeGoneError

    args, result = setup.args, found.result
    figures = _figures(result)
    spool = Spool(folder)
    with _connected(setup, camera, figures, folder) as replayer:
        method = _node_method(replayer)
        found.method = method.name
        player = TimedPlayer(
            replayer, args.bag, camera.topics, setup.node, setup.part, args.rate, spool
        )
        pairs = camera.expected() * setup.part.every * args.loops
        title = f'{result.name} at rate {args.rate:g}'
        try:
            with progress_bar(total=pairs, unit='pair', desc=title, mininterval=0.5) as bar:

                def seen(sent: int, answered: int) -> None:
                    bar.update(sent - bar.n)
                    bar.set_postfix_str(f'{answered} answered', refresh=False)

                player.play(args.loops, seen)
        except (KeyboardInterrupt, NodeGoneError) as error:
            figures.ended = _why(error)
        replayer.finish()
        found.told = replayer.told
    # The disparity alone is taken along.
    judge = RecordingJudge(
        result, [method, setup.baseline], args.consistency_every, beyond_known=False
    )
    with progress_bar(total=camera.expected(), unit='pair', desc=f'{result.name} judged') as bar:
        for recorded in camera.frames(player.is_judged):
            disparity = spool.get(recorded.frame.stamp_ns)
            calibration = recorded.frame.calibration
            if disparity is not None and calibration is not None:
                answer = stereo_result(
                    disparity,
                    calibration,
                    args.disparity,
                    latency_s=player.latency_s(recorded.frame.stamp_ns),
                )
                _judge(judge, found, recorded, {method.name: answer})
            bar.update()
            show_running(bar, result, found.pictures.key)


def _ask(
    replayer: Replayer, recorded: RecordedFrame, digest: DisparityHash, shift_ns: int
) -> StereoResult | None:
    calibration = recorded.frame.calibration
    if recorded.pair is None or calibration is None:
        return None
    answer = replayer.ask(recorded.pair, digest, shift_ns)
    if answer is None:
        return None
    return stereo_result(
        answer.disparity,
        calibration,
        'disparity',
        answer.depth,
        answer.confidence,
        answer.latency_s,
    )


def _judge(
    judge: RecordingJudge,
    found: _Replayed,
    recorded: RecordedFrame,
    given: dict[str, StereoResult],
) -> None:
    frame = judge.add(recorded, given)
    if found.writer:
        found.writer.add(recorded, given[found.method])
    found.pictures.see(frame)


def _again(camera: RecordedCamera) -> RecordedCamera:
    """The same camera from the start; what it finds was found before."""
    return RecordedCamera(camera.recording, camera.topics, camera.config, camera.selection)


def _figures(result: RecordingResult) -> ReplayFigures:
    assert result.replay is not None
    return result.replay


def _node_method(replayer: Replayer) -> Method:
    """The node as a method, under the name that `bag` gives to its model and backend."""
    name = replayer.method()
    return Method(f'node {name}' if name == BASELINE else name, Published())


def _why(error: BaseException) -> str:
    return 'stopped by the user' if isinstance(error, KeyboardInterrupt) else str(error)
