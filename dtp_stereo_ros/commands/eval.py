"""`dtp-stereo eval`: score backends on stereo data sets with ground truth."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config import BACKENDS, PipelineConfig
from ..errors import InputError
from ..evaluation import block_matching, latency
from ..evaluation.block_matching import BlockMatcher
from ..evaluation.datasets import (
    READERS,
    SHARED_LAYOUT,
    Scene,
    open_datasets,
    shared_sets,
)
from ..evaluation.extremes import Extremes
from ..evaluation.latency import Times
from ..evaluation.methods import close_all, deciding, disagreement, opened, settings_of
from ..evaluation.report import Extras, legend, write_report
from ..evaluation.result_file import as_document, json_pieces
from ..evaluation.runner import (
    BASELINE,
    DatasetResult,
    Method,
)
from ..evaluation.score_log import ScoreLog
from ..evaluation.slices import SliceWork, SliceWorker, slices
from ..evaluation.tables import score_table
from ..evaluation.thin import ThinStructures
from ..fleet.fleet import Finished, Fleet, finish, part_folder
from ..fleet.tasks import Lost
from ..paths import make_folder
from .fleet_options import add_fleet_options, fleet_of
from .options import (
    add_models_option,
    add_pipeline_options,
    models_given,
    pipeline_config,
    typed_command,
)

HELP = 'score a model and SGBM on data sets with ground truth'

DESCRIPTION = f"""\
Score one or more backends on stereo data sets with ground truth. SGBM (OpenCV, 3-way,
192 disparities) always runs as well, for comparison. Prints a Markdown table: EPE, bad-0.5/1/2/3,
D1, density and milliseconds per frame. With -o it also writes a report: accuracy with
95 % intervals and the paired difference to SGBM, error at SGBM's density, AUSE and sparsification
curves, calibration of the confidence, errors by class of pixels, thin structures, and a picture of
every scene.

Data sets are given as NAME:PATH, any number of them:
  middlebury_v3       the folder of the scenes: MiddEval3/trainingQ, F or H; 2014, 2021
  middlebury_2005     and 2006, middlebury_2001 and 2003: the folder of the scenes
  middlebury_classic  folder with scale.json and SCENE/left.* right.* disp.*
  eth3d               two_view_training, with two_view_training_gt beside it or unpacked into it
  kitti2015           training/, with disp_occ_0 and/or disp_noc_0; kitti2012: disp_occ, disp_noc
  flyingthings        SceneFlow: frames_cleanpass/ and disparity/, or the subset's train/ and val/
  pairs               NAME_left.* NAME_right.* [NAME_disp.pfm]; without truth only pictures
A scene with a damaged file is named, left out of the means, and the exit code is 1.
Sets are judged in slices, whose results lie in DIR/.dtp_stereo_parts until all are judged: the
same command, called again after an interruption, judges what is missing.
--shared ROOT takes those of them that lie below ROOT as
  {', '.join(SHARED_LAYOUT.values())}

examples:
  dtp-stereo eval --data middlebury_v3:MiddEval3/trainingQ -o report
  dtp-stereo eval --data kitti2015:kitti/training --backend openvino,onnx
  dtp-stereo eval --shared DATA --model dtpnet,runs/mine.onnx --json
  dtp-stereo eval --shared DATA --timed -o report
  dtp-stereo eval --data flyingthings:FlyingThings3D --jobs 8 -o report
  dtp-stereo bench --json > bench.json
  dtp-stereo eval --shared DATA --bench bench.json -o report
