"""The backend that `auto` takes here, and the times that it was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .. import backends
from ..config import PipelineConfig
from ..errors import StereoError


def auto_choices(config: PipelineConfig, models: Sequence[str]) -> list[dict[str, Any]]:
    """Choice of `auto` for each model, as plain values; measures what has not been measured.

    Args:
        config: settings; `backend` and `model` are not read.
        models: names or paths.

    Returns:
        for each model its 'model', the 'backend' ('' where none works), the 'reason' as in the
        log, and the 'evidence' as in the cache: None where nothing was to be measured or the
        machine was too busy.
    """
    return [_choice(replace(config, backend='auto', model=model)) for model in models]


def _choice(config: PipelineConfig) -> dict[str, Any]:
    try:
        choice = backends.decide(config)
    except StereoError as error:
        return {'model': config.model, 'backend': '', 'reason': str(error), 'evidence': None}
    choice.backend.close()
    return {
        'model': config.model,
        'backend': choice.backend.name,
        'reason': choice.reason,
        'evidence': choice.evidence.as_json() if choice.evidence else None,
    }


def auto_lines(choices: Sequence[dict[str, Any]]) -> list[str]:
    """Choices as lines for a terminal."""
    return [
        choice['reason'] if choice['backend'] else f'auto: {choice["reason"]}'
        for choice in choices
    ]
