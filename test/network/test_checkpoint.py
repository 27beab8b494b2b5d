"""Checkpoints hold numbers only, and say what is wrong with a file in one line."""

import pickle
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import build, describe
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig
from dtp_stereo_ros.network.psmnet import PSMNet, PSMNetConfig
from dtp_stereo_ros.network.widths import apply_widths, read_widths

SMALL = LightConfig(max_disparity_px=64, stem=8, quarter=16, depths=(1, 1, 1, 1))


@pytest.mark.parametrize(
    'network',
    [
        DTPNetLight(SMALL),
        DTPNetPaper(PaperConfig(3, 64)),
        PSMNet(PSMNetConfig(64, (1, 1, 1, 1))),
    ],
    ids=['light', 'paper', 'psmnet'],
)
def test_round_trip(tmp_path, network):
    path = tmp_path / 'net.pt'
    checkpoint.save(path, network, {'steps': 3})
    loaded = checkpoint.load(path)
    assert describe(loaded) == describe(network)
    assert not loaded.training
    assert checkpoint.read(path)['meta'] == {'steps': 3}
    pair = torch.rand(2, 1, 3, 64, 96) * 255
    with torch.no_grad():
        for a, b in zip(network.eval()(*pair), loaded(*pair), strict=True):
            assert torch.equal(a, b)
    assert [p.name for p in tmp_path.iterdir()] == ['net.pt']


def test_other_widths_are_kept(tmp_path):
    """As a pruned network has them: here the inner channels of one block."""
    network = DTPNetLight(SMALL)
    name = 'aggregation.down8.0'
    widths = {f'{name}.widen': [40, 64, 1], f'{name}.narrow': [64, 40, 1]}
    apply_widths(network, widths)
    path = tmp_path / 'pruned.pt'
    checkpoint.save(path, network.eval(), {})
    assert checkpoint.read(path)['widths'] == widths
    loaded = checkpoint.load(path)
    assert read_widths(loaded) == read_widths(network)
    pair = torch.rand(2, 1, 3, 64, 96) * 255
    with torch.no_grad():
        assert torch.equal(network(*pair)[0], loaded(*pair)[0])


def test_networks_of_usual_widths_say_nothing_of_them(tmp_path):
    checkpoint.save(tmp_path / 'net.pt', DTPNetLight(SMALL), {})
    assert 'widths' not in checkpoint.read(tmp_path / 'net.pt')


@pytest.mark.parametrize(
    ('widths', 'message'),
    [
        ({'nowhere.0': [3]}, "layer 'nowhere.0' do not fit"),
        ({'regress': [3]}, "layer 'regress' do not fit"),
        ({'normalise': [3, 3, 1]}, 'Normalise has no width'),
        ({'regress': [4, 6, 4]}, "layer 'regress' do not fit"),
        ([1], 'a table of layers'),
    ],
)
def test_impossible_widths_are_named(tmp_path, widths, message):
    path = tmp_path / 'bad.pt'
    content = {'format': checkpoint.FORMAT, 'config': {'member': 'light'}, 'state_dict': {}}
    torch.save({**content, 'widths': widths}, path)
    with pytest.raises(ModelError, match=message):
        checkpoint.load(path)


class _Evil:
    def __reduce__(self):
        return (open, ('pwned', 'w'))


@pytest.mark.parametrize('wrapped', [False, True])
def test_a_malicious_pickle_is_one_line_and_runs_nothing(tmp_path, monkeypatch, wrapped):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'evil.pt'
    if wrapped:
        torch.save({'format': checkpoint.FORMAT, 'config': _Evil()}, path)
    else:
        path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(ModelError, match=r'evil\.pt') as caught:
        checkpoint.load(path)
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'pwned').exists()


@pytest.mark.parametrize(
    'command',
    [
        'infer left.png right.png -o out.png --backend torch --model evil.pt',
        'export evil.pt -o out',
        'prune evil.pt -o out --data synthetic',
        'train --init evil.pt --out out',
        'distill --data synthetic --init evil.pt --teacher sgbm',
        'distill --data synthetic --teacher evil.pt',
        'distill --data synthetic --teacher evil.tar',
        'train --out evil.run',
    ],
)
def test_no_command_runs_a_malicious_pickle(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    Path('evil.run').mkdir()
    for name in ('evil.pt', 'evil.tar', 'evil.run/last.pt'):
        Path(name).write_bytes(pickle.dumps(_Evil()))
    for name in ('left.png', 'right.png'):
        cv2.imwrite(name, np.zeros((64, 256, 3), np.uint8))
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].count('evil.') >= 1
    assert 'Traceback' not in error
    assert not Path('pwned').exists()


