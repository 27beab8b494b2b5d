"""Layers of a pruned network: what differs from its config, as plain numbers, and back.

A width row is ``[channels_out, channels_in, groups]`` of a convolution or ``[channels]`` of a
normalisation, under the module's name in `state_dict`.
"""

from __future__ import annotations

from typing import cast

from torch import nn

from dtp_stereo_ros.errors import ModelError

Widths = dict[str, list[int]]

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMALISATIONS = (nn.BatchNorm2d, nn.BatchNorm3d)


def read_widths(network: nn.Module) -> Widths:
    """The row of every layer that has one."""
    rows: Widths = {}
    for name, module in network.named_modules():
        if isinstance(module, CONVOLUTIONS):
            rows[name] = [module.out_channels, module.in_channels, module.groups]
        elif isinstance(module, _NORMALISATIONS):
            rows[name] = [module.num_features]
    return rows


def changed_widths(network: nn.Module, unpruned: nn.Module) -> Widths:
    """The rows in which a network differs from another of the same config."""
    before = read_widths(unpruned)
    return {name: row for name, row in read_widths(network).items() if row != before[name]}


def apply_widths(network: nn.Module, widths: Widths) -> None:
    """Replace the layers named by layers of other widths, with fresh weights.

    Raises:
        ModelError: a row names no layer of the network, or no possible layer.
    """
    for name, row in widths.items():
        parent_name, _, child = name.rpartition('.')
        try:
            parent = network.get_submodule(parent_name)
            setattr(parent, child, _layer(network.get_submodule(name), row))
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f'widths of layer {name!r} do not fit ({error})') from None


def _layer(old: nn.Module, row: list[int]) -> nn.Module:
    if isinstance(old, _NORMALISATIONS):
        (features,) = row
        return type(old)(features, old.eps, old.momentum)
    if not isinstance(old, CONVOLUTIONS):
        raise ValueError(f'{type(old).__name__} has no width')
    channels_out, channels_in, groups = row
    bias = old.bias is not None
    if isinstance(old, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return type(old)(
            channels_in, channels_out, old.kernel_size, old.stride, old.padding,  # type: ignore[arg-type]
            old.output_padding, groups, bias, old.dilation,  # type: ignore[arg-type]
        )  # fmt: skip
    convolution = cast(nn.Conv2d, old)
    return type(convolution)(
        channels_in, channels_out, convolution.kernel_size, convolution.stride,  # type: ignore[arg-type]
        convolution.padding, convolution.dilation, groups, bias,  # type: ignore[arg-type]
    )  # fmt: skip
