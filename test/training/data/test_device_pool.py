"""Pools of pairs on the training device, here the CPU: what is drawn is what was put in."""

import contextlib
import threading
import time
from pathlib import Path

import asset_models
import numpy as np
import pytest
import torch

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.training.data import device_pool
from dtp_stereo_ros.training.data.device_pool import Pool, PooledFeed, is_assets
from dtp_stereo_ros.training.data.raycast_source import Renderer
from dtp_stereo_ros.training.settings import GeneratorConfig
from dtp_stereo_ros.training.synthetic.assets.pack import pack
from dtp_stereo_ros.training.synthetic.assets.packing import PackLimits

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


@pytest.fixture
def feed_of():
    """Makes feeds on the CPU, which are closed after the test."""
    made = []

    def make(specs, config, workers=0, **more):
        device = torch.device('cpu')
        process = more.get('process', 0)
        renderer = Renderer(config, device, process) if 'raycast' in specs else None
        made.append(PooledFeed(specs, config, device, renderer, workers, **more))
        return made[-1]

    yield make
    for feed in made:
        feed.close()


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


def test_a_feed_mixes_its_sources_and_never_repeats_a_batch(feed_of):
    config = GeneratorConfig(sizes=((32, 96),), batch_size=6, seed=3, photos=0, reuse=4)
    feed = feed_of(('raycast', 'synthetic'), config)
    first, second = next(feed), next(feed)
    for batch in (first, second):
        assert batch['left'].shape == (6, 3, 32, 96)
        assert batch['left'].dtype == torch.uint8
        assert batch['disparity'].shape == batch['visible'].shape == (6, 32, 96)
        assert batch['known'].all()
    assert not torch.equal(first['left'], second['left'])
    columns = torch.arange(96) - first['disparity']
    assert not first['visible'][columns < 0].any()


def test_a_feed_renders_a_ray_cast_pair_for_every_reuse_draws(feed_of):
    config = GeneratorConfig(sizes=((32, 64),), batch_size=32, seed=1, photos=0, reuse=4)
    feed = feed_of(('raycast',), config, first=1000)
    for _ in range(9):
        next(feed)
    # 288 draws: what a run did before it was interrupted is not rendered again.
    assert 64 <= feed.pools['raycast'].added <= 96


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp('models')
    asset_models.write_furniture(root / 'furniture')
    pack(root, root / 'some.pack', PackLimits())
    return f'assets:{root}/some.pack'


@pytest.mark.parametrize('specs', [('synthetic',), ('raycast',), ('raycast', 'synthetic')])
def test_a_feed_gives_all_sizes_in_turn(feed_of, specs):
    """The default sizes of training are wider than high in one batch and higher in the next."""
    config = GeneratorConfig(sizes=((32, 128), (64, 80), (48, 96)), batch_size=4, photos=0)
    feed = feed_of(specs, config)
    for size in (*config.sizes, config.sizes[0]):
        batch = next(feed)
        assert batch['left'].shape == (4, 3, *size)
        assert batch['disparity'].shape == (4, *size)


def test_a_feed_waits_for_the_first_pairs_and_cuts_crops_of_any_size_out_of_them(
    feed_of, models, monkeypatch
):
    monkeypatch.setattr(device_pool, 'RENDERED_SIZE', (48, 80))
    config = GeneratorConfig(sizes=((64, 64), (32, 96)), batch_size=2, photos=0)
    feed = feed_of((models,), config)
    assert feed.pools[models].size == (64, 96)
    assert next(feed)['left'].shape == (2, 3, 64, 64)
    assert next(feed)['left'].shape == (2, 3, 32, 96)


def test_pools_take_no_more_than_their_share_of_the_memory(feed_of, monkeypatch):
    monkeypatch.setattr(device_pool, '_room', lambda device: 2 * 14 * 32 * 128 * 10)
    config = GeneratorConfig(sizes=((32, 128),), batch_size=4, photos=0)
    feed = feed_of(('raycast', 'synthetic', 'raycast'), config)
    assert {spec: pool.capacity for spec, pool in feed.pools.items()} == {
        'raycast': 10, 'synthetic': 10,
    }  # fmt: skip
    assert next(feed)['left'].shape == (4, 3, 32, 128)


@pytest.mark.parametrize('source', ['synthetic', 'raycast', 'assets'])
def test_processes_that_train_together_see_other_pairs(feed_of, models, monkeypatch, source):
    monkeypatch.setattr(device_pool, 'RENDERED_SIZE', (32, 64))
    spec = models if source == 'assets' else source
    config = GeneratorConfig(sizes=((32, 64),), batch_size=4, photos=0)
    batches = []
    for process in (0, 0, 1):
        feed = feed_of((spec,), config, process=process)
        batches.append(next(feed))
        feed.close()
    one, same, other = batches
    assert torch.equal(one['left'], same['left'])
    pictures = {image.numpy().tobytes() for image in one['clean_left']}
    assert not any(image.numpy().tobytes() in pictures for image in other['clean_left'])
    assert not torch.equal(one['disparity'], other['disparity'])


def test_a_closed_feed_renders_no_more(feed_of):
    config = GeneratorConfig(sizes=((32, 64),), batch_size=2, photos=0)
    before = set(threading.enumerate())
    feed = feed_of(('synthetic',), config)
    next(feed)
    new = set(threading.enumerate()) - before
    (renders,) = (thread for thread in new if thread.name == 'pairs of synthetic')
    feed.close()
    renders.join(60)
    assert not renders.is_alive()
    assert not feed.pools


def test_no_pixel_beyond_the_largest_disparity_is_known_or_visible(feed_of):
    config = GeneratorConfig(sizes=((32, 128),), batch_size=6, photos=0, max_disparity_px=40)
    feed = feed_of(('synthetic',), config)
    for kept in feed.pools['synthetic']._disparities:
        kept.fill_(50.0)
    feed.pools['synthetic'].count = 8
    batch = next(feed)
    beyond = batch['disparity'] > 40
    assert beyond.any()
    assert not (batch['known'] & beyond).any()
    assert not (batch['visible'] & beyond).any()


@pytest.mark.parametrize(('spec', 'yes'), [('assets:a.pack', True), ('raycast', False)])
def test_assets_are_named_by_their_pack(spec, yes):
    assert is_assets(spec) is yes


@pytest.mark.parametrize('workers', [0, 1])
def test_a_source_that_fails_ends_the_run_with_one_line(feed_of, tmp_path, workers):
    config = GeneratorConfig(sizes=((32, 64),), batch_size=2, photos=0)
    spec = f'assets:{tmp_path}/no.pack'
    feed = feed_of((spec,), config, workers)
    with pytest.raises(InputError, match=r'no\.pack') as raised:
        next(feed)
    assert '\n' not in str(raised.value)


def test_pairs_of_a_process_that_wait_hold_no_open_files(feed_of):
    """A process may have 1024 of them where `ulimit -n` is not raised; 256 pairs wait at most."""
    config = GeneratorConfig(sizes=((32, 96),), batch_size=2, photos=0)
    feed = feed_of(('synthetic',), config, 1)
    next(feed)
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
    found = 0
    for link in Path('/proc/self/fd').iterdir():
        # Another thread may close it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found += 'torch_' in str(link.readlink())
    return found
