"""`dtp-stereo view`: a bag or one pair in the viewer Rerun."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..config import NodeConfig, PipelineConfig
from ..errors import InputError, of_place
from ..evaluation.bags import recording_name
from ..evaluation.progress import progress_bar
from ..pipeline import StereoPipeline
from ..recordings.recorded_frames import RecordedCamera
from ..recordings.recording import Recording
from ..recordings.stereo_topics import chosen_topics
from ..rerun_log import RerunLog
from .given_pair import read_given_pair
from .options import add_pipeline_options, pipeline_config
from .recorded import (
    add_params_option,
    add_topic_options,
    given_topics,
    read_settings,
    refuse_options_of_bags,
    selection,
)

HELP = 'left image, disparity, depth and points of a bag or a pair in Rerun'

DESCRIPTION = """\
Matches the pairs of a rosbag, or one rectified pair, and shows left image, coloured disparity,
depth and points in the viewer Rerun (pip install 'dtp_stereo[view]'). No ROS is needed. Bags are
read as by `dtp-stereo bag`; depth and points need a calibration.

examples:
  dtp-stereo view robot.mcap --every 5
  dtp-stereo view robot.mcap --params node.yaml --start 10 --duration 5 --save robot.rrd
  dtp-stereo view left.png right.png --calib calib.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        'inputs', nargs='+', type=Path, metavar='BAG|LEFT RIGHT',
        help='a bag, or the two images of a rectified pair',
    )  # fmt: skip
    parser.add_argument(
        '--save', type=Path, metavar='FILE.rrd', help='write a file for Rerun and open no window'
    )
    parser.add_argument('--calib', metavar='FILE', help='calibration of a pair, as of infer')
    parser.add_argument(
        '--decimation', type=int, default=4, metavar='N',
        help='every N-th row and column becomes points (default: %(default)s)',
    )  # fmt: skip
    add_params_option(parser)
    add_topic_options(parser)
    add_pipeline_options(parser, given_only=True)


def run(args: argparse.Namespace) -> int:
    """Match and log; 1 where one of several cameras could not be used.

    Raises:
        InputError: a bag or image cannot be used, or an option is wrong.
        StereoError: a backend cannot start, or rerun-sdk is not installed.
    """
    if len(args.inputs) > 2:
        raise InputError(f'{len(args.inputs)} files: give one BAG, or LEFT and RIGHT')
    if args.decimation < 1:
        raise InputError('--decimation must be at least 1')
    settings, node = read_settings(args)
    config = pipeline_config(args, settings)
    if len(args.inputs) == 2:
        refuse_options_of_bags(args)
        return _view_pair(args, config)
    if args.calib:
        raise InputError('--calib is of a pair; a bag has its camera_info')
    return _view_bag(args, config, node)


def _view_pair(args: argparse.Namespace, config: PipelineConfig) -> int:
    left, right = args.inputs
    frame = read_given_pair(left, right, args.calib)
    log = RerunLog([''], args.save, args.decimation)
    with _pipeline(config) as pipeline, log:
        with of_place(left):
            result = pipeline.process(frame)
        log.add('', 0, frame, result)
    _say(args, 1)
    return 0


def _view_bag(args: argparse.Namespace, config: PipelineConfig, node: NodeConfig) -> int:
    (bag,), part, pairs = args.inputs, selection(args), 0
    unusable: list[str] = []
    with Recording(bag) as recording:
        topics = chosen_topics(recording, args.camera, given_topics(args), node.rectify)
        log = RerunLog([one.name for one in topics], args.save, args.decimation)
        with _pipeline(config) as pipeline, log:
            for one in topics:
                camera = RecordedCamera(recording, one, node, part)
                shown = pairs
                how = {'total': camera.expected(), 'desc': recording_name(bag, one.name)}
                try:
                    with progress_bar(unit='pair', mininterval=0.5, **how) as bar:
                        for recorded in camera.frames():
                            result = pipeline.process(recorded.frame)
                            log.add(one.name, recorded.index, recorded.frame, result)
                            pairs += 1
                            bar.update()
                    if pairs == shown:
                        raise InputError(f'{bag}: {camera.why_nothing("shown")}')
                except InputError as error:
                    unusable.append(str(error))
                    continue
                for finding in camera.findings():
                    if finding.level != 'ok':
                        print(f'{finding.level}: {finding.line}')
            if not pairs:
                raise InputError(unusable[0])
    for line in unusable:
        print(f'error: {line}', file=sys.stderr)
    _say(args, pairs)
    return 1 if unusable else 0


@contextmanager
def _pipeline(config: PipelineConfig) -> Iterator[StereoPipeline]:
    pipeline = StereoPipeline(config)
    print(pipeline.choice)
    try:
        yield pipeline
    finally:
        pipeline.close()


def _say(args: argparse.Namespace, pairs: int) -> None:
    if args.save:
        print(f'{args.save}: {pairs} pairs; open it by: rerun {args.save}')
