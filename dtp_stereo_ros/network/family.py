"""The members of the family by name, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from dtp_stereo_ros.errors import ModelError, one_line

from .bimodal import BimodalConfig, DTPNetBimodal
from .light import DTPNetLight, LightConfig, check_parts
from .paper import PUBLISHED_PARAMETERS, DTPNetPaper, PaperConfig
from .psmnet import PSMNet, PSMNetConfig

Network = DTPNetLight | DTPNetBimodal | DTPNetPaper | PSMNet

_MEMBERS: dict[str, tuple[type[Any], Callable[[Any], Network]]] = {
    'light': (LightConfig, DTPNetLight),
    'bimodal': (BimodalConfig, DTPNetBimodal),
    'paper': (PaperConfig, DTPNetPaper),
    'psmnet': (PSMNetConfig, PSMNet),
}

# Of max_disparity_px, where it is not the 4 px of a bin.
_RANGE_MULTIPLE = {'psmnet': 16}
# Of channels, blocks and disparities in a config: a file can ask for anything.
_MAX_SETTING = 4096


def build(config: dict[str, Any]) -> Network:
    """A network with fresh weights from what `describe` gave.

    Args:
        config: ``{'member': 'light' | 'bimodal' | 'paper' | 'psmnet', ...}`` with fields of that
            member's config.

    Raises:
        ModelError: unknown member, or a setting that it does not have.
    """
    values = dict(config)
    member = values.pop('member', None)
    if not isinstance(member, str) or member not in _MEMBERS:
        raise ModelError(f'network {member!r} is unknown; choose {" or ".join(_MEMBERS)}')
    cls, make = _MEMBERS[member]
    unknown = sorted(set(values) - {f.name for f in dataclasses.fields(cls)})
    if unknown:
        raise ModelError(f'network {member} has no setting {unknown[0]!r}')
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    default = cls()
    for name, value in values.items():
        _check(f'network {member}: {name} is {value!r}', value, getattr(default, name))
    made = cls(**values)
    multiple = _RANGE_MULTIPLE.get(member, 4)
    if made.max_disparity_px % multiple:
        raise ModelError(
            f'network {member}: max_disparity_px is {made.max_disparity_px}, no multiple of '
            f'{multiple}'
        )
    if isinstance(made, PaperConfig) and made.setting not in PUBLISHED_PARAMETERS:
        raise ModelError(f'network paper has settings 1, 2 and 3, not {made.setting!r}')
    if isinstance(made, LightConfig):
        check_parts(made)
    try:
        return make(made)
    except (RuntimeError, ValueError) as error:  # of PyTorch, for widths that fit no layer
        raise ModelError(f'network {member} cannot be built so: {one_line(error)}') from error


def _check(told: str, value: Any, usual: Any) -> None:
    """Refuse a setting that is not of the kind of its default.

    Raises:
        ModelError: begins as told.
    """
    count = len(usual) if isinstance(usual, tuple) else 1
    numbers = value if isinstance(value, tuple) else (value,)
    if isinstance(value, tuple) != isinstance(usual, tuple) or len(numbers) != count:
        raise ModelError(f'{told}, it takes {f"{count} numbers" if count > 1 else "one number"}')
    whole = not isinstance(usual, float)
    if any(
        isinstance(n, bool) or not isinstance(n, int if whole else int | float) for n in numbers
    ):
        raise ModelError(f'{told}, it takes {"whole numbers" if whole else "a number"}')
    if not all(0 <= n <= _MAX_SETTING for n in numbers):
        raise ModelError(f'{told}, not 0 .. {_MAX_SETTING}')


def try_out(network: Network, size: tuple[int, int]) -> None:
    """Match a black pair with a fresh network: settings may fit each layer and not one another.

    Args:
        network: stays in the mode in which it is.
        size: (height, width) px of the pair.

    Raises:
        ModelError: it cannot.
    """
    training = network.training
    try:
        with torch.no_grad():
            disparity = network.eval()(*torch.zeros(2, 1, 3, *size))[0]
        if tuple(disparity.shape[-2:]) != size:
            raise ValueError(f'its disparity is {disparity.shape[-1]}x{disparity.shape[-2]} px')
    except (ArithmeticError, IndexError, RuntimeError, ValueError) as error:
        raise ModelError(f'network {network.name} does not work so: {one_line(error)}') from error
    finally:
        network.train(training)


def describe(network: Network) -> dict[str, Any]:
    """The architecture as plain values, for `build`."""
    config = dataclasses.asdict(network.config)
    for member, (cls, _) in _MEMBERS.items():
        if isinstance(network.config, cls):
            return {'member': member, **config}
    raise TypeError(f'{type(network).__name__} is no member of the family')


def magnification_of(network: Network) -> float:
    """The factor by which a network enlarges its pairs; 1 for those that do not."""
    return float(getattr(network.config, 'magnification', 1.0))


def expects_error(network: Network) -> bool:
    """Whether the confidence of a network is made of an expected error that it learns."""
    if isinstance(network, DTPNetLight):
        return network.error is not None
    return isinstance(network, DTPNetBimodal)


def trained_range_px(network: Network) -> int:
    """The disparities that the bins of a network share, in px of the pairs that it is trained on.

    A bin of the light network is 4 px of them wide; with a magnification they are enlarged.
    """
    if isinstance(network, DTPNetLight):
        return 4 * network.bins
    return network.max_disparity_px
