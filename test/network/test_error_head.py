"""Cues of a likely error, computed by hand."""

import math

import pytest
import torch

from dtp_stereo_ros.network.error_head import CUES, ErrorHead, cues, entropy


def test_entropy_of_known_distributions():
    logits = torch.zeros(1, 4, 1, 3)
    logits[0, 0, 0, 1] = 100.0
    logits[0, :2, 0, 2] = 50.0
    expected = [math.log(4), 0.0, math.log(2)]
    assert entropy(logits).flatten().tolist() == pytest.approx(expected, abs=1e-5)
    shifted = entropy(logits + 1000.0)
    assert shifted.flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_cues_tell_mass_edges_disparity_and_the_border():
    peak = torch.zeros(1, 1, 4, 8)
    peak[..., 4:] = 3.0
    mass = torch.full_like(peak, 0.9)
    planes = cues(peak, mass, torch.zeros(1, 12, 4, 8))
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
