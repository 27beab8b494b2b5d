"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from dtp_stereo_ros.network.outputs import Outputs, Sides
from dtp_stereo_ros.training.learning.losses import (
    Truth,
    edges_and_thin,
    full_error,
    pixel_weights,
    robust_error,
    supervised_loss,
    surfaces_of_cells,
    two_hot_cross_entropy,
)
from dtp_stereo_ros.training.settings import LossWeights


def test_two_hot_target_is_shared_by_the_bins_around_the_truth():
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).view(1, 4, 1, 1)
    # 7 px in bins of 4 px is position 1.75: a quarter in bin 1, three quarters in bin 2.
    loss = two_hot_cross_entropy(logits, torch.full((1, 1, 1), 7.0), 4.0)
    assert loss.item() == pytest.approx(-(0.25 * math.log(0.2) + 0.75 * math.log(0.3)))


def test_two_hot_loss_is_least_where_the_mean_is_the_truth():
    logits = torch.zeros(1, 8, 1, 1, requires_grad=True)
    truth = torch.full((1, 1, 1), 4.6)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        two_hot_cross_entropy(logits, truth, 1.0).sum().backward()
        optimizer.step()
    mean = (logits.softmax(dim=1)[0, :, 0, 0] * torch.arange(8)).sum()
    assert mean.item() == pytest.approx(4.6, abs=0.05)


def test_truth_at_the_far_end_stays_within_the_bins():
    loss = two_hot_cross_entropy(torch.zeros(1, 4, 1, 1), torch.full((1, 1, 1), 16.0), 4.0)
    assert loss.item() == pytest.approx(math.log(4))


def test_robust_error_is_quadratic_then_linear_then_logarithmic():
    error = robust_error(torch.tensor([0.1, 2.0, 100.0]), torch.zeros(3))
    expected = [math.log1p(0.1**2), math.log1p(2 - 0.25), math.log1p(100 - 0.25)]
    assert error.tolist() == pytest.approx(expected, rel=1e-5)


def test_hidden_pixels_weigh_less_and_pixels_outside_least():
    disparity = torch.tensor([[[1.0, 1.0, 1.0, 5.0]]])
    visible = torch.tensor([[[False, True, False, False]]])
    chosen = LossWeights(occluded=0.4, outside=0.1, edge=1.0, thin=1.0)
    weights = pixel_weights(Truth(disparity, visible), chosen)
    assert weights.flatten().tolist() == pytest.approx([0.1, 1.0, 0.4, 0.1])


def test_perfect_outputs_have_only_the_entropy_of_the_target_left():
    truth = Truth(torch.full((1, 8, 8), 8.0), torch.ones(1, 8, 8, dtype=torch.bool))
    logits = torch.full((1, 6, 2, 2), -30.0)
    logits[:, 2] = 30.0
    outputs = Outputs(
        torch.full((1, 1, 8, 8), 8.0),
        torch.ones(1, 1, 8, 8),
        logits,
        torch.full((1, 1, 2, 2), 8.0),
        logits,
    )
    total, parts = supervised_loss(outputs, truth, LossWeights(), (1, 2), 24)
    assert set(parts) == {'distribution', 'full', 'matching', 'quarter'}
    assert total.item() == pytest.approx(0, abs=1e-5)


def test_networks_without_a_quarter_output_are_supervised_by_the_rest():
    truth = Truth(torch.full((1, 8, 8), 3.0), torch.ones(1, 8, 8, dtype=torch.bool))
    outputs = Outputs(
        torch.full((1, 1, 8, 8), 5.0), torch.ones(1, 1, 8, 8), torch.zeros(1, 24, 2, 2)
    )
    total, parts = supervised_loss(outputs, truth, LossWeights(), (0, 0), 24)
    assert parts['distribution'].item() == pytest.approx(math.log(24))
    assert parts['full'].item() == pytest.approx(math.log1p(1.75))
    assert total.item() == pytest.approx(math.log(24) + math.log1p(1.75))


