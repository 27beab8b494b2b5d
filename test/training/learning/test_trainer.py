"""A short real run: it learns, resumes where it stopped, and what it writes can be used."""

import dataclasses
import itertools
import math
import re
import shutil

import layouts
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing import event_accumulator

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.commands.training_options import run_to_end
from dtp_stereo_ros.errors import ConfigError, InputError, StereoError
from dtp_stereo_ros.image_io import write_pfm, write_png
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.changed import with_half_upsampling
from dtp_stereo_ros.network.family import build
from dtp_stereo_ros.training.data.batches import (
    PooledBatches,
    SyntheticBatches,
    flip_pair,
    make_pair,
)
from dtp_stereo_ros.training.data.device_pool import PooledFeed
from dtp_stereo_ros.training.learning import device, run_state, trainer
from dtp_stereo_ros.training.learning.schedule import Schedule, rate_after, rate_at
from dtp_stereo_ros.training.learning.trainer import Trainer
from dtp_stereo_ros.training.settings import DistilConfig, GeneratorConfig, TrainConfig
from dtp_stereo_ros.training.synthetic.planar.scenes import SceneMaker
from dtp_stereo_ros.training.synthetic.planar.textures import TextureBank

NETWORK = {
    'member': 'light',
    'max_disparity_px': 64,
    'stem': 8,
    'quarter': 16,
    'eighth': 24,
    'sixteenth': 32,
    'thirtysecond': 32,
    'heads': 1,
    'volume': 16,
    'depths': (1, 1, 1, 1),
}
DATA = GeneratorConfig(sizes=((64, 160),), batch_size=4, max_disparity_px=60, pool=30)


