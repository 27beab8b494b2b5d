"""`dtp-stereo train` in minutes on ray-cast pairs: it learns, stops and goes on."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.commands import train
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.presets import PRESETS
from dtp_stereo_ros.training.learning.schedule import rate_after
from dtp_stereo_ros.training.learning.trainer import Trainer
from dtp_stereo_ros.training.settings import TrainConfig

WIDTHS = {
    'stem': 8,
    'quarter': 16,
    'eighth': 16,
    'sixteenth': 24,
    'thirtysecond': 24,
    'heads': 1,
    'volume': 16,
    'depths': (1, 1, 1, 1),
}

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def textures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('textures')
    rng = np.random.default_rng(0)
    for i in range(4):
        noise = rng.uniform(0, 255, (20, 20, 3)).astype(np.float32)
        cv2.imwrite(str(folder / f'{i}.png'), cv2.resize(noise, (300, 300)).astype(np.uint8))
    return folder


def arguments(out, textures, *more):
    widths = [
        f'{name}={",".join(map(str, v)) if isinstance(v, tuple) else v}'
        for name, v in WIDTHS.items()
    ]
    fixed = ['--batch-size', '3', '--sizes', '64x160,32x128', '--samples', '1', '--workers', '0']
    fixed += ['--validation', '2', '--learning-rate', '3e-3', '--average', '0.9', '--reuse', '1']
    fixed += ['--decay-share', '0.4', '--checkpoint-s', '60', '--split', '--fp32']
    fixed += ['--data', 'raycast', '--device', 'cpu', '--network', 'light', *widths]
    return ['--out', str(out), '--textures', str(textures), '--minutes', '5', *fixed, *more]


def parse(words):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return train.config(parser.parse_args(words))


@pytest.fixture(scope='module')
def run(tmp_path_factory, textures):
    out = tmp_path_factory.mktemp('run')
    first = Trainer(parse(arguments(out, textures, '--max-steps', '4'))).run()
    second = Trainer(parse(arguments(out, textures, '--max-steps', '96')))
    begun_at = second.step
    return out, first, begun_at, second, second.run()


def test_it_learns_and_goes_on_where_it_stopped(run):
    _, first, begun_at, trainer, last = run
    assert begun_at == 4
    assert trainer.step == 100
    assert trainer.samples == 300
    # How high the learning rate gets depends on the machine's speed.
    assert last['val/bad3'] < 0.95 * first['val/bad3']
    assert last['train/distribution'] < 0.95 * first['train/distribution']
    assert trainer.seconds > 0


def test_the_best_weights_load_and_tell_how_they_were_made(run):
    out, *_, trainer, _ = run
    network = checkpoint.load(out / 'best.pt')
    assert network.config.depths == (1, 1, 1, 1)
    meta = checkpoint.read(out / 'best.pt')['meta']
    assert meta['validation']['val/epe_px'] == pytest.approx(trainer.best, abs=1e-4)
    assert meta['pairs'] <= 300
    assert '160x64' in meta['data']
    left = torch.zeros(1, 3, 32, 64)
    assert network(left, left)[0].shape == (1, 1, 32, 64)


def test_a_following_call_has_the_same_optimizer_and_weights(run, textures, tmp_path):
    out, *_, trainer, _ = run
    call = arguments(tmp_path / 'next', textures, '--resume', str(out), '--total-minutes', '7')
    following = Trainer(parse(call))
    assert following.step == 100
    assert following.schedule.total_s == 420
    for mine, theirs in zip(
        following.network.parameters(), trainer.network.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)
        moment = following.optimizer.state[mine]['exp_avg_sq']
        assert moment.dtype == torch.float32
        expected = trainer.optimizer.state[theirs]['exp_avg_sq'].bfloat16().float()
        assert torch.equal(moment, expected)
        assert following.optimizer.state[mine]['step'] == 100
    # The old run is only read.
    assert not (tmp_path / 'next' / 'last.pt').exists()


def test_moments_of_another_step_are_not_used(run, textures, tmp_path):
    out, *_ = run
    for name in ('last.pt', 'moments.pt'):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    content = torch.load(tmp_path / 'moments.pt', weights_only=True)
    torch.save({**content, 'step': 3}, tmp_path / 'moments.pt')
    trainer = Trainer(parse(arguments(tmp_path, textures)))
    assert trainer.step == 100
    assert not trainer.optimizer.state
    assert 'starts afresh' in (tmp_path / 'log.txt').read_text()


def test_the_log_tells_speed_and_errors(run):
    out, *_ = run
    lines = (out / 'log.txt').read_text().splitlines()
    assert 'parameters on CPU, from step 0' in lines[0]
    assert ' step 4 pairs 12 ' in lines[1]
    assert 'val/bad3' in lines[-1]


def test_it_ends_when_its_minutes_are_over(run, textures, tmp_path):
    out, *_ = run
    call = ['--resume', str(out), '--minutes', '0.001']
    trainer = Trainer(parse([*arguments(tmp_path, textures), *call]))
    trainer.run()
    assert trainer.step == 100
    assert (tmp_path / 'last.pt').exists()


def test_weights_can_start_from_a_checkpoint(run, textures, tmp_path):
    out, *_ = run
    call = arguments(tmp_path, textures, '--init', str(out / 'best.pt'))
    trainer = Trainer(parse(call))
    assert trainer.step == 0
    expected = checkpoint.load(out / 'best.pt').state_dict()
    for name, value in trainer.network.state_dict().items():
        assert torch.equal(value, expected[name])


def test_the_rate_rises_stays_and_falls_to_zero():
    assert rate_after(0, 1000, 0.4) < 0.05
    assert rate_after(30, 1000, 0.4) == 1
    assert rate_after(599, 1000, 0.4) == 1
    assert rate_after(800, 1000, 0.4) == pytest.approx(0.5)
    assert rate_after(1000, 1000, 0.4) == pytest.approx(0)
    assert rate_after(1200, 1000, 0.4) == pytest.approx(0)


def test_a_missing_run_is_named(textures, tmp_path):
    call = parse(arguments(tmp_path / 'new', textures, '--resume', str(tmp_path)))
    with pytest.raises(InputError, match=r'resume: .* holds no last\.pt'):
        Trainer(call)


def test_it_needs_no_tensorboard(textures, tmp_path):
    call = arguments(tmp_path, textures, '--max-steps', '1')
    code = (
        'import sys, accelerate\n'
        "for name in ('tensorboard', 'torch_pruning', 'onnx', 'skimage', 'rosbags'):\n"
        '    sys.modules[name] = None\n'
        'from dtp_stereo_ros.cli import main\n'
        f'raise SystemExit(main({["train", *call]!r}))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'TensorBoard cannot be imported' in (tmp_path / 'log.txt').read_text()
    assert ' step 1 pairs 3 ' in done.stdout
    assert torch.load(tmp_path / 'last.pt', weights_only=True)['step'] == 1


def test_a_folder_without_photographs_is_one_line(tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    call = ['--out', str(tmp_path), '--textures', str(tmp_path / 'empty'), '--data', 'raycast']
    assert main(['train', *call, '--device', 'cpu', '--fp32']) == 2
    assert 'empty' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('given', 'named'),
    [
        (['--sizes', '100x64'], '100x64 must be multiples of 32'),
        (['--sizes', '64'], 'HEIGHTxWIDTH'),
        (['--network', 'light', 'volume'], "'volume': is not NAME=NUMBER"),
        (['--network', 'volume=x'], 'is not NAME=NUMBER'),
        (['--network', 'big'], "network 'big' is unknown; choose one of light"),
        (['--batch-size', '0'], 'batch_size is 0, it must be in 1 .. 4096'),
        (['--decay-share', '2'], 'decay_share is 2.0, it must be in 0 .. 1'),
        (['--minutes', '-1'], 'minutes is -1.0 min, it must be at least 0 min'),
        (['--total-minutes', '9'], 'total_minutes is of a run in minutes; set minutes too'),
    ],
)
def test_wrong_options_are_refused(tmp_path, capsys, given, named):
    assert main(['train', '--out', str(tmp_path), *given]) == 2
    assert named in capsys.readouterr().err


def test_widths_change_the_network_that_is_named():
    call = ['--out', 'x', '--network', 'bimodal', 'volume=64', 'depths=1,2,3,2']
    assert parse(call).network == {**PRESETS['bimodal'], 'volume': 64, 'depths': (1, 2, 3, 2)}
    assert parse(['--out', 'x', '--network', 'stem=8']).network == {'member': 'light', 'stem': 8}


def test_defaults_are_those_of_the_settings():
    config = parse(['--out', 'x'])
    assert config == TrainConfig(out=Path('x'), command=config.command)


def test_networks_are_trained_on_the_same_batches(tmp_path, textures):
    call = arguments(tmp_path, textures, '--also', 'paper3', '--max-steps', '1')
    Trainer(parse(call)).run()
    first, other = (
        torch.load(tmp_path / name, weights_only=True) for name in ('last.pt', 'paper3/last.pt')
    )
    assert (first['samples'], other['samples']) == (3, 3)
    assert first['config']['member'] == 'light'
    assert other['config']['member'] == 'paper'


def test_a_run_that_is_ended_keeps_a_checkpoint(tmp_path, textures):
    command = [sys.executable, '-m', 'dtp_stereo_ros.cli', 'train']
    call = arguments(tmp_path, textures, '--checkpoint-s', '0.1')
    with subprocess.Popen([*command, *call], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        for line in run.stdout:
            if found := re.search(r' step ([1-9]\d*) pairs', line):
                break
        run.terminate()
        told = run.stdout.read()
        assert run.wait() == 0
    last = torch.load(tmp_path / 'last.pt', weights_only=True)['step']
    assert last >= int(found[1])
    # That of the end, and the line after it.
    assert f' step {last} pairs' in told
    assert f'of {last}' in told.splitlines()[-1]
