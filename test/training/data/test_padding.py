"""Padding in training is that of inference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dtp_stereo_ros import preprocess
from dtp_stereo_ros.models import ModelSpec
from dtp_stereo_ros.stereo import StereoFrame
from dtp_stereo_ros.training.data.padding import pad, pad_some

HEIGHT, WIDTH = 64, 96


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 2, 3, HEIGHT, WIDTH), np.uint8)
    names = ('left', 'right', 'clean_left', 'clean_right')
    mask = torch.ones(2, HEIGHT, WIDTH, dtype=torch.bool)
    made = {name: torch.from_numpy(image) for name, image in zip(names, images, strict=True)}
    disparity = torch.full((2, HEIGHT, WIDTH), 9.0)
    masks = {'visible': mask, 'known': mask, 'taught_valid': mask}
    return {**made, **masks, 'disparity': disparity}


@pytest.mark.parametrize(('top', 'right'), [(0, 0), (5, 0), (0, 31), (31, 7)])
def test_as_inference_pads(batch: dict[str, torch.Tensor], top: int, right: int) -> None:
    before = {name: values.clone() for name, values in batch.items()}
    padded = pad(batch, top, right)
    views = [
        batch[name][0].permute(1, 2, 0).numpy()[top:, : WIDTH - right]
        for name in ('left', 'right')
    ]
    spec = ModelSpec('m', padding_multiple=32, max_disparity_px=64)
    prepared = preprocess.prepare(StereoFrame(*views, 0), spec, 1.0)
    for view, name in ((prepared.left, 'left'), (prepared.right, 'right')):
        assert np.array_equal(preprocess.planes(view)[0], padded[name][0].numpy())
    for name in ('visible', 'known', 'taught_valid'):
        assert padded[name][:, top:, : WIDTH - right].all()
        assert padded[name].sum() == 2 * (HEIGHT - top) * (WIDTH - right)
    assert all(torch.equal(batch[name], before[name]) for name in batch)  # pools are drawn again


def test_a_share_is_padded_by_less_than_the_multiple(batch: dict[str, torch.Tensor]) -> None:
    torch.manual_seed(0)
    assert pad_some(batch, 0.0, 32) is batch
    drawn = [pad_some(batch, 0.5, 8) for _ in range(200)]
    changed = [b for b in drawn if b is not batch]
    assert 70 < len(changed) < 130
    kept = [int(b['known'][0].sum()) for b in changed]
    assert min(kept) == (HEIGHT - 7) * (WIDTH - 7)
    assert max(kept) == HEIGHT * WIDTH
