"""Regions of a set: which pixels its images are judged on."""

from __future__ import annotations

from dataclasses import dataclass

from .scene_score import SceneScore

# 'mixed': of each image 'noc' where its truth tells it, else 'all'.
REPORTED = ('mixed', 'noc', 'all')


def judged_region(score: SceneScore, region: str) -> str:
    """The region of an image that stands for a reported one; '' for none."""
    for name in ('noc', 'all') if region == 'mixed' else (region,):
        if (name, 'own') in score.scores:
            return name
    return ''


@dataclass
class Regions:
    """Numbers of images of one method.

    Attributes:
        images: of all; noc, all: that have this region; either: that have one of them.
    """

    images: int = 0
    noc: int = 0
    either: int = 0
    all: int = 0

    def add(self, score: SceneScore) -> None:
        """Count an image."""
        self.images += 1
        self.noc += bool(judged_region(score, 'noc'))
        self.all += bool(judged_region(score, 'all'))
        self.either += bool(score.scores)

    def reported(self) -> list[str]:
        """The regions of which there are rows, the one that pictures are made of first."""
        counts = {'noc': self.noc, 'all': self.all}
        found = [region for region, count in counts.items() if count]
        mixed = len(found) == 2 and self.noc < self.either
        return ['mixed', *found] if mixed else found
