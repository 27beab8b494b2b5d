"""`dtp-stereo bench`: latency of every backend beside SGBM's, measured in one run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .. import models, system
from ..backends import AUTO_ORDER, TABLE
from ..config import BACKENDS, MOST_CAMERAS, PipelineConfig
from ..errors import ConfigError, InputError, StereoError
from ..evaluation import block_matching
from ..evaluation.auto_choice import auto_choices
from ..evaluation.bench_result import (
    SGBM_FULL,
    Entry,
    document,
    size_result,
    text,
    write_report,
)
from ..evaluation.block_matching import BlockMatcher
from ..evaluation.latency import (
    HEIGHT_PX,
    WIDTH_PX,
    Entrant,
    resized,
    resized_motorcycle,
    take_turns,
)
from ..evaluation.methods import close_all, deciding, disagreement, own_name, settings_of
from ..evaluation.node_rate import (
    LONGEST_STEP_S,
    SHORTEST_STEP_S,
    NodeSetting,
    node_document,
    node_text,
)
from ..evaluation.peak_memory import peak_memory
from ..evaluation.result_file import read_accuracy, read_settings
from ..evaluation.runner import BASELINE, Method
from ..evaluation.selftest import generated_pair
from ..image_io import read_pair
from ..paths import make_folder
from ..pipeline import StereoPipeline
from ..signals import unwinding
from ..sizes import parse_size
from ..stereo import StereoFrame
from .options import (
    add_models_option,
    add_pipeline_options,
    models_given,
    pipeline_config,
    typed_command,
    without_ros,
)

HELP = 'latency of every backend beside SGBM, or the rate that the node sustains'

_DEFAULT_SIZE = f'{WIDTH_PX}x{HEIGHT_PX}'
_NODE_SIZES = ('640x480', '1280x720', '1920x1080')
# Beside the table of backends; SGBM itself always takes part.
_RIVALS = (SGBM_FULL, block_matching.NAME)

DESCRIPTION = f"""\
Time the backends that work here on LEFT and RIGHT in their size, or without them on Motorcycle
(Middlebury 2014, from scikit-image; without that a generated pair) at 640x480. The backends take
turns in one run, so that other work of the machine slows all of them alike. The times are medians
after a warm-up, by stage, with the 95th percentile (p95) of the total. SGBM (OpenCV, 3-way, 192
disparities) is always timed. {SGBM_FULL} is its variant in eight directions, bm is OpenCV's block
matching; both are timed where they are named or --backend is not given. The last columns are the
time as a multiple of theirs.
Memory is the peak of a process of its own for each method and, in brackets, what of it came with
the method. The last lines say what `--backend auto` takes here, and by which times; what it has
not measured yet is measured then.

--report DIR writes bench.md and bench.json, of all shipped models where --model is not given.
--accuracy FILE takes the accuracy from a report.json of `dtp-stereo eval` and draws it against the
latency. `dtp-stereo eval --bench` draws accuracy against the times of --json.

--node measures the real node over DDS instead: depth_node and a camera as processes of their own.
It searches the highest rate at which no pair is lost, and tells there the age of the disparities
when they arrive (p50, p95) and the CPU time of the node. The images are sent reliably, so that
what is lost is lost in the node. The sizes are {', '.join(_NODE_SIZES)},
unless --size says otherwise.

