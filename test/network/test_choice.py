"""The choice between two sizes of a pair: what it starts with, what it reads, what it returns."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from dtp_stereo_ros import models
from dtp_stereo_ros.confidence import sigma_px_of
from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.blocks import enlarged, repeated, resampled
from dtp_stereo_ros.network.changed import with_choice
from dtp_stereo_ros.network.choice import coarser_planes
from dtp_stereo_ros.network.family import build, describe
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig

SMALL = LightConfig(64, 8, 16, 24, 32, 32, 1, 8, 16, (1, 1, 1, 1), upsampling=2)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return DTPNetLight(SMALL).eval()


@pytest.fixture
def pair():
    return torch.rand(2, 1, 3, 128, 256, generator=torch.Generator().manual_seed(1)) * 255


def favour(network, score):
    """The same score everywhere, and an expected error of 3 px of the enlarged pair."""
    with torch.no_grad():
        network.choice.leave.weight.zero_()
        network.choice.leave.bias.zero_()
        network.choice.leave.bias[:4] = score
        network.choice.leave.bias[5] = torch.tensor(3.0).log()
    return network


@pytest.mark.parametrize('score', [-1.0, 1.0])
@torch.no_grad()
def test_the_estimate_with_the_better_score_is_taken(network, pair, score):
    chosen, confidence = favour(with_choice(network, 8, 1.5), score)(*pair)
    finer = [enlarged(image, 1.5) for image in pair]
    plane = network.level(*finer).plane
    if score > 0:
        coarser = network.level(*(F.avg_pool2d(image, 2) for image in finer)).plane
        # A pixel of the coarser pair is two of the finer one.
        plane = 2 * repeated(coarser, 2)
    torch.testing.assert_close(chosen, resampled(plane, (128, 256), 0.75) / 1.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(sigma_px_of(confidence), torch.full((1, 1, 48, 96), 2.0))


@torch.no_grad()
def test_a_correction_is_in_pixels_of_the_coarser_pair(network, pair):
    made = favour(with_choice(network, 8, 1.5), 1.0)
    before = made(*pair)[0]
    made.choice.leave.bias[4] = 0.3
    torch.testing.assert_close(made(*pair)[0], before + 0.3 / 0.75, atol=1e-4, rtol=0)


def test_a_fresh_choice_is_the_finer_estimate(network, pair):
    fresh, plain = with_choice(network, 8, 1.5), favour(with_choice(network, 8, 1.5), -1.0)
    with torch.no_grad():
        assert torch.equal(fresh(*pair)[0], plain(*pair)[0])


def test_the_coarser_pair_decides_what_disparities_are_seen(network):
    made = with_choice(network, 8, 1.5)
    assert (made.bins, made.max_disparity_px, made.padding_multiple) == (16, 85, 128)
    assert with_choice(network, 8, 1.0).max_disparity_px == 128
    assert with_choice(made, 8, 1.5) is made
    again = with_choice(made, 4, 1.5)
    assert again.choice.leave.in_channels == 4
    assert describe(build(describe(made))) == describe(made)


def test_a_choice_reads_the_channels_of_a_pruned_network(pair):
    pruned = checkpoint.load(models.resolve('dtpnet-small', ('.pt',)))
    made = with_choice(pruned, 8, 1.5)
    assert made.choice.finer.in_channels == pruned.refinement.leave.in_channels
    with torch.no_grad():
        disparity, _ = made(*pair)
    assert disparity.shape == (1, 1, 128, 256)


@pytest.mark.parametrize('change', [{'upsampling': 4}, {'detail': 0}])
def test_a_network_without_what_a_choice_reads_is_refused(change):
    config = dataclasses.replace(SMALL, **change)
    with pytest.raises(ModelError, match='a choice needs'):
        with_choice(DTPNetLight(config), 8, 1.5)
    with pytest.raises(ModelError, match='a choice needs'):
        build({'member': 'light', **dataclasses.asdict(config), 'choice': 8})


def test_training_tells_both_estimates_and_their_share(network, pair):
    made = with_choice(network, 8, 1.5).train()
    outputs = made(*pair)
    full = (1, 1, 128, 256)
    assert [tuple(plane.shape) for plane in outputs.sides] == [full] * 3
    torch.testing.assert_close(outputs.disparity_px, outputs.sides.farther_px)
    torch.testing.assert_close(outputs.sides.nearer_share, torch.full(full, -2.0).sigmoid())
    assert outputs.log_error.shape == full


def test_planes_are_of_the_difference_the_rest_the_border_and_the_sureness():
    finer = torch.tensor([[[[10.25, 10.25, 4.0]]]])
    whole = torch.tensor([[[[12.0, 10.0, 1.0]]]])
    rest = torch.tensor([[[[0.25, 0.5, -0.25]]]])
    told = coarser_planes(finer, whole, rest, torch.full((1, 1, 1, 3), 0.7))
    # 2 steps further, a quarter of one, and 3.25 nearer: x / (1 + |x|).
    expected = [
        [2 / 3, 0.2, -3.25 / 4.25],
        [0.25, 0.5, -0.25],
        [-12 / 16, -8 / 16, 3 / 16],
        [0.7] * 3,
    ]
    torch.testing.assert_close(told[0, :, 0], torch.tensor(expected))