def config(out, **changes):
    base = TrainConfig(
        out=out,
        network=NETWORK,
        data=DATA,
        steps=120,
        warmup_steps=5,
        learning_rate=3e-3,
        average_decay=0.9,
        precision='fp32',
        device='cpu',
        workers=0,
        validate_every=60,
        validation_count=4,
        command='dtp-stereo train',
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp('run')
    first = Trainer(config(out, steps=2, validate_every=2)).run()
    return out, first, Trainer(config(out)).run()


def test_training_learns_to_match(finished):
    _, first, last = finished
    assert last['val/epe_px'] < 0.9 * first['val/epe_px']
    assert last['val/bad3'] < 0.85 * first['val/bad3']
    assert last['train/distribution'] < 0.8 * first['train/distribution']


def test_a_run_that_diverges_says_so_and_keeps_what_was_good(tmp_path):
    wild = config(tmp_path, steps=4, validate_every=4, warmup_steps=0, learning_rate=1e30)
    with pytest.raises(StereoError, match='diverged before step 4; begin again, with a smaller'):
        Trainer(wild).run()
    assert not (tmp_path / 'last.pt').exists()
    tame = config(tmp_path, steps=2, validate_every=2)
    Trainer(tame).run()
    kept = (tmp_path / 'last.pt').read_bytes()
    wild = dataclasses.replace(wild, steps=6, out=tmp_path / 'wild', resume=tmp_path)
    with pytest.raises(StereoError, match='diverged before step 6; begin again'):
        Trainer(wild).run()
    assert (tmp_path / 'last.pt').read_bytes() == kept


def test_a_last_step_that_diverges_is_not_kept(tmp_path):
    """Its loss is still a number; the weights after it are none."""
    wild = config(tmp_path, steps=1, validate_every=1, warmup_steps=0, learning_rate=math.inf)
    with pytest.raises(StereoError, match='diverged before step 1; begin again'):
        Trainer(wild).run()
    assert not (tmp_path / 'last.pt').exists()


def test_a_run_goes_on_where_it_stopped(finished):
    out, _, _ = finished
    again = Trainer(config(out))
    assert again.step == 120
    assert again.samples == 480
    assert again.best < 100


def test_best_weights_load_and_tell_how_they_were_made(finished):
    out, _, _ = finished
    content = checkpoint.read(out / 'best.pt')
    assert content['meta']['steps'] in (2, 62, 120)
    assert content['meta']['command'] == 'dtp-stereo train'
    network = checkpoint.load(out / 'best.pt')
    assert network.max_disparity_px == 64
    assert not (out / 'last.pt.tmp').exists()


def test_the_card_tells_the_start_though_its_file_is_gone(finished, tmp_path):
    out, *_ = finished
    init = tmp_path / 'start.pt'
    shutil.copy(out / 'best.pt', init)
    steps = checkpoint.read(init)['meta']['steps']
    run = Trainer(config(tmp_path / 'run', init=init, steps=1, validate_every=1))
    init.unlink()
    run.run()
    (before,) = checkpoint.read(tmp_path / 'run' / 'best.pt')['meta']['before']
    assert before.startswith(f'start: {steps} steps')


def test_an_error_head_learns_alone(finished, tmp_path):
    """The rest of the network stays, its statistics too; the head's likelihood chooses best.pt."""
    before = finished[0] / 'best.pt'
    settings = {'init': before, 'error_head': 8, 'only': ('error',), 'validate_every': 10}
    first = Trainer(config(tmp_path / 'first', **settings, steps=1)).run()
    run = Trainer(config(tmp_path / 'run', **settings, steps=30))
    last = run.run()
    assert last['val/epe_px'] == first['val/epe_px']
    assert last['val/error'] < first['val/error'] - 0.1
    assert run.best == min(last['val/error'], run.best) < first['val/error']
    trained = checkpoint.load(tmp_path / 'run' / 'best.pt')
    assert trained.config.error == 8
    kept, state = checkpoint.load(before).state_dict(), trained.state_dict()
    assert [name for name, value in kept.items() if not torch.equal(state[name], value)] == []
    assert {name.split('.')[0] for name in state.keys() - kept.keys()} == {'error'}


@pytest.mark.parametrize('fixed', [True, False])
def test_statistics_stay_where_they_are_fixed(finished, tmp_path, fixed):
    before = finished[0] / 'best.pt'
    settings = {'init': before, 'steps': 5, 'validate_every': 5, 'fixed_statistics': fixed}
    Trainer(config(tmp_path / 'run', **settings)).run()
    kept = checkpoint.load(before).state_dict()
    state = checkpoint.load(tmp_path / 'run' / 'best.pt').state_dict()
    moved = {
        name.split('.')[-1] for name, value in kept.items() if not torch.equal(state[name], value)
    }
    assert {'weight', 'bias'} <= moved
    assert ('running_var' in moved) == ('running_mean' in moved) == (not fixed)


def test_a_choice_learns_alone(finished, tmp_path):
    before = finished[0] / 'best.pt'
    half = tmp_path / 'half.pt'
    checkpoint.save(half, with_half_upsampling(checkpoint.load(before)), {})
    run = Trainer(
        config(
            tmp_path / 'run',
            init=half,
            choice=8,
            only=('choice',),
            data=dataclasses.replace(DATA, sizes=((64, 128),)),
            steps=20,
        )
    )
    first, last = run.network.choice.leave.bias[:4].tolist(), run.run()
    assert first == [-2.0] * 4
    assert last['val/epe_px'] > 0
    trained = checkpoint.load(tmp_path / 'run' / 'best.pt')
    kept, state = checkpoint.load(half).state_dict(), trained.state_dict()
    assert [name for name, value in kept.items() if not torch.equal(state[name], value)] == []
    assert {name.split('.')[0] for name in state.keys() - kept.keys()} == {'choice'}
    assert trained.choice.leave.weight.abs().max() > 0


def test_rate_rises_holds_and_falls():
    run = TrainConfig(out=None, steps=100, warmup_steps=10, decay_share=0.5)
    assert rate_at(0, run) == pytest.approx(0.1)
    assert rate_at(9, run) == pytest.approx(1.0)
    assert rate_at(50, run) == pytest.approx(1.0)
    assert rate_at(75, run) == pytest.approx(0.5)
    assert rate_at(100, run) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize('steps', [10, 60, 100, 300, 5000])
@pytest.mark.parametrize('share', [0.0, 0.3, 1.0])
def test_rate_of_a_short_run_does_not_jump(steps, share):
    run = TrainConfig(out=None, steps=steps, warmup_steps=300, decay_share=share)
    factors = [rate_at(step, run) for step in range(steps)]
    assert max(factors) > 0.8
    rises = [after - before for before, after in itertools.pairwise([0.0, *factors])]
    assert max(rises) <= max(1 / 300, 1 / (0.1 * steps)) + 1e-9


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr('dtp_stereo_ros.training.learning.schedule.time.monotonic', lambda: now[0])
    return now


def test_a_call_in_minutes_ends_before_they_are_over(clock):
    schedule = Schedule(TrainConfig(out=None, minutes=2, steps=5, checkpoint_s=30))
    schedule.before_s = 60.0
    assert schedule.total_s == 180
    assert schedule.progress(1000) == pytest.approx(60 / 180)
    clock[0] += 29
    assert not schedule.due(1000)
    clock[0] += 1
    assert schedule.due(1000)
    assert schedule.mark() == 30
    assert not schedule.due(1000)
    clock[0] = 215.9
    assert not schedule.over(1000)
    clock[0] = 216.0
    assert schedule.over(1000)
    assert schedule.rate(1000) == pytest.approx(rate_after(176, 176, 0.3))


@pytest.mark.parametrize(('steps_a_validation', 'batch_s'), [(1000, 3.0), (5, 1.0)])
def test_a_call_in_minutes_ends_in_time_whatever_a_validation_takes(
    tmp_path, monkeypatch, clock, steps_a_validation, batch_s
):
    seconds = clock[0]
    validate, step = trainer.validate, Trainer._train

    def slowly(network, batches, accelerator):
        clock[0] += batch_s * len(batches)
        return validate(network, batches, accelerator)

    def quickly(run, batch):
        clock[0] += 0.5
        step(run, batch)

    monkeypatch.setattr(trainer, 'validate', slowly)
    monkeypatch.setattr(Trainer, '_train', quickly)
    run = Trainer(
        config(tmp_path, minutes=1, validation_count=8, validate_every=steps_a_validation)
    )
    run.run()
    assert 60 - 8 < clock[0] - seconds <= 60
    assert (tmp_path / 'best.pt').exists()


def test_a_run_in_minutes_over_several_calls_has_one_learning_rate(clock):
    schedule = Schedule(TrainConfig(out=None, minutes=2, total_minutes=10, decay_share=0.5))
    schedule.before_s = 400.0
    clock[0] += 50
    assert schedule.seconds == 450
    assert schedule.total_s == 600
    assert schedule.rate(7) == pytest.approx(rate_after(450, 596, 0.5))
    assert 0.4 < schedule.rate(7) < 0.6


def test_a_run_of_no_steps_is_over(tmp_path):
    schedule = Schedule(config(tmp_path, steps=0))
    assert schedule.over(0)
    assert schedule.progress(0) == 0


def test_a_run_in_steps_counts_them(clock):
    schedule = Schedule(TrainConfig(out=None, steps=50, validate_every=20))
    schedule.first = 5
    clock[0] += 1e6
    assert [step for step in range(5, 51) if schedule.due(step)] == [25, 45]
    assert [step for step in (5, 49, 50, 51) if schedule.over(step)] == [50, 51]
    assert schedule.progress(25) == 0.5
    some = Schedule(TrainConfig(out=None, steps=50, max_steps=3))
    some.first = 5
    assert [step for step in range(5, 10) if some.over(step)] == [8, 9]


@pytest.mark.parametrize(
    ('cost', 'precision', 'told'),
    [(1.7, 'bf16', True), (0.6, 'bf16', False), (1.7, 'fp32', False)],
)
def test_a_processor_that_is_slow_in_bfloat16_is_told(
    tmp_path, monkeypatch, cost, precision, told
):
    monkeypatch.setattr(trainer, 'bf16_cost', lambda: cost)
    Trainer(config(tmp_path, precision=precision, steps=1, validate_every=1)).run()
    assert ('take 1.7 times as long as float32' in (tmp_path / 'log.txt').read_text()) == told


def test_the_cost_of_bfloat16_is_a_ratio_and_draws_no_random_numbers():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert 0.05 < device.bf16_cost() < 20
    assert torch.rand(1) == expected


def test_the_command_counts_minutes(tmp_path, capsys):
    """As on a lent GPU: small files, and a second call goes on."""
    arguments = [
        'train', '--out', str(tmp_path), '--data', 'raycast', '--batch-size', '2', '--sizes',
        '32x96', '--workers', '0', '--device', 'cpu', '--fp32', '--threads', '1', '--split',
    ]  # fmt: skip
    assert main([*arguments, '--steps', '1', '--validate-every', '1']) == 0
    assert main([*arguments, '--minutes', '0.001', '--total-minutes', '9']) == 0
    assert 'best.pt: val/epe_px' in capsys.readouterr().out
    last = torch.load(tmp_path / 'last.pt', weights_only=True)
    moments = torch.load(tmp_path / 'moments.pt', weights_only=True)
    assert 'optimizer' not in last
    assert last['step'] == moments['step'] == 1
    assert moments['state'][0]['exp_avg'].dtype == torch.bfloat16
    sizes = [path.stat().st_size for path in tmp_path.glob('*.pt')]
    assert len(sizes) == 3
    assert max(sizes) < 16e6


def test_a_broken_file_to_go_on_from_is_one_line(tmp_path):
    (tmp_path / 'last.pt').write_bytes(b'no pickle')
    with pytest.raises(InputError, match=r'last\.pt: no run can go on from it'):
        Trainer(config(tmp_path))
    torch.save({'network': {}, 'average': {}, 'best': 1.0, 'step': 3}, tmp_path / 'last.pt')
    with pytest.raises(InputError, match=r'last\.pt: holds no samples; it is of another version'):
        Trainer(config(tmp_path))


def test_batches_are_reproducible_typed_and_of_the_sizes_in_turn():
    sizes = ((32, 64), (64, 32))
    stream, same = (
        iter(SyntheticBatches(GeneratorConfig(sizes=sizes, batch_size=2, pool=8)))
        for _ in range(2)
    )
    first, second = next(stream), next(stream)
    assert {first['left'].shape, second['left'].shape} == {(2, 3, 32, 64), (2, 3, 64, 32)}
    assert first['left'].dtype == torch.uint8
    assert first['disparity'].dtype == torch.float32
    assert first['visible'].dtype == torch.bool
    assert torch.equal(first['left'], next(same)['left'])


def test_pairs_are_drawn_several_times_each_time_distorted_anew():
    made = []

    class Counted(PooledBatches):
        upside_down = 0.0

        def maker(self, rng):
            def make(size):
                made.append(size)
                maker = SceneMaker(TextureBank([]))
                return [make_pair(maker, rng, size) for _ in range(3)]

            return make

    sizes = ((32, 64), (64, 32))
    config = GeneratorConfig(sizes=sizes, batch_size=4, pool=20, reuse=4.0)
    stream = iter(Counted(config))
    batches = [next(stream) for _ in range(100)]
    # 16 of each size to begin with, a quarter of the other draws, three at once.
    assert 32 + (400 - 32) / 8 < 3 * len(made) < 32 + (400 - 32) / 2.5
    assert set(made) == set(sizes)
    left = torch.cat([b['left'].float().flatten(1) for b in batches])
    clean = torch.cat([b['clean_left'].float().flatten(1) for b in batches])
    known = torch.unique(clean, dim=0)
    assert len(known) < 250  # each as it is and mirrored
    assert len(torch.unique(left, dim=0)) > 1.5 * len(known)


def test_flips_keep_the_geometry():
    """However a pair is flipped, left(x) still equals right(x - d)."""
    maker = SceneMaker(TextureBank([]))
    pair = make_pair(maker, np.random.default_rng(7), (64, 128))
    for seed in range(8):
        flipped = flip_pair(np.random.default_rng(seed), pair)
        x = np.arange(128)[None, :] - np.rint(flipped.disparity_left).astype(int)
        matched = np.take_along_axis(flipped.right, np.clip(x, 0, 127)[..., None], axis=1)
        error = np.abs(matched.astype(float) - flipped.left).mean(axis=2)
        assert np.median(error[flipped.visible_left]) < 12
        assert flipped.left.shape == pair.left.shape


def test_two_processes_train_one_network_and_its_average(tmp_path, two_processes):
    first = build(NETWORK)
    checkpoint.save(tmp_path / 'first.pt', first, {})
    out = tmp_path / 'out'
    arguments = ['--init', tmp_path / 'first.pt', '--out', out, '--device', 'cpu', '--fp32']
    arguments += ['--sizes', '32x96', '--batch-size', 2, '--steps', 4, '--validate-every', 4]
    arguments += ['--workers', '0', '--threads', '1']
    two_processes('-m', 'dtp_stereo_ros.cli', 'train', *arguments)
    last = torch.load(out / 'last.pt', weights_only=True)
    assert last['samples'] == 4 * 2 * 2
    name = 'features.stem.0.weight'
    before, trained, average = (
        weights[name] for weights in (first.state_dict(), last['network'], last['average'])
    )
    moved = (trained - before).abs().max()
    assert moved > 0
    assert 0 < (trained - average).abs().max() < moved


def test_a_signal_to_one_process_ends_all_at_the_same_step(tmp_path, two_processes):
    script = tmp_path / 'stop.py'
    script.write_text(
        f"""
import os, signal
from pathlib import Path
from dtp_stereo_ros.commands.training_options import run_to_end
from dtp_stereo_ros.training.learning.trainer import Trainer
from dtp_stereo_ros.training.settings import GeneratorConfig, TrainConfig

def main():
    data = GeneratorConfig(sizes=((32, 96),), batch_size=1)
    trainer = Trainer(TrainConfig(
        out=Path({str(tmp_path / 'out')!r}), network={NETWORK!r}, data=data, steps=1000,
        device='cpu', precision='fp32', workers=0, threads=1, validation_count=1,
    ))
    one_step = trainer._train

    def step(batch):
        if trainer.step == 2 and trainer.accelerator.process_index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        one_step(batch)

    trainer._train = step
    run_to_end(trainer)
    print('ended at step', trainer.step)

if __name__ == '__main__':
    main()
"""
    )
    for output in two_processes(script):
        assert 'ended at step 3' in output


def test_processes_without_a_gpu_are_joined_whatever_the_device(tmp_path, two_processes):
    script = tmp_path / 'join.py'
    script.write_text(
        """
import torch
torch.cuda.is_available = lambda: False
from dtp_stereo_ros.training.learning.device import accelerator_for, leave_group
from dtp_stereo_ros.training.settings import Computing
accelerator = accelerator_for(Computing(precision='fp32'))
accelerator.print(accelerator.num_processes, accelerator.device)
leave_group(accelerator)
"""
    )
    assert '2 cpu' in two_processes(script)[0]


SHORT = {'steps': 2, 'validate_every': 1, 'validation_count': 1}


@pytest.fixture(scope='module')
def short(tmp_path_factory):
    """A run of two steps."""
    out = tmp_path_factory.mktemp('short')
    Trainer(config(out, **SHORT)).run()
    return out


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'learning_rate': 1e-4}, r'learning_rate (0.003, now 0.0001)'),
        ({'sources': ('synthetic', 'synthetic')}, 'sources ('),
        ({'data': dataclasses.replace(DATA, seed=3)}, 'data.seed (0, now 3)'),
        ({'distil': DistilConfig(teacher='sgbm')}, "distil.teacher ('', now 'sgbm')"),
        ({'network': {**NETWORK, 'stem': 16}}, 'network.stem (8, now 16)'),
    ],
)
def test_a_run_folder_belongs_to_one_set_of_settings(short, changes, named):
    before = {path.name: path.read_bytes() for path in short.glob('*.pt')}
    with pytest.raises(ConfigError, match='was begun with another') as caught:
        Trainer(config(short, **{**SHORT, **changes}))
    assert named in str(caught.value)
    assert {path.name: path.read_bytes() for path in short.glob('*.pt')} == before


