"""Outputs of the members of the family, and what they have in common."""

import pytest
import torch

from dtp_stereo_ros.network.bimodal import BimodalConfig, DTPNetBimodal
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig
from dtp_stereo_ros.network.psmnet import PSMNet, PSMNetConfig

LIGHT = LightConfig(64, 8, 16, 24, 32, 32, 1, 8, 16, (1, 1, 1, 1))
# Of two disparities in px, the scores of neither of which lie in the middle.
PLACES = (0.25, 0.625)


def light():
    network = DTPNetLight(LIGHT)
    return network, [network.regress]


def bimodal():
    network = DTPNetBimodal(BimodalConfig(64, 8, 16, 24, 32, 32, 8, 16, (1, 1, 1, 1)))
    for surface in (network.nearer, network.farther):
        torch.nn.init.zeros_(surface.matching.weight)
    return network, [network.nearer.volume, network.farther.volume]


def paper():
    network = DTPNetPaper(PaperConfig(3, 64))
    return network, [network.regress]


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('member', [light, bimodal, paper])
def test_the_likeliest_bin_is_that_of_the_disparity(member, place, training):
    """Scores that are the same everywhere, so that upsampling and refinement move nothing."""
    torch.manual_seed(0)
    network, layers = member()
    for layer in layers:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, -30.0)
        torch.nn.init.constant_(layer.bias[int(place * len(layer.bias))], 30.0)
    check(network.train(training))


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('place', PLACES)
def test_the_likeliest_bin_of_psmnet_is_that_of_the_disparity(place, training):
    network = PSMNet(PSMNetConfig(64, (1, 1, 1, 1)))

    def peaked(module, inputs, output):
        scores = torch.full_like(output, -30.0)
        scores[:, :, int(place * scores.shape[2])] = 30.0
        return scores

    for classifier in (network.classif1, network.classif2, network.classif3):
        classifier.register_forward_hook(peaked)
    check(network.train(training))


def check(network):
    with torch.no_grad():
        outputs = network.predict(*torch.rand(2, 2, 3, 64, 128) * 255)
    bin_px = network.max_disparity_px / outputs.logits.shape[1]
    likeliest_px = outputs.logits.argmax(dim=1)[:, 8, 20] * bin_px
    disparity_px = outputs.disparity_px[:, 0, 34, 82]
    assert likeliest_px.tolist() == pytest.approx(disparity_px.tolist(), abs=4)
