"""Settings 1 to 3 of the paper."""

import pytest
import torch

from dtp_stereo_ros.network.checkpoint import parameter_count
from dtp_stereo_ros.network.paper import (
    PUBLISHED_PARAMETERS,
    DTPNetPaper,
    Hourglass,
    InterlacedVolume,
    PaperConfig,
)


@pytest.mark.parametrize('setting', [1, 2, 3])
def test_parameter_count_is_within_a_tenth_of_the_published(setting):
    count = parameter_count(DTPNetPaper(PaperConfig(setting=setting)))
    assert abs(count / PUBLISHED_PARAMETERS[setting] - 1) < 0.1


@pytest.mark.parametrize(
    ('setting', 'hourglasses', 'channels'), [(1, 3, 128), (2, 1, 128), (3, 1, 64)]
)
def test_structure(setting, hourglasses, channels):
    network = DTPNetPaper(PaperConfig(setting=setting))
    assert sum(isinstance(m, Hourglass) for m in network.modules()) == hourglasses
    assert network.features.channels == channels
    assert isinstance(network.volume, InterlacedVolume) == (setting == 1)
    assert not [m for m in network.modules() if 'Conv3d' in type(m).__name__]


@pytest.mark.parametrize('setting', [1, 2, 3])
def test_shapes_in_both_modes(setting):
    network = DTPNetPaper(PaperConfig(setting=setting, max_disparity_px=64))
    pair = torch.rand(2, 1, 3, 32, 64) * 255
    outputs = network.train()(*pair)
    assert outputs.logits.shape == (1, 64, 8, 16)
    assert outputs.disparity_px.shape == (1, 1, 32, 64)
    outputs.disparity_px.mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        disparity, confidence = network.eval()(*pair)
    assert disparity.shape == confidence.shape == (1, 1, 32, 64)
    assert 0 <= disparity.min() <= disparity.max() <= 63


def test_interlaced_volume_sees_the_right_features_shifted():
    """Disparity d of the volume depends on left column x and right column x - d alone."""
    volume = InterlacedVolume(16, 6).eval()
    left = torch.randn(1, 16, 5, 20)
    right = torch.randn(1, 16, 5, 20, requires_grad=True)
    volume(left, right)[0, 3, 2, 12].backward()
    columns = right.grad[0].abs().sum(dim=(0, 1)).nonzero().flatten()
    # Three 3 x 3 convolutions widen the single column 12 - 3 to 9 +- 3.
    assert columns.min() == 6
    assert columns.max() == 12


def test_unknown_setting_is_refused():
    with pytest.raises(ValueError, match='choose 1, 2 or 3'):
        DTPNetPaper(PaperConfig(setting=4))
