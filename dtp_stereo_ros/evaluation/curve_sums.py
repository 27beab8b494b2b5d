"""Means of sparsification curves over images, in a memory that does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .scene_score import Curves, SceneScore
from .sparsification import Float64Array

_NAMES = tuple(Curves.__dataclass_fields__)


@dataclass
class CurveSums:
    """Sums over images by method and region: 'noc', 'all', and 'mixed' (noc, else all).

    Attributes:
        counts: number of the images.
        sums: (4, 100), in the order of the fields of `scene_score.Curves`.
    """

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    sums: dict[tuple[str, str], Float64Array] = field(default_factory=dict)

    def take(self, score: SceneScore) -> SceneScore:
        """Add the curves of a method on an image; returns its score without them."""
        known = {}
        for region, ranked in score.ranked.items():
            curves = ranked.curves
            if curves is not None and np.isfinite(curves.epe_px[-1]):
                known[region] = np.stack([getattr(curves, name) for name in _NAMES])
        mixed = 'noc' if ('noc', 'own') in score.scores else 'all'
        if mixed in known:
            known['mixed'] = known[mixed]
        for region, stacked in known.items():
            self._add((score.method, region), 1, stacked)
        ranked_alone = {name: replace(one, curves=None) for name, one in score.ranked.items()}
        return replace(score, ranked=ranked_alone)

    def merge(self, other: CurveSums) -> None:
        """Add the sums of other images."""
        for key, stacked in other.sums.items():
            self._add(key, other.counts[key], stacked)

    def means(self, method: str, region: str) -> dict[str, Float64Array]:
        """Names of the fields of `scene_score.Curves` to mean curves, (100,) each; {} of none."""
        key = method, region
        if key not in self.sums:
            return {}
        return dict(zip(_NAMES, self.sums[key] / self.counts[key], strict=True))

    def _add(self, key: tuple[str, str], images: int, stacked: Float64Array) -> None:
        self.counts[key] = self.counts.get(key, 0) + images
        self.sums[key] = self.sums[key] + stacked if key in self.sums else stacked