def test_a_setting_that_an_earlier_version_did_not_know_has_its_default(short, tmp_path):
    out = tmp_path / 'run'
    shutil.copytree(short, out)
    last = torch.load(out / 'last.pt', weights_only=True)
    del last['settings']['only'], last['settings']['data']['reuse']
    checkpoint.write(out / 'last.pt', last)
    assert Trainer(config(out, **SHORT)).step == 2
    with pytest.raises(ConfigError, match=r'another data.reuse \(None, now 7\)'):
        Trainer(config(out, **{**SHORT, 'data': dataclasses.replace(DATA, reuse=7)}))


def test_fixed_statistics_are_those_of_a_trained_network(short, tmp_path):
    with pytest.raises(ConfigError, match='are those of a trained network; name one with --init'):
        Trainer(config(tmp_path / 'a', **SHORT, fixed_statistics=True))
    init = short / 'best.pt'
    Trainer(config(tmp_path / 'b', **SHORT, fixed_statistics=True, init=init))


def test_nothing_is_nearer_than_what_a_network_searches(tmp_path):
    data = dataclasses.replace(DATA, max_disparity_px=190)
    trainer = Trainer(config(tmp_path, **SHORT, data=data))
    for batch in trainer._held_out():
        assert float(batch['disparity'][batch['known']].max()) <= 62


