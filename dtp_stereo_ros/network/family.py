"""The members of the family by name, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

from dtp_stereo_ros.errors import ModelError

from .light import DTPNetLight, LightConfig
from .paper import PUBLISHED_PARAMETERS, DTPNetPaper, PaperConfig

Network = DTPNetLight | DTPNetPaper

_CONFIGS: dict[str, type[LightConfig] | type[PaperConfig]] = {
    'light': LightConfig,
    'paper': PaperConfig,
}


def build(config: dict[str, Any]) -> Network:
    """A network with fresh weights from what `describe` gave.

    Args:
        config: ``{'member': 'light' | 'paper', ...}`` with fields of that member's config.

    Raises:
        ModelError: unknown member, or a setting that it does not have.
    """
    values = dict(config)
    member = values.pop('member', None)
    if member not in _CONFIGS:
        raise ModelError(f'network {member!r} is unknown; choose {" or ".join(_CONFIGS)}')
    cls = _CONFIGS[member]
    unknown = sorted(set(values) - {f.name for f in dataclasses.fields(cls)})
    if unknown:
        raise ModelError(f'network {member} has no setting {unknown[0]!r}')
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    made = cls(**values)
    if isinstance(made, LightConfig):
        return DTPNetLight(made)
    if made.setting not in PUBLISHED_PARAMETERS:
        raise ModelError(f'network paper has settings 1, 2 and 3, not {made.setting!r}')
    return DTPNetPaper(made)


def describe(network: Network) -> dict[str, Any]:
    """The architecture as plain values, for `build`."""
    member = 'light' if isinstance(network, DTPNetLight) else 'paper'
    return {'member': member, **dataclasses.asdict(network.config)}