def test_at_an_edge_the_error_is_what_is_to_be_expected_of_both_sides():
    shape = (1, 1, 1, 2)
    nearer, farther = torch.full(shape, 50.0), torch.full(shape, 10.0)
    share = torch.tensor([0.25, 0.0]).view(shape).requires_grad_()
    logits = torch.zeros(1, 2, 1, 1)
    outputs = Outputs(farther, farther, logits, sides=Sides(nearer, farther, share))
    error = full_error(outputs, torch.full((1, 1, 2), 11.0))
    near, far = math.log(1 + 38.75), math.log(1 + 0.75)
    torch.testing.assert_close(error[0, 0, 0].item(), 0.25 * near + 0.75 * far, rtol=1e-5, atol=0)
    torch.testing.assert_close(error[0, 0, 1].item(), far, rtol=1e-5, atol=0)
    # The share learns which side it is, wherever it stands.
    error.sum().backward()
    torch.testing.assert_close(share.grad, torch.full(shape, near - far), rtol=1e-5, atol=0)


def test_edges_and_thin_things_are_told_from_slopes():
    disparity = torch.full((1, 40, 60), 10.0)
    disparity[:, :, 20:24] = 30.0
    disparity[:, :, 40:] = 20.0
    edge, thin = edges_and_thin(disparity)
    row_edge, row_thin = edge[0, 20], thin[0, 20]
    assert row_thin.nonzero().flatten().tolist() == [20, 21, 22, 23]
    assert row_edge[16:28].all()
    assert row_edge[36:44].all()
    assert not row_edge[:15].any()
    assert not row_edge[46:].any()
    slope = torch.arange(60.0).expand(1, 40, 60) * 1.5
    assert not edges_and_thin(slope)[0].any()


def test_a_gap_is_as_thin_as_a_pole():
    disparity = torch.full((1, 40, 40), 30.0)
    disparity[:, 18:21] = 5.0
    _, thin = edges_and_thin(disparity)
    assert thin[0, :, 20].nonzero().flatten().tolist() == [18, 19, 20]


def test_points_of_a_lidar_are_no_edges():
    disparity = torch.zeros(1, 32, 32)
    known = torch.zeros(1, 32, 32, dtype=torch.bool)
    disparity[:, ::4, ::4], known[:, ::4, ::4] = 20.0, True
    weights = pixel_weights(Truth(disparity, known, known), LossWeights())
    assert weights.unique().tolist() == [0.0, 1.0]


def test_surfaces_of_a_cell_are_its_extremes_and_those_beside_it():
    disparity = torch.full((1, 8, 12), 4.0)
    disparity[0, 1, 1] = 9.0
    disparity[0, 5, 4] = 7.0
    nearest, farthest = surfaces_of_cells(disparity, beside_px=0)
    assert nearest[0].tolist() == [[9, 4, 4], [4, 7, 4]]
    assert farthest[0].tolist() == [[4, 4, 4], [4, 4, 4]]
    nearest, _ = surfaces_of_cells(disparity, beside_px=1)
    assert nearest[0].tolist() == [[9, 4, 4], [7, 7, 4]]


def test_unknown_pixels_are_no_surface():
    disparity = torch.tensor([[6.0, 0, 0, 0], [0] * 4, [0] * 4, [0, 0, 0, 8.0]])[None]
    known = disparity > 0
    nearest, farthest = surfaces_of_cells(disparity, known, beside_px=0)
    assert (nearest.item(), farthest.item()) == (8.0, 6.0)
    nearest, farthest = surfaces_of_cells(disparity, torch.zeros_like(known), beside_px=0)
    assert (nearest.item(), farthest.item()) == (0.0, 0.0)


def test_expected_error_is_learned_as_the_mean_of_the_error():
    """The likelihood has its minimum where the expected error is the mean absolute error."""
    truth = Truth(torch.full((1, 8, 8), 8.0), torch.ones(1, 8, 8, dtype=torch.bool))
    disparity = torch.full((1, 1, 8, 8), 8.0)
    disparity[..., ::2] += 6.0
    logits = torch.zeros(1, 6, 2, 2)

    def loss(error_px):
        log_error = torch.full((1, 1, 8, 8), error_px).log()
        outputs = Outputs(disparity, disparity, logits, log_error=log_error)
        return supervised_loss(outputs, truth, LossWeights(), (0, 0), 24)[1]['error'].item()

    assert loss(3.0) == pytest.approx(1 + torch.tensor(3.0).log().item(), abs=1e-5)
    assert loss(3.0) < min(loss(2.5), loss(3.6))