def test_what_a_run_begins_with_is_judged(short, tmp_path):
    init = short / 'best.pt'
    changes = {**SHORT, 'init': init, 'learning_rate': 1e-9, 'average_decay': 0.5}
    Trainer(config(tmp_path / 'still', **changes)).run()
    log = (tmp_path / 'still' / 'log.txt').read_text()
    known = checkpoint.read(init)['meta']['validation']['val/epe_px']
    (before,) = re.findall(r'best\.pt before: val/epe_px (\S+)', log)
    assert float(before) == pytest.approx(known, abs=1e-3)
    Trainer(config(tmp_path / 'worse', **{**changes, 'learning_rate': 0.3})).run()
    log = (tmp_path / 'worse' / 'log.txt').read_text()
    assert log.count('no checkpoint is better on the held-out pairs than') == 1


def test_what_is_learned_is_kept_where_a_pair_cannot_be_read(tmp_path):
    root = tmp_path / 'data'
    root.mkdir()
    left, right = layouts.plane_pair()
    for index in range(12):
        write_png(root / f'{index}_left.png', left)
        write_png(root / f'{index}_right.png', right)
        write_pfm(root / f'{index}_disp.pfm', layouts.truth())
    changes = {**SHORT, 'steps': 50, 'validate_every': 50, 'sources': (f'folder:{root}',)}
    changes['data'] = dataclasses.replace(DATA, sizes=((64, 64),), batch_size=2)
    run = Trainer(config(tmp_path / 'run', **changes))
    train = run._train

    def damage_and_train(batch):
        train(batch)
        if run.step == 3:
            for path in root.glob('*_left.png'):
                path.write_bytes(path.read_bytes()[:50])

    run._train = damage_and_train
    with pytest.raises(InputError, match=r'_left\.png'):
        run.run()
    step = Trainer(config(tmp_path / 'run', **changes)).step
    assert step >= 3


