"""Measures the presets on all data with ground truth: `python tools/presets.py DATA`.

Prints a Markdown table for docs/reports/presets.md. Each frame is run with every preset in turn,
so that a busy machine weighs on all of them; times are given relative to `dense`. Depth limits do
not count here: the data sets have no common calibration.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from dtp_stereo_ros import markdown
from dtp_stereo_ros.config import PipelineConfig, tunables
from dtp_stereo_ros.evaluation.datasets import open_dataset, shared_sets
from dtp_stereo_ros.pipeline import StereoPipeline

PRESETS = Path(__file__).resolve().parents[1] / 'config/presets'
NAMES = ('dense', 'navigation', 'detail', 'fast')
# An estimate is a phantom where it is nearer than two thirds of the truth, and more than 3 px off.
PHANTOM_RATIO = 1.5
PHANTOM_PX = 3.0
BAD_PX = (1.0, 3.0)


def pipeline(name: str) -> StereoPipeline:
    """The pipeline of a preset, in fp32, so that the machine does not matter."""
    values = yaml.safe_load((PRESETS / f'{name}.yaml').read_text())['/**']['ros__parameters']
    own = {key: value for key, value in values.items() if key in tunables(PipelineConfig)}
    return StereoPipeline(PipelineConfig(**{**own, 'max_depth': 100.0, 'precision': 'fp32'}))


def measure(estimate_px: np.ndarray, truth_px: np.ndarray) -> list[float]:
    """Density, bad-1 and bad-3 of the estimates, and phantoms of all known pixels, %.

    Both images are (H, W) px.
    """
    known = np.isfinite(truth_px) & (truth_px > 0)
    given = known & np.isfinite(estimate_px)
    error = (estimate_px - truth_px)[given]
    nearer = estimate_px[given] > PHANTOM_RATIO * truth_px[given]
    bad = [float(np.mean(np.abs(error) > px)) if error.size else 0.0 for px in BAD_PX]
    phantoms = np.sum(nearer & (error > PHANTOM_PX)) / known.sum()
    shares = [given.sum() / known.sum(), *bad, phantoms]
    return [100 * float(share) for share in shares]


def main() -> int:
    """Run and print."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    pipelines = {name: pipeline(name) for name in NAMES}
    bad = [f'bad-{px:g} % of the estimates' for px in BAD_PX]
    headings = ('data', 'preset', 'density %', *bad, 'phantoms %', 'time')
    print(markdown.header(headings))
    for spec in shared_sets(Path(sys.argv[1])):
        title, scenes = open_dataset(spec)
        rows: dict[str, list[list[float]]] = {name: [] for name in NAMES}
        times: dict[str, list[float]] = {name: [] for name in NAMES}
        for scene in scenes:
            if scene.load_truth is None:
                continue
            frame, truth_px = scene.load_frame(), scene.load_truth().disparity_px
            for name, runner in pipelines.items():
                runner.process(frame)  # compiles for this size
                started = time.perf_counter()
                result = runner.process(frame)
                times[name].append(time.perf_counter() - started)
                rows[name].append(measure(result.disparity_px, truth_px))
        for name in NAMES:
            ratios = [t / d for t, d in zip(times[name], times['dense'], strict=True)]
            relative = statistics.median(ratios)
            density, *shares = np.mean(rows[name], axis=0)
            cells = [f'{density:.1f}', *(f'{x:.2f}' for x in [*shares, relative])]
            print(markdown.row([f'{title} ({len(rows[name])})', name, *cells]), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
