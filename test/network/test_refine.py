"""The sub-pixel refinement against a slow, obvious version, and what it learns from."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.network.refine import REACH, Refinement


def refinement(seed=0, half=3, context=2, channels=4):
    torch.manual_seed(seed)
    return Refinement(half, context, channels, 8).eval()


@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 2), height=st.integers(1, 3), width=st.integers(2, 9), data=st.data())
def test_differences_are_taken_around_the_match(batch, height, width, data):
    layer = refinement(data.draw(st.integers(0, 99)))
    left2, right2 = torch.randn(2, batch, 3, 2 * height, 2 * width)
    whole = torch.randint(0, 2 * width + 3, (batch, 1, height, width)).float()
    with torch.no_grad():
        left, right = (layer.described(half).permute(0, 2, 3, 1) for half in (left2, right2))
        got = layer.differences(layer.views(torch.cat((left2, right2))), whole)
    assert got.shape == (batch, layer.compared, height, width)
    got = got.reshape(batch, 2 * REACH + 1, 4, height, width)
    for b, y, x, k in torch.cartesian_prod(*map(torch.arange, (batch, height, width, 7))).tolist():
        column = min(max(2 * x - int(whole[b, 0, y, x]) + k - REACH, 0), 2 * width - 1)
        expected = (left[b, y, 2 * x] - right[b, y, column]).abs()
        torch.testing.assert_close(got[b, k, :, y, x], expected)


def test_descriptors_see_both_rows_of_a_quarter_size_pixel():
    layer = refinement()
    flat = torch.randn(1, 3, 8, 12)
    changed = flat.clone()
    changed[0, :, 5, 6] += 1
    with torch.no_grad():
        moved = (layer.described(changed) - layer.described(flat)).abs().sum(dim=1)[0]
    assert moved.shape == (4, 12)
    assert torch.nonzero(moved).tolist() == [[2, 5], [2, 6], [2, 7]]


def test_a_fresh_refinement_corrects_nothing():
    layer = refinement()
    peak = torch.rand(1, 1, 4, 6) * 20
    with torch.no_grad():
        got, features = layer(peak, layer.views(torch.randn(2, 3, 8, 12)), torch.rand(1, 2, 4, 6))
    assert features.shape == (1, 8, 4, 6)
    torch.testing.assert_close(got, peak)


def test_the_correction_of_large_disparities_survives_bfloat16():
    """Whole steps stay out of the layers: a disparity near 190 px keeps its hundredths."""
    layer = refinement()
    layer.leave.bias.data.fill_(0.05)
    peak = torch.full((1, 1, 4, 6), 47.3)
    half, context = torch.randn(2, 3, 8, 12), torch.rand(1, 2, 4, 6)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        got, _ = layer(peak, layer.views(half), context)
    torch.testing.assert_close(got, peak + 0.025, atol=2e-4, rtol=0)


def test_it_learns_the_shift_within_a_bin():
    """Noise with disparities of 4 to 12 px under a peak that always says 8 px: 2.4 px off."""
    torch.manual_seed(3)
    layer = Refinement(4, 1, 8, 32).train()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    peak, context = torch.full((1, 1, 16, 32), 2.0), torch.zeros(1, 1, 16, 32)
    errors = []
    for step in range(200):
        disparity2 = 2 + step % 5
        noise = torch.randn(1, 4, 32, 64 + disparity2)
        half = torch.cat((noise[..., :64], noise[..., disparity2:]))
        got, _ = layer(peak, layer.views(half), context)
        error = (got[..., 4:-2] - disparity2 / 2).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(4 * error.item())
    assert sum(errors[:5]) / 5 > 2
    assert sum(errors[-10:]) / 10 < 1.2
