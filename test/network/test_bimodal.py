"""The network with two surfaces a cell: shapes, peaks, hypotheses, and that pictures decide."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from dtp_stereo_ros.network.bimodal import BimodalConfig, DTPNetBimodal, whole_and_rest
from dtp_stereo_ros.network.outputs import Outputs


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return DTPNetBimodal().eval()


def test_eval_returns_disparity_and_confidence_of_half_the_size(network):
    with torch.no_grad():
        disparity, confidence = network(*torch.rand(2, 2, 3, 64, 128) * 255)
    assert disparity.shape == (2, 1, 64, 128)
    assert confidence.shape == (2, 1, 32, 64)
    assert 0 < confidence.min() <= confidence.max() < 1


def test_training_returns_both_surfaces_and_all_weights_learn():
    network = DTPNetBimodal().train()
    torch.nn.init.normal_(network.decision.leave.weight)
    outputs = network(*torch.rand(2, 2, 3, 64, 128) * 255)
    assert isinstance(outputs, Outputs)
    hypotheses, sides = outputs.hypotheses, outputs.sides
    assert hypotheses.nearer_logits.shape == hypotheses.farther_logits.shape == (2, 48, 16, 32)
    assert hypotheses.nearer_px.shape == hypotheses.farther_px.shape == (2, 1, 16, 32)
    assert sides.nearer_px.shape == outputs.log_error.shape == (2, 1, 64, 128)
    nearer = sides.nearer_share > 0.5
    chosen = torch.where(nearer, sides.nearer_px, sides.farther_px)
    assert torch.equal(chosen, outputs.disparity_px)
    loss = sides.nearer_px.mean() + sides.farther_px.mean() + sides.nearer_share.mean()
    loss = loss + outputs.log_error.mean() + hypotheses.nearer_logits.square().mean()
    (loss + hypotheses.farther_logits.square().mean()).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@given(position=st.floats(2.0, 44.9), sharp=st.floats(2.0, 30.0))
def test_peak_of_two_neighbouring_bins_lies_between_them(position, sharp):
    """Whole half-size pixels and the rest add up to the mean of the peak."""
    low, share = int(position), position - int(position)
    logits = torch.full((1, 48, 1, 1), -200.0)
    # The greatest disparity comes first.
    logits[0, 47 - low] = sharp + torch.log(torch.tensor(1 - share))
    logits[0, 47 - low - 1] = sharp + torch.log(torch.tensor(share + 1e-30))
    whole, rest, mean = whole_and_rest(logits)
    assert float(whole + rest) == pytest.approx(2 * position, abs=1e-3)
    assert float(mean) == pytest.approx(position, abs=1e-3)
    assert float(whole) == round(float(whole))
    assert abs(float(rest)) <= 0.5


def test_a_far_second_peak_does_not_move_the_highest():
    logits = torch.full((1, 48, 1, 1), -20.0)
    logits[0, 47 - 30] = 5.0
    logits[0, 47 - 8] = 4.9
    whole, rest, mean = whole_and_rest(logits)
    assert float(whole + rest) == pytest.approx(60.0, abs=1e-3)
    assert float(mean) == pytest.approx(30.0, abs=1e-3)


def test_descriptors_are_taken_where_a_hypothesis_points(network):
    """Equal descriptors at the hypothesis give no difference; the border stands for beyond it."""
    right = torch.rand(1, 8, 4, 16)
    whole = torch.full((1, 1, 4, 16), 3.0)
    left = torch.roll(right, 3, dims=3)
    apart = network.decision.differences(left, right, whole)
    assert apart[..., 3:].abs().max() == 0
    beyond = (left[..., :3] - right[..., :1]).abs()
    assert torch.equal(apart[..., :3], beyond)


def test_budget_at_640x480(network):
    pair = torch.zeros(2, 1, 3, 480, 640)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*pair)
    assert counter.get_total_flops() / 2 < 3.6e9


def test_width_of_each_stage_follows_the_config():
    config = BimodalConfig(max_disparity_px=64, quarter=16, volume=24, detail=0, attend=0)
    small = DTPNetBimodal(config).eval()
    with torch.no_grad():
        disparity, _ = small(*torch.rand(2, 1, 3, 64, 96) * 255)
    assert disparity.shape == (1, 1, 64, 96)
    assert small.bins == 16
    assert small.attend is None
    assert small.decision.describe_left is None
