"""The architecture of a run by its name. Imports no PyTorch, as options are made of it."""

from __future__ import annotations

from typing import Any

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network.presets import PRESETS

NETWORKS = tuple(PRESETS)


def preset(name: str) -> dict[str, Any]:
    """The architecture that a name stands for.

    Raises:
        ConfigError: there is no such network.
    """
    if name not in PRESETS:
        raise ConfigError(f'network {name!r} is unknown; choose one of {", ".join(PRESETS)}')
    return PRESETS[name]


def architecture(words: list[str]) -> dict[str, Any]:
    """The network of ``--network NAME WIDTH=N[,N] ...``.

    Raises:
        ConfigError: there is no such network, or a word that is not of that form.
    """
    name = words[0] if '=' not in words[0] else 'light'
    network = dict(preset(name))
    for word in words[1:] if words[0] == name else words:
        width, _, numbers = word.partition('=')
        try:
            values = tuple(int(number) for number in numbers.split(','))
        except ValueError:
            raise ConfigError(
                f'network {word!r}: is not NAME=NUMBER[,NUMBER], for example volume=48'
            ) from None
        network[width] = values if len(values) > 1 else values[0]
    return network