examples:
  dtp-stereo bench
  dtp-stereo bench left.png right.png
  dtp-stereo bench --backend openvino,onnx --size 320x240,640x480
  dtp-stereo bench --backend openvino --model dtpnet,runs/mine.onnx
  dtp-stereo bench --precision fp32 --threads 2 --json
  dtp-stereo bench --report bench --accuracy report/report.json
  dtp-stereo bench --node --size 640x480 --model dtpnet-small"""


@dataclass(frozen=True)
class _Runner:
    """A method, open, that takes part at each size; its name in reports is `own_name`."""

    method: Method
    device: str
    model: str
    precision: str
    own_name: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'pair', metavar='LEFT RIGHT', nargs='*', type=Path, help='your own rectified pair'
    )
    parser.add_argument(
        '--backend',
        dest='backends',
        metavar='A,B',
        help='backends to time (default: all that work here; of --node, auto)',
    )
    add_models_option(parser)
    parser.add_argument(
        '--size',
        metavar='WxH[,WxH]',
        help='sizes of the images (default: 640x480; your own pair keeps its size)',
    )
    parser.add_argument(
        '--runs',
        metavar='N',
        type=int,
        default=20,
        help='timed runs of each backend (default: 20)',
    )
    parser.add_argument(
        '--no-memory', action='store_true', help='do not measure memory, which takes seconds each'
    )
    parser.add_argument('--json', action='store_true', help='print the result as JSON')
    parser.add_argument(
        '--report', type=Path, metavar='DIR', help='write bench.md, bench.json and a plot'
    )
    parser.add_argument(
        '--accuracy', type=Path, metavar='FILE', help='report.json of eval, for the plot'
    )
    node = parser.add_argument_group('node')
    node.add_argument('--node', action='store_true', help='measure the real node over DDS')
    node.add_argument(
        '--seconds', type=float, default=4.0, metavar='S',
        help='time that each rate is tried for (default: %(default)s)',
    )  # fmt: skip
    node.add_argument(
        '--steps', type=int, default=7, metavar='N',
        help='number of rates that are tried (default: %(default)s)',
    )  # fmt: skip
    node.add_argument(
        '--cameras', type=int, default=1, metavar='N',
        help='stereo cameras that the node serves, each at that rate (default: %(default)s)',
    )  # fmt: skip
    add_pipeline_options(parser, without=('backend', 'model'))


def run(args: argparse.Namespace) -> int:
    """Time the backends, or the node, and print a table.

    Raises:
        ConfigError: an option is out of range or does not go with another.
        InputError: the pair or the accuracy cannot be read; for the node, ROS is not installed.
        StereoError: a backend that was named cannot start.
    """
    result = _node(args) if args.node else _latencies(args)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print(node_text(result) if args.node else text(result))
        if args.report:
            print(f'report: {args.report.resolve()}')
    return 0


def _latencies(args: argparse.Namespace) -> dict[str, Any]:
    """Time the backends; writes the report."""
    if args.runs < 1:
        raise ConfigError(f'--runs is {args.runs}, it must be at least 1')
    if args.accuracy and not args.report:
        raise ConfigError('--accuracy is for the plot of a report; give --report DIR')
    frames = _frames(args.pair, args.size)
    accuracy = read_accuracy(args.accuracy) if args.accuracy else []
    if args.accuracy and not accuracy:
        raise InputError(
            f'{args.accuracy}: has no accuracy; name the report.json of dtp-stereo eval -o DIR'
        )
    judged = read_settings(args.accuracy) if args.accuracy else {}
    if args.report:
        make_folder(args.report)
    asked = args.backends.split(',') if args.backends else None
    runners, passed_over = _enter(pipeline_config(args), asked, _models(args))
    try:
        for runner in runners:
            _check_judged(runner, judged, args.accuracy)
        sizes = [
            _timed(runners, frame, args.runs, with_memory=not args.no_memory) for frame in frames
        ]
    finally:
        close_all(runner.method for runner in runners)
    result = document(sizes, args.runs, passed_over, typed_command())
    result['auto'] = []
    if not asked or set(asked) & set(AUTO_ORDER):
        result['auto'] = auto_choices(pipeline_config(args), _models(args))
    if args.report:
        source = args.accuracy.name if args.accuracy else ''
        write_report(args.report, result, accuracy, source)
    return result


def _check_judged(runner: _Runner, judged: dict[str, dict[str, Any]], path: Path) -> None:
    """The accuracy in a file must be of the method that is timed."""
    name = runner.own_name
    found = disagreement(name, judged.get(name, {}), deciding(runner.method))
    if found:
        raise InputError(f'{path}: {found}; call eval with the settings of this bench')


def _models(args: argparse.Namespace) -> list[str]:
    """The models that were named; else the default, or for a report all that have names."""
    given = models_given(args)
    return given or (models.names(('.onnx',)) if args.report else []) or [PipelineConfig().model]


def _frames(paths: list[Path], sizes: str | None) -> list[StereoFrame]:
    """The user's pair, or the Motorcycle pair, or without that a generated one, in each size."""
    if len(paths) not in (0, 2):
        raise InputError(f'{len(paths)} image was given; bench takes LEFT and RIGHT, or none')
    wanted = _sizes(sizes or _DEFAULT_SIZE)
    if not paths:
        try:
            return [resized_motorcycle(*size) for size in wanted]
        except InputError as error:
            print(f'a generated pair is timed: {error}', file=sys.stderr)
            return [generated_pair((height, width)).frame for width, height in wanted]
    frame = read_pair(paths[0], paths[1])
    return [resized(frame, *size) for size in wanted] if sizes else [frame]


def _sizes(sizes: str) -> list[tuple[int, int]]:
    return [parse_size(size, '--size', 'WIDTHxHEIGHT') for size in sizes.split(',')]


