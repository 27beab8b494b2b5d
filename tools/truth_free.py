"""Rank correlation of the measures without truth with the errors that a truth shows.

    python -m tools.truth_free ../shared/data --write docs/reports/truth_free.md

Methods of differing quality match every scene with truth. *Within a scene*, the methods are ranked
by a measure and by the error: does the measure find the better method? *Across scenes*, the scenes
are ranked for one method: does it find the frames that went wrong?
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation import truth_free
from dtp_stereo_ros.evaluation.block_matching import BlockMatcher
from dtp_stereo_ros.evaluation.columns import ALL_COLUMNS
from dtp_stereo_ros.evaluation.datasets import Scene, Truth, open_dataset, shared_sets
from dtp_stereo_ros.evaluation.metrics import score
from dtp_stereo_ros.evaluation.recorded import mirrored_frame
from dtp_stereo_ros.evaluation.tables import table
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.progress import progress
from dtp_stereo_ros.stereo import Float32Array, StereoFrame, UInt8Array
from tools.doc_sections import check_section, write_section

MEASURES = ('inconsistent', 'photometric', 'census', 'flicker_px', 'agreement', 'coverage')
ERRORS = ('epe_px', 'bad_3')
# Grey levels of noise: of a good camera, as between two frames of a still scene, and of a bad one.
_SENSOR_LEVELS = 2.0
_BAD_SENSOR_LEVELS = 15.0
_SECTION = 'truth-free'

Match = Callable[[StereoFrame], Float32Array]


@dataclass(frozen=True)
class Figures:
    """Measures and errors of one method on one scene, by key; NaN unknown."""

    scene: str
    method: str
    values: dict[str, float]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path, help='folder with the data sets')
    parser.add_argument('--write', type=Path, metavar='PAGE', help='its section is replaced')
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--every', type=int, default=1, help='each N-th scene of a set')
    args = parser.parse_args()
    if args.write:
        check_section(args.write, _SECTION)
    figures = []
    names = []
    methods = _methods(args.backend)
    for spec in shared_sets(args.data):
        name, scenes = open_dataset(spec)
        chosen = [scene for scene in scenes if scene.load_truth][:: args.every]
        names.append(f'{name} ({len(chosen)})')
        for scene in progress(chosen, desc=name, unit='scene'):
            figures += _of_scene(f'{name} {scene.name}', scene, methods)
    text = report(figures, ', '.join(names))
    if args.write:
        write_section(args.write, _SECTION, text)
    else:
        print(text)


def report(figures: Sequence[Figures], data: str) -> str:
    """The tables: correlations, best measure first, and the means of the methods."""
    rows = []
    for key in MEASURES:
        within = [_mean_correlation(figures, key, error, 'scene') for error in ERRORS]
        across = [_mean_correlation(figures, key, error, 'method') for error in ERRORS]
        rows.append((key, within, across))
    rows.sort(key=lambda row: -sum(v for v in (*row[1], *row[2]) if np.isfinite(v)))
    correlations = table(
        [
            'measure',
            *(f'within a scene, {ALL_COLUMNS[e].name}' for e in ERRORS),
            *(f'across scenes, {ALL_COLUMNS[e].name}' for e in ERRORS),
        ],
        [
            [ALL_COLUMNS[key].name, *(_signed(value) for value in (*within, *across))]
            for key, within, across in rows
        ],
    )
    keys = (*ERRORS, *MEASURES)
    methods = dict.fromkeys(figure.method for figure in figures)
    means = table(
        ['method', *(ALL_COLUMNS[key].heading for key in keys)],
        [
            [method, *(ALL_COLUMNS[key].text(_mean(figures, method, key)) for key in keys)]
            for method in methods
        ],
    )
    return f'Scenes: {data}.\n\n{correlations}\n\nMeans over the scenes:\n\n{means}'


def _signed(value: float) -> str:
    return f'{value:+.2f}' if np.isfinite(value) else '-'


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation of the pairs that are known; NaN for fewer than four."""
    a, b = np.array(first, np.float64), np.array(second, np.float64)
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 4:
        return float('nan')
    a, b = _ranks(a[known]), _ranks(b[known])
    if a.std() == 0 or b.std() == 0:
        return float('nan')
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def _mean_correlation(figures: Sequence[Figures], key: str, error: str, group: str) -> float:
    """Mean over groups; positive where a worse measure goes with a larger error."""
    groups: dict[str, list[Figures]] = {}
    for figure in figures:
        groups.setdefault(getattr(figure, group), []).append(figure)
    sign = -1.0 if ALL_COLUMNS[key].more_is_better else 1.0
    found = [
        correlation(
            [sign * f.values.get(key, float('nan')) for f in own],
            [f.values.get(error, float('nan')) for f in own],
        )
        for own in groups.values()
    ]
    known = [value for value in found if np.isfinite(value)]
    return float(np.mean(known)) if known else float('nan')