def test_the_best_of_a_run_whose_state_is_gone_is_not_overwritten(short, tmp_path):
    shutil.copytree(short, tmp_path / 'run')
    (tmp_path / 'run' / 'last.pt').unlink()
    with pytest.raises(InputError, match=r'run: holds the best.pt of a run whose last.pt is gone'):
        Trainer(config(tmp_path / 'run', **SHORT))


def test_a_run_that_another_call_took_further_is_not_set_back(short, tmp_path):
    shutil.copytree(short, tmp_path / 'run')
    late = Trainer(config(tmp_path / 'run', **{**SHORT, 'steps': 3}))
    Trainer(config(tmp_path / 'run', **{**SHORT, 'steps': 4})).run()
    with pytest.raises(InputError, match='another run has gone on there meanwhile'):
        late.run()
    assert Trainer(config(tmp_path / 'run', **{**SHORT, 'steps': 4})).step == 4


def test_two_runs_in_one_folder_are_refused(tmp_path):
    first, second = (Trainer(config(tmp_path, **SHORT)) for _ in range(2))
    with run_state.locked(tmp_path), pytest.raises(InputError, match='another run is going on'):
        first.run()
    assert not (tmp_path / 'last.pt').exists()
    assert second.run()['val/epe_px'] > 0


def test_a_network_that_fell_behind_is_told(tmp_path):
    other = tmp_path / 'other.pt'
    checkpoint.save(other, build(NETWORK), {})
    for steps, also in ((1, (str(other),)), (2, ()), (3, (str(other),))):
        Trainer(config(tmp_path / 'run', **{**SHORT, 'steps': steps}, also=also)).run()
    log = (tmp_path / 'run' / 'log.txt').read_text()
    assert log.count('other is at step 1, and ends so much before') == 1


