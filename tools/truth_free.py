"""Rank correlation of the measures without truth with the errors that a truth shows.

    python -m tools.truth_free DATA --write docs/reports/truth_free.md

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
from tqdm import tqdm

from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation import truth_free
from dtp_stereo_ros.evaluation.block_matching import BlockMatcher
from dtp_stereo_ros.evaluation.columns import ALL_COLUMNS
from dtp_stereo_ros.evaluation.datasets import Scene, Truth, open_dataset, shared_sets
from dtp_stereo_ros.evaluation.fill import fill_holes
from dtp_stereo_ros.evaluation.metrics import score
from dtp_stereo_ros.evaluation.recorded import mirrored_frame
from dtp_stereo_ros.evaluation.tables import even_table
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.stereo import Float32Array, StereoFrame, UInt8Array
from tools.doc_sections import check_section, write_section

MEASURES = (
    'inconsistent', 'photometric', 'census', 'flicker_px', 'plane_noise_px', 'agreement',
    'coverage',
)  # fmt: skip
ERRORS = ('epe_px', 'bad_3')
TREATED = ('filled', 'own')
# Grey levels of noise: of a good camera, as between two frames of a still scene, and of a bad one.
_SENSOR_LEVELS = 2.0
_BAD_SENSOR_LEVELS = 15.0
_SECTION = 'truth-free'
_TITLES = {
    'filled': 'Holes filled from the background, as `bag` judges',
    'own': 'Only the pixels that a method estimates',
}

Match = Callable[[StereoFrame], Float32Array]


@dataclass(frozen=True)
class Figures:
    """Measures and errors of one method on one scene, by key; NaN unknown.

    Attributes:
        treatment: 'own' pixels of the method, or 'filled' holes.
    """

    scene: str
    method: str
    values: dict[str, float]
    treatment: str = 'filled'


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
        for scene in tqdm(chosen, desc=name, unit='scene'):
            figures += _of_scene(f'{name} {scene.name}', scene, methods)
    text = report(figures, ', '.join(names))
    if args.write:
        write_section(args.write, _SECTION, text)
    else:
        print(text)


def report(figures: Sequence[Figures], data: str) -> str:
    """The tables: correlations, best measure first, and the means of the methods."""
    parts = [f'Scenes: {data}.']
    for treatment in TREATED:
        own = [figure for figure in figures if figure.treatment == treatment]
        if own:
            parts += [f'**{_TITLES[treatment]}**', _correlations(own), _means(own)]
    return '\n\n'.join(parts)


def _correlations(figures: Sequence[Figures]) -> str:
    rows = []
    for key in MEASURES:
        within = [_mean_correlation(figures, key, error, 'scene') for error in ERRORS]
        across = [_mean_correlation(figures, key, error, 'method') for error in ERRORS]
        rows.append((key, within, across))
    rows.sort(key=lambda row: -sum(v for v in (*row[1], *row[2]) if np.isfinite(v)))
    headings = [
        f'{group}, {ALL_COLUMNS[error].name}'
        for group in ('within a scene', 'across scenes')
        for error in ERRORS
    ]
    return even_table(
        ['measure', *headings],
        [
            [ALL_COLUMNS[key].name, *(_signed(value) for value in (*within, *across))]
            for key, within, across in rows
        ],
    )


def _means(figures: Sequence[Figures]) -> str:
    keys = (*ERRORS, *MEASURES)
    return even_table(
        ['mean over the scenes', *(ALL_COLUMNS[key].heading for key in keys)],
        [
            [method, *(ALL_COLUMNS[key].text(_mean(figures, method, key)) for key in keys)]
            for method in dict.fromkeys(figure.method for figure in figures)
        ],
    )


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
    frames = frame, mirrored_frame(frame), _noisy(frame, _SENSOR_LEVELS, 2)
    sgbm_px = methods['sgbm'](frame)
    found = []
    for method, match in methods.items():
        own = [match(one) for one in frames]
        coverage = float(np.isfinite(own[0]).mean())
        for treatment in TREATED:
            maps = [fill_holes(one) for one in own] if treatment == 'filled' else own
            values = _measured(frame, maps, truth_px)
            values['coverage'] = coverage
            if method != 'sgbm':
                values['agreement'] = truth_free.agreement(maps[0], sgbm_px)
            found.append(Figures(name, method, values, treatment))
    return found


def _measured(
    frame: StereoFrame, maps: Sequence[Float32Array], truth_px: Float32Array
) -> dict[str, float]:
    """Errors and measures of the disparities of a pair, of its mirror image, and with noise."""
    disparity_px, mirrored_px, again_px = maps
    warped = truth_free.warped_pair(frame.left, frame.right, disparity_px)
    everywhere = np.ones(truth_px.shape, np.bool_)
    return {
        **{key: getattr(score(disparity_px, truth_px), key) for key in ERRORS},
        'inconsistent': truth_free.inconsistent(
            disparity_px, np.ascontiguousarray(mirrored_px[:, ::-1])
        ),
        'photometric': truth_free.photometric(warped),
        'census': truth_free.census(warped),
        'plane_noise_px': truth_free.plane_noise_px(disparity_px),
        'flicker_px': truth_free.flicker_px(again_px, disparity_px, everywhere),
    }


def _noisy(frame: StereoFrame, levels: float, seed: int) -> StereoFrame:
    generator = np.random.default_rng(seed)

    def noisy(image: UInt8Array) -> UInt8Array:
        noise = generator.normal(0.0, levels, image.shape)
        return np.rint(image + noise).clip(0, 255).astype(np.uint8)

    return StereoFrame(noisy(frame.left), noisy(frame.right), frame.stamp_ns, frame.calibration)


if __name__ == '__main__':
    main()
