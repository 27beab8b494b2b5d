"""The members of the family by name, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

from dtp_stereo_ros.errors import ModelError

from .light import DTPNetLight, LightConfig

Network = DTPNetLight


def build(config: dict[str, Any]) -> Network:
    """A network with fresh weights from what `describe` gave.

    Raises:
        ModelError: unknown member or unknown setting.
    """
    values = dict(config)
    member = values.pop('member', None)
    if member != 'light':
        raise ModelError(f'network {member!r} is unknown; choose light')
    fields = {f.name for f in dataclasses.fields(LightConfig)}
    unknown = sorted(set(values) - fields)
    if unknown:
        raise ModelError(f'network light has no setting {unknown[0]!r}')
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return DTPNetLight(LightConfig(**values))


def describe(network: Network) -> dict[str, Any]:
    """The architecture as plain values."""
    return {'member': 'light', **dataclasses.asdict(network.config)}
