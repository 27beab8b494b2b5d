"""Batches for networks that work on enlarged pairs."""

import pytest
import torch

from dtp_stereo_ros.training.data.enlarged import enlarged_batch


def batch(height: int, width: int) -> dict[str, torch.Tensor]:
    made = {
        name: torch.full((1, 3, height, width), 90, dtype=torch.uint8)
        for name in ('left', 'right', 'clean_left', 'clean_right')
    }
    made['disparity'] = torch.arange(float(height * width)).reshape(1, height, width)
    made['visible'] = made['disparity'] % 2 == 0
    made['known'] = made['disparity'] > 0
    return made


@pytest.mark.parametrize(('factor', 'size'), [(1.5, (6, 12)), (2.0, (8, 16))])
def test_labels_follow_their_pixels(factor: float, size: tuple[int, int]) -> None:
    given = batch(4, 8)
    made = enlarged_batch(given, factor)
    assert made['left'].shape == (1, 3, *size)
    assert (made['left'] - 90).abs().max() < 1e-3
    assert made['disparity'].shape == made['known'].shape == (1, *size)
    before = made['disparity'] / factor  # each is one that was given, in its own pixels
    assert set(before.unique().tolist()) <= set(given['disparity'].unique().tolist())
    assert torch.equal(made['visible'], before % 2 == 0)
    assert torch.equal(made['known'], before > 0)
    assert made['visible'].dtype == torch.bool


def test_a_factor_of_one_is_the_same_batch() -> None:
    given = batch(4, 4)
    assert enlarged_batch(given, 1.0) is given
