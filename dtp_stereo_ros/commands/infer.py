"""`dtp-stereo infer`: one pair of images in, one file out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, of_place
from ..image_io import check_output, measured_px, write_result
from ..pipeline import StereoPipeline
from ..stereo import StereoFrame, StereoResult
from .given_pair import read_given_pair
from .options import add_pipeline_options, pipeline_config

HELP = 'disparity or point cloud of one image pair'

DESCRIPTION = """\
Match one rectified pair and write the result; the ending of OUT says in which form:

  .npy   disparity x_left - x_right, float32 (H, W) in pixels of LEFT, NaN where unknown
  .pfm   the same, +Inf where unknown (Middlebury's convention)
  .png   the disparity in colour: near is red, far is blue, unknown is black
  .ply   coloured point cloud in metres, left optical frame (needs --calib)

With --what depth (needs --calib):

  .npy, .pfm   depth, float32 (H, W) in metres, NaN where unknown, +Inf beyond --max-depth
  .png         depth, 16 bit in millimetres, 0 where unknown or beyond --max-depth

examples:
  dtp-stereo infer left.png right.png -o disparity.npy
  dtp-stereo infer left.png right.png -o cloud.ply --calib calib.txt
  dtp-stereo infer left.png right.png -o depth.png --what depth --calib left.yaml,right.yaml
  dtp-stereo infer left.png right.png -o sgbm.png --backend sgbm
  dtp-stereo infer left.png right.png -o fast.png --scale 0.5 --json

--calib reads the two files of ROS's camera_calibration as LEFT.yaml,RIGHT.yaml (or ost.txt); what
`ros2 topic echo --once` shows of both camera_info; the calib.txt of Middlebury, ETH3D and KITTI;
P1, P2 of OpenCV; ORB-SLAM's settings of a rectified camera; FoundationStereo's K.txt; or a YAML
with f, cx, cy in px, baseline in m, width, height in px (and cx_right, fy where they differ). It
must belong to the size of the images. With a calibration, points nearer than --min-depth are
unknown.

Bad input ends with one line on stderr and exit code 2, and nothing is written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('left', metavar='LEFT', type=Path, help='left image, rectified')
    parser.add_argument('right', metavar='RIGHT', type=Path, help='right image, same size')
    parser.add_argument(
        '-o', '--output', metavar='OUT', type=Path, required=True,
        help='file to write, of one of the kinds above.',
    )  # fmt: skip
    parser.add_argument(
        '--what',
        choices=('disparity', 'depth'),
        default='disparity',
        help='of a .png, .npy or .pfm (default: disparity)',
    )
    parser.add_argument('--calib', metavar='FILE', help='calibration: depth limits, depth, .ply')
    parser.add_argument('--json', action='store_true', help='print the summary as JSON')
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Match the pair, write the result, print a summary."""
    config = pipeline_config(args)
    frame = read_given_pair(args.left, args.right, args.calib)
    check_output(args.output, frame.calibration, args.what)
    if args.output.exists() and any(args.output.samefile(p) for p in (args.left, args.right)):
        raise InputError(f'{args.output}: is an image of the pair; name another output')
    pipeline = StereoPipeline(config)
    try:
        with of_place(args.left):
            result = pipeline.process(frame)
        write_result(args.output, frame, result, args.what)
        summary = _summary(args.output, frame, result, pipeline)
    finally:
        pipeline.close()
    print(json.dumps(summary, indent=2) if args.json else _sentences(summary, pipeline.choice))
    return 0


def _summary(
    output: Path, frame: StereoFrame, result: StereoResult, pipeline: StereoPipeline
) -> dict[str, Any]:
    """Figures of a run for --json; latencies are of a first, cold run."""
    height, width = result.disparity_px.shape
    disparity_px = measured_px(frame, result)
    known = disparity_px[np.isfinite(disparity_px)]
    spec = pipeline.backend.spec
    return {
        'output': str(output),
        'width_px': width,
        'height_px': height,
        'valid_share': round(known.size / disparity_px.size, 6),
        'disparity_px': {
            'min': float(known.min()) if known.size else None,
            'median': float(np.median(known)) if known.size else None,
            'max': float(known.max()) if known.size else None,
        },
        'latency_s': {stage: round(s, 6) for stage, s in result.latency_s.items()},
        'backend': pipeline.backend.name,
        'device': pipeline.backend.device,
        'precision': spec.precision,
        'model': spec.name,
        'sha256': spec.sha256,
    }


def _sentences(summary: dict[str, Any], choice: str) -> str:
    disparity = summary['disparity_px']
    found = 'no pixel has a disparity'
    if disparity['median'] is not None:
        found = (
            f'disparity {disparity["min"]:.2f} .. {disparity["max"]:.2f} px, median '
            f'{disparity["median"]:.2f} px, {100 * summary["valid_share"]:.1f} % of the pixels'
        )
    return (
        f'{summary["output"]}: {summary["width_px"]}x{summary["height_px"]}, {found}\n'
        f'{choice}; inference {1000 * summary["latency_s"]["inference"]:.0f} ms (first run)'
    )
