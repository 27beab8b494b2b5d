"""The parts against slow, obvious versions of themselves."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dtp_stereo_ros.network.blocks import (
    PEAK_RADIUS_BINS,
    RGB_MEAN,
    ConvBN,
    Normalise,
    both_surfaces,
    correlation_volume,
    doubled,
    highest_peak,
    joined,
    repeated,
    resampled,
    summed,
    surface_upsample,
)


@pytest.mark.parametrize('dilation', [1, 2])
@pytest.mark.parametrize('groups', [1, 32])
def test_gradients_in_bfloat16_are_those_in_float32(dilation, groups):
    torch.manual_seed(0)
    layer = ConvBN(32, 32, dilation=dilation, groups=groups, activate=False)
    layer.to(memory_format=torch.channels_last)
    image = torch.randn(4, 32, 24, 48).to(memory_format=torch.channels_last)
    target = torch.randn(4, 32, 24, 48)
    gradients = []
    for enabled in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            output = layer(image)
        gradients += torch.autograd.grad((output * target).sum(), [layer[0].weight])
    exact, rounded = gradients
    assert (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 2),
    heads=st.integers(1, 2),
    channels=st.integers(1, 5),
    height=st.integers(1, 4),
    width=st.integers(1, 40),
    bins=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_correlation_is_the_inner_product_at_each_shift(
    batch, heads, channels, height, width, bins, seed
):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, height, width, heads, channels)
    left, right = (torch.randn(shape, generator=generator) for _ in range(2))
    expected = torch.zeros(batch, heads, bins, height, width)
    for d in range(min(bins, width)):
        products = (left[:, :, d:] * right[:, :, : width - d]).sum(dim=4)
        expected[:, :, d, :, d:] = products.permute(0, 3, 1, 2)
    got = correlation_volume(left, right, bins)
    assert got.shape == (batch, heads * bins, height, width)
    got = got.reshape(expected.shape).flip(2)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_correlation_of_a_shifted_image_peaks_at_the_shift():
    left = torch.nn.functional.normalize(torch.randn(1, 3, 30, 1, 16), dim=4)
    right = torch.roll(left, -7, dims=2)
    volume = correlation_volume(left, right, 12).flip(1)
    assert (volume[..., 7:].argmax(dim=1) == 7).all()
    torch.testing.assert_close(volume[:, 7, :, 7:], torch.ones(1, 3, 23))


def test_repeating_is_nearest_neighbour_interpolation():
    plane = torch.rand(2, 1, 5, 7)
    for factor in (1, 2, 4):
        expected = torch.nn.functional.interpolate(plane, scale_factor=float(factor))
        assert torch.equal(repeated(plane, factor), expected)


def by_opencv(plane, size):
    """Linear where that stays within 1 px of the nearest value, else that."""
    linear, nearest = (
        cv2.resize(plane.numpy(), size[::-1], interpolation=how)
        for how in (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
    )
    return torch.from_numpy(np.where(np.abs(linear - nearest) < 1, linear, nearest))


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    jump=st.sampled_from([0.0, 1.3, 20.0]),
    seed=st.integers(0, 99),
)
def test_a_disparity_is_doubled_as_opencv_does_it_on_surfaces(height, width, jump, seed):
    plane = torch.rand(height, width, generator=torch.Generator().manual_seed(seed))
    plane[:, width // 2 :] += jump
    expected = by_opencv(plane, (2 * height, 2 * width))
    for made in (doubled(plane[None, None]), resampled(plane[None, None], expected.shape, 0.5)):
        torch.testing.assert_close(made[0, 0], expected, atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 5), width=st.integers(1, 5), slope=st.floats(-0.9, 0.9))
def test_a_slanted_surface_stays_one_at_another_size(height, width, slope):
    plane = (slope * torch.arange(3.0 * width)).expand(3 * height, -1)
    made = resampled(plane[None, None], (4 * height, 4 * width), 0.75)[0, 0]
    place = (torch.arange(4.0 * width) + 0.5) * 0.75 - 0.5
    expected = slope * place.clamp(0, 3 * width - 1)
    torch.testing.assert_close(made, expected.expand(4 * height, -1), atol=1e-5, rtol=1e-5)


def test_at_an_edge_a_pixel_takes_the_value_under_its_centre():
    plane = torch.tensor([0.0, 10.0, 20.0]).reshape(1, 1, 1, 3)
    assert resampled(plane, (1, 4), 0.75).tolist() == [[[[0, 10, 10, 20]]]]
    assert doubled(plane)[0, 0, 0].tolist() == [0, 0, 10, 10, 20, 20]
    assert resampled(plane, (1, 3), 1.0).tolist() == plane.tolist()


def test_peak_is_the_mean_of_the_window_around_the_maximum():
    logits = torch.full((1, 20, 1, 1), -50.0)
    logits[0, [3, 4], 0, 0] = torch.log(torch.tensor([0.15, 0.45]))
    logits[0, 15, 0, 0] = torch.log(torch.tensor(0.40))
    peak = highest_peak(logits)
    # The far second peak moves the mean over all bins to 8.25, but not the mean of the peak.
    assert peak.place.item() == torch.tensor((3 * 0.15 + 4 * 0.45) / 0.6).item()
    assert peak.top.item() == 4
    assert peak.share.item() == pytest.approx(0.6)


@settings(max_examples=25, deadline=None)
@given(position=st.floats(2, 44, width=32))
def test_peak_of_a_two_hot_distribution_is_its_position(position):
    low = int(position)
    probability = torch.full((48,), 1e-9)
    probability[low] = 1 - (position - low) + 1e-9
    probability[low + 1] = position - low + 1e-9
    peak = highest_peak(probability.log().view(1, 48, 1, 1))
    assert abs(peak.place.item() - position) < 1e-4
    assert peak.share.item() > 0.999
    assert PEAK_RADIUS_BINS >= 1


@settings(max_examples=40, deadline=None)
@given(bins=st.integers(1, 30), seed=st.integers(0, 999))
def test_a_peak_at_either_end_has_fewer_bins(bins, seed):
    logits = 3 * torch.randn(2, bins, 1, 2, generator=torch.Generator().manual_seed(seed))
    logits[0, 0], logits[1, -1] = 20.0, 20.0
    near = torch.arange(bins) <= PEAK_RADIUS_BINS
    for peak, inside in zip(logits, (near, near.flip(0)), strict=True):
        weight = peak.softmax(dim=0) * inside.view(-1, 1, 1)
        expected = (weight * torch.arange(bins).view(-1, 1, 1)).sum(0) / weight.sum(0)
        found = highest_peak(peak[None])
        torch.testing.assert_close(found.place[0, 0], expected, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(found.share[0, 0], weight.sum(0))


def convex_upsample(coarse, weights, factor):
    """Without an edge."""
    return surface_upsample(coarse, weights, factor, torch.inf)


def test_convex_upsampling_keeps_a_constant_and_picks_neighbours():
    coarse = torch.full((1, 1, 3, 5), 7.0)
    weights = torch.randn(1, 144, 3, 5)
    torch.testing.assert_close(
        convex_upsample(coarse, weights, 4), torch.full((1, 1, 12, 20), 7.0)
    )
    coarse = torch.arange(15.0).view(1, 1, 3, 5)
    weights = torch.full((1, 9, 16, 3, 5), -100.0)
    weights[:, 5] = 100.0  # the neighbour to the right
    full = convex_upsample(coarse, weights.view(1, 144, 3, 5), 4)
    torch.testing.assert_close(full[0, 0, 4:8, 4:8], torch.full((4, 4), 7.0))
    torch.testing.assert_close(full[0, 0, 0:4, 16:20], torch.full((4, 4), 4.0))


def test_convex_upsampling_places_subpixels_in_rows():
    weights = torch.full((1, 9, 16, 2, 2), -100.0)
    weights[:, 4] = 100.0
    weights[:, 4, 1] = -100.0  # row 0, column 1 of each block looks down instead
    weights[:, 7, 1] = 100.0
    coarse = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    full = convex_upsample(coarse, weights.view(1, 144, 2, 2), 4)[0, 0]
    assert full[0, 0] == 1.0
    assert full[0, 1] == 3.0
    assert full[1, 0] == 1.0
    assert full[0, 5] == 4.0


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 6),
    step=st.sampled_from([0.0, 5.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_surface_upsampling_stays_on_one_side_of_an_edge(height, width, step, seed):
    generator = torch.Generator().manual_seed(seed)
    coarse = 4 * torch.rand((2, 1, height, width), generator=generator)
    coarse += step * (torch.rand(coarse.shape, generator=generator) < 0.5)
    weights = 3 * torch.randn((2, 144, height, width), generator=generator)
    mixed = convex_upsample(coarse, weights, 4)
    full = surface_upsample(coarse, weights, 4, 10.0)
    nearer, farther, share = both_surfaces(coarse, weights, 4, 10.0)
    chosen = torch.where(share > 0.5, nearer, farther)
    torch.testing.assert_close(chosen, full, atol=1e-4, rtol=1e-5)
    if step < 6:  # nothing is further apart than 10
        torch.testing.assert_close(full, mixed)
        return
    near = full > 50
    assert (full[near] >= 100 - 1e-3).all()
    assert (full[~near] <= 4 + 1e-3).all()
    # The side is that of the mean, as both are flat next to the step.
    clear = (mixed - 52).abs() > 3
    assert (near == (mixed > 52))[clear].all()


def test_surface_upsampling_weighs_the_neighbours_of_its_side():
    coarse = torch.tensor([[[[10.0, 14.0, 60.0]]]])
    weights = torch.full((1, 9, 16, 1, 3), -100.0)
    for neighbour, share in ((3, 0.15), (4, 0.45), (5, 0.4)):
        weights[:, neighbour, :, :, 1] = torch.tensor(share).log()
    weights[:, 4, :, :, ::2] = 0.0
    full = surface_upsample(coarse, weights.view(1, 144, 1, 3), 4, 12.0)
    torch.testing.assert_close(full[..., 4:8], torch.full((1, 1, 4, 4), 13.0))
    torch.testing.assert_close(full[..., 8:], torch.full((1, 1, 4, 4), 60.0))
    nearer, farther, share = both_surfaces(coarse, weights.view(1, 144, 1, 3), 4, 12.0)
    for side, expected in ((nearer, 60.0), (farther, 13.0), (share, 0.4)):
        torch.testing.assert_close(side[..., 4:8], torch.full((1, 1, 4, 4), expected))


def test_normalise_makes_the_mean_colour_zero_and_stays_out_of_the_weights():
    normalise = Normalise()
    image = torch.tensor(RGB_MEAN).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert normalise(image).abs().max() < 1e-6
    assert normalise(image + 58.395)[0, 0].allclose(torch.ones(2, 2))
    assert not normalise.state_dict()


@pytest.mark.parametrize('normalised', [False, True])
@pytest.mark.parametrize('bias', [False, True])
def test_an_export_sums_what_is_joined_else(monkeypatch, normalised, bias):
    torch.manual_seed(0)
    near, far = torch.nn.Conv2d(7, 6, 1, bias=bias), torch.nn.Conv2d(5, 6, 2, 2, bias=False)
    norm = None
    if normalised:
        norm = torch.nn.BatchNorm2d(6).eval()
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            torch.nn.init.uniform_(values, 0.5, 2)
    parts, half = [torch.randn(2, count, 4, 6) for count in (4, 1, 2)], torch.randn(2, 5, 8, 12)
    expected = near(torch.cat(parts, dim=1)) + far(half)
    if norm is not None:
        expected = norm(expected)
    for exporting in (False, True):
        monkeypatch.setattr(torch.onnx, 'is_in_onnx_export', lambda exporting=exporting: exporting)
        assert len(joined(*parts)) == (3 if exporting else 1)
        found = summed([(near, joined(*parts)), (far, [half])], norm)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
