"""Batches enlarged for networks that work on enlarged pairs."""

from __future__ import annotations

import torch.nn.functional as F

from dtp_stereo_ros.network.blocks import enlarged

from .batches import Batch

_IMAGES = ('left', 'right', 'clean_left', 'clean_right')


def enlarged_batch(batch: Batch, factor: float) -> Batch:
    """The same pairs and labels `factor` times as large, disparities in their pixels.

    Images are enlarged as the network does it, labels by the nearest pixel. What a cached teacher
    said is left out.

    Args:
        batch: see `batches.collate`.
        factor: 1 changes nothing.
    """
    if factor == 1.0:
        return batch
    made = {name: enlarged(batch[name].float(), factor) for name in _IMAGES}
    for name in ('disparity', 'visible', 'known'):
        label = batch[name].unsqueeze(1)
        larger = F.interpolate(label.float(), scale_factor=factor, mode='nearest-exact')
        made[name] = larger[:, 0].to(label.dtype)
    made['disparity'] = made['disparity'] * factor
    return made