def test_what_is_wrong_with_a_file_is_named(tmp_path):
    with pytest.raises(ModelError, match='does not exist'):
        checkpoint.load(tmp_path / 'none.pt')
    text = tmp_path / 'text.pt'
    text.write_text('hello')
    with pytest.raises(ModelError, match='no checkpoint'):
        checkpoint.load(text)
    other = tmp_path / 'other.pt'
    torch.save({'a': torch.zeros(1)}, other)
    with pytest.raises(ModelError, match='not of format'):
        checkpoint.load(other)
    bad = tmp_path / 'bad.pt'
    content = {'format': checkpoint.FORMAT, 'config': {'member': 'light'}, 'state_dict': {}}
    torch.save(content, bad)
    with pytest.raises(ModelError, match='weights and architecture disagree'):
        checkpoint.load(bad)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'member': 'heavy'}, "'heavy' is unknown"),
        ({}, 'None is unknown'),
        ({'member': 'light', 'depth': 3}, "no setting 'depth'"),
        ({'member': 'paper', 'setting': 9}, 'settings 1, 2 and 3'),
    ],
)
def test_unknown_architectures_are_named(config, message):
    with pytest.raises(ModelError, match=message):
        build(config)


def test_a_small_file_never_becomes_much_memory(tmp_path):
    path = tmp_path / 'model.pt'
    checkpoint.save(path, build({'member': 'paper', 'setting': 3}), {})
    content = checkpoint.read(path)

    bomb = tmp_path / 'bomb.pt'
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as out:
        for entry in source.infolist():
            out.writestr(entry.filename, source.read(entry))
    with pytest.raises(ModelError, match='it is compressed'):
        checkpoint.load(bomb)

    def changed(**values):
        torch.save({**content, **values}, bomb)
        return bomb

    # Built, these would have 10^13 weights, or as many layers.
    for config in (
        {'member': 'light', 'stem': 10**12},
        {'member': 'light', 'depths': [10**12] * 4},
    ):
        with pytest.raises(ModelError, match=r'not 0 \.\. 4096'):
            checkpoint.load(changed(config=config))
    with pytest.raises(ModelError, match=r'bomb\.pt: weights and architecture disagree'):
        checkpoint.load(changed(config={'member': 'light', 'thirtysecond': 4096}))
    # One number, seen as many.
    name = max(content['state_dict'], key=lambda n: content['state_dict'][n].numel())
    shape = content['state_dict'][name].shape
    many = {n: torch.zeros(()).expand(v.shape) for n, v in content['state_dict'].items()}
    assert torch.tensor(shape).prod() > 1000
    with pytest.raises(ModelError, match='more than the file has'):
        checkpoint.load(changed(state_dict=many))


@pytest.mark.parametrize('config', [{'depths': [1]}, {'stem': 'x'}, {'stem': None}])
def test_impossible_architectures_of_a_file_are_named(tmp_path, config):
    path = tmp_path / 'odd.pt'
    config = {'member': 'light', **config}
    torch.save({'format': checkpoint.FORMAT, 'config': config, 'state_dict': {}}, path)
    with pytest.raises(ModelError, match=r'odd\.pt: network light: (depths|stem) is '):
        checkpoint.load(path)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    """Such a network answers nothing, and nothing differs from nothing."""
    network, path = DTPNetLight(SMALL), tmp_path / 'net.pt'
    network.regress.weight.data[0] = value
    checkpoint.save(path, network, {})
    with pytest.raises(ModelError, match=r'net\.pt: regress\.weight holds NaN or Inf; take'):
        checkpoint.load(path)


def test_facts_that_are_no_table_are_refused(tmp_path):
    path = tmp_path / 'net.pt'
    checkpoint.save(path, DTPNetLight(SMALL), {})
    content = torch.load(path, weights_only=True)
    torch.save({**content, 'meta': ['steps']}, path)
    with pytest.raises(ModelError, match=r'meta is no table'):
        checkpoint.load(path)
    del content['meta']
    torch.save(content, path)
    assert checkpoint.read(path)['meta'] == {}
