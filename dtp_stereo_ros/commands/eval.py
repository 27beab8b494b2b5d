"""`dtp-stereo eval`: score backends on stereo data sets with ground truth."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from ..config import BACKENDS, PipelineConfig
from ..errors import InputError
from ..evaluation.datasets import (
    READERS,
    SHARED_LAYOUT,
    Scene,
    Truth,
    open_dataset,
    shared_sets,
)
from ..evaluation.extremes import Extremes
from ..evaluation.report import as_json, legend, markdown_table, write_panel, write_report
from ..evaluation.runner import DatasetResult, Estimate, Method, evaluate
from ..pipeline import StereoPipeline
from ..stereo import StereoFrame
from .options import add_models_option, add_pipeline_options, pipeline_config, typed_command

HELP = 'score a model and SGBM on data sets with ground truth'

DESCRIPTION = f"""\
Scores one or more backends on stereo data sets with ground truth. SGBM (OpenCV, 3-way,
192 disparities) always runs beside them as the rival. Prints a Markdown table: EPE, bad-1/2/3,
D1, density and milliseconds a frame.

Data sets are given as NAME:PATH, any number of them:
  middlebury_v3       MiddEval3/trainingQ, F or H: the folder of the scenes
  middlebury_classic  folder with scale.json and SCENE/left.* right.* disp.*
  kitti2015           training/, with disp_occ_0 and/or disp_noc_0
  flyingthings        SceneFlow layout: frames_cleanpass/ and disparity/
  pairs               NAME_left.* NAME_right.* [NAME_disp.pfm]; without truth only pictures
--shared ROOT takes those of them that lie below ROOT as
  {', '.join(SHARED_LAYOUT.values())}

examples:
  dtp-stereo eval --data middlebury_v3:MiddEval3/trainingQ -o report
  dtp-stereo eval --data kitti2015:kitti/training --backend openvino,onnx
  dtp-stereo eval --shared ../shared/data --model dtpnet,runs/mine.onnx --json
"""

_RIVAL = 'sgbm'


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
        help='write report.md, report.json, a picture of every scene, and the best and worst',
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of the table')
    add_models_option(parser)
    add_pipeline_options(parser, without=('backend', 'model', 'min_depth', 'max_depth'))


def run(args: argparse.Namespace) -> int:
    """Evaluate and report.

    Raises:
        InputError: a data set is missing or laid out otherwise.
        StereoError: a backend cannot start.
    """
    specs = [*args.data, *(shared_sets(args.shared) if args.shared else [])]
    datasets = [open_dataset(spec) for spec in specs]
    if not datasets:
        raise InputError('no data; give --data NAME:PATH or --shared ROOT')
    methods = _methods(args)
    if args.out:
        _make_folder(args.out)
    extremes = Extremes()
    results = [_evaluate(name, scenes, methods, args.out, extremes) for name, scenes in datasets]
    if args.out:
        write_report(args.out, results, typed_command(), extremes.picture())
    if args.json:
        print(as_json(results))
    else:
        print(markdown_table([row for result in results for row in result.rows()]))
        print(f'\n{legend()}')
        if args.out:
            print(f'\nreport and pictures: {args.out.resolve()}')
    return 0


def _methods(args: argparse.Namespace) -> list[Method]:
    settings = pipeline_config(args)
    configs = [
        replace(settings, backend=backend, model=model)
        for model in args.models
        for backend in args.backends.split(',')
        if backend != _RIVAL
    ]
    if _RIVAL in args.backends.split(','):
        configs.append(replace(settings, backend=_RIVAL))
    else:
        configs.append(PipelineConfig(backend=_RIVAL))
    methods: dict[str, Method] = {}
    for config in configs:
        method = _method(config)
        if method.name in methods:
            # Two files of one name; the scores of a method are found by its name.
            method = replace(method, name=f'{method.name} {config.model}')
        methods[method.name] = method
    return list(methods.values())


def _method(config: PipelineConfig) -> Method:
    pipeline = StereoPipeline(config)
    print(pipeline.choice, file=sys.stderr)
    spec = pipeline.backend.spec
    if spec.name == _RIVAL:
        return Method(_RIVAL, pipeline)
    return Method(f'{spec.name} {pipeline.backend.name} {spec.precision}', pipeline)


def _evaluate(
    name: str, scenes: list[Scene], methods: list[Method], out: Path | None, extremes: Extremes
) -> DatasetResult:
    def seen(
        scene: Scene, frame: StereoFrame, truth: Truth | None, estimates: list[Estimate]
    ) -> None:
        print(f'{name}: {scene.name}', file=sys.stderr)
        if out:
            write_panel(out / name, scene, frame, truth, estimates)
            extremes.see(f'{name} {scene.name}', truth, estimates)

    return evaluate(name, scenes, methods, seen)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'{folder}: cannot be made ({error.strerror}); choose another') from error
