"""Identity of a run: its architecture by name, and the settings that it depends on.

Imports no PyTorch, as options are made of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dtp_stereo_ros import models
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network.presets import PRESETS
from dtp_stereo_ros.settings_file import plain

from ..settings import TrainConfig
from ..teacher_names import teacher_file

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


# Of a run: where it computes, and how long and how often it does what it does. All else decides
# what it learns.
_WHERE = ('out', 'command', 'workers', 'threads', 'device', 'cache')
_PACE = (
    'steps', 'minutes', 'total_minutes', 'max_steps', 'validate_every', 'checkpoint_s', 'split',
    'compile', 'precision', 'resume', 'also',
)  # fmt: skip


# Of a teacher that is not named by its path alone.
_TEACHER_HASH = 'teacher_sha256'


def training_settings(config: TrainConfig) -> dict[str, Any]:
    """Settings that a training run depends on; files by content, so that a folder may be moved.

    Raises:
        ConfigError, ModelError: see `teacher_file`; or a file cannot be read.
    """
    settings = plain(config)
    for key in _WHERE:
        del settings[key]
    settings['init'] = models.sha256(config.init) if config.init else ''
    teacher = config.distil.teacher
    if Path(teacher).is_file():
        settings['distil']['teacher'] = models.sha256(Path(teacher))
    elif teacher and (file := teacher_file(teacher)):
        settings['distil'][_TEACHER_HASH] = models.sha256(file)
    return dict(settings)


def lesson(config: TrainConfig) -> dict[str, Any]:
    """Settings that all calls of a run share, as plain values: all but its length and pace."""
    settings = {k: v for k, v in training_settings(config).items() if k not in _PACE}
    # Of a run from a checkpoint that decides.
    if settings['init']:
        del settings['network']
    return dict(json.loads(json.dumps(settings)))


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first setting that differs and its values, '' where none does.

    Args:
        before, now: plain values, nested.
    """
    before, now = _flat(before), _flat(now)
    for key in sorted(before.keys() | now.keys()):
        # Earlier versions did not write it, and did what is the default today.
        if key not in before and (key.endswith(_TEACHER_HASH) or _is_default(key, now[key])):
            continue
        if before.get(key) != now.get(key):
            return f'{key} ({before.get(key)!r}, now {now.get(key)!r})'
    return ''


def _is_default(key: str, value: Any) -> bool:
    """Whether a setting of a training, by its dotted name, has its default."""
    defaults = _flat(json.loads(json.dumps(plain(TrainConfig(out=Path())))))
    return key in defaults and bool(defaults[key] == value)


def _flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested settings by dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= (
            _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {prefix + key: value}
        )
    return found
