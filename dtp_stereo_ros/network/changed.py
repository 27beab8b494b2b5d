"""Light networks made of trained ones that differ from them in one setting, to be trained on."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..errors import ModelError
from .light import DTPNetLight, LightConfig, check_parts
from .widths import apply_widths, read_widths

# Blocks at 1/32 that a magnified network has more: what they see of the scene is smaller there.
_DEEPER = 3
_MAGNIFIED = 'the network has another magnification; start from one without'


def with_half_upsampling(network: DTPNetLight) -> DTPNetLight:
    """The same network with learned upsampling to half size; its last layer has to be retrained.

    The scores of a half-size pixel start as the mean of those of its four pixels.
    """
    if network.config.upsampling == 2:
        return network
    state = network.state_dict()
    made = DTPNetLight(dataclasses.replace(network.config, upsampling=2))
    widths = read_widths(network)
    widths['upsampling.leave'] = [36, *widths['upsampling.leave'][1:]]
    apply_widths(made, widths)
    for name in ('upsampling.leave.weight', 'upsampling.leave.bias'):
        # 9 neighbours, 2 x 2 half-size pixels of 2 x 2 pixels each.
        scores = state[name].reshape(9, 2, 2, 2, 2, -1)
        state[name] = scores.mean(dim=(2, 4)).reshape(36, *state[name].shape[1:])
    made.load_state_dict(state)
    return made.train(network.training)


def with_one_correlation(network: DTPNetLight) -> DTPNetLight:
    """The same network with its first correlation alone; its aggregation has to be retrained."""
    c = network.config
    if c.heads == 1:
        return network
    state = network.state_dict()
    made = DTPNetLight(dataclasses.replace(c, heads=1))
    widths = read_widths(network)
    for name in ('project_left', 'project_right'):
        widths[name] = [c.head_channels, *widths[name][1:]]
        for kind in ('weight', 'bias'):
            state[f'{name}.{kind}'] = state[f'{name}.{kind}'][: c.head_channels]
    bins, enter = network.bins, 'aggregation.enter.0'
    out, channels_in, groups = widths[enter]
    widths[enter] = [out, channels_in - (c.heads - 1) * bins, groups]
    weight = state[f'{enter}.weight']
    state[f'{enter}.weight'] = torch.cat((weight[:, :bins], weight[:, c.heads * bins :]), dim=1)
    apply_widths(made, widths)
    made.load_state_dict(state)
    return made.train(network.training)


def magnified(network: DTPNetLight, factor: float) -> DTPNetLight:
    """The same network on pairs enlarged by a factor, with the disparities that this asks for.

    What is fine in a pair is matched as if it was coarse. Scores of the new disparities start as
    that of the greatest one before, and new blocks at 1/32 as the identity.

    Args:
        network: without magnification, unless it is this one already.
        factor: such as 1.5.

    Raises:
        ModelError: the network has another magnification, or the factor is no small fraction.
    """
    c = network.config
    if c.magnification == factor:
        return network
    if c.magnification != 1:
        raise ModelError(_MAGNIFIED)
    check_parts(dataclasses.replace(c, magnification=factor))
    n4, n8, n16, n32 = c.depths
    made = DTPNetLight(
        dataclasses.replace(c, magnification=factor, depths=(n4, n8, n16, n32 + _DEEPER))
    )
    more, bins = made.bins - network.bins, network.bins
    state, widths = network.state_dict(), read_widths(network)
    enter = 'aggregation.enter.0'
    weight = state[f'{enter}.weight']
    heads = weight[:, : c.heads * bins].unflatten(1, (c.heads, bins))
    heads = torch.cat((heads.new_zeros(len(weight), c.heads, more, 1, 1), heads), dim=2)
    weight = torch.cat((heads.flatten(1, 2), weight[:, c.heads * bins :]), dim=1)
    state[f'{enter}.weight'] = weight
    widths[enter] = [*weight.shape[:2], 1]
    state['regress.weight'] = _more_scores(state['regress.weight'], bins, more)
    bias = state['regress.bias']
    state['regress.bias'] = torch.cat((bias[:1].expand(more), bias))
    widths['regress'] = [*state['regress.weight'].shape[:2], 1]
    last = f'aggregation.down32.{n32 - 1}.'
    for index in range(n32, n32 + _DEEPER):
        name = f'aggregation.down32.{index}.'
        for row in [key for key in widths if key.startswith(last)]:
            widths[name + row.removeprefix(last)] = widths[row]
    apply_widths(made, widths)
    fresh = made.state_dict()
    for key in fresh.keys() - state.keys():
        state[key] = torch.zeros_like(fresh[key]) if '.narrow.' in key else fresh[key]
    made.load_state_dict(state)
    return made.train(network.training)


def with_error_head(network: DTPNetLight, channels: int) -> DTPNetLight:
    """The same network with a head for the expected error; the head alone has to be trained.

    Args:
        network: any; a head of other channels gives way to a new one.
        channels: of the head.
    """
    if network.config.error == channels:
        return network
    config = dataclasses.replace(network.config, error=channels)
    # The head reads what this layer reads.
    reader = 'upsampling.context' if network.refinement is None else 'refinement.leave'
    features = read_widths(network)[reader][1]
    return _with_part(network, config, 'error', {'error.features': [channels, features, 1]})


def with_choice(network: DTPNetLight, channels: int, magnification: float) -> DTPNetLight:
    """The same network on pairs of two sizes, with a choice that alone has to be trained.

    Args:
        network: with learned upsampling to half size and a refinement; a choice of other channels
            gives way to a new one.
        channels: of the choice.
        magnification: of the finer pair; the coarser one has half of its size.

    Raises:
        ModelError: the network lacks what the choice reads, or enlarges its pairs without one.
    """
    c = network.config
    if (c.choice, c.magnification) == (channels, magnification):
        return network
    config = dataclasses.replace(c, choice=channels, magnification=magnification)
    check_parts(config)
    if c.magnification != 1 and not c.choice:
        raise ModelError(_MAGNIFIED)
    features = read_widths(network)['refinement.leave'][1]
    inputs = {'choice.finer': features, 'choice.coarser': features + 1}
    widths = {name: [channels, count, 1] for name, count in inputs.items()}
    return _with_part(network, config, 'choice', widths)


def _with_part(
    network: DTPNetLight, config: LightConfig, part: str, widths: dict[str, list[int]]
) -> DTPNetLight:
    """The network of a config with one part fresh, of these widths; all else is as before."""
    made, before = DTPNetLight(config), f'{part}.'
    kept = {k: v for k, v in read_widths(network).items() if not k.startswith(before)}
    apply_widths(made, {**kept, **widths})
    state = {k: v for k, v in network.state_dict().items() if not k.startswith(before)}
    made.load_state_dict({**made.state_dict(), **state})
    return made.train(network.training)


def _more_scores(weight: Tensor, bins: int, more: int) -> Tensor:
    """Weights of the distribution (bins, volume + bins, 1, 1) for more, greater disparities."""
    volume, matching = weight[:, :-bins], weight[:, -bins:]
    volume = torch.cat((volume[:1].expand(more, -1, -1, -1), volume))
    grown = matching.new_zeros(more + bins, more + bins, 1, 1)
    grown[more:, more:] = matching
    diagonal = torch.arange(more, device=weight.device)
    grown[diagonal, diagonal] = matching[:, :, 0, 0].diagonal().mean()
    return torch.cat((volume, grown), dim=1)
