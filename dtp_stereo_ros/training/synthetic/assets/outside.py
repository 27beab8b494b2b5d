"""Light and things in the open, as tracks and streets share them."""

from __future__ import annotations

import numpy as np

from .library import Library, Model
from .looks import surface_material, swapped
from .thin import draw_thin
from .world import Anchor, Builder, Light, turned

# Metres between lenses that look at streets; KITTI's are 0.54 apart.
BASELINES_M = (0.08, 1.2)
# Share of poles, fences and cables among the things that stand about.
BARS = 0.25


def sunlight(rng: np.random.Generator) -> tuple[list[Light], np.ndarray]:
    """A sun of random height, and light of the sky; none but the sky in one of four."""
    ambient = np.array([0.85, 0.93, 1.0]) * rng.uniform(0.25, 0.6)
    if rng.random() < 0.25:
        return [], ambient * 1.8
    direction = np.array([rng.normal(), rng.uniform(0.4, 2.0), rng.normal()])
    warm = np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.7, 1.0)])
    strength = rng.uniform(0.5, 1.2)
    return [Light(direction / np.linalg.norm(direction), warm * strength, endless=True)], ambient


class Props:
    """Things that stand outside.

    Args:
        library: of models.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.vehicles = library.of_kind('vehicle')
        self.people = library.of_kind('person')
        self.greens = library.of_kind('outdoor', 'plant')
        self.loose = library.of_kind('furniture', 'lamp', 'small')
        self.buildings = library.of_kind('building')

    def pick(self, rng: np.random.Generator) -> Model | None:
        """A random thing of about a person's size, or a vehicle."""
        groups = [
            g for g in (self.vehicles, self.people, self.greens, self.loose) for _ in range(1) if g
        ]
        if not groups:
            return None
        group = groups[int(rng.integers(len(groups)))]
        return group[int(rng.integers(len(group)))]

    def place_bars(self, rng: np.random.Generator, builder: Builder, position: np.ndarray) -> None:
        """Stand a pole, a fence or another thin thing somewhere."""
        height = float(np.exp(rng.uniform(np.log(0.6), np.log(6))))
        look = surface_material(rng, builder, 0.8)
        turn = turned(rng.uniform(0, 2 * np.pi))
        builder.place(draw_thin(rng, height), turn, position, [look])
        middle = position + np.array([0, height / 2, 0])
        builder.anchors.append(Anchor(middle, height / 3, 1.5))

    def place(
        self,
        rng: np.random.Generator,
        builder: Builder,
        model: Model,
        position: np.ndarray,
        turn: np.ndarray | None = None,
    ) -> None:
        """Stand a model somewhere, in another paint in a third of the cases."""
        mesh = self.library.mesh(model)
        chance = 0.7 if rng.random() < 0.35 else 0.0
        looks = swapped(rng, builder, mesh.materials, chance)
        turn = turned(rng.uniform(0, 2 * np.pi)) if turn is None else turn
        builder.place(mesh, turn, position, looks)
        middle = position + np.array([0, model.size_m[1] * rng.uniform(0.2, 0.8), 0])
        builder.anchors.append(Anchor(middle, max(model.size_m) / 2))
