"""Where a run computes, and what its network is worth on held-out pairs."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.evaluation.report import panel
from dtp_stereo_ros.evaluation.runner import Estimate
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.timing import in_turn

from .data import Batch


def accelerator_for(device: str, bf16: bool) -> Accelerator:
    """The processes and the device that this run has.

    Raises:
        ConfigError: the device is neither auto nor cpu.
    """
    if device not in ('auto', 'cpu'):
        raise ConfigError(
            f'device {device!r}: give auto or cpu; CUDA_VISIBLE_DEVICES picks among GPUs'
        )
    if AcceleratorState._shared_state:
        # Runs one after the other in a process may differ in precision; processes stay joined.
        AcceleratorState._reset_state(reset_partial_state=AcceleratorState().num_processes == 1)
    return Accelerator(mixed_precision='bf16' if bf16 else 'no', cpu=device == 'cpu')


def bf16_cost() -> float:
    """Time of a convolution and its gradient on the CPU in bfloat16, over that in float32.

    Below 1 on processors that are made for it; others have the instructions and are slow in them.
    """
    with torch.random.fork_rng(devices=[]):
        layer = torch.nn.Conv2d(64, 64, 3, padding=1)
        image = torch.rand(2, 64, 48, 64).contiguous(memory_format=torch.channels_last)

    def step(bf16: bool) -> None:
        with torch.autocast('cpu', torch.bfloat16, enabled=bf16):
            layer(image).float().sum().backward()

    times_s = in_turn([lambda: step(True), lambda: step(False)], rounds=4, warm_up=1)
    bf16_s, fp32_s = map(min, times_s)
    return bf16_s / fp32_s


@torch.no_grad()
def validate(network: Network, batches: list[Batch], accelerator: Accelerator) -> dict[str, float]:
    """EPE (px), bad-1 and bad-3 (shares) over visible pixels of the held-out pairs.

    Raises:
        ConfigError: no held-out pixel has a truth.
    """
    network.eval()
    errors = []
    for batch in batches:
        disparity = _estimate(network, batch, accelerator)
        truth, visible = (batch[k].to(disparity.device) for k in ('disparity', 'visible'))
        errors.append((disparity - truth).abs()[visible])
    error = torch.cat(errors) if errors else torch.zeros(0)
    if not len(error):
        raise ConfigError('no held-out pair has a pixel with truth; add synthetic to the data')
    return {
        'val/epe_px': float(error.mean()),
        'val/bad1': float((error > 1).float().mean()),
        'val/bad3': float((error > 3).float().mean()),
    }


def draw(network: Network, batch: Batch, accelerator: Accelerator) -> np.ndarray:
    """Left image, truth, disparity and error of the first pair of a batch; RGB uint8."""
    network.eval()
    first = {name: values[:1].cpu() for name, values in batch.items()}
    with torch.no_grad():
        disparity = _estimate(network, first, accelerator)[0].cpu().numpy()
    truth = torch.where(first['known'], first['disparity'], torch.nan)[0].numpy()
    left = np.ascontiguousarray(first['left'][0].permute(1, 2, 0).numpy())
    return panel(left, truth, [Estimate(network.name, disparity)])


def _estimate(network: Network, batch: Batch, accelerator: Accelerator) -> torch.Tensor:
    left, right = (batch[side].to(accelerator.device).float() for side in ('left', 'right'))
    with accelerator.autocast():
        disparity, _ = network(left, right)
    return cast(torch.Tensor, disparity[:, 0].float())