def test_a_batch_that_is_too_small_for_a_normalisation_is_refused(tmp_path):
    data = dataclasses.replace(DATA, sizes=((256, 256),), batch_size=1)
    network = {'member': 'psmnet', 'max_disparity_px': 64}
    run = Trainer(config(tmp_path, **SHORT, network=network, data=data))
    with pytest.raises(ConfigError, match='1 pair of 256x256 px leaves a normalisation one value'):
        run.run()


def test_its_length_and_where_it_runs_may_change(short):
    pace = {
        'steps': 40,
        'validate_every': 7,
        'threads': 1,
        'precision': 'bf16',
        'command': 'other',
    }
    assert Trainer(config(short, **{**SHORT, **pace})).step == 2


def test_another_folder_goes_on_with_other_settings_and_its_card_tells_both(short, tmp_path):
    changes = {**SHORT, 'steps': 3, 'learning_rate': 1e-4, 'resume': short}
    other = Trainer(config(tmp_path / 'other', **changes))
    assert other.step == 2
    other.run()
    meta = checkpoint.read(tmp_path / 'other' / 'best.pt')['meta']
    (before,) = meta['before']
    assert before.startswith(f'{short.name}: 2 steps, procedural pairs')
    assert Trainer(config(tmp_path / 'other', **changes)).step == 3  # the same command goes on


@pytest.mark.parametrize('pooled', [False, True])
def test_the_pairs_of_validation_stay_the_same_where_a_run_goes_on(tmp_path, monkeypatch, pooled):
    """Errors of all calls decide between the same checkpoints."""
    judged = []

    def validate(network, batches, accelerator):
        judged.append(torch.cat([batch['left'] for batch in batches]))
        return {'val/epe_px': 1.0, 'val/bad3': 0.5}

    def feed(run, cache, process):
        c = run.config
        return PooledFeed(c.sources, c.data, run.device, None, 0, run.step, process)

    monkeypatch.setattr(trainer, 'validate', validate)
    if pooled:  # as on a GPU
        monkeypatch.setattr(Trainer, '_feed', feed)
    for steps in (1, 2):
        Trainer(config(tmp_path, **{**SHORT, 'steps': steps})).run()
    assert len(judged) >= 2
    assert all(torch.equal(pairs, judged[0]) for pairs in judged)


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'network': {**NETWORK, 'volume': 24}}, 'network.volume (16, now 24)'),
        ({'init': 'wide.pt'}, "init ('', now '"),
        ({'only': ('upsampling',)}, 'only ([], now ['),
        ({'distil': DistilConfig(teacher='wide.pt', features=1.0)}, 'without features'),
    ],
)
def test_a_run_of_other_weights_is_not_gone_on_from(short, tmp_path, changes, named):
    checkpoint.save(tmp_path / 'wide.pt', build({**NETWORK, 'volume': 24}), {})
    if 'init' in changes:
        changes = {'init': tmp_path / 'wide.pt'}
    if 'distil' in changes:
        teacher = str(tmp_path / 'wide.pt')
        changes = {'distil': dataclasses.replace(changes['distil'], teacher=teacher)}
    other = config(tmp_path / 'other', **{**SHORT, 'steps': 3, 'resume': short, **changes})
    with pytest.raises(ConfigError, match=r'^resume: .* was begun') as caught:
        Trainer(other)
    assert named in str(caught.value)
    assert '--init' in str(caught.value)
    assert not list((tmp_path / 'other').glob('*.pt'))