"""

# Frames that each method is timed on.
_TIMED_RUNS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        '--data',
        action='append',
        default=[],
        metavar='NAME:PATH',
        help=f'a data set ({", ".join(READERS)}); may be repeated',
    )
    parser.add_argument(
        '--shared', type=Path, metavar='ROOT', help='folder with several data sets, see above'
    )
    parser.add_argument(
        '--backend',
        dest='backends',
        default='auto',
        metavar='NAME[,NAME]',
        help=f'backends to score: {", ".join(BACKENDS)} (default: auto)',
    )
    parser.add_argument(
        '-o',
        '--out',
        type=Path,
        metavar='DIR',
        help='write report.md, report.json and pictures',
    )
    timing = parser.add_mutually_exclusive_group()
    timing.add_argument(
        '--timed',
        action='store_true',
        help='time the methods in turns at 640x480, and draw accuracy against time in the report; '
        'block matching (bm) takes part',
    )
    timing.add_argument(
        '--bench',
        type=Path,
        metavar='FILE',
        help='the same with the times of a file of dtp-stereo bench --json',
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of the table')
    add_fleet_options(parser, 'slice of a set', '-o')
    add_models_option(parser)
    add_pipeline_options(parser, without=('backend', 'model', 'min_depth', 'max_depth'))


def run(args: argparse.Namespace) -> int:
    """Evaluate and report.

    Raises:
        InputError: a data set is missing or laid out otherwise.
        StereoError: a backend cannot start.
    """
    specs = [*args.data, *(shared_sets(args.shared) if args.shared else [])]
    datasets = open_datasets(specs)
    if not datasets:
        raise InputError('no data; give --data NAME:PATH or --shared ROOT')
    timed = latency.resized_motorcycle(latency.WIDTH_PX, latency.HEIGHT_PX) if args.timed else None
    times = latency.read_bench(args.bench) if args.bench else None
    fleet = fleet_of(args)
    methods = _methods(args)
    try:
        if times:
            _check_times(times, methods, args.bench)
        if args.out:
            make_folder(args.out)
        judged = _judge(args, fleet, datasets, methods)
        if not any(result.scores for result in judged.results):
            first = next(line for result in judged.results for line in result.left_out)
            raise InputError(f'no scene can be read; the first: {first}')
        if timed:
            times = latency.measure(methods, timed, _TIMED_RUNS)
    finally:
        close_all(methods)
    return _report(args, judged, times)


@dataclass
class _Judged:
    """All sets, merged from their slices.

    Attributes:
        done: by the fleet.
        settings: method to its `methods.deciding`.
    """

    done: Finished
    results: list[DatasetResult]
    settings: dict[str, dict[str, Any]]
    extremes: Extremes = field(default_factory=Extremes)
    thin: dict[str, ThinStructures] = field(default_factory=dict)

    def extras(self, times: Times | None) -> Extras:
        """Parts of the report besides scores."""
        thin = {name: found.picture() for name, found in self.thin.items()}
        return Extras(
            self.extremes.picture(),
            {name: picture for name, picture in thin.items() if picture is not None},
            times,
            self.settings,
        )


def _judge(
    args: argparse.Namespace,
    fleet: Fleet,
    datasets: list[tuple[str, list[Scene]]],
    methods: list[Method],
) -> _Judged:
    pictures = args.out.resolve() if args.out else None
    work = SliceWork(tuple(settings_of(method) for method in methods), pictures)
    tasks = slices(datasets, work)
    with part_folder(args.out) as parts:
        done = finish(fleet, work, tasks, parts, SliceWorker(methods, pictures))
        if done.taken:
            print(f'{done.taken} of {len(tasks)} parts were judged before', file=sys.stderr)
        settings = {method.name: deciding(method) for method in methods}
        results = [DatasetResult(name, ScoreLog()) for name, _ in datasets]
        judged = _Judged(done, results, settings)
        by_name = {result.dataset: result for result in judged.results}
        for task, value in done.values():
            name = task.given.dataset
            if isinstance(value, Lost):
                first, last = task.given.scenes[0].name, task.given.scenes[-1].name
                by_name[name].left_out.append(f'{name} {first} to {last}: {value.reason}')
                continue
            by_name[name].merge(value.result)
            judged.extremes.merge(value.extremes)
            judged.thin.setdefault(name, ThinStructures()).merge(value.thin)
    return judged


def _report(args: argparse.Namespace, judged: _Judged, times: Times | None) -> int:
    results, jobs = judged.results, judged.done.jobs
    if args.out:
        write_report(args.out, results, typed_command(), judged.extras(times), jobs)
        judged.done.forget()
    if args.json:
        document = as_document(
            results, typed_command(), times, jobs=jobs, settings=judged.settings
        )
        sys.stdout.writelines(json_pieces(document))
        print()
    else:
        print(score_table([row for result in results for row in result.rows()], jobs))
        print(f'\n{legend(jobs)}')
        if args.out:
            print(f'\nreport and pictures: {args.out.resolve()}')
    left_out = [line for result in results for line in result.left_out]
    for line in left_out:
        print(f'dtp-stereo eval: error: left out, {line}', file=sys.stderr)
    return 1 if left_out else 0


def _methods(args: argparse.Namespace) -> list[Method]:
    settings = pipeline_config(args)
    configs = [
        replace(settings, backend=backend, model=model)
        for model in models_given(args) or [settings.model]
        for backend in args.backends.split(',')
        if backend != BASELINE
    ]
    if BASELINE in args.backends.split(','):
        configs.append(replace(settings, backend=BASELINE))
    else:
        configs.append(PipelineConfig(backend=BASELINE, threads=settings.threads))
    methods = opened(configs)
    if args.timed or args.bench:
        methods.append(Method(block_matching.NAME, BlockMatcher()))
    return methods


def _check_times(times: Times, methods: list[Method], path: Path) -> None:
    """Each model must have a time, with the settings that it is judged with."""
    classical = (BASELINE, block_matching.NAME)
    missing = [m.name for m in methods if m.name not in times.ratios and m.name not in classical]
    if missing:
        raise InputError(
            f'{path}: no time of {", ".join(missing)} in it, but of {", ".join(times.ratios)}; '
            'call bench with the same --backend, --model and --precision'
        )
    for method in methods:
        found = disagreement(method.name, times.settings.get(method.name, {}), deciding(method))
        if found:
            raise InputError(f'{path}: {found}; call bench with the settings of this evaluation')
