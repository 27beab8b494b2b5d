"""Steps that are done once: each has a folder, goes on where it was stopped, and is not mixed.

A step's folder gets ``settings.json`` when the step starts and ``metrics.json`` when it is done,
beside its outputs. A step that is done is not done again; one that was begun with other settings
is an error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.image_io import write_json
from dtp_stereo_ros.paths import make_folder

from ..learning.train_config import difference

# Generated test pairs are of a seed of their own: neither trained on nor used to choose.
TEST_SEED = 7919


def finished(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The metrics of a step, or None where it is not done.

    Raises:
        ConfigError: it was begun with other settings.
    """
    begun, done = folder / 'settings.json', folder / 'metrics.json'
    if begun.exists():
        _compare(folder, json.loads(begun.read_text()), json.loads(json.dumps(settings)))
    return dict(json.loads(done.read_text())) if done.exists() else None


def do_once(
    folder: Path,
    heading: str,
    settings: dict[str, Any],
    work: Callable[[Path], dict[str, Any]],
    accelerator: Accelerator,
) -> None:
    """Do a step, or pass over it where it is done.

    Args:
        folder: of the step.
        heading: what is printed of it.
        settings: all that its outcome depends on, as plain values.
        work: does it in the folder, in every process; returns its metrics.
        accelerator: the processes.

    Raises:
        ConfigError: it was begun with other settings.
    """
    if finished(folder, settings) is not None:
        accelerator.print(f'{heading}: done before', flush=True)
        return
    accelerator.print(heading, flush=True)
    make_folder(folder)
    if accelerator.is_main_process:
        write_json(folder / 'settings.json', settings)
    start = time.perf_counter()
    metrics = work(folder)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        seconds = round(time.perf_counter() - start, 1)
        write_json(folder / 'metrics.json', {**metrics, 'seconds': seconds})
    accelerator.wait_for_everyone()


def _compare(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if other := difference(before, now):
        raise ConfigError(
            f'{folder}: was begun with another {other}; delete the folder, or give another out'
        )
