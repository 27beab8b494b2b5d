"""Size and errors of a network of a recipe or an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dtp_stereo_ros.network import checkpoint

from ..data.batches import Batch
from ..learning.validation import validate
from ..pruning.cost import ConvolutionCost


def judged(source: Path, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Any]:
    """Number of parameters, GMAC for one 640x480 pair, and EPE (px), bad-1 and bad-3 (shares).

    Args:
        source: checkpoint.
        batches: test pairs, of which the visible pixels count.
        accelerator: device.

    Raises:
        ModelError: the checkpoint is unusable.
    """
    network = checkpoint.load(source)
    gmac = ConvolutionCost.of(network).multiplications(network) / 1e9
    figures = validate(network.to(accelerator.device), list(batches), accelerator)
    return {
        'parameters': checkpoint.parameter_count(network),
        'gmac': gmac,
        **{name: figures[f'val/{name}'] for name in ('epe_px', 'bad1', 'bad3')},
    }
