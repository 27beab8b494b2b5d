"""Checkpoints hold numbers only, and say what is wrong with a file in one line."""

import pickle

import pytest
import torch

from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import build, describe
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig

SMALL = LightConfig(max_disparity_px=64, stem=8, quarter=16, depths=(1, 1, 1, 1))


@pytest.mark.parametrize(
    'network', [DTPNetLight(SMALL), DTPNetPaper(PaperConfig(3, 64))], ids=['light', 'paper']
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
