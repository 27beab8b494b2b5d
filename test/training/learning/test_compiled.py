"""A compiled network is used only where it gets the gradients of the plain one."""

import pytest
import torch
from torch import nn

from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import build
from dtp_stereo_ros.training.learning import compiled
from dtp_stereo_ros.training.learning.trainer import Trainer
from dtp_stereo_ros.training.settings import GeneratorConfig, TrainConfig

NETWORK = {
    'member': 'light', 'max_disparity_px': 64, 'stem': 8, 'quarter': 16, 'eighth': 16,
    'sixteenth': 16, 'thirtysecond': 16, 'heads': 1, 'volume': 16, 'depths': (1, 1, 1, 1),
}  # fmt: skip


class Wrapped(nn.Module):
    """What `torch.compile` makes, but for how it computes."""

    def __init__(self, network: nn.Module, broken: bool) -> None:
        super().__init__()
        self.network, self.broken = network, broken
        self.calls = 0

    def forward(self, left, right):
        self.calls += 1
        outputs = self.network(left, right)
        if self.broken:
            outputs.logits.register_hook(torch.zeros_like)
        return outputs


def config_of(out, **settings):
    """Few small pairs on the CPU, with these settings."""
    data = GeneratorConfig(sizes=((64, 128),), batch_size=2, max_disparity_px=60, pool=20)
    return TrainConfig(out=out, data=data, validation_count=1, device='cpu', workers=0, **settings)


@pytest.mark.parametrize('broken', [False, True])
def test_a_network_that_compiles_wrongly_is_trained_as_it_is(tmp_path, monkeypatch, broken):
    made = []

    def compile_(network, dynamic):
        assert not dynamic
        made.append(Wrapped(network, broken))
        return made[0]

    monkeypatch.setattr(torch, 'compile', compile_)
    config = config_of(tmp_path, network=NETWORK, steps=2, validate_every=2, compile=True)
    figures = Trainer(config).run()
    assert made[0].calls == (1 if broken else 3)
    log = (tmp_path / 'log.txt').read_text()
    assert ('not compiled, as' in log) is broken
    assert ('compiled; 0 % of the layers' in log) is not broken
    assert figures['train/loss'] > 0


@pytest.mark.parametrize('only', [(), ('upsampling',)])
def test_the_trial_changes_no_statistics(tmp_path, monkeypatch, only):
    """With a learning rate of 0 a run differs from its start by the statistics of its steps."""
    torch.manual_seed(0)
    checkpoint.save(tmp_path / 'start.pt', build(NETWORK), {})
    monkeypatch.setattr(torch, 'compile', lambda network, dynamic: Wrapped(network, False))

    def statistics(out, **changes):
        start = tmp_path / 'start.pt'
        config = config_of(
            tmp_path / out, init=start, steps=1, learning_rate=0.0, only=only, **changes
        )
        Trainer(config).run()
        state = torch.load(tmp_path / out / 'last.pt', weights_only=True)['network']
        return {name: value for name, value in state.items() if 'num_batches' in name}

    counted, plain = statistics('compiled', compile=True), statistics('plain')
    assert counted == plain
    learned = {name for name, value in counted.items() if value}
    assert learned == {name for name in counted if not only or name.startswith(only)}


def test_gradients_that_are_nearly_zero_do_not_count(monkeypatch):
    monkeypatch.setattr(torch, 'compile', lambda network, dynamic: nn.Identity())
    plain, other = nn.Linear(1, 1), [torch.ones(3) for _ in range(20)]
    close = [torch.full((3,), 1.2) for _ in range(19)] + [torch.full((3,), 9.0)]
    network, off = compiled.compiled(plain, lambda n: other if n is plain else close)
    assert network is not plain
    assert off == pytest.approx(0.05)