@pytest.mark.parametrize('member', ['', 'bimodal', 'paper'])
@pytest.mark.parametrize(
    'change',
    [
        {'error_head': 8},
        {'choice': 8},
        {'magnification': 1.5},
        {'half_upsampling': True},
        {'one_correlation': True},
    ],
)
def test_a_change_of_a_network_that_cannot_be_made_is_refused(tmp_path, member, change):
    init = None
    if member:
        init = tmp_path / f'{member}.pt'
        checkpoint.save(init, build({'member': member, 'max_disparity_px': 64}), {})
    named = f'{next(iter(change))}: changes a trained light network'
    with pytest.raises(ConfigError, match=named):
        Trainer(config(tmp_path / 'out', init=init, **change))


def test_the_last_line_is_of_the_best_weights(tmp_path, monkeypatch, capsys):
    errors = iter([5.0, 3.0, 9.0])
    monkeypatch.setattr(
        trainer, 'validate', lambda *_: {'val/epe_px': next(errors, 9.0), 'val/bad3': 0.5}
    )
    run = Trainer(config(tmp_path, **{**SHORT, 'steps': 3}))
    run_to_end(run)
    shown = f'{tmp_path / "best.pt"}: val/epe_px 3.000, val/bad3 0.500 at step 2 of 3'
    assert capsys.readouterr().out.splitlines()[-1] == shown
    run_to_end(Trainer(config(tmp_path, **{**SHORT, 'steps': 3})))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ['no step was left to do after 3', shown.replace('2 of 3', '2 of 3')]


@pytest.mark.parametrize(
    ('cls', 'name', 'value'),
    [
        (TrainConfig, 'steps', -5),
        (TrainConfig, 'minutes', math.nan),
        (TrainConfig, 'learning_rate', math.nan),
        (TrainConfig, 'workers', -1),
        (TrainConfig, 'threads', -3),
        (TrainConfig, 'validate_every', 0),
        (TrainConfig, 'decay_share', 7.0),
        (GeneratorConfig, 'batch_size', 0),
        (GeneratorConfig, 'seed', -1),
        (GeneratorConfig, 'reuse', 0.0),
        (DistilConfig, 'trust_px', -1.0),
        (DistilConfig, 'temperature', (0.0, 1.0)),
    ],
)
def test_numbers_that_no_run_can_have_are_named(tmp_path, cls, name, value):
    others = {'out': tmp_path / 'out'} if cls is TrainConfig else {}
    with pytest.raises(ConfigError, match=f'^{name} is .*it must be'):
        cls(**others, **{name: value})


def _folder(root, unlabelled=(), truth_px=12.0):
    """Six pairs of known disparity."""
    root.mkdir()
    for i in range(6):
        rng = np.random.default_rng(i)
        wide = rng.integers(0, 255, (64, 180, 3)).astype(np.uint8)
        write_png(root / f'{i}_left.png', wide[:, :160])
        write_png(root / f'{i}_right.png', wide[:, 12:172])
        if i not in unlabelled:
            write_pfm(root / f'{i}_disp.pfm', np.full((64, 160), truth_px, np.float32))
    return f'folder:{root}'


@pytest.mark.parametrize(
    ('unlabelled', 'named'),
    [((2,), r'1 of 6 pairs have no truth \(2\)'), ((5,), r'1 of 6 .* \(5\)'),
     (range(6), r'6 of 6 pairs have no truth \(0, 1, 2, \.\.\.\)')],
)  # fmt: skip
def test_pairs_without_truth_are_named(tmp_path, unlabelled, named):
    source = _folder(tmp_path / 'data', unlabelled)
    with pytest.raises(ConfigError, match=named):
        Trainer(config(tmp_path / 'out', sources=(source,)))


