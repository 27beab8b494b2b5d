"""The shipped network: shapes, budget, what it learns from, and that pictures decide."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dtp_stereo_ros.network.blocks import highest_peak
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.outputs import Outputs


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return DTPNetLight().eval()


def test_eval_returns_full_size_disparity_and_confidence(network):
    with torch.no_grad():
        disparity, confidence = network(*torch.rand(2, 2, 3, 64, 128) * 255)
    assert disparity.shape == (2, 1, 64, 128)
    assert confidence.shape == (2, 1, 16, 32)
    assert disparity.min() >= 0
    assert disparity.max() <= network.max_disparity_px
    assert confidence.min() >= 0
    assert confidence.max() <= 1 + 1e-5


def test_training_returns_what_is_supervised_and_all_weights_learn():
    network = DTPNetLight().train()
    # The correction starts from none; its layers learn once its last one has moved.
    torch.nn.init.normal_(network.refinement.leave.weight)
    outputs = network(*torch.rand(2, 2, 3, 64, 128) * 255)
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == outputs.matching.shape == (2, 48, 16, 32)
    assert outputs.quarter_px.shape == (2, 1, 16, 32)
    (outputs.disparity_px.mean() + outputs.logits.square().mean()).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_no_other_convolution_than_2d(network):
    kinds = {type(m) for m in network.modules() if 'Conv' in type(m).__name__}
    assert {k.__name__ for k in kinds} <= {'Conv2d', 'ConvBN'}


def test_budget_at_640x480(network):
    """The correlation is counted by its definition, not all pairs that are multiplied."""
    pair = torch.zeros(2, 1, 3, 480, 640)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*pair)
    total = counter.get_total_flops() / 2
    matrix = sum(v for k, v in counter.get_flop_counts()['Global'].items() if 'mm' in str(k)) / 2
    volume = 48 * 64 * 120 * 160
    assert 0 < matrix < 0.4e9
    assert total - matrix + volume < 3.9e9


def test_width_of_each_stage_follows_the_config():
    small = DTPNetLight(LightConfig(max_disparity_px=64, quarter=16, volume=24, heads=1)).eval()
    with torch.no_grad():
        disparity, _ = small(*torch.rand(2, 1, 3, 64, 96) * 255)
    assert disparity.max() <= 64
    assert small.regress.out_channels == 16


def test_untrained_correlation_already_finds_a_shift():
    """Matching has not to be learned: the raw volume of fresh features peaks at the truth."""
    torch.manual_seed(1)
    network = DTPNetLight().train()
    left = torch.rand(1, 3, 64, 256) * 255
    right = torch.roll(left, -40, dims=3)
    with torch.no_grad():
        matching = network.predict(left, right).matching
    found = matching[0, :, 4:12, 16:56].argmax(dim=0)
    assert (found == 10).float().mean() > 0.95


def test_outputs_count_disparities_upwards():
    torch.manual_seed(2)
    network = DTPNetLight(LightConfig(detail=0)).eval()
    with torch.no_grad():
        outputs = network.predict(*torch.rand(2, 1, 3, 64, 128) * 255)
    peak = highest_peak(outputs.logits).place
    torch.testing.assert_close(outputs.quarter_px, 4 * peak)
    # A network whose aggregation says nothing returns the correlation as its distribution.
    with torch.no_grad():
        network.regress.weight[:, : network.config.volume] = 0
        network.regress.bias.zero_()
        outputs = network.predict(*torch.rand(2, 1, 3, 64, 128) * 255)
    torch.testing.assert_close(outputs.logits, outputs.matching)


def test_a_network_without_refinement_has_none_of_its_weights():
    names = dict(DTPNetLight(LightConfig(detail=0)).named_parameters())
    assert [n for n in names if n.startswith('refinement')] == []
