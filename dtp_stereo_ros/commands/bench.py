"""`dtp-stereo bench`: latency of every backend beside SGBM's, measured in one run."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..backends import TABLE
from ..config import PipelineConfig
from ..errors import ConfigError, InputError, StereoError
from ..evaluation import motorcycle
from ..image_io import read_pair
from ..pipeline import StereoPipeline
from ..sizes import parse_size
from ..stereo import StereoFrame
from .options import add_models_option, add_pipeline_options, pipeline_config

HELP = 'latency of every backend, beside SGBM'

DESCRIPTION = """\
Time the backends that work here on LEFT and RIGHT in their size, or without them on Motorcycle
(Middlebury 2014, from scikit-image) at 640x480. The backends take turns in one run, so that
whatever else the machine does hits all alike; medians after a warm-up. SGBM (OpenCV, 3-way, 192
disparities) is always among them, and the last column says how many of its times a backend takes.

examples:
  dtp-stereo bench
  dtp-stereo bench left.png right.png
  dtp-stereo bench --backend openvino,onnx --size 320x240
  dtp-stereo bench --backend openvino --model dtpnet,runs/mine.onnx
  dtp-stereo bench --precision fp32 --threads 2 --json"""

_BASELINE = 'sgbm'
_DEFAULT_SIZE = '640x480'
_WARM_UP = 3
# Thread pools spin for a while after a run; the next backend is not to pay for that.
_PAUSE_S = 0.02


@dataclass
class Entrant:
    """A backend that takes part.

    Attributes:
        name: of the backend table.
        pipeline: built for it.
        runs: latency by stage of each timed run, seconds.
    """

    name: str
    pipeline: StereoPipeline
    runs: list[dict[str, float]] = field(default_factory=list)

    def median_ms(self, *stages: str) -> float:
        """Median over the runs of the sum of some stages."""
        return 1000 * float(np.median([sum(run[s] for s in stages) for run in self.runs]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'pair', metavar='LEFT RIGHT', nargs='*', type=Path, help='a rectified pair of your own'
    )
    parser.add_argument(
        '--backend',
        dest='backends',
        metavar='A,B',
        help='backends to time; default: all that work here',
    )
    add_models_option(parser)
    parser.add_argument(
        '--size',
        metavar='WxH',
        help='resize to this; default: 640x480, a pair of your own as it is',
    )
    parser.add_argument('--runs', metavar='N', type=int, default=20, help='default: 20')
    parser.add_argument('--json', action='store_true', help='print the times as JSON')
    add_pipeline_options(parser, without=('backend', 'model'))


def run(args: argparse.Namespace) -> int:
    """Time the backends and print a table."""
    if args.runs < 1:
        raise ConfigError(f'--runs is {args.runs}, it must be at least 1')
    frame = _frame(args.pair, args.size)
    asked = args.backends.split(',') if args.backends else None
    entrants, passed_over = _enter(pipeline_config(args), asked, args.models)
    try:
        _time(entrants, frame, args.runs)
        report = {
            'width_px': frame.width_px,
            'height_px': frame.height_px,
            'runs': args.runs,
            'backends': _rows(entrants),
            'passed_over': passed_over,
        }
    finally:
        for entrant in entrants:
            entrant.pipeline.close()
    print(json.dumps(report, indent=2) if args.json else _table(report))
    return 0


def resized_motorcycle(width_px: int, height_px: int) -> StereoFrame:
    """The Motorcycle pair, resized.

    Raises:
        InputError: scikit-image is not installed.
    """
    return _resized(motorcycle.load()[0], width_px, height_px)


def _frame(paths: list[Path], size: str | None) -> StereoFrame:
    """The user's pair, or the Motorcycle pair."""
    if len(paths) not in (0, 2):
        raise InputError(f'{len(paths)} image was given; bench takes LEFT and RIGHT, or none')
    wanted = parse_size(size or _DEFAULT_SIZE, '--size', 'WIDTHxHEIGHT')
    if not paths:
        try:
            return resized_motorcycle(*wanted)
        except InputError as error:
            raise InputError(f'{error}, or name a pair: dtp-stereo bench LEFT RIGHT') from error
    frame = read_pair(paths[0], paths[1])
    return _resized(frame, *wanted) if size else frame


def _resized(frame: StereoFrame, width_px: int, height_px: int) -> StereoFrame:
    left, right = (
        cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
        for image in (frame.left, frame.right)
    )
    return StereoFrame(left, right)


def _enter(
    config: PipelineConfig, asked: list[str] | None, models: list[str]
) -> tuple[list[Entrant], dict[str, str]]:
    """Build each backend for each model; one that was asked for must start, others may not."""
    entrants: list[Entrant] = []
    passed_over: dict[str, str] = {}
    unknown = set(asked or ()) - set(TABLE)
    if unknown:
        raise ConfigError(
            f'unknown backend {", ".join(sorted(unknown))}; choose among {", ".join(TABLE)}'
        )
    for name in TABLE:
        if asked and name not in asked and name != _BASELINE:
            continue
        configs = [replace(config, backend=name, model=model) for model in models]
        if name == _BASELINE:
            configs = [replace(PipelineConfig(), backend=name, threads=config.threads)]
        for own in configs:
            try:
                entrants.append(Entrant(name, StereoPipeline(own)))
            except StereoError as error:
                if asked:
                    raise
                passed_over[name] = str(error)
    return entrants, passed_over


def _time(entrants: list[Entrant], frame: StereoFrame, runs: int) -> None:
    for index in range(_WARM_UP + runs):
        for entrant in entrants:
            latency_s = entrant.pipeline.process(frame).latency_s
            if index >= _WARM_UP:
                entrant.runs.append(latency_s)
            time.sleep(_PAUSE_S)


def _rows(entrants: list[Entrant]) -> list[dict[str, Any]]:
    stages = ('preprocess', 'inference', 'postprocess')
    baseline_ms = next(e.median_ms(*stages) for e in entrants if e.name == _BASELINE)
    return [
        {
            'backend': entrant.name,
            'device': entrant.pipeline.backend.device,
            'model': entrant.pipeline.backend.spec.name,
            'precision': entrant.pipeline.backend.spec.precision,
            'inference_ms': round(entrant.median_ms('inference'), 2),
            'total_ms': round(entrant.median_ms(*stages), 2),
            'ratio_to_sgbm': round(entrant.median_ms(*stages) / baseline_ms, 3),
        }
        for entrant in entrants
    ]


def _table(report: dict[str, Any]) -> str:
    lines = [
        f'{report["width_px"]}x{report["height_px"]}, medians of {report["runs"]} runs',
        f'{"backend":<9} {"device":<24} {"model":<13} {"precision":<9} '
        f'{"inference":>10} {"total":>10} {"vs sgbm":>8}',
    ]
    lines += [
        f'{row["backend"]:<9} {row["device"]:<24} {row["model"]:<13} {row["precision"]:<9} '
        f'{row["inference_ms"]:>7.1f} ms {row["total_ms"]:>7.1f} ms {row["ratio_to_sgbm"]:>7.2f}x'
        for row in report['backends']
    ]
    lines += [f'{name} passed over: {why}' for name, why in report['passed_over'].items()]
    return '\n'.join(lines)
