"""Draws batches of scenes for the ray caster; the same seed gives the same scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .indoor import clutter, rooms
from .layout import Layout
from .materials import Bank
from .outdoor import nature, roads
from .scene import Scenes, merge, pick

# Name, share, maker, and where the horizon may lie as shares of the picture's height.
WORLDS: dict[str, tuple[float, Callable[[Layout], Scenes], tuple[float, float]]] = {
    'clutter': (0.3, clutter, (-0.3, 1.3)),
    'room': (0.35, rooms, (0.1, 0.9)),
    'road': (0.2, roads, (0.15, 0.6)),
    'nature': (0.15, nature, (0.1, 0.6)),
}


@dataclass(frozen=True)
class SceneSampler:
    """A source of scenes.

    Attributes:
        bank: materials.
        max_disparity_px: no object is placed nearer.
    """

    bank: Bank
    max_disparity_px: float = 190.0

    def draw(
        self,
        rng: np.random.Generator,
        count: int,
        size: tuple[int, int],
        world: str | None = None,
    ) -> Scenes:
        """`count` scenes for pictures of (height, width), of all worlds or of the one named."""
        names = list(WORLDS)
        if world is None:
            shares = [WORLDS[name][0] for name in names]
            numbers = rng.multinomial(count, shares).tolist()
        else:
            numbers = [count if name == world else 0 for name in names]
        parts = []
        for name, number in zip(names, numbers, strict=True):
            if number:
                _, make, horizon = WORLDS[name]
                layout = Layout(rng, self.bank, int(number), size, self.max_disparity_px, horizon)
                parts.append(make(layout))
        merged = merge(parts)
        return pick(merged, rng.permutation(count))
