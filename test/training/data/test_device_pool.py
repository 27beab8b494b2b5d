"""Pools of pairs on the training device, here the CPU: what is drawn is what was put in."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.training.data.device_pool import Pool, PooledFeed, is_assets
from dtp_stereo_ros.training.data.raycast_source import Renderer
from dtp_stereo_ros.training.settings import GeneratorConfig

pytestmark = pytest.mark.usefixtures('one_thread')


def pair_of(value, size=(40, 70)):
    """One pair whose right view is the left one moved by `value` px."""
    rng = np.random.default_rng(value)
    scene = torch.from_numpy(rng.integers(0, 255, (size[0], size[1] + value, 3)).astype(np.uint8))
    left, right = scene[:, : size[1]], scene[:, value : value + size[1]]
    disparity = torch.full((1, *size), float(value))
    return left[None].contiguous(), right[None].contiguous(), disparity, disparity.clone()


def filled(values, capacity=8):
    pool = Pool(capacity, (40, 70), torch.device('cpu'))
    for value in values:
        pool.add(*pair_of(value))
    return pool


def test_the_oldest_pairs_make_room():
    pool = filled(range(1, 6), capacity=3)
    assert (pool.count, pool.added) == (3, 5)
    drawn = pool.draw(np.random.default_rng(0), 50, (32, 64))
    assert set(drawn[2].amax(dim=(1, 2)).tolist()) == {3.0, 4.0, 5.0}


def test_crops_and_flips_keep_the_geometry():
    """Left pixel x shows what right pixel x - d shows, mirrored and turned or not."""
    pool = filled([2, 5, 9])
    for seed in range(6):
        left, right, left_px, right_px = pool.draw(np.random.default_rng(seed), 12, (32, 64))
        assert left.shape == (12, 3, 32, 64)
        assert left_px.shape == right_px.shape == (12, 32, 64)
        for row in range(12):
            d = int(left_px[row, 0, 0])
            assert d in (2, 5, 9)
            # The test's right view shows the scene moved to the left by d.
            assert torch.equal(left[row, :, :, d:], right[row, :, :, : 64 - d])


def test_a_feed_mixes_its_sources_and_never_repeats_a_batch():
    config = GeneratorConfig(sizes=((32, 96),), batch_size=6, seed=3, photos=0, reuse=4)
    device = torch.device('cpu')
    feed = PooledFeed(
        ('raycast', 'synthetic'), config, device, Renderer(config, device), workers=0
    )
    held_out = feed.held_out()
    assert sum(len(b['left']) for b in held_out) == 4
    first, second = next(feed), next(feed)
    for batch in (first, second):
        assert batch['left'].shape == (6, 3, 32, 96)
        assert batch['left'].dtype == torch.uint8
        assert batch['disparity'].shape == batch['visible'].shape == (6, 32, 96)
        assert batch['known'].all()
    assert not torch.equal(first['left'], second['left'])
    columns = torch.arange(96) - first['disparity']
    assert not first['visible'][columns < 0].any()


def test_a_feed_renders_a_ray_cast_pair_for_every_reuse_draws():
    config = GeneratorConfig(sizes=((32, 64),), batch_size=32, seed=1, photos=0, reuse=4)
    device = torch.device('cpu')
    feed = PooledFeed(('raycast',), config, device, Renderer(config, device), 0, first=1000)
    for _ in range(9):
        next(feed)
    # 288 draws: what a run did before it was interrupted is not rendered again.
    assert 64 <= feed.pools['raycast'].added <= 96


@pytest.mark.parametrize(('spec', 'yes'), [('assets:a.pack', True), ('raycast', False)])
def test_assets_are_named_by_their_pack(spec, yes):
    assert is_assets(spec) is yes


@pytest.mark.parametrize('workers', [0, 1])
def test_a_source_that_fails_ends_the_run_with_one_line(tmp_path, workers):
    config = GeneratorConfig(sizes=((32, 64),), batch_size=2, photos=0)
    spec = f'assets:{tmp_path}/no.pack'
    feed = PooledFeed((spec,), config, torch.device('cpu'), None, workers)
    with pytest.raises(InputError, match=r'no\.pack') as raised:
        feed.held_out()
    assert '\n' not in str(raised.value)


def test_pairs_of_a_process_that_wait_hold_no_open_files():
    """A process may have 1024 of them where `ulimit -n` is not raised; 256 pairs wait at most."""
    config = GeneratorConfig(sizes=((32, 96),), batch_size=2, photos=0)
    feed = PooledFeed(('synthetic',), config, torch.device('cpu'), None, 1)
    feed.held_out()
    before = _shared_memory()
    waiting, deadline = 0, time.monotonic() + 120
    while waiting < 16 and time.monotonic() < deadline:
        time.sleep(0.2)
        waiting = feed._arrived.qsize()
    assert waiting >= 16
    # Those that are on their way from the process are open.
    assert _shared_memory() - before <= 12
    assert next(feed)['left'].shape == (2, 3, 32, 96)


def _shared_memory() -> int:
    """Open files of this process in memory that it shares with others."""
    links = [link for link in Path('/proc/self/fd').iterdir() if link.is_symlink()]
    return sum('torch_' in str(link.readlink()) for link in links)
