"""Training pairs padded as `preprocess` pads images whose size the network cannot take."""

from __future__ import annotations

import torch

from .batches import Batch

_IMAGES = ('left', 'right', 'clean_left', 'clean_right')
_MASKS = ('visible', 'known', 'taught_valid', 'inside')


def pad(batch: Batch, top_px: int, right_px: int) -> Batch:
    """The same pairs with their first rows and last columns replaced by the nearest ones left.

    Left pixels that stay keep their matches, which lie further left. In the padding nothing is
    known, to a teacher either: ``inside``, (B, H, W) bool, is where the pairs are.

    Args:
        batch: see `batches.collate`.
        top_px, right_px: rows and columns to replace, fewer than there are.
    """
    padded = dict(batch)
    for name in _IMAGES:
        image = batch[name].clone()
        image[:, :, :top_px] = image[:, :, top_px : top_px + 1]
        last = image.shape[3] - right_px
        image[..., last:] = image[..., last - 1 : last]
        padded[name] = image
    padded['inside'] = torch.ones_like(batch['known'])
    for name in padded.keys() & _MASKS:
        mask = padded[name].clone()
        mask[:, :top_px] = False
        mask[:, :, mask.shape[2] - right_px :] = False
        padded[name] = mask
    return padded


def pad_some(batch: Batch, share: float, multiple: int) -> Batch:
    """By chance, in a share of the calls, pad by less than `multiple` pixels."""
    if float(torch.rand(())) >= share:
        return batch
    top, right = torch.randint(multiple, (2,)).tolist()
    return pad(batch, top, right)