def _enter(
    config: PipelineConfig, asked: list[str] | None, names: list[str]
) -> tuple[list[_Runner], dict[str, str]]:
    """Open each backend for each model; one that was asked for must start, others may not."""
    runners: list[_Runner] = []
    passed_over: dict[str, str] = {}
    known = (*TABLE, *_RIVALS)
    unknown = set(asked or ()) - set(known)
    if unknown:
        raise ConfigError(
            f'unknown backend {", ".join(sorted(unknown))}; choose among {", ".join(known)}'
        )
    sgbm = PipelineConfig(backend=BASELINE, threads=config.threads)
    for name in TABLE:
        if asked and name not in asked and name != BASELINE:
            continue
        configs = [replace(config, backend=name, model=model) for model in names]
        for own in [sgbm] if name == BASELINE else configs:
            try:
                taken = {runner.own_name for runner in runners}
                runners.append(_opened(own, taken=taken))
            except StereoError as error:
                if asked:
                    raise
                passed_over[name] = str(error)
    if not asked or SGBM_FULL in asked:
        runners.append(_opened(replace(sgbm, sgbm_mode=1), SGBM_FULL))
    if not asked or block_matching.NAME in asked:
        name = block_matching.NAME
        runners.append(_Runner(Method(name, BlockMatcher()), 'CPU', name, 'fp32', name))
    return runners, passed_over


def _opened(config: PipelineConfig, name: str = '', taken: Container[str] = ()) -> _Runner:
    """A pipeline; of a variant of a backend, the name is that of both backend and model."""
    pipeline = StereoPipeline(config)
    backend, spec = pipeline.backend, pipeline.backend.spec
    method = Method(name or backend.name, pipeline)
    reported = name or own_name(pipeline, config.model, taken)
    return _Runner(method, backend.device, name or spec.name, spec.precision, reported)


def _timed(
    runners: Sequence[_Runner], frame: StereoFrame, runs: int, with_memory: bool
) -> dict[str, Any]:
    """All methods at the size of a frame."""
    entrants = [Entrant(runner.method.name, runner.method.pipeline) for runner in runners]
    take_turns(entrants, frame, runs)
    # At once, before the GPU slows its clocks down.
    clocks = system.gpu_clocks()
    entries = []
    for runner, entrant in zip(runners, entrants, strict=True):
        memory = None
        if with_memory:
            settings = settings_of(runner.method)
            memory = peak_memory(settings, frame.width_px, frame.height_px)
        entries.append(
            Entry(
                entrant,
                runner.device,
                runner.model,
                runner.precision,
                memory,
                runner.own_name,
                deciding(runner.method),
            )
        )
    found = size_result(frame.width_px, frame.height_px, entries)
    return {**found, 'gpu_clocks': clocks} if clocks else found


def _node(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the node at each size, with each model in each backend."""
    if args.pair or args.report or args.accuracy:
        raise ConfigError('--node takes no pair, no --report and no --accuracy')
    if not SHORTEST_STEP_S <= args.seconds <= LONGEST_STEP_S:
        raise ConfigError(
            f'--seconds is {args.seconds:g}, it must be {SHORTEST_STEP_S:g} to {LONGEST_STEP_S:g}'
        )
    if args.steps < 1:
        raise ConfigError(f'--steps is {args.steps}, it must be at least 1')
    if not 1 <= args.cameras <= MOST_CAMERAS:
        raise ConfigError(f'--cameras is {args.cameras}, it must be 1 to {MOST_CAMERAS}')
    names = args.backends.split(',') if args.backends else [PipelineConfig().backend]
    unknown = set(names) - set(BACKENDS)
    if unknown:
        raise ConfigError(
            f'unknown backend {", ".join(sorted(unknown))}; the node has {", ".join(BACKENDS)}'
        )
    sizes = _sizes(args.size or ','.join(_NODE_SIZES))
    config = pipeline_config(args)
    settings = [
        NodeSetting(*size, args.cameras, _changed(replace(config, backend=name, model=model)))
        for name in names
        for model in _models(args)
        for size in sizes
    ]
    try:
        from ..ros.harness.node_bench import measure
        from ..ros.harness.node_process import domain_of
        from ..ros.harness.replay_node import ros_context
    except ImportError as error:
        raise without_ros('bench --node', error) from error
    with unwinding(), ros_context(domain_of(os.getpid())) as (context, env):
        figures = [measure(s, args.seconds, args.steps, context, env) for s in settings]
    return node_document(figures, args.seconds, typed_command())


def _changed(config: PipelineConfig) -> dict[str, Any]:
    """Parameters of the node: the settings that are not its defaults."""
    usual = asdict(PipelineConfig())
    return {name: value for name, value in asdict(config).items() if value != usual[name]}
