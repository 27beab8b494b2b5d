"""Cues of a likely error, computed by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.network.blocks import PEAK_RADIUS_BINS, Peak, highest_peak
from dtp_stereo_ros.network.error_head import CUES, ErrorHead, cues, doubt


def test_entropy_of_known_distributions():
    logits = torch.zeros(1, 4, 1, 3)
    logits[0, 0, 0, 1] = 100.0
    logits[0, :2, 0, 2] = 50.0
    expected = [math.log(4), 0.0, math.log(2)]
    for moved, close in ((0.0, 1e-5), (1000.0, 1e-4)):
        _, entropy = doubt(highest_peak(logits + moved))
        assert entropy.flatten().tolist() == pytest.approx(expected, abs=close)


@settings(max_examples=30, deadline=None)
@given(scale=st.sampled_from([0.1, 3.0, 60.0]), seed=st.integers(0, 999), bins=st.integers(3, 50))
def test_doubt_is_that_of_the_softmax(scale, seed, bins):
    logits = scale * torch.randn(1, bins, 2, 3, generator=torch.Generator().manual_seed(seed))
    p = logits.double().softmax(dim=1)
    top = p.argmax(dim=1, keepdim=True)
    far = (torch.arange(bins).view(1, -1, 1, 1) - top).abs() > PEAK_RADIUS_BINS
    outside, entropy = doubt(highest_peak(logits))
    close = {'atol': 1e-5, 'rtol': 1e-4, 'check_dtype': False}
    torch.testing.assert_close(outside, (p * far).sum(dim=1, keepdim=True), **close)
    expected = -torch.special.xlogy(p, p).sum(dim=1, keepdim=True)
    torch.testing.assert_close(entropy, expected, **close)


@pytest.mark.parametrize('share', [1e-3, 1e-2, 0.3])
def test_little_probability_outside_a_peak_survives_bfloat16(share):
    logits = torch.full((1, 20, 1, 1), -50.0)
    logits[0, 4], logits[0, 15] = math.log(1 - share), math.log(share)
    outside, _ = doubt(Peak(*(part.bfloat16() for part in highest_peak(logits))))
    assert outside.item() == pytest.approx(share, rel=0.05)


def test_cues_tell_mass_edges_disparity_and_the_border():
    place = torch.zeros(1, 1, 4, 8)
    place[..., 4:] = 3.0
    # One bin, and a ninth of its weight in another, far from it.
    logits = torch.full((1, 12, 4, 8), -100.0)
    logits[:, 1], logits[:, 9] = 0.0, -math.log(9)
    planes = cues(place, highest_peak(logits))
    assert planes.shape == (1, CUES, 4, 8)
    sure, log_rest, spread, relative, inside = planes[0, [0, 1, 3, 4, 5], 1]
    assert sure.tolist() == pytest.approx([0.9] * 8)
    assert log_rest.tolist() == pytest.approx([math.log(0.1001) / 4] * 8, abs=1e-4)
    # The step between columns 3 and 4 is within reach of both.
    edge = 3 / 3.25
    assert spread.tolist() == pytest.approx([0, 0, 0, edge, edge, 0, 0, 0])
    assert relative.tolist() == [0.0] * 4 + [0.25] * 4
    assert inside.tolist() == [0, 1 / 8, 2 / 8, 3 / 8, 1 / 8, 2 / 8, 3 / 8, 4 / 8]


def test_a_fresh_head_expects_one_pixel_everywhere():
    head = ErrorHead(5, 8).eval()
    log_error = head([torch.rand(2, 5, 4, 6)], torch.rand(2, CUES, 4, 6))
    assert log_error.shape == (2, 1, 4, 6)
    assert log_error.exp().tolist() == torch.ones(2, 1, 4, 6).tolist()