def test_truth_of_which_nothing_counts_is_told_before_anything_is_learned(tmp_path):
    source = _folder(tmp_path / 'data', truth_px=61.0)  # beyond the largest disparity
    run = Trainer(config(tmp_path / 'out', sources=(source,), **SHORT))
    with pytest.raises(ConfigError, match='the truth has no known pixel in the pairs'):
        run.run()
    assert run.step == 0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--sizes', '30x64'], '--sizes: 30x64 must be multiples of 32'),
        (['--sizes', 'big'], "--sizes: 'big' is not HEIGHTxWIDTH"),
        (['--data', 'folder:none'], 'none: no such folder'),
        (['--init', 'none.pt'], 'none.pt: no such model file'),
    ],
)
def test_wrong_calls_are_one_line(tmp_path, arguments, message, capsys):
    assert main(['train', '--out', str(tmp_path), '--device', 'cpu', *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert message in error


def test_pictures_are_drawn_for_tensorboard(finished):
    out, _, _ = finished
    accumulator = event_accumulator.EventAccumulator(str(out), {'images': 0}).Reload()
    images = accumulator.Images('val/pair')
    assert [image.step for image in images] == [2, 62, 120]
    assert (images[0].width, images[0].height) == (2 * 160, 2 * 64)


def test_the_ray_caster_is_a_source(tmp_path):
    """Drawn and, for a CPU, rendered in the loader; mixed with the other generator."""
    run = config(
        tmp_path,
        sources=('raycast', 'synthetic'),
        data=dataclasses.replace(DATA, batch_size=2, sizes=((32, 96),)),
        steps=3,
        validate_every=3,
        validation_count=1,
    )
    made = Trainer(run)
    figures = made.run()
    assert 0 < figures['val/epe_px'] < 64
    assert made.samples == 6
    meta = checkpoint.read(tmp_path / 'best.pt')['meta']
    assert meta['data'].startswith('raycast pairs + procedural pairs')
    batch, same, other = (next(iter(made.renderer.stream(skip))) for skip in (0, 0, 1))
    assert torch.equal(batch['right'], same['right'])
    assert not torch.equal(batch['right'], other['right'])
    assert batch['clean_left'].shape == batch['left'].shape == (2, 3, 32, 96)
    assert batch['clean_left'].dtype == batch['left'].dtype == torch.uint8
    assert not torch.equal(batch['clean_left'], batch['left'])
    assert batch['disparity'].max() <= 60
    assert batch['known'].all()


def test_another_network_learns_from_the_same_batches_from_its_own_weights(tmp_path):
    torch.manual_seed(3)
    start = build({**NETWORK, 'quarter': 24})
    checkpoint.save(tmp_path / 'wide.pt', start, {})
    frozen = config(
        tmp_path / 'run', steps=1, learning_rate=0.0, also=(str(tmp_path / 'wide.pt'),)
    )
    Trainer(frozen).run()
    kept = checkpoint.load(tmp_path / 'run' / 'wide' / 'best.pt')
    for (name, before), after in zip(start.named_parameters(), kept.parameters(), strict=True):
        torch.testing.assert_close(after, before, msg=name)
    own = checkpoint.load(tmp_path / 'run' / 'best.pt')
    assert own.config.quarter == NETWORK['quarter']


def test_networks_beside_are_refused_in_one_folder_and_at_another_step(short, tmp_path):
    names = [tmp_path / folder / 'best.pt' for folder in 'ab']
    for path in names:
        path.parent.mkdir()
        checkpoint.save(path, build(NETWORK), {})
    also = tuple(map(str, names))
    with pytest.raises(ConfigError, match=r'a/best\.pt and .*b/best\.pt would both be trained in'):
        Trainer(config(tmp_path / 'run', also=also))
    assert not (tmp_path / 'run').exists()
    with pytest.raises(ConfigError, match=r'best is at step 0, and .* at 2; networks that learn'):
        Trainer(config(short, **SHORT, also=also[:1]))
    # One that was trained further by itself.
    out = tmp_path / 'ahead'
    Trainer(config(out / 'best', **SHORT, init=names[0])).run()
    with pytest.raises(ConfigError, match=r'best is at step 2, and .* at 0'):
        Trainer(config(out, **SHORT, also=also[:1]))


def test_an_unknown_network_beside_is_named(tmp_path, capsys):
    out = str(tmp_path / 'run')
    assert main(['train', '--out', out, '--also', 'mega', '--device', 'cpu']) == 2
    assert 'mega' in capsys.readouterr().err
