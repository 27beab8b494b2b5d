"""All figures of one method on one scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..stereo import Float32Array, StereoCalibration, StereoFrame
from .anatomy import WRONG_PX, Anatomy, classify, dissect
from .calibration import SigmaBins, sigma_bins
from .datasets import Truth
from .fill import fill_holes
from .metrics import Score, score
from .places import PlaceErrors
from .sparsification import Float64Array, rank

REGIONS = ('noc', 'all')


@dataclass(frozen=True)
class Estimate:
    """Estimate of one method on one scene.

    Attributes:
        method: name for reports.
        disparity_px: (H, W) px, NaN for a hole.
        confidence: (H, W) 0..1, or None from a method without one.
    """

    method: str
    disparity_px: Float32Array
    confidence: Float32Array | None = None


@dataclass(frozen=True)
class Curves:
    """Sparsification curves of one image at `sparsification.KEPT_SHARES`, (100,) each.

    Attributes:
        epe_px, bad_3: of the pixels that the confidence keeps; px, and share 0..1.
        oracle_epe_px, oracle_bad_3: of as many pixels, kept in the order of their true errors.
    """

    epe_px: Float64Array
    bad_3: Float64Array
    oracle_epe_px: Float64Array
    oracle_bad_3: Float64Array


@dataclass(frozen=True)
class Ranked:
    """The confidence of one method, judged on one region of one image.

    Attributes:
        epe_px_at_density, bad_3_at_density: errors of the most confident pixels at the density
            of the baseline; of the baseline itself, errors of its own pixels.
        ause_px, ause_bad_3: area under the sparsification error curve, px and share.
        curves: None without a confidence.

    All are NaN where they cannot be told.
    """

    epe_px_at_density: float
    bad_3_at_density: float
    ause_px: float = float('nan')
    ause_bad_3: float = float('nan')
    curves: Curves | None = None


@dataclass(frozen=True)
class SceneScore:
    """One method on one scene.

    Attributes:
        scores: (region, treatment) to score; region is 'noc' or 'all' as far as the truth tells.
        latency_ms: preprocessing, inference and postprocessing together.
        density: share of all pixels with an estimate, also where there is no truth.
        ranked: region to the judged confidence.
        sigma: predicted and true errors of all pixels with a truth; None without confidence.
        anatomy: wrong pixels by class, holes filled; None without truth.
        has_confidence: whether the method gives one.
        places: errors by range and image region, holes filled; None without truth.
    """

    scene: str
    method: str
    scores: dict[tuple[str, str], Score]
    latency_ms: float
    density: float
    ranked: dict[str, Ranked] = field(default_factory=dict)
    sigma: SigmaBins | None = None
    anatomy: Anatomy | None = None
    has_confidence: bool = False
    places: PlaceErrors | None = None

    def values(self, region: str) -> dict[str, float]:
        """All measures of a region by the keys of `columns.COLUMNS`, holes filled."""
        figures = dict(vars(self.scores[region, 'filled']))
        if region in self.ranked:
            figures |= vars(self.ranked[region])
            del figures['curves']
        return figures


def judge(
    scene: str,
    frame: StereoFrame,
    truth: Truth | None,
    estimates: Sequence[Estimate],
    latencies_ms: Sequence[float],
    baseline: str,
    calibration: StereoCalibration | None = None,
) -> list[SceneScore]:
    """Judge what all methods made of one scene.

    Args:
        scene: its name.
        frame: the pair.
        truth: of the left image, or None.
        estimates: one of each method.
        latencies_ms: in the same order.
        baseline: name of the method whose density the others are compared at.
        calibration: of the pair, for errors by range of depth; by default that of the frame.
    """
    calibration = calibration or frame.calibration
    regions: dict[str, Float32Array] = {}
    for name in REGIONS:
        region = truth.region(name) if truth else None
        if region is not None:
            regions[name] = region
    classes = classify(frame.left, truth) if truth else None
    base = {e.method: e for e in estimates}.get(baseline)
    base_scores = {n: score(base.disparity_px, t) for n, t in regions.items()} if base else {}
    found = []
    for estimate, latency_ms in zip(estimates, latencies_ms, strict=True):
        filled = fill_holes(estimate.disparity_px) if truth else estimate.disparity_px
        sigma = None
        if truth and estimate.confidence is not None:
            sigma = sigma_bins(
                estimate.disparity_px,
                truth.disparity_px,
                estimate.confidence,
            )
        found.append(
            SceneScore(
                scene,
                estimate.method,
                _scores(estimate.disparity_px, filled, regions),
                latency_ms,
                float(np.isfinite(estimate.disparity_px).mean()),
                {
                    name: _ranked(estimate, region, base_scores.get(name), baseline)
                    for name, region in regions.items()
                },
                sigma,
                dissect(classes, filled, truth.disparity_px)
                if truth and classes is not None
                else None,
                estimate.confidence is not None,
                _places(filled, regions, calibration),
            )
        )
    return found


def _places(
    filled: Float32Array,
    regions: dict[str, Float32Array],
    calibration: StereoCalibration | None,
) -> PlaceErrors | None:
    """Errors by place of the pixels that both cameras see, where that is known."""
    truth_px = next((regions[name] for name in REGIONS if name in regions), None)
    if truth_px is None:
        return None
    places = PlaceErrors()
    places.add(filled, truth_px, calibration)
    return places


def _scores(
    disparity_px: Float32Array, filled: Float32Array, regions: dict[str, Float32Array]
) -> dict[tuple[str, str], Score]:
    scores: dict[tuple[str, str], Score] = {}
    for region, judged in regions.items():
        own = score(disparity_px, judged)
        # The density of the method itself also stands beside its filled map.
        # Nothing can be filled in where nothing was found; then all of it is wrong.
        whole = score(filled, judged, holes='error')
        scores[region, 'filled'] = Score(**{**vars(whole), 'density': own.density})
        scores[region, 'own'] = own
        scores[region, 'strict'] = score(disparity_px, judged, holes='error')
    return scores


def _ranked(
    estimate: Estimate, truth_px: Float32Array, base: Score | None, baseline: str
) -> Ranked:
    nan = float('nan')
    if base is not None and estimate.method == baseline:
        own = Ranked(base.epe_px, base.bad_3)
    else:
        own = Ranked(nan, nan)
    if estimate.confidence is None:
        return own
    ranking = rank(estimate.disparity_px, truth_px, estimate.confidence)
    density = base.density if base is not None else nan
    if estimate.method != baseline and np.isfinite(density):
        own = Ranked(ranking.error_at(density), ranking.error_at(density, WRONG_PX))
    return Ranked(
        own.epe_px_at_density,
        own.bad_3_at_density,
        ranking.ause(),
        ranking.ause(WRONG_PX),
        Curves(
            ranking.curve(),
            ranking.curve(wrong_px=WRONG_PX),
            ranking.oracle(),
            ranking.oracle(wrong_px=WRONG_PX),
        ),
    )
