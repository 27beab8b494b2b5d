"""Networks made of trained ones: where they compute the same, and where not."""

import copy
import math
from fractions import Fraction

import pytest
import torch

from dtp_stereo_ros import models
from dtp_stereo_ros.confidence import sigma_px_of
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.blocks import Enlarge, doubled, enlarged
from dtp_stereo_ros.network.changed import (
    magnified,
    with_error_head,
    with_half_upsampling,
    with_one_correlation,
)
from dtp_stereo_ros.network.family import build, describe
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.widths import read_widths


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return DTPNetLight().eval()


def test_half_upsampling_starts_near_the_network_it_is_made_of(network):
    half = with_half_upsampling(network)
    pair = torch.rand(2, 1, 3, 64, 128) * 255
    with torch.no_grad():
        (before, sure), (after, still_sure) = network(*pair), half(*pair)
        plane = half.level(*pair).plane
    assert half.config.upsampling == 2
    assert half.upsampling.leave.out_channels == 36
    assert torch.equal(sure, still_sure)
    assert plane.shape == (1, 1, 32, 64)
    assert torch.equal(after, doubled(plane))
    # Fresh weights upsample alike everywhere, so that the mean of four pixels says the same.
    assert (before - after).abs().median() < 1.0
    assert with_half_upsampling(half) is half


def test_one_correlation_is_the_first_of_two(network):
    one = with_one_correlation(network)
    pair = torch.rand(2, 1, 3, 64, 96) * 255
    with torch.no_grad():
        both = network.predict(*pair)
        alone = one.predict(*pair)
        # Without the weights of the second correlation both compute the same.
        bins, silent = network.bins, copy.deepcopy(network)
        silent.aggregation.enter[0].weight[:, bins : 2 * bins] = 0
        silenced = silent.predict(*pair)
    torch.testing.assert_close(alone.matching, both.matching)
    torch.testing.assert_close(alone.disparity_px, silenced.disparity_px)
    assert (alone.disparity_px - both.disparity_px).abs().max() > 0
    assert with_one_correlation(one) is one


@pytest.mark.parametrize('factor', [1.5, 2.0])
def test_a_magnified_network_is_the_same_on_an_enlarged_pair(network, factor):
    """Scores of the disparities that it had before stay; the new ones lie beyond them."""
    large = magnified(network, factor)
    pair = torch.rand(2, 1, 3, 64, 128) * 255
    with torch.no_grad():
        made = large.predict(*pair)
        expected = network.predict(*(enlarged(image, factor) for image in pair))
    assert made.logits.shape[1] == large.bins == {1.5: 80, 2.0: 96}[factor]
    torch.testing.assert_close(made.logits[:, :48], expected.logits, rtol=1e-4, atol=1e-3)
    assert made.disparity_px.shape == (1, 1, 64, 128)
    assert made.confidence.shape == (1, 1, round(16 * factor), round(32 * factor))
    assert made.quarter_px.max() <= large.max_disparity_px + 1
    assert magnified(large, factor) is large


@pytest.mark.parametrize('factor', [1.5, 2.0])
def test_a_magnified_network_tells_disparities_of_the_pair_that_is_given(network, factor):
    """A score that is the correlation alone finds the shift of noise, in its own pixels."""
    large = magnified(network, factor)
    with torch.no_grad():
        score = large.regress
        score.weight.zero_()
        score.weight[range(large.bins), range(-large.bins, 0), 0, 0] = 20
        score.bias.zero_()
        image = enlarged(torch.rand(1, 3, 32, 128) * 255, 2)
        shifted = torch.roll(image, -24, dims=3)
        disparity = large(image, shifted)[0]
    assert disparity[..., 48:-48].median() == pytest.approx(24, abs=1)


def test_a_magnified_network_is_described_and_built_again(network):
    large = magnified(network, 1.5)
    again = build(describe(large))
    again.load_state_dict(large.state_dict())
    pair = torch.rand(2, 1, 3, 64, 64) * 255
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(*pair)[0], large(*pair)[0])
    assert (again.max_disparity_px, again.padding_multiple) == (213, 64)


@pytest.mark.parametrize('config', [LightConfig(), LightConfig(detail=0), LightConfig(heads=1)])
def test_an_error_head_leaves_the_disparity_as_it_is(config):
    torch.manual_seed(1)
    before = DTPNetLight(config).eval()
    made = with_error_head(before, 8)
    pair = torch.rand(2, 1, 3, 64, 128) * 255
    with torch.no_grad():
        made.error.leave.bias.fill_(math.log(3.0))
        (disparity, _), (same, confidence) = before(*pair), made(*pair)
    assert torch.equal(same, disparity)
    # 3 px everywhere, as long as the head has learned nothing else.
    torch.testing.assert_close(confidence, torch.full((1, 1, 16, 32), 0.25))
    assert made.config.error == 8
    assert with_error_head(made, 8) is made
    assert with_error_head(made, 4).error.leave.in_channels == 4


def test_an_error_head_reads_the_channels_of_a_pruned_network():
    pruned = checkpoint.load(models.resolve('dtpnet-small', ('.pt',)))
    made = with_error_head(pruned, 8)
    pair = torch.rand(2, 1, 3, 64, 64) * 255
    with torch.no_grad():
        assert torch.equal(made(*pair)[0], pruned(*pair)[0])
    widths = read_widths(pruned)
    assert made.error.features.in_channels == widths['refinement.leave'][1]
    bare = with_error_head(DTPNetLight(LightConfig(detail=0)), 8)
    assert bare.error.features.in_channels == 80


@pytest.mark.parametrize('factor', [1.0, 1.5])
def test_an_expected_error_is_in_pixels_of_the_given_pair(network, factor):
    made = with_error_head(magnified(network, factor), 8)
    assert with_error_head(network, 8).config.error == 8
    with torch.no_grad():
        made.error.leave.bias.fill_(math.log(6.0))
        pair = torch.rand(2, 1, 3, 64, 128) * 255
        confidence = made.eval()(*pair)[1]
        log_error = made.train()(*(enlarged(image, factor) for image in pair)).log_error
    # In training it is in those of the enlarged pair.
    assert log_error.shape == (1, 1, round(64 * factor), round(128 * factor))
    torch.testing.assert_close(log_error.exp(), torch.full_like(log_error, 6.0))
    sigma_px = torch.full_like(confidence, 6.0 / factor)
    torch.testing.assert_close(sigma_px_of(confidence), sigma_px)


@pytest.mark.parametrize(
    ('fraction', 'size'), [((3, 2), (12, 8)), ((4, 3), (9, 12)), ((2, 1), (5, 7))]
)
def test_one_convolution_enlarges_an_image(fraction, size):
    factor = Fraction(*fraction)
    image = torch.rand(2, 3, *size) * 255
    torch.testing.assert_close(
        Enlarge(factor)(image), enlarged(image, float(factor)), rtol=0, atol=1e-3
    )
