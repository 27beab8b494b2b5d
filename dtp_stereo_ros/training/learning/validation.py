"""Errors of a network on held-out pairs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.evaluation.pictures import panel
from dtp_stereo_ros.evaluation.scene_score import Estimate
from dtp_stereo_ros.network.family import Network, expects_error

from ..data.batches import Batch
from .losses import error_likelihood

LIKELIHOOD = 'val/error'


@torch.no_grad()
def validate(network: Network, batches: list[Batch], accelerator: Accelerator) -> dict[str, float]:
    """EPE (px), bad-1 and bad-3 (shares) over visible pixels of the held-out pairs.

    Of a network that expects an error also the likelihood of its errors over all known pixels, see
    `losses.error_likelihood`.

    Raises:
        ConfigError: no held-out pixel has a truth; or the network takes no pairs of that size.
    """
    network.eval()
    errors, likelihoods = [], []
    for batch in batches:
        disparity, confidence = estimate(network, batch, accelerator)
        truth, visible, known = (
            batch[k].to(disparity.device) for k in ('disparity', 'visible', 'known')
        )
        errors.append((disparity - truth).abs()[visible])
        if expects_error(network):
            log_error = F.interpolate(-torch.logit(confidence, 1e-6), truth.shape[1:])[:, 0]
            likelihoods.append(error_likelihood(disparity, log_error, truth)[known])
    error = torch.cat(errors) if errors else torch.zeros(0)
    if not len(error):
        raise ConfigError('no held-out pair has a pixel with truth; add synthetic to the data')
    figures = {
        'val/epe_px': float(error.mean()),
        'val/bad1': float((error > 1).float().mean()),
        'val/bad3': float((error > 3).float().mean()),
    }
    if likelihoods:
        figures[LIKELIHOOD] = float(torch.cat(likelihoods).mean())
    return figures


def check_size(network: Network, size: tuple[int, ...]) -> None:
    """Refuse crops that a network cannot take.

    Raises:
        ConfigError: a side is no multiple of what the network asks for.
    """
    if any(side % network.padding_multiple for side in size):
        raise ConfigError(
            f'sizes: {size[0]}x{size[1]} is no multiple of the {network.padding_multiple} px that '
            'the network asks for'
        )


def draw(network: Network, batch: Batch, accelerator: Accelerator) -> np.ndarray:
    """Left image, truth, disparity and error of the first pair of a batch; RGB uint8."""
    network.eval()
    first = {name: values[:1].cpu() for name, values in batch.items()}
    with torch.no_grad():
        disparity = estimate(network, first, accelerator)[0][0].cpu().numpy()
    truth = torch.where(first['known'], first['disparity'], torch.nan)[0].numpy()
    left = np.ascontiguousarray(first['left'][0].permute(1, 2, 0).numpy())
    return panel(left, truth, [Estimate(network.name, disparity)])


def estimate(
    network: Network, batch: Batch, accelerator: Accelerator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Disparity (B, H, W) px and confidence (B, 1, h, w) of a batch, on the accelerator.

    Raises:
        ConfigError: the network takes no pairs of that size.
    """
    check_size(network, tuple(batch['left'].shape[2:]))
    left, right = (batch[side].to(accelerator.device).float() for side in ('left', 'right'))
    with accelerator.autocast():
        disparity, confidence = network(left, right)
    return disparity[:, 0].float(), confidence.float()
