"""A moving average of the weights, which is judged and kept."""

from __future__ import annotations

import torch

from dtp_stereo_ros.network.family import Network


class Average:
    """Follows a network that is being trained.

    Args:
        network: becomes the average; on the device of the trained one.
        trained: whose tensors stay where they are from now on.
        decay: share of the average that stays in each step.
    """

    def __init__(self, network: Network, trained: Network, decay: float) -> None:
        self.network, self.decay = network, decay
        pairs = list(
            zip(network.state_dict().values(), trained.state_dict().values(), strict=True)
        )
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        # One call for all of them: hundreds of small ones cost more than the step's convolutions.
        self._means, self._values = [m for m, _ in floating], [v for _, v in floating]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the trained weights; quickly at first."""
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._means, self._values, 1 - keep)
        for mean, value in self._counts:
            mean.copy_(value)