def _mean(figures: Sequence[Figures], method: str, key: str) -> float:
    values = [f.values.get(key, float('nan')) for f in figures if f.method == method]
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float('nan')


def _methods(backend: str) -> dict[str, Match]:
    """Methods of differing quality."""

    def pipeline(**settings: float | str) -> Match:
        config = PipelineConfig(**{'backend': backend, **settings})  # type: ignore[arg-type]
        made = StereoPipeline(config)
        print(made.choice, file=sys.stderr)
        return lambda frame: made.process(frame).disparity_px

    dtpnet = pipeline()
    matcher = BlockMatcher()
    return {
        'dtpnet': dtpnet,
        'dtpnet-small': pipeline(model='dtpnet-small'),
        'dtpnet, scale 0.5': pipeline(input_scale=0.5),
        'dtpnet, scale 0.25': pipeline(input_scale=0.25),
        'dtpnet, noisy images': lambda frame: dtpnet(_noisy(frame, _BAD_SENSOR_LEVELS, 1)),
        'sgbm': pipeline(backend='sgbm'),
        'bm': lambda frame: matcher.process(frame).disparity_px,
    }


def _of_scene(name: str, scene: Scene, methods: dict[str, Match]) -> list[Figures]:
    frame = scene.load_frame()
    assert scene.load_truth is not None
    truth: Truth = scene.load_truth()
    truth_px = truth.region('noc')
    truth_px = truth.disparity_px if truth_px is None else truth_px
    again, mirrored = _noisy(frame, _SENSOR_LEVELS, 2), mirrored_frame(frame)
    everywhere = np.ones(truth_px.shape, np.bool_)
    sgbm_px = methods['sgbm'](frame)
    found = []
    for method, match in methods.items():
        disparity_px = match(frame)
        values = {key: getattr(score(disparity_px, truth_px), key) for key in ERRORS}
        right_px = np.ascontiguousarray(match(mirrored)[:, ::-1])
        warped = truth_free.warped_pair(frame.left, frame.right, disparity_px)
        values |= {
            'inconsistent': truth_free.inconsistent(disparity_px, right_px),
            'photometric': truth_free.photometric(warped),
            'census': truth_free.census(warped),
            'flicker_px': truth_free.flicker_px(match(again), disparity_px, everywhere),
            'coverage': float(np.isfinite(disparity_px).mean()),
        }
        if method != 'sgbm':
            values['agreement'] = truth_free.agreement(disparity_px, sgbm_px)
        found.append(Figures(name, method, values))
    return found


def _noisy(frame: StereoFrame, levels: float, seed: int) -> StereoFrame:
    generator = np.random.default_rng(seed)

    def noisy(image: UInt8Array) -> UInt8Array:
        noise = generator.normal(0.0, levels, image.shape)
        return np.rint(image + noise).clip(0, 255).astype(np.uint8)

    return StereoFrame(noisy(frame.left), noisy(frame.right), frame.stamp_ns, frame.calibration)


if __name__ == '__main__':
    main()
