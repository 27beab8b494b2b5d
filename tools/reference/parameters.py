"""The page of the parameters, from `config.py`."""

from __future__ import annotations

from typing import Any

from dtp_stereo_ros.config import (
    WITHOUT_COUNTERPART,
    NodeConfig,
    PipelineConfig,
    Tunable,
    tunables,
)
from dtp_stereo_ros.markdown import table

from .markdown import code


def sections() -> dict[str, str]:
    """The tables of the page."""
    matching = tunables(PipelineConfig)
    own = {name: spec for name, spec in matching.items() if spec.backend == 'sgbm'}
    common = {name: spec for name, spec in matching.items() if name not in own}
    without = [[code(name), mend] for name, mend in WITHOUT_COUNTERPART.items()]
    return {
        'matching': _rows(common, PipelineConfig()),
        'sgbm': _rows(own, PipelineConfig()),
        'node': _rows(tunables(NodeConfig), NodeConfig()),
        'without counterpart': table(['parameter', 'instead'], without),
    }


def _rows(specs: dict[str, Tunable], defaults: Any) -> str:
    return table(
        ['parameter', 'type', 'default', 'range', 'unit', 'live', 'meaning'],
        [
            [
                code(name),
                _type(getattr(defaults, name)),
                code(shown(getattr(defaults, name))),
                allowed(spec),
                spec.unit,
                'yes' if spec.live else 'no',
                spec.description + (f' Of backend {spec.backend} only.' if spec.backend else ''),
            ]
            for name, spec in specs.items()
        ],
    )


def shown(value: Any) -> str:
    """A default as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return str(value)


def allowed(spec: Tunable) -> str:
    """Range or choices."""
    if spec.choices:
        return ', '.join(map(code, spec.choices))
    if spec.minimum is None or spec.maximum is None:
        return ''
    return f'{spec.minimum:g} .. {spec.maximum:g}'


def _type(value: Any) -> str:
    names = {bool: 'bool', int: 'int', float: 'double', str: 'string', tuple: 'string[]'}
    return names[type(value)]
