"""`dtp-stereo bench`: latency of every backend beside SGBM's, measured in one run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..backends import AUTO_ORDER, TABLE
from ..config import PipelineConfig
from ..errors import ConfigError, InputError, StereoError
from ..evaluation import block_matching
from ..evaluation.auto_choice import auto_choices, auto_lines
from ..evaluation.block_matching import BlockMatcher
from ..evaluation.latency import (
    HEIGHT_PX,
    WIDTH_PX,
    Entrant,
    resized,
    resized_motorcycle,
    take_turns,
)
from ..evaluation.runner import BASELINE
from ..image_io import read_pair
from ..pipeline import StereoPipeline
from ..sizes import parse_size
from ..stereo import StereoFrame
from .options import add_models_option, add_pipeline_options, pipeline_config

HELP = 'latency of every backend, beside SGBM'

DESCRIPTION = """\
Time the backends that work here on LEFT and RIGHT in their size, or without them on Motorcycle
(Middlebury 2014, from scikit-image) at 640x480. The backends take turns in one run, so that other
work of the machine slows all of them alike. The times are medians after a warm-up. SGBM (OpenCV,
3-way, 192 disparities) is always timed; the last column is the time as a multiple of that of SGBM.
bm is OpenCV's block matching; it is timed where it is named or --backend is not given. The last
lines say what `--backend auto` takes here, and by which times; what it has not measured yet is
measured then. `dtp-stereo eval --bench` draws accuracy against the times of --json.

examples:
  dtp-stereo bench
  dtp-stereo bench left.png right.png
  dtp-stereo bench --backend openvino,onnx --size 320x240
  dtp-stereo bench --backend openvino --model dtpnet,runs/mine.onnx
  dtp-stereo bench --precision fp32 --threads 2 --json"""

_DEFAULT_SIZE = f'{WIDTH_PX}x{HEIGHT_PX}'


@dataclass(frozen=True)
class _Entry:
    """A backend that takes part, and how it is named in the result."""

    entrant: Entrant
    device: str
    model: str
    precision: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'pair', metavar='LEFT RIGHT', nargs='*', type=Path, help='your own rectified pair'
    )
    parser.add_argument(
        '--backend',
        dest='backends',
        metavar='A,B',
        help='backends to time (default: all that work here)',
    )
    add_models_option(parser)
    parser.add_argument(
        '--size',
        metavar='WxH',
        help='size of the images (default: 640x480; your own pair keeps its size)',
    )
    parser.add_argument(
        '--runs',
        metavar='N',
        type=int,
        default=20,
        help='timed runs of each backend (default: 20)',
    )
    parser.add_argument('--json', action='store_true', help='print the times as JSON')
    add_pipeline_options(parser, without=('backend', 'model'))


def run(args: argparse.Namespace) -> int:
    """Time the backends and print a table."""
    if args.runs < 1:
        raise ConfigError(f'--runs is {args.runs}, it must be at least 1')
    frame = _frame(args.pair, args.size)
    asked = args.backends.split(',') if args.backends else None
    config = pipeline_config(args)
    pipelines, passed_over = _enter(config, asked, args.models)
    try:
        entries = _entries(pipelines, not asked or block_matching.NAME in asked)
        take_turns([entry.entrant for entry in entries], frame, args.runs)
        report = {
            'width_px': frame.width_px,
            'height_px': frame.height_px,
            'runs': args.runs,
            'backends': _rows(entries),
            'passed_over': passed_over,
            'auto': [],
        }
    finally:
        for pipeline in pipelines:
            pipeline.close()
    if not asked or set(asked) & set(AUTO_ORDER):
        report['auto'] = auto_choices(config, args.models)
    print(json.dumps(report, indent=2) if args.json else _table(report))
    return 0


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
    return resized(frame, *wanted) if size else frame


def _enter(
    config: PipelineConfig, asked: list[str] | None, models: list[str]
) -> tuple[list[StereoPipeline], dict[str, str]]:
    """Build each backend for each model; one that was asked for must start, others may not."""
    pipelines: list[StereoPipeline] = []
    passed_over: dict[str, str] = {}
    known = (*TABLE, block_matching.NAME)
    unknown = set(asked or ()) - set(known)
    if unknown:
        raise ConfigError(
            f'unknown backend {", ".join(sorted(unknown))}; choose among {", ".join(known)}'
        )
    for name in TABLE:
        if asked and name not in asked and name != BASELINE:
            continue
        configs = [replace(config, backend=name, model=model) for model in models]
        if name == BASELINE:
            configs = [replace(PipelineConfig(), backend=name, threads=config.threads)]
        for own in configs:
            try:
                pipelines.append(StereoPipeline(own))
            except StereoError as error:
                if asked:
                    raise
                passed_over[name] = str(error)
    return pipelines, passed_over


def _entries(pipelines: Sequence[StereoPipeline], block_matcher: bool) -> list[_Entry]:
    entries = [
        _Entry(
            Entrant(pipeline.backend.name, pipeline),
            pipeline.backend.device,
            pipeline.backend.spec.name,
            pipeline.backend.spec.precision,
        )
        for pipeline in pipelines
    ]
    if block_matcher:
        name = block_matching.NAME
        entries.append(_Entry(Entrant(name, BlockMatcher()), 'CPU', name, 'fp32'))
    return entries


def _rows(entries: Sequence[_Entry]) -> list[dict[str, Any]]:
    baseline_ms = next(e.entrant.median_ms() for e in entries if e.entrant.name == BASELINE)
    return [
        {
            'backend': entry.entrant.name,
            'device': entry.device,
            'model': entry.model,
            'precision': entry.precision,
            'inference_ms': round(entry.entrant.median_ms('inference'), 2),
            'total_ms': round(entry.entrant.median_ms(), 2),
            'ratio_to_sgbm': round(entry.entrant.median_ms() / baseline_ms, 3),
        }
        for entry in entries
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
    return '\n'.join(lines + auto_lines(report['auto']))
