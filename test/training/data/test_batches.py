"""Batches of pairs that are generated on the CPU."""

from __future__ import annotations

import numpy as np

from dtp_stereo_ros.training.data.batches import MakePairs, PooledBatches
from dtp_stereo_ros.training.settings import GeneratorConfig
from dtp_stereo_ros.training.synthetic.planar.render import StereoPair

SIZE = (32, 64)


class Walls(PooledBatches):
    """Pairs of which the left half is 20 px and the right half 60 px away."""

    def maker(self, rng: np.random.Generator) -> MakePairs:
        def make(size: tuple[int, int]) -> list[StereoPair]:
            image = rng.integers(0, 255, (*size, 3)).astype(np.uint8)
            disparity = np.full(size, 20, np.float32)
            disparity[:, size[1] // 2 :] = 60
            seen = np.ones(size, np.bool_)
            return [StereoPair(image, image, disparity, disparity, seen, seen)]

        return make


def test_what_is_nearer_than_the_range_is_not_known() -> None:
    config = GeneratorConfig(sizes=(SIZE,), batch_size=4, pool=4, max_disparity_px=40)
    batch = next(iter(Walls(config)))
    near = batch['disparity'] > 40
    assert near.float().mean() == 0.5
    assert (batch['known'] == ~near).all()
    assert not (batch['visible'] & near).any()
